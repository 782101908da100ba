"""One rejected user in detail: who, why, what to do, and the request that sent them."""

import json

from textual.app import ComposeResult
from textual.content import Content
from textual.timer import Timer

from amp_console.console.audience_changes import moves
from amp_console.console.context import services_of
from amp_console.console.dialogs.request_view import RequestView
from amp_console.console.screens.base import screen_of
from amp_console.console.screens.errors.rows import OPERATION
from amp_console.console.screens.person_lookup import answer_to
from amp_console.console.search_answer import SearchAnswer, UserKey, is_retry_in_vain, key_of
from amp_console.console.session import Session
from amp_console.console.texts import BAD, MUTED, STRONG, facts, lines, safe_text
from amp_console.console.widgets.grid.widget import READING
from amp_console.console.widgets.scroll_pane import ScrollPane
from amp_console.console.widgets.steady_text import SteadyText
from amp_console.ledger.audiences import audience
from amp_console.ledger.counts import other_id_type
from amp_console.ledger.deliveries import Reason
from amp_console.ledger.rejected import RejectedUser
from amp_console.ledger.requests import RequestRecord, request
from amp_console.sync.queries.person import (
    PersonStatus,
    PersonVerdict,
    advice,
    explain_person,
    reason_text,
)
from amp_console.text import local_time, plural, readable_time
from amp_console.values import IdType

NO_IDENTIFIER = (
    "Set the field of the {missing} (press m) and import the events again, or change the "
    "audience's ID type (press e)."
)
NO_USER = "No user is selected."
MAX_LENGTH = 2000  # characters of a line of the answer; the ledger keeps no more
REST = 20  # times the duration of a count, until members are counted again
FRAME = 6  # columns: borders, padding and a scrollbar


class RejectedUserDetail(ScrollPane):
    """All that is known about one rejected user, in a text that scrolls."""

    def __init__(self) -> None:
        super().__init__(id="user", classes="panel")
        self.user: RejectedUser | None = None
        """The user on screen."""
        self._request: RequestRecord | None = None
        self._now: PersonStatus | None = None
        self._is_read = False
        self._asking: tuple[UserKey, SearchAnswer] | None = None
        """The user that Amplitude is being asked about, or could not be, and the text for that."""
        self._moves = ""  # the effect of another ID type on the members of the cohort
        self._rests_until = 0.0
        self._timer: Timer | None = None  # until they are counted again
        self._paths: dict[IdType, str | None] = {}  # of the fields with the identifiers

    def compose(self) -> ComposeResult:
        yield SteadyText(id="user-text")

    def on_mount(self) -> None:
        services_of(self).clock.ticked.subscribe(self, lambda _: self._draw())

    def on_resize(self) -> None:
        self._draw()

    def watch_has_focus(self, has_focus: bool) -> None:
        super().watch_has_focus(has_focus)
        if self.is_mounted:
            self._draw()

    async def load(self, user: RejectedUser | None) -> None:
        """Read the request that sent a user, and their current status, and show both.

        Raises `LedgerError`.
        """
        record, now = None, None
        if user is not None:
            session = screen_of(self).session
            answers = await session.read(explain_person, user.id, await session.dead_runs())
            now = next((answer for answer in answers if _is_about(answer, user)), None)
            newest = now.record.rejected_user if now is not None else None
            if newest is not None and newest.at != user.at:
                user = newest  # a sync has rejected them again since the list was read
            known = session.connection
            self._paths = {
                IdType.USER_ID: known.user_id_path,
                IdType.AMPLITUDE_ID: known.amplitude_id_path,
            }
            if user.request_id is not None:
                record = await session.read(request, user.request_id)
            if user.code is Reason.NO_IDENTIFIER and self._is_to_be_counted(user):
                await self._count_moves(session, user.audience_id)
        if user != self.user:
            self.scroll_home(animate=False)
        self.user, self._request, self._now, self._is_read = user, record, now, True
        self._draw()

    def _is_to_be_counted(self, user: RejectedUser) -> bool:
        """Whether to count the users affected by another ID type, which reads all members.

        This is not done for each user that the cursor reaches, or for each change by a job or
        another process.
        """
        services = services_of(self)
        if self.user is None or self.user.audience_id != user.audience_id:
            return True
        if user != self.user or services.jobs.is_busy:
            return False
        rest = self._rests_until - services.timing.monotonic()
        if rest > 0 and self._timer is None:
            self._timer = self.set_timer(rest, self._count_again)
        return rest <= 0

    async def _count_moves(self, session: Session, audience_id: int) -> None:
        monotonic = services_of(self).timing.monotonic
        began = monotonic()
        of_user = await session.read(audience, audience_id)
        self._moves = moves(of_user, await session.read(other_id_type, of_user))
        ended = monotonic()
        self._rests_until = ended + REST * (ended - began)

    def _count_again(self) -> None:
        self._timer = None
        screen_of(self).reload()

    @property
    def place(self) -> tuple[str, int]:
        """The source and the line of the user's newest event."""
        record = self._now.record if self._now is not None else None
        return (record.source or "", record.line or 0) if record is not None else ("", 0)

    @property
    def is_rejected(self) -> bool:
        """Whether the user is still rejected; a retry or a sync may have changed that."""
        return self._now is None or self._now.verdict in {
            PersonVerdict.REJECTED,
            PersonVerdict.NO_IDENTIFIER,
        }

    @property
    def text(self) -> Content:
        """The whole text."""
        user = self.user
        if user is None:
            return safe_text((NO_USER if self._is_read else READING, MUTED))
        blocks = [self._facts(user), safe_text("")]
        if (answer := self.answer_about(user)) is not None:
            age = services_of(self).age_of(answer.asked_at)
            asked = safe_text((f"Amplitude, asked {age}", STRONG))
            said = answer.said(lacks_identifier=self.is_rejected)
            blocks += [asked, said, safe_text("")]
        if self._now is not None and not self.is_rejected:
            blocks += [safe_text(("Now", STRONG)), safe_text(self._now.sentence, max_length=900)]
        else:
            blocks += [
                safe_text(("What to do", STRONG)),
                safe_text(self._advice(user), max_length=900),
            ]
        if self._request is not None:
            blocks += [safe_text(""), *self._about_request(user, self._request)]
        return lines(*blocks)

    async def ask(self, user: RejectedUser) -> None:
        """Ask Amplitude whether it now knows a user."""
        services, session = services_of(self), screen_of(self).session
        now, more = services.clock.now, services.glyphs.more
        statuses = await session.read(explain_person, user.id)
        self._asking = key_of(user), SearchAnswer(safe_text((f"Asking{more}", MUTED)), asked_at=now)
        self._draw()
        answer = await answer_to(session, user.id, statuses, now)
        self._asking = (key_of(user), answer) if answer.is_known is None else None
        self._draw()
        screen_of(self).reload()  # the list says so, too

    def answer_about(self, user: RejectedUser) -> SearchAnswer | None:
        """The answer of Amplitude's user search about a user; None if it was not asked since."""
        if self._asking is not None and self._asking[0] == key_of(user):
            return self._asking[1]
        session = services_of(self).session  # None while the console is quitting
        return None if session is None else session.search_answers.about(user)

    @property
    def is_known(self) -> bool | None:
        """Whether Amplitude knows the user on screen, by its answer; None without an answer."""
        answer = None if self.user is None else self.answer_about(self.user)
        return None if answer is None else answer.is_known

    @property
    def is_retry_in_vain(self) -> bool:
        """Whether a retry of the user on screen would be rejected again."""
        user = self.user
        return user is not None and is_retry_in_vain(user, self.answer_about(user))

    def show_request(self) -> None:
        """Show the request that sent the user, in full, with its answer."""
        if self.user is not None and self.user.request_id is not None:
            self.app.push_screen(RequestView(self.user.request_id))

    def _draw(self) -> None:
        title = self.user.id if self.user is not None else "Rejected user"
        self.border_title = safe_text(title, max_length=80)
        self.query_one("#user-text", SteadyText).say(self.text)

    def _advice(self, user: RejectedUser) -> str:
        """What to do; if a path to the missing identifier is mapped, say that nothing was there."""
        missing = user.id_type.other
        path = self._paths.get(missing)
        if user.code is not Reason.NO_IDENTIFIER:
            answer = self.answer_about(user)
            return advice(user.code, user.tries, answer.is_known if answer is not None else None)
        if not path:
            return f"{NO_IDENTIFIER.format(missing=missing.label)} {self._moves}".rstrip()
        return (
            f"The newest event has no {missing.label} at {path}. If it is elsewhere, correct its "
            "path (press m); if not, add it to the events. Then import them again. Or match the "
            f"audience by {user.id_type.label} instead (press e). {self._moves}"
        )

    def _facts(self, user: RejectedUser) -> Content:
        rows: list[tuple[str, Content | str]] = [
            (user.id_type.label, safe_text((user.id, STRONG))),
            ("audience", _audience_words(user)),
        ]
        operation = OPERATION[user.operation]
        lacks_identifier = user.code is Reason.NO_IDENTIFIER
        if self.is_rejected or not lacks_identifier:  # otherwise the ID type was switched since
            rows.insert(0, ("why", safe_text((reason_text(user.code, user.reason), BAD))))
        if lacks_identifier and self.is_rejected:
            rows.append(("operation", f"{operation}, never sent"))
            if self._now is not None and self._now.record.source is not None:
                record = self._now.record
                rows.append(("last read in", f"line {record.line:,} of {record.source}"))
        elif not lacks_identifier:
            tries = plural(user.tries, "attempt")
            when = f"{local_time(user.at)} ({services_of(self).age_of(user.at)})"
            rows.append(("rejected", f"{when}, {operation}, {tries}"))
            if user.since != user.at:
                first = f"{local_time(user.since)} ({services_of(self).age_of(user.since)})"
                rows.append(("first time", first))
        return self._laid_out(rows)

    def _about_request(self, user: RejectedUser, record: RequestRecord) -> list[Content]:
        status = f"status {record.status}" if record.status is not None else "no answer came"
        users = plural(record.size, "user")
        how = "press Enter to see it" if self.has_focus else "Enter in this panel shows it"
        rows: list[tuple[str, Content | str]] = [
            (
                "request",
                f"{record.id} (run {record.run_id}), with {users} ({how})",
            ),
            ("answer", f"{status}, sent {readable_time(record.sent_at)}"),
        ]
        return [self._laid_out(rows), *_answer(record.response, user.id)]

    def _laid_out(self, rows: list[tuple[str, Content | str]]) -> Content:
        return facts(rows, room=self.size.width - FRAME + 4 if self.size.width else None)


def _audience_words(user: RejectedUser) -> str:
    """Its name and key; if others have that key, the name already says which audience it is."""
    if user.audience_name.endswith(f"({user.audience})"):
        return user.audience_name
    return f"{user.audience_name} (key {user.audience})"


def _is_about(answer: PersonStatus, user: RejectedUser) -> bool:
    record = answer.record
    return (record.audience.id, record.id_type) == (user.audience_id, user.id_type)


def _answer(text: str, id_: str) -> list[Content]:
    """Amplitude's answer, with the lines that name the user highlighted."""
    name = json.dumps(id_, ensure_ascii=False)
    return [
        safe_text((line, BAD if name in line else MUTED), max_length=MAX_LENGTH)
        for line in pretty(text).splitlines()
    ]


def pretty(text: str) -> str:
    """Indent an answer that is JSON; leave any other, or an incomplete one, unchanged."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
