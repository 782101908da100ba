"""Reading all audiences for home: what is cheap at once, their members not too often."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from textual.screen import Screen
from textual.timer import Timer

from amp_console.console.context import services_of
from amp_console.console.session import Session
from amp_console.sync.queries.status import AudienceSummary, audience_summaries

COUNTING_SHARE = 0.05  # share of the time, at most, for counting members while a job runs
COUNTED_WITHIN = 0.3  # seconds that a paint waits for the members to be counted


class SummaryReader:
    """Reads the summaries of all audiences.

    Counting members reads each of them (2,000,000 per second), so while a job runs, the last counts
    are shown for a while. Everything else is counted from indexes.
    """

    def __init__(
        self,
        screen: Screen[Any],
        show: Callable[[list[AudienceSummary]], None],
        reload: Callable[[], None],
    ) -> None:
        """`show` is called with the result; `reload`, when members may be counted again."""
        self._screen = screen
        self._show = show
        self._reload = reload
        self._counts: dict[int, AudienceSummary] = {}  # the last counts
        self._counted: Session | None = None  # the session of those counts
        self._next_count = 0.0  # monotonic seconds; no count before then while a job runs
        self._recount: Timer | None = None
        self._is_shown = True  # what was read last

    async def read(self, session: Session) -> None:
        """Read and show how many members there are; first what is cheap, if counting takes long."""
        timing = services_of(self._screen).timing
        dead = await session.dead_runs()
        await services_of(self._screen).figures.load(session)
        cheap = await session.read(
            audience_summaries, session.connection, count_members=False, dead=dead
        )
        if self._recount is not None:
            self._recount.stop()
        if self._can_wait(session, cheap):
            self._show_counted(cheap)
            wait = self._next_count - timing.monotonic()
            self._recount = self._screen.set_timer(max(wait, 0.1), self._reload)
            return
        begun = timing.monotonic()
        counting = asyncio.ensure_future(
            session.read(audience_summaries, session.connection, now=timing.now, dead=dead)
        )
        try:
            # Members and pending changes of one moment, or they contradict each other for a while.
            # At first, a column of dashes that fills a moment later would look like a change.
            was_shown, self._is_shown = self._is_shown, False
            if was_shown:  # else another reading takes the place of each before it is shown
                await asyncio.wait({counting}, timeout=COUNTED_WITHIN)
            if not counting.done():
                self._show_counted(cheap)
            self._show_counted(await counting)
        finally:
            counting.cancel()
        now = timing.monotonic()
        self._counted, self._next_count = session, now + (now - begun) / COUNTING_SHARE

    def _can_wait(self, session: Session, found: list[AudienceSummary]) -> bool:
        """Whether the members were counted recently enough for a tick of a running job.

        There is a tick every second. If no job runs, a change is counted at once.
        """
        services = services_of(self._screen)
        return (
            services.jobs.is_busy
            and session is self._counted
            and services.timing.monotonic() < self._next_count
            and all(item.audience.id in self._counts for item in found)
        )

    def _show_counted(self, found: list[AudienceSummary]) -> None:
        self._counts.update((item.audience.id, item) for item in found if item.count)
        self._is_shown = True
        self._show([_counted(item, self._counts.get(item.audience.id)) for item in found])


def _counted(item: AudienceSummary, last: AudienceSummary | None) -> AudienceSummary:
    """A summary with the last counts, adjusted to what is outstanding now."""
    if last is None or last is item or last.count is None:
        return item
    count = last.count.at(last.left, item.left)
    return msgspec.structs.replace(item, count=count, large_removal=last.large_removal)
