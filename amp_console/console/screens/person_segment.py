"""Segment's current answer about a person, worded as in `amp-console person`."""

from collections.abc import Callable, Collection

from textual.content import Content

from amp_console.connections import KeysError
from amp_console.console.background import in_thread
from amp_console.console.context import Services
from amp_console.console.texts import BAD, MUTED, Part, safe_text
from amp_console.sync.queries.person import PersonStatus
from amp_console.sync.queries.segment_person import (
    NO_USER_ID,
    OTHER_SPACE,
    ProfileAnswer,
    ask_profile,
    three_answers,
    user_id_of,
)
from amp_console.sync.segment_space import profiles_client

MAX_LENGTH = 900
NOT_STORED = "No token of Segment's Profile API is stored."


class SegmentLookup:
    """Asks Segment about the person on screen, and keeps the answer until that changes.

    `changed` is called when there is something new to show.
    """

    def __init__(self, services: Callable[[], Services], changed: Callable[[], None]) -> None:
        self._services = services
        self._changed = changed
        self._text: str | None = None  # the identifier that was looked up
        self._answer: ProfileAnswer | None = None
        self._asked_at = 0

    def forget(self) -> None:
        """Forget the answer, because another person is shown."""
        self._text, self._answer = None, None

    async def ask(self, text: str, statuses: Collection[PersonStatus]) -> None:
        """Ask about the person who was looked up as `text`."""
        self._text, self._answer = text, None
        self._changed()
        answer = await self._asked(text, list(statuses))
        if self._text == text:
            self._answer, self._asked_at = answer, self._services().clock.now
            self._changed()

    async def _asked(self, text: str, statuses: list[PersonStatus]) -> ProfileAnswer:
        segment, user_id = self._services().segment, user_id_of(text, statuses)
        if user_id is None:
            return ProfileAnswer(None, None, NO_USER_ID)
        space = segment.space
        try:
            token = await segment.profiles_token(space) if space is not None else None
        except KeysError as error:
            return ProfileAnswer(user_id, None, str(error))
        if space is None or token is None:
            return ProfileAnswer(user_id, None, NOT_STORED)
        client = await in_thread(profiles_client, space, token, segment.say_waiting)
        return await ask_profile(client, user_id)

    def says(self, status: PersonStatus | None) -> Content | None:
        """Segment's answer for an audience, or for a person that no audience knows.

        None if it was not asked.
        """
        services, answer = self._services(), self._answer
        if self._text is None:
            return None
        if answer is None:
            return safe_text((f"Asking Segment{services.glyphs.more}", MUTED))
        head: Part = (f"Segment, asked {services.age_of(self._asked_at)}: ", MUTED)
        if status is None:
            sentence = answer.sentence
        else:
            space = services.segment.space
            found = three_answers(status.record, answer, space.id if space is not None else "")
            sentence = OTHER_SPACE if found is None else found.sentence
        said: Part = (sentence, BAD) if answer.trouble else sentence
        return safe_text(head, said, max_length=MAX_LENGTH)
