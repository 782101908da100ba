"""Reading sources to their end, one after the other, into the ledger."""

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from amp_console.engage import EventBatch, ReadOptions, UnreadableSource
from amp_console.engage.pieces import PieceOptions
from amp_console.ledger import Ledger, sources
from amp_console.ledger.audiences import all_audiences
from amp_console.ledger.checkpoints import Checkpoint
from amp_console.ledger.event_log import add_log_entry
from amp_console.ledger.members import LARGEST_MERGE
from amp_console.ledger.sources import ReadCounts
from amp_console.ledger.unread_sources import UnreadSource, keep_unread
from amp_console.sync.formatting import without_name
from amp_console.sync.future_changes import latest_credible
from amp_console.sync.ingest.batch_reader import BatchReader, OpenSource, SourcePart, SourceSet
from amp_console.sync.ingest.buffer import ChangeBuffer, KnownAudiences, MergeQueue
from amp_console.sync.ingest.copies import LEAST_BYTES, CopiedFiles
from amp_console.sync.ingest.log_entry import import_entry
from amp_console.sync.ingest.report import (
    ImportProgress,
    ImportReport,
    SetCounts,
    no_valid_event,
)
from amp_console.sync.ingest.snapshot import SnapshotReader
from amp_console.sync.ingest.unchanged import KnownReading, UnchangedFiles, begin_reading
from amp_console.text import clean
from amp_console.values import AudienceRef, now_in_microseconds, times_of

AHEAD = 1  # transactions that wait for the ledger while the next batches are read
GATHERED = 50_000  # events of small sources that are merged in one transaction
# A large file is read by two processes. Of one that is read by one, some changes are merged while
# the next are read; of a large one, that would take a fifth more of the processors in all.
FIRST_MERGE = 50_000  # identifiers

OnProgress = Callable[[ImportProgress], None]


class _SetPosition:
    """How far reading many objects has got."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._objects = 0
        self._bytes = 0

    def begin(self) -> None:
        """Begin the next object."""
        self._objects += 1

    def end(self, source: BatchReader) -> None:
        """Count an object that was read."""
        self._bytes += source.position()

    def progress(self, position: int, counts: ReadCounts) -> ImportProgress:
        """Return how far it is, at a position of the object that is read."""
        return ImportProgress(self._name, self._bytes + position, None, counts, self._objects)


class Importer:
    """Reads sources one after the other; what was merged is kept, however it ends."""

    def __init__(
        self,
        ledger: Ledger,
        open_source: OpenSource,
        options: ReadOptions,
        *,
        snapshot: SnapshotReader | None = None,
        on_progress: OnProgress | None = None,
        now: Callable[[], int] = now_in_microseconds,
        is_logged: bool = True,
        copied_from: int = LEAST_BYTES,
        while_merging: Callable[[], None] = lambda: None,
    ) -> None:
        """`snapshot`: the CSV downloads of an audience hold all its members; the others left.

        `is_logged` writes a line into the ledger's log. Of a file of so many bytes or more, an
        original is looked for: `copied_from`. `while_merging` is called where everything is read,
        and the ledger still merges the last events.
        """
        self._is_logged = is_logged
        self._ledger = ledger
        self._open_source = open_source
        self._options = options
        self._snapshot = snapshot
        self._on_progress = on_progress
        self._now = ledger.clock(now)
        self._audiences = KnownAudiences(ledger)
        self._files = UnchangedFiles(ledger, options)
        self._copies = CopiedFiles(ledger, self._files, copied_from)
        self._unchanged: list[str] = []
        self._unread_audiences: set[int] = set()  # in files that need not be read again
        self._counts = ReadCounts()
        self._keys: set[str | None] = set()
        self._merges = MergeQueue(ledger, ahead=AHEAD, gathered=GATHERED)
        self._filtered: Counter[str] = Counter()
        self._event_files: list[str] = []
        self._without_changes: list[str] = []
        self._unreadable: list[str] = []
        self._missing: set[str] = set()  # options with which those may be readable
        self._sets: list[SetCounts] = []
        self._set_position: _SetPosition | None = None
        self._dated_ahead = 0
        self._latest = latest_credible(self._now())
        self._while_merging = while_merging
        self._stop = False

    def stop(self) -> None:
        """Stop reading after the block at hand; what was read so far is kept."""
        self._stop = True

    def run(self, addresses: Iterable[str]) -> ImportReport:
        """Read every source; one that can't be read does not stop the others.

        Raises `LedgerError`, and `AudienceAmbiguous` for a list of members.
        """
        names: list[str] = []
        self._audiences.refresh()
        known = {audience.id for audience in self._ledger.read(all_audiences)}
        with _gc_disabled(), self._merging():
            for address in addresses:
                if self._stop:
                    break
                names.append(address)
                with self._noting_unreadable():
                    self._read_address(address)
            if self._merges.begin():
                self._while_merging()
        if self._is_logged and names:
            self._log(names)
        ended = self._snapshot.finish(was_stopped=self._stop) if self._snapshot else None
        ids = dict.fromkeys([*self._audiences.ids.values(), *sorted(self._unread_audiences)])
        audiences = [item for item in self._ledger.read(all_audiences) if item.id in ids]
        return ImportReport(
            tally=self._counts,
            filtered=dict(self._filtered),
            audience_ids=tuple(ids),
            unreadable=tuple(self._unreadable),
            missing=frozenset(self._missing),
            was_stopped=self._stop,
            snapshot=ended,
            event_files=tuple(self._event_files),
            updated=self._merges.updated,
            without_changes=tuple(self._without_changes),
            dated_ahead=self._dated_ahead,
            audiences=tuple(item.name for item in audiences if item.id in known),
            new_audiences=tuple(item.name for item in audiences if item.id not in known),
            sets=tuple(self._sets),
            unchanged=tuple(self._unchanged),
        )

    def _read_address(self, address: str) -> None:
        source = self._open_source(address, self._options)
        if isinstance(source, SourceSet):
            self._read_set(source)
        else:
            with source:
                self._read(source)

    def _read_set(self, source_set: SourceSet) -> None:
        read = 0
        # What was left out is still to be read by another import.
        is_partial = self._snapshot is not None or self._options.audience is not None
        self._set_position = _SetPosition(source_set.name)
        try:
            with (
                source_set.unread(self._ledger, self._now, again=is_partial) as parts,
                self._merging(),
            ):
                for part in parts:
                    kept = None if is_partial else part
                    with self._noting_unreadable(kept), part.open() as source:
                        self._set_position.begin()
                        self._read(source, None if is_partial else part.checkpoint)
                        self._set_position.end(source)
                        read += 1
                    if self._stop:
                        break
        finally:
            self._set_position = None
            self._sets.append(SetCounts(source_set.name, read, source_set.known))

    @contextmanager
    def _merging(self) -> Iterator[None]:
        """Make sure that everything that was read is in the ledger, however the block ends."""
        try:
            yield
        finally:
            self._merges.flush()

    @contextmanager
    def _noting_unreadable(self, part: SourcePart | None = None) -> Iterator[None]:
        """Report what can't be read; of a part, the ledger keeps that until it is read."""
        try:
            yield
        except UnreadableSource as error:
            self._unreadable.append(str(error))
            self._missing.update(error.missing)
            if part is not None:
                reason = without_name(error, part.name)
                unread = UnreadSource(part.key, part.name, reason, self._now())
                self._ledger.write(keep_unread, unread)
            if self._snapshot:
                self._snapshot.note_problem(str(error))

    def _log(self, names: list[str]) -> None:
        entry = import_entry(
            names,
            self._counts,
            self._now(),
            was_stopped=self._stop,
            unreadable=self._unreadable,
            updated=None if self._snapshot else self._merges.updated,
        )
        self._ledger.write(add_log_entry, entry)

    def _read(
        self, source: BatchReader, checkpoint: Callable[[], Checkpoint] | None = None
    ) -> None:
        """Read a source; one that is read to its end is remembered by its `checkpoint`."""
        if source.key in self._keys:  # its counts are reset: what waits is no part of the new ones
            self._merges.flush()
        self._keys.add(source.key)
        version = self._files.version_of(source) if self._snapshot is None else None
        if version is not None and (self._is_known(source) or self._is_copy(source, version)):
            return
        ahead = self._dated_ahead
        source_id, is_first = self._ledger.write(
            begin_reading, source.name, source.key, self._now()
        )
        is_list = source.kind.lists_members
        staged = self._snapshot if is_list else None
        if staged:
            staged.begin(self._listed_audience(), source_id, source.taken_at, source.id_types)
        is_large = PieceOptions().apply_to(source.size)
        first_merge = LARGEST_MERGE if is_large else FIRST_MERGE
        buffer = ChangeBuffer(self._merges, self._audiences, source_id, self._now, first_merge)
        for batch in source:
            if staged:
                staged.add(buffer.count(batch))
            else:
                if is_list and batch.changes:
                    self._listed_audience()
                buffer.add(batch)
            self._count_ahead(batch)
            self._publish(source, buffer.counts)
            if self._stop:
                break
        if self._stop or self._dated_ahead > ahead:
            version = None
        reading = self._files.reading(
            source, version, buffer, self._audiences.forgotten, is_first=is_first
        )
        buffer.merge(checkpoint() if checkpoint is not None and not self._stop else reading)
        self._end(source, staged, buffer.counts)
        self._sum_up(source, buffer.counts, buffer.filtered)

    def _is_known(self, source: BatchReader) -> bool:
        """Whether the file is as an import has read it; if so, add what that import found."""
        known = self._files.find(source, self._audiences.forgotten)
        if known is None:
            return False
        self._ledger.write(sources.note_unchanged, known.source_id, self._now())
        self._unchanged.append(source.name)
        self._sum_up_known(source, known)
        return True

    def _is_copy(self, source: BatchReader, version: str) -> bool:
        """Whether the file is a copy of one that was read, and has taken over what that gave."""
        original = self._copies.original_of(source, version, self._audiences.forgotten)
        if original is None:
            return False
        self._merges.flush()
        known = self._copies.take_over(original, source, version, self._now())
        if known is not None:
            self._sum_up_known(source, known)
        return known is not None

    def _sum_up_known(self, source: BatchReader, known: KnownReading) -> None:
        self._unread_audiences.update(known.audience_ids)
        self._publish(source, known.counts)
        self._sum_up(source, known.counts, known.filtered)

    def _sum_up(self, source: BatchReader, counts: ReadCounts, filtered: Counter[str]) -> None:
        self._counts += counts
        self._filtered.update(filtered)
        if counts.filtered and not counts.valid and not self._stop:
            self._without_changes.append(no_valid_event(clean(source.name, 300), filtered))

    def _count_ahead(self, batch: EventBatch) -> None:
        if max(times_of(batch.changes), default=0) > self._latest:
            self._dated_ahead += sum(at > self._latest for at in times_of(batch.changes))

    def _end(self, source: BatchReader, staged: SnapshotReader | None, counts: ReadCounts) -> None:
        if staged:
            staged.end(source, counts.invalid)
        elif self._snapshot and counts.read:
            self._event_files.append(source.name)
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
            position = source.position()
            self._on_progress(
                self._set_position.progress(position, counts)
                if self._set_position
                else ImportProgress(source.name, position, source.size, counts)
            )


@contextmanager
def _gc_disabled() -> Iterator[None]:
    """Events form no reference cycles, and searching for them takes a tenth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
