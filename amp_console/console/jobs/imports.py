"""Importing files of events while the console stays usable."""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from amp_console.console.background import in_thread
from amp_console.console.failures import expected_failures
from amp_console.console.jobs.base import Job, Publish
from amp_console.console.session import Session
from amp_console.engage import ReadOptions
from amp_console.ledger.snapshots import Removal
from amp_console.sync.ingest.importer import Importer
from amp_console.sync.ingest.report import ImportProgress, ImportReport
from amp_console.sync.ingest.snapshot import SnapshotReader, SnapshotReport, SnapshotState
from amp_console.sync.sources.registry import open_source


class ImportJob(Job):
    """Reading files of events into the ledger."""

    def __init__(
        self,
        session: Session,
        paths: Sequence[str],
        options: ReadOptions,
        publish: Publish,
        *,
        is_snapshot: bool = False,
    ) -> None:
        super().__init__(session, publish)
        self.paths = tuple(paths)
        self.progress: ImportProgress | None = None
        self.report: ImportReport | None = None
        self.is_watched = False  # a dialog shows its progress
        self.is_end_seen = False  # the operator has seen how it ended
        self.sizes: tuple[int, ...] = ()
        self._is_stopping = False
        self._key_priority = session.key_priority
        self._snapshot = SnapshotReader(session.ledger) if is_snapshot else None
        self._importer = Importer(
            session.ledger, open_source, options, snapshot=self._snapshot, on_progress=self._see
        )

    @property
    def is_ending(self) -> bool:
        return self._is_stopping

    @property
    def total(self) -> int:
        """Bytes of all files together, as far as they are known."""
        return sum(self.sizes)

    @property
    def done(self) -> int:
        """Bytes read from the files so far; compressed files count compressed."""
        now = self.progress
        if now is None:
            return 0
        names = [str(Path(path).absolute()) for path in self.paths]
        before = names.index(now.source) if now.source in names else 0
        return sum(self.sizes[:before]) + now.position

    @property
    def asks(self) -> SnapshotReport | None:
        """The snapshot that is waiting for confirmation, None if there is none."""
        found = self.report.snapshot if self.report else None
        return found if found is not None and found.state is SnapshotState.ASKS else None

    async def insist(self) -> None:
        """Apply an incomplete snapshot anyway."""
        await self._decide(lambda reader, target: reader.insist(target))

    async def answer(self, *, is_yes: bool) -> None:
        """Confirm or decline the waiting snapshot."""
        await self._decide(
            lambda reader, target: reader.confirm(target) if is_yes else reader.decline(target)
        )

    async def discard(self) -> None:
        """Delete the staged rows of a snapshot that was not applied. Raises `LedgerError`."""
        if self._snapshot is not None:
            await in_thread(self._snapshot.discard)

    async def _decide(self, decide: Callable[[SnapshotReader, Removal], SnapshotReport]) -> None:
        report, reader = self.report, self._snapshot
        found = report.snapshot if report else None
        if report is None or reader is None or found is None or found.removal is None:
            return
        try:
            decided = await in_thread(decide, reader, found.removal)
            self.report = msgspec.structs.replace(report, snapshot=decided)
        except expected_failures() as error:
            self.report, self.failure = None, str(error)
        self.progressed()

    def cancel(self) -> None:
        """Stop reading; what was read is kept."""
        self._is_stopping = True
        self._importer.stop()
        self.progressed()

    async def work(self) -> None:
        self.report = await in_thread(self._read)

    def _read(self) -> ImportReport:
        self.sizes = tuple(_size(path) for path in self.paths)
        return self._importer.run(self.paths)

    def _see(self, progress: ImportProgress) -> None:
        """Store the progress, in the reading thread; the dialog reads it five times a second."""
        self.progress = progress
        self._key_priority.wait()


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except (OSError, ValueError):
        return 0  # reading the file will report what is wrong
