"""Runs as jobs: each carries out an operation, which is a sync, a comparison or a repair."""

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import ClassVar, Generic, TypeVar

from amp_console.console.jobs.base import Job, Publish
from amp_console.console.jobs.speed import Speed
from amp_console.console.session import Session
from amp_console.ledger import LedgerError
from amp_console.ledger.sources import ReadCounts
from amp_console.sync.delivery.context import RunContext
from amp_console.sync.delivery.plan import Plan
from amp_console.sync.delivery.progress import AudienceProgress, RunSnapshot
from amp_console.sync.delivery.run import RunReport, deliver, end_abandoned
from amp_console.sync.timing import Stop, Timing
from amp_console.text import plural

GRACE = 10.0  # seconds that the request in flight may take


class RunOperation(ABC):
    """What a run does."""

    WHAT: ClassVar[str]
    """The name of the run, e.g. "A sync"."""
    VERB: ClassVar[str]
    """What it is doing, e.g. "Comparing"."""

    def __init__(self, audience_ids: tuple[int, ...]) -> None:
        self.audience_ids = audience_ids

    @property
    @abstractmethod
    def planned(self) -> int:
        """How many users it plans to send."""

    @property
    @abstractmethod
    def run_report(self) -> RunReport | None:
        """The report of the run, None before it is over."""

    @abstractmethod
    async def carry_out(self, context: RunContext) -> None:
        """Carry it out, and keep its report."""


O_co = TypeVar("O_co", bound=RunOperation, covariant=True)


class RunJob(Job, Generic[O_co]):
    """One run, from its start to its report."""

    GIVEN_UP = "Stopped before the last answer arrived. The users in that request are pending."

    def __init__(self, session: Session, operation: O_co, timing: Timing, publish: Publish) -> None:
        super().__init__(session, publish)
        self.operation = operation
        self.snapshot: RunSnapshot | None = None
        self.stop = Stop()
        self.speeds = [Speed() for _ in operation.audience_ids]
        self._timing = timing
        self._seen_at = 0.0

    @property
    def audience_ids(self) -> tuple[int, ...]:
        """The IDs of the run's audiences."""
        return self.operation.audience_ids

    @property
    def run_id(self) -> int | None:
        """The ID of the run, once it has started."""
        return self.snapshot.run_id if self.snapshot else None

    @property
    def elapsed(self) -> float:
        """Seconds since the run started, on its own clock; also advances between snapshots."""
        if self.snapshot is None:
            return 0.0
        since = 0.0 if self.is_over else self._timing.monotonic() - self._seen_at
        return self.snapshot.elapsed + since

    @property
    def is_ending(self) -> bool:
        return self.stop.is_asked

    @property
    def end_notice(self) -> str:
        many = len(self.audience_ids)
        whose = f" of {plural(many, 'audience')}" if many > 1 else ""
        return self.failure or f"{self.operation.WHAT}{whose} has ended."

    def progress_of(self, audience_id: int) -> AudienceProgress | None:
        """The progress of an audience; None before the run has started, or without the audience."""
        found = self.snapshot.audiences if self.snapshot else ()
        return next((audience for audience in found if audience.audience_id == audience_id), None)

    def note_of(self, audience_id: int) -> str:
        """Why it did not finish an audience; "" if it did, or is not over."""
        if self.failure:
            return self.failure
        report = self.operation.run_report
        reports = report.audiences if report else ()
        return next(
            (audience.note for audience in reports if audience.audience.id == audience_id), ""
        )

    def holds(self, audience_id: int) -> bool:
        """Whether it is under way and includes this audience."""
        return not self.is_over and audience_id in self.audience_ids

    def pause(self) -> None:
        """Send nothing more until `resume`; the request in flight ends."""
        self.stop.pause()
        self.progressed()

    def resume(self) -> None:
        self.stop.resume()
        self.progressed()

    def cancel(self) -> None:
        """End the run: the request in flight ends, the rest stays pending."""
        if self.is_over or self.stop.is_asked:
            return
        self.stop.ask()
        if self.snapshot is None:  # it is still looking for the keys, and may never find them
            self.session.stop_waiting()
        asyncio.get_running_loop().call_later(GRACE, self.give_up)
        self.progressed()

    async def work(self) -> None:
        session = self.session
        async with await session.client() as client:
            await self.operation.carry_out(
                RunContext(
                    session.connection, session.ledger, client, self._timing, self.stop, self._see
                )
            )

    async def fail(self, failure: str) -> None:
        """Record that the run is over and why, which it could not do itself."""
        await super().fail(failure)
        if self.snapshot is not None:
            with suppress(LedgerError):
                now = self.session.ledger.clock(self._timing.now)()
                await end_abandoned(self.session.ledger, self.snapshot, failure, now)

    def _see(self, snapshot: RunSnapshot) -> None:
        self.snapshot = snapshot
        self._seen_at = self._timing.monotonic()
        for speed, progress in zip(self.speeds, snapshot.audiences, strict=True):
            speed.record(snapshot.elapsed, progress.done)
        self.progressed()


class SyncOperation(RunOperation):
    """Delivering a plan. `tally` counts what was read for it, for the history.

    `is_of_all`: the plan includes every enabled audience.
    """

    WHAT, VERB = "A sync", "Syncing"

    def __init__(
        self, plan: Plan, tally: ReadCounts | None = None, *, is_of_all: bool = False
    ) -> None:
        super().__init__(tuple(audience.audience_id for audience in plan.audiences))
        self.plan = plan
        self.tally = tally or ReadCounts()
        self.is_of_all = is_of_all
        self.report: RunReport | None = None

    @property
    def planned(self) -> int:
        return sum(audience.planned for audience in self.plan.audiences)

    @property
    def run_report(self) -> RunReport | None:
        return self.report

    async def carry_out(self, context: RunContext) -> None:
        self.report = await deliver(self.plan, context, tally=self.tally)


SyncJob = RunJob[SyncOperation]
