"""What is under way: a run or an import. It belongs to the console, not to a screen.

Each piece of work keeps its last snapshot; whoever shows it looks when told, or ten times a
second at most.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import msgspec

from amp_console.console.background import aside
from amp_console.console.failures import KNOWN, unexpected
from amp_console.console.jobs.speed import Speed
from amp_console.console.session import Session
from amp_console.engage import ReadOptions
from amp_console.ledger import LedgerError
from amp_console.ledger.snapshots import Removal
from amp_console.ledger.sources import ReadCounts
from amp_console.sync.delivery.context import RunContext
from amp_console.sync.delivery.plan import Plan
from amp_console.sync.delivery.progress import RunSnapshot
from amp_console.sync.delivery.run import RunReport, deliver, end_abandoned
from amp_console.sync.ingest.importer import Importer, ImportProgress, ImportReport
from amp_console.sync.ingest.snapshot import SnapshotReader, SnapshotReport, SnapshotState
from amp_console.sync.timing import Stop, Timing

GRACE = 10.0  # seconds that the request in flight has to end

Tell = Callable[[], None]
"""Called when there is something new to see."""

GIVEN_UP = "Stopped before the last answer came. Whoever it was about is pending."


class RunJob(ABC):
    """One run, from its beginning to its end; what it does is `carry_out`."""

    WHAT: ClassVar[str] = "A run"
    """What it is called."""

    def __init__(self, session: Session, timing: Timing, tell: Tell, audiences: int) -> None:
        """`audiences`: how many the run is for."""
        self.session = session
        self.snapshot: RunSnapshot | None = None
        self.failure: str | None = None
        self.stop = Stop()
        self.is_over = False
        self.speeds = [Speed() for _ in range(audiences)]
        self._timing = timing
        self._tell = tell
        self._task: asyncio.Task[None] | None = None
        self._seen_at = 0.0

    @property
    @abstractmethod
    def planned(self) -> int:
        """How many users are to be sent for, before it has begun."""

    @abstractmethod
    async def carry_out(self, context: RunContext) -> None:
        """Do what the run is for, and keep its report."""

    @property
    def run_id(self) -> int | None:
        """The run's number, once it has begun."""
        return self.snapshot.run_id if self.snapshot else None

    @property
    def elapsed(self) -> float:
        """Seconds since the run began, on its own clock; it goes on between two snapshots."""
        if self.snapshot is None:
            return 0.0
        since = 0.0 if self.is_over else self._timing.monotonic() - self._seen_at
        return self.snapshot.elapsed + since

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._go())

    def pause(self) -> None:
        """Take nothing more until `resume`; what is in flight ends."""
        self.stop.pause()
        self._tell()

    def resume(self) -> None:
        """Go on."""
        self.stop.resume()
        self._tell()

    def cancel(self) -> None:
        """End the run: the request in flight ends, the rest stays pending."""
        if self.is_over or self.stop.is_asked:
            return
        self.stop.ask()
        if self.snapshot is None:  # the keys are being looked for, and may never come
            self.session.stop_waiting()
        asyncio.get_running_loop().call_later(GRACE, self.give_up)
        self._tell()

    def give_up(self) -> None:
        """End the run now, whether or not the request in flight has been answered."""
        if self._task is not None and not self.is_over:
            self._task.cancel()

    async def finished(self) -> None:
        """Wait until the run is over."""
        if self._task is not None:
            with suppress(asyncio.CancelledError):
                await asyncio.shield(self._task)

    async def _go(self) -> None:
        try:
            await self._carry_out()
        except KNOWN as error:
            await self._end(str(error))
        except asyncio.CancelledError:
            await self._end(GIVEN_UP)
        except Exception as error:
            await self._end(unexpected(error))
        finally:
            self.is_over = True
            self._tell()

    async def _carry_out(self) -> None:
        session = self.session
        async with await session.client() as client:
            await self.carry_out(
                RunContext(
                    session.connection, session.ledger, client, self._timing, self.stop, self._see
                )
            )

    async def _end(self, failure: str) -> None:
        """Write down that the run is over and why: it could not do so itself."""
        self.failure = failure
        if self.snapshot is not None:
            with suppress(LedgerError):
                now = self._timing.now()
                await end_abandoned(self.session.ledger, self.snapshot, failure, now)

    def _see(self, snapshot: RunSnapshot) -> None:
        self.snapshot = snapshot
        self._seen_at = self._timing.monotonic()
        for speed, item in zip(self.speeds, snapshot.audiences, strict=True):
            speed.saw(snapshot.elapsed, item.done)
        self._tell()


class SyncJob(RunJob):
    """A sync, from its plan to its report.

    `tally` is what was read for it; it goes into the run's history.
    """

    WHAT = "A sync"

    def __init__(
        self,
        session: Session,
        plan: Plan,
        timing: Timing,
        tell: Tell,
        tally: ReadCounts | None = None,
    ) -> None:
        super().__init__(session, timing, tell, len(plan.audiences))
        self.plan = plan
        self.tally = tally or ReadCounts()
        self.report: RunReport | None = None

    @property
    def planned(self) -> int:
        """How many users the plan is for."""
        return sum(audience.add + audience.remove for audience in self.plan.audiences)

    async def carry_out(self, context: RunContext) -> None:
        """Deliver the plan."""
        self.report = await deliver(self.plan, context, tally=self.tally)


class ImportJob:
    """Reading files of events into the ledger."""

    def __init__(
        self,
        session: Session,
        paths: Sequence[str],
        options: ReadOptions,
        tell: Tell,
        *,
        is_snapshot: bool = False,
    ) -> None:
        self.paths = tuple(paths)
        self.progress: ImportProgress | None = None
        self.report: ImportReport | None = None
        self.failure: str | None = None
        self.is_over = False
        self.is_stopping = False
        self.is_watched = False  # a dialog shows how it goes
        self.was_told = False  # the operator has seen how it ended
        self.sizes: tuple[int, ...] = ()
        self._tell = tell
        self._task: asyncio.Task[None] | None = None
        self._snapshot = SnapshotReader(session.ledger) if is_snapshot else None
        self._intake = Importer(session.ledger, options, snapshot=self._snapshot, watch=self._see)

    @property
    def total(self) -> int:
        """Bytes of all files together, as far as that is known."""
        return sum(self.sizes)

    @property
    def done(self) -> int:
        """Bytes that were read so far, packed as they are."""
        now = self.progress
        if now is None:
            return 0
        names = [str(Path(path).absolute()) for path in self.paths]
        before = names.index(now.source) if now.source in names else 0
        return sum(self.sizes[:before]) + now.position

    @property
    def asks(self) -> SnapshotReport | None:
        """The snapshot that waits to be confirmed, None where there is none."""
        found = self.report.snapshot if self.report else None
        return found if found is not None and found.state is SnapshotState.ASKS else None

    async def insist(self) -> None:
        """Ask for an incomplete snapshot to be applied after all."""
        await self._decide(lambda reader, _: reader.insist())

    async def answer(self, *, is_yes: bool) -> None:
        """Confirm the snapshot that waits for it, or decline it."""
        await self._decide(lambda reader, of: reader.confirm(of) if is_yes else reader.decline(of))

    async def _decide(self, decide: Callable[[SnapshotReader, Removal], SnapshotReport]) -> None:
        report, reader = self.report, self._snapshot
        found = report.snapshot if report else None
        if report is None or reader is None or found is None or found.removal is None:
            return
        try:
            decided = await aside(decide, reader, found.removal)
            self.report = msgspec.structs.replace(report, snapshot=decided)
        except KNOWN as error:
            self.report, self.failure = None, str(error)
        self._tell()

    def start(self) -> None:
        """Begin to read."""
        self._task = asyncio.create_task(self._go())

    def cancel(self) -> None:
        """Stop reading; what was read is kept."""
        self.is_stopping = True
        self._intake.stop()
        self._tell()

    async def finished(self) -> None:
        """Wait until the reading is over."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def _go(self) -> None:
        try:
            self.report = await aside(self._read)
        except KNOWN as error:
            self.failure = str(error)
        except Exception as error:
            self.failure = unexpected(error)
        finally:
            self.is_over = True
            self._tell()

    def _read(self) -> ImportReport:
        self.sizes = tuple(_size(path) for path in self.paths)
        return self._intake.run(self.paths)

    def _see(self, progress: ImportProgress) -> None:
        """Called in the reading thread; whoever looks, looks ten times a second."""
        self.progress = progress


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except (OSError, ValueError):
        return 0  # reading it will say what is wrong with it
