"""Running the query of an audience until its plan is ready for confirmation."""

import asyncio
from collections.abc import Callable

from amp_console.console.background import in_thread
from amp_console.console.failures import expected_failures
from amp_console.console.jobs.base import Job, Publish
from amp_console.console.session import Session
from amp_console.ledger.audience_queries import AudienceQuery, RefreshOutcome
from amp_console.ledger.audiences import Audience
from amp_console.sync.sources.warehouse import Engine
from amp_console.sync.sources.warehouse.refresh import AudienceRefresh, RefreshReport
from amp_console.sync.timing import Timing

CANCEL_EVERY = 0.2  # seconds between attempts: early on, a warehouse may have nothing to cancel yet


class RefreshJob(Job):
    """One refresh of one audience: members change only after its plan is confirmed."""

    GIVEN_UP = "The query was given up. Nothing was changed."

    def __init__(
        self,
        session: Session,
        audience: Audience,
        query: AudienceQuery,
        open_engine: Callable[[], Engine],
        timing: Timing,
        publish: Publish,
    ) -> None:
        super().__init__(session, publish)
        self.audience = audience
        self.query = query
        self.report: RefreshReport | None = None
        self.is_watched = False
        """Whether the screen in front shows its plan."""
        self.is_asked = False
        """Whether the operator is being asked about its plan, or has answered."""
        self._timing = timing
        self._started = timing.monotonic()
        self._is_ending = False
        self._refresh = AudienceRefresh(
            session.ledger,
            audience,
            query,
            open_engine,
            asks_first=True,
            now=timing.now,
            monotonic=timing.monotonic,
        )

    @property
    def is_ending(self) -> bool:
        return self._is_ending

    @property
    def rows(self) -> int:
        """How many rows have been read so far."""
        return self._refresh.rows

    @property
    def elapsed(self) -> float:
        """How many seconds the query has taken so far."""
        return self._timing.monotonic() - self._started

    @property
    def asks(self) -> RefreshReport | None:
        """The plan that is waiting for confirmation, None if there is none."""
        is_plan = self.report is not None and self.report.outcome is RefreshOutcome.ASKS
        return self.report if is_plan else None

    def cancel(self) -> None:
        """Cancel the query; nothing is changed."""
        self._is_ending = True
        self.session.stop_waiting()
        self.progressed()

    async def work(self) -> None:
        running = asyncio.ensure_future(in_thread(self._refresh.run))
        try:
            while not (await asyncio.wait({running}, timeout=CANCEL_EVERY))[0]:
                if self._is_ending:
                    await in_thread(self._refresh.cancel)
            self.report = running.result()
        finally:
            if not running.done():
                self._refresh.cancel()

    async def answer(self, *, is_yes: bool) -> None:
        """Apply the waiting plan, or leave everything as it is."""
        asked = self.asks
        if asked is None:
            return
        decide = self._refresh.confirm if is_yes else self._refresh.decline
        try:
            self.report = await in_thread(decide, asked)
        except expected_failures() as error:
            self.report, self.failure = None, str(error)
        self.progressed()
