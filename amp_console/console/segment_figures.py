"""Figures from Segment: the sizes of the audiences in the connected space."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple

from amp_console.connections import SegmentSpace, find_profiles_token, find_public_token
from amp_console.console.background import in_thread
from amp_console.console.environment import Environment
from amp_console.console.failures import expected_failures
from amp_console.console.figures import Figures
from amp_console.console.notifications import Notifications
from amp_console.console.session import Session, Sessions
from amp_console.ledger.errors import LedgerClosed
from amp_console.ledger.membership_changes import MovedSince
from amp_console.ledger.segment_audiences import SpaceReading, space_reading
from amp_console.sync.queries.segment import (
    SizesSideBySide,
    compare_space,
    moved_since_reading,
    only_in_segment,
)
from amp_console.sync.queries.status import AudienceSummary
from amp_console.text import plural
from amp_console.values import Secret


async def post_updated(notifications: Notifications, *asked: Awaitable[str]) -> None:
    """Ask for several sizes at once, and post which are now up to date."""
    if found := [what for what in await asyncio.gather(*asked) if what]:
        text = f"Sizes are up to date: {', '.join(found)}."
        notifications.post(text, is_kept=False)


class Sizes(NamedTuple):
    """The sizes of one audience side by side, and when Segment's was read."""

    reading: SpaceReading
    row: SizesSideBySide


class SegmentFigures:
    """Segment's latest answer about the open connection's space, and asking again.

    The answer is kept in the ledger. `changed` is called when there is a newer one.
    """

    def __init__(
        self,
        sessions: Sessions,
        environment: Environment,
        figures: Figures,
        notifications: Notifications,
        changed: Callable[[], None],
    ) -> None:
        """`figures` are Amplitude's."""
        self._sessions = sessions
        self._environment = environment
        self._figures = figures
        self._notifications = notifications
        self._changed = changed
        self.is_asking = False
        """Whether Segment is being asked for the audiences of the space."""
        self._reading: SpaceReading | None = None  # None: no space is connected
        self._rows: dict[int, SizesSideBySide] = {}
        self._moved: dict[int, MovedSince] = {}  # changes since the reading

    @property
    def space(self) -> SegmentSpace | None:
        """The connected space."""
        session = self._sessions.current
        return session.connection.segment if session is not None else None

    @property
    def has_profiles_token(self) -> bool:
        """Whether Segment can be asked about one person."""
        space, simulated = self.space, self._environment.segment_tokens
        return space is not None and (space.profiles_item is not None or simulated is not None)

    @property
    def token_note(self) -> str:
        """Where the token of the Public API is, in a word or two."""
        if self._environment.segment_tokens is not None:
            return "simulated"
        is_kept = self.space is not None and self.space.token_item is not None
        return "kept in the keyring" if is_kept else "none stored"

    def forget(self) -> None:
        """Forget the reading, because another connection is open."""
        self._reading, self._rows = None, {}

    async def load(self, session: Session) -> None:
        """Read Segment's latest answer from the ledger. Raises `LedgerError`."""
        space = session.connection.segment
        self._reading = None if space is None else await session.read(space_reading, space.id)
        if self._reading is not None:
            now = session.ledger.clock(self._environment.timing.now)()
            self._moved = await session.read(moved_since_reading, self._reading, now)

    def compare(self, found: Sequence[AudienceSummary]) -> None:
        """Compare the sizes of these audiences in Segment, the ledger and Amplitude."""
        if self._reading is None:
            self._rows = {}
            return
        cohorts = {
            item.audience.cohort_id: self._cohort_size(item)
            for item in found
            if item.audience.cohort_id is not None
        }
        rows = compare_space(self._reading, found, cohorts, self._moved).audiences
        self._rows = {row.summary.audience.id: row for row in rows}

    def _cohort_size(self, found: AudienceSummary) -> int | None:
        """The size of a cohort as Amplitude reported it, otherwise from a later comparison."""
        size = self._figures.size_of(found.audience)
        return found.finding.size if size is None and found.finding is not None else size

    def sizes_of(self, audience_id: int) -> Sizes | None:
        """The sizes of an audience as last compared; None if no space is connected."""
        row = self._rows.get(audience_id)
        return Sizes(self._reading, row) if self._reading is not None and row is not None else None

    async def update(self) -> str:
        """Ask Segment for the audiences of the connected space, if any; save them in the ledger.

        If the call fails, the earlier answer stays, and a notification says why. Return what was
        counted, e.g. "8 audiences in Segment (2 not in the ledger: press 7)"; "" without an answer.
        """
        session, space = self._sessions.current, self.space
        if session is None or space is None or self.is_asking:
            return ""
        self.is_asking = True
        self._changed()
        try:
            reading = await self._ask(session, space)
            others = len(await session.read(only_in_segment, space.id))
        except LedgerClosed:
            return ""  # another connection is open by now, or none
        except expected_failures() as error:
            self._notifications.post(str(error), "error")
            return ""
        finally:
            self.is_asking = False
            self._changed()
        if reading.trouble:
            self._say_trouble(reading)
            return ""
        count = f"{plural(len(reading.audiences), 'audience')} in Segment"
        return f"{count} ({others:,} not in the ledger: press 7)" if others else count

    async def _ask(self, session: Session, space: SegmentSpace) -> SpaceReading:
        # Not at the top: the first screen contacts no service.
        from amp_console.sync.segment_space import ask_space

        find, now = partial(self._public_token, space), self._environment.timing.now
        return await ask_space(session.ledger, space, find, self.say_waiting, now)

    def _say_trouble(self, reading: SpaceReading) -> None:
        """Post why Segment did not answer, and what is still shown."""
        kept = "The previous sizes are still shown, with their age."
        if reading.read_at is None:
            kept = "No sizes have been read from Segment yet."
        self._notifications.post(f"{reading.trouble} {kept}", "error")

    def say_waiting(self, seconds: float) -> None:
        """Post why an answer takes longer."""
        text = f"Segment asked for fewer requests. Waiting {seconds:,.0f} s."
        self._notifications.post(text, is_kept=False)

    async def _public_token(self, space: SegmentSpace) -> Secret | None:
        environment = self._environment
        if environment.segment_tokens is not None:
            return environment.segment_tokens.public
        return await in_thread(find_public_token, space, environment.keyring)

    async def profiles_token(self, space: SegmentSpace) -> Secret | None:
        """Return the token of the Profile API, None if there is none. Raises `KeysError`."""
        environment = self._environment
        if environment.segment_tokens is not None:
            return environment.segment_tokens.profiles
        return await in_thread(find_profiles_token, space, environment.keyring)
