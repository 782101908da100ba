"""Reading sources to their end, one after the other, into the ledger."""

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from operator import attrgetter

from amp_console.engage import EventBatch, ReadOptions, SourceKind, UnreadableSource
from amp_console.ledger import Ledger, sources
from amp_console.ledger.audiences import all_audiences
from amp_console.ledger.event_log import add_log_entry
from amp_console.ledger.sources import ReadCounts
from amp_console.sync.future_changes import latest_credible
from amp_console.sync.ingest.batch_reader import BatchReader, OpenReader
from amp_console.sync.ingest.buffer import ChangeBuffer, KnownAudiences
from amp_console.sync.ingest.log_entry import import_entry
from amp_console.sync.ingest.report import ImportProgress, ImportReport, no_change_found
from amp_console.sync.ingest.snapshot import SnapshotReader
from amp_console.text import clean
from amp_console.values import AudienceRef, now_in_microseconds

_at = attrgetter("at")

AHEAD = 1  # transactions that wait for the ledger while the next batches are read

OnProgress = Callable[[ImportProgress], None]


class Importer:
    """Reads sources one after the other; what was merged is kept, however it ends."""

    def __init__(
        self,
        ledger: Ledger,
        open_reader: OpenReader,
        options: ReadOptions,
        *,
        snapshot: SnapshotReader | None = None,
        on_progress: OnProgress | None = None,
        now: Callable[[], int] = now_in_microseconds,
        is_logged: bool = True,
    ) -> None:
        """`snapshot`: the CSV downloads of an audience hold all its members; the others left.

        `is_logged` writes a line into the ledger's log.
        """
        self._is_logged = is_logged
        self._ledger = ledger
        self._open_reader = open_reader
        self._options = options
        self._snapshot = snapshot
        self._on_progress = on_progress
        self._now = now
        self._audiences = KnownAudiences(ledger)
        self._counts = ReadCounts()
        self._updated = 0
        self._filtered: Counter[str] = Counter()
        self._events: list[str] = []
        self._unchanged: list[str] = []
        self._dated_ahead = 0
        self._latest = latest_credible(now())
        self._stop = False

    def stop(self) -> None:
        """Stop reading after the block at hand; what was read so far is kept."""
        self._stop = True

    def run(self, addresses: Iterable[str]) -> ImportReport:
        """Read every source; one that can't be read stops none of the others.

        Raises `LedgerError`, and `AudienceAmbiguous` for a list of members.
        """
        unreadable: list[str] = []
        names: list[str] = []
        known = {audience.id for audience in self._ledger.read(all_audiences)}
        with _gc_disabled():
            for address in addresses:
                if self._stop:
                    break
                names.append(address)
                try:
                    with self._open_reader(address, self._options) as source:
                        self._read(source)
                except UnreadableSource as error:
                    unreadable.append(str(error))
                    if self._snapshot:
                        self._snapshot.note_problem(str(error))
        if self._is_logged and names:
            self._log(names, unreadable)
        ended = self._snapshot.finish(was_stopped=self._stop) if self._snapshot else None
        met = dict.fromkeys(self._audiences.ids.values())
        audiences = [
            audience for audience in self._ledger.read(all_audiences) if audience.id in met
        ]
        return ImportReport(
            self._counts,
            dict(self._filtered),
            tuple(met),
            tuple(unreadable),
            self._stop,
            ended,
            tuple(self._events),
            self._updated,
            tuple(self._unchanged),
            self._dated_ahead,
            tuple(audience.name for audience in audiences if audience.id in known),
            tuple(audience.name for audience in audiences if audience.id not in known),
        )

    def _log(self, names: list[str], unreadable: list[str]) -> None:
        entry = import_entry(
            names,
            self._counts,
            self._now(),
            was_stopped=self._stop,
            unreadable=unreadable,
            is_snapshot=self._snapshot is not None,
        )
        self._ledger.write(add_log_entry, entry)

    def _read(self, source: BatchReader) -> None:
        source_id = self._ledger.write(sources.begin_source, source.name, source.key, self._now())
        is_list = source.kind is SourceKind.AUDIENCE_CSV
        staged = self._snapshot if is_list else None
        if staged:
            staged.begin(self._listed_audience(), source_id, source)
        buffer = ChangeBuffer(self._ledger, self._audiences, source_id, self._now, ahead=AHEAD)
        for batch in source:
            if staged:
                buffer.count(batch)
                staged.add(batch)
            else:
                if is_list and batch.changes:
                    self._listed_audience()
                buffer.add(batch)
            self._count_ahead(batch)
            self._publish(source, buffer.counts)
            if self._stop:
                break
        buffer.finish()
        self._counts += buffer.counts
        self._updated += buffer.updated
        self._filtered.update(buffer.filtered)
        self._end(source, staged, buffer.counts)
        if buffer.counts.filtered and not buffer.counts.changes and not self._stop:
            name = clean(source.name, 300)
            self._unchanged.append(no_change_found(name, buffer.filtered))

    def _count_ahead(self, batch: EventBatch) -> None:
        if max(map(_at, batch.changes), default=0) > self._latest:
            self._dated_ahead += sum(at > self._latest for at in map(_at, batch.changes))

    def _end(self, source: BatchReader, staged: SnapshotReader | None, counts: ReadCounts) -> None:
        if staged:
            staged.end(source, counts.invalid)
        elif self._snapshot and counts.read:
            self._events.append(source.name)
        elif self._snapshot:
            self._snapshot.note_problem(f"{source.name} is empty: it does not even have a header.")

    def _listed_audience(self) -> int:
        """The audience of a list of members: the one that was named exactly, else by its key."""
        ref = AudienceRef("", "", self._options.audience or "")
        if self._options.ref is not None:
            self._audiences.choose(ref, self._options.ref)
        return self._audiences.ids.get(ref) or self._audiences.discover(ref)

    def _publish(self, source: BatchReader, counts: ReadCounts) -> None:
        if self._on_progress:
            counts = self._counts + counts
            self._on_progress(ImportProgress(source.name, source.position(), source.size, counts))


@contextmanager
def _gc_disabled() -> Iterator[None]:
    """Events form no reference cycles, and looking for some takes a tenth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
