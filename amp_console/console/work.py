"""What is under way: a sync or an import. It belongs to the console, not to a screen.

Each piece of work keeps its last snapshot; whoever shows it looks when told, or ten times a
second at most.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from amp_console.amplitude import AmplitudeError
from amp_console.connections import KeysError
from amp_console.console.background import aside
from amp_console.console.session import Session
from amp_console.engage import MappingError, ReadOptions
from amp_console.ledger import LedgerError
from amp_console.sync.delivery import RunReport, deliver
from amp_console.sync.intake import Intake, IntakeProgress, IntakeReport
from amp_console.sync.plan import Plan
from amp_console.sync.progress import RunSnapshot
from amp_console.sync.read_only import ReadOnly
from amp_console.sync.timing import Stop, Timing

GRACE = 10.0  # seconds that the request in flight has to end

Tell = Callable[[], None]
"""Called when there is something new to see."""

KNOWN = (AmplitudeError, KeysError, LedgerError, MappingError, ReadOnly, OSError)
"""Failures whose text is a sentence for the operator."""


class SyncWork:
    """One run, from its plan to its report."""

    def __init__(self, session: Session, plan: Plan, timing: Timing, tell: Tell) -> None:
        self.session = session
        self.plan = plan
        self.snapshot: RunSnapshot | None = None
        self.report: RunReport | None = None
        self.failure: str | None = None
        self.stop = Stop()
        self.is_over = False
        self._timing = timing
        self._tell = tell
        self._task: asyncio.Task[None] | None = None

    @property
    def run_id(self) -> int | None:
        """The run's number, once it has begun."""
        return self.snapshot.run_id if self.snapshot else None

    def start(self) -> None:
        """Begin to deliver."""
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
        if not self.stop.is_asked:
            self.stop.ask()
            asyncio.get_running_loop().call_later(GRACE, self._give_up)
            self._tell()

    async def finished(self) -> None:
        """Wait until the run is over."""
        if self._task is not None:
            with suppress(asyncio.CancelledError):
                await asyncio.shield(self._task)

    def _give_up(self) -> None:
        if self._task is not None and not self.is_over:
            self._task.cancel()

    async def _go(self) -> None:
        try:
            client = await self.session.client()
            async with client:
                self.report = await deliver(
                    self.plan,
                    self.session.connection,
                    self.session.ledger,
                    client,
                    timing=self._timing,
                    stop=self.stop,
                    observe=self._see,
                )
        except KNOWN as error:
            self.failure = str(error)
        except asyncio.CancelledError:
            self.failure = "Stopped before the last answer came. Whoever it was about is pending."
        finally:
            self.is_over = True
            self._tell()

    def _see(self, snapshot: RunSnapshot) -> None:
        self.snapshot = snapshot
        self._tell()


class ImportWork:
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
        self.progress: IntakeProgress | None = None
        self.report: IntakeReport | None = None
        self.failure: str | None = None
        self.is_over = False
        self._tell = tell
        self._task: asyncio.Task[None] | None = None
        self._intake = Intake(session.ledger, options, is_snapshot=is_snapshot, watch=self._see)

    def start(self) -> None:
        """Begin to read."""
        self._task = asyncio.create_task(self._go())

    def cancel(self) -> None:
        """Stop reading; what was read is kept."""
        self._intake.stop()

    async def finished(self) -> None:
        """Wait until the reading is over."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def _go(self) -> None:
        try:
            self.report = await aside(self._intake.run, self.paths)
        except KNOWN as error:
            self.failure = str(error)
        finally:
            self.is_over = True
            self._tell()

    def _see(self, progress: IntakeProgress) -> None:
        """Called in the reading thread; whoever looks, looks ten times a second."""
        self.progress = progress
