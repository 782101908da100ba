"""Ingesting events as they arrive: each batch is saved at once, with its checkpoint."""

from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from amp_console.engage import EventBatch, ReadOptions
from amp_console.engage.batch import larger_batches
from amp_console.ledger import Ledger, sources
from amp_console.ledger.checkpoints import Checkpoint
from amp_console.ledger.members import KnownMember, known_members
from amp_console.ledger.received import (
    NotReceived,
    ReceivedBatch,
    received_batches,
    received_until,
)
from amp_console.ledger.sources import ReadCounts
from amp_console.sync.ingest.buffer import ChangeBuffer, KnownAudiences, MergeQueue
from amp_console.sync.ingest.received import unpacked
from amp_console.sync.timing import Timing
from amp_console.values import Change, IdType, latest_of, moves_of

LATEST = 50  # changes of one result that are shown
ALL = 1 << 62  # events: everything is merged in one transaction
AT_ONCE = 100  # batches that are read at once


class Recent(NamedTuple):
    """A change that was ingested: the person as the event names them."""

    audience_id: int
    id: str
    is_member: bool


class IngestResult(msgspec.Struct, frozen=True):
    """What was ingested: the outcome of the events, and how many entered and left by audience.

    `updated` counts the members whose membership or identifier is other than before,
    `latest` are the last changes that were new, in their order; so many of the events were there
    `earlier`, before the source was followed.
    """

    tally: ReadCounts = ReadCounts()
    entered: Counter[int] = msgspec.field(default_factory=Counter)
    left: Counter[int] = msgspec.field(default_factory=Counter)
    latest: tuple[Recent, ...] = ()
    earlier: int = 0
    updated: int = 0

    @property
    def audience_ids(self) -> set[int]:
        """The audiences that people entered or left."""
        return {*(self.entered | self.left)}

    def plus(self, more: "IngestResult") -> "IngestResult":
        """Both, this one before the other."""
        return IngestResult(
            self.tally + more.tally,
            self.entered + more.entered,
            self.left + more.left,
            (self.latest + more.latest)[-LATEST:],
            self.earlier + more.earlier,
            self.updated + more.updated,
        )

    def all_earlier(self) -> "IngestResult":
        """The same result, with all events counted as there before the source was followed."""
        return msgspec.structs.replace(self, earlier=self.tally.read)


class StreamIngestor:
    """Puts live events into the ledger. It may block; one thread uses it at a time."""

    def __init__(
        self,
        ledger: Ledger,
        options: ReadOptions,
        timing: Timing | None = None,
    ) -> None:
        self.ledger = ledger
        self.options = options
        self.timing = timing or Timing()
        self.now = ledger.clock(self.timing.now)
        self._audiences = KnownAudiences(ledger)

    def begin(self, name: str) -> int:
        """Begin a source that can't be read again from its beginning; return its id."""
        return self.ledger.writes_of().write(sources.begin_source, name, None, self.now())

    def begin_again(self, source_id: int) -> None:
        """Read a source again from its beginning."""
        self.ledger.write(sources.restart_source, source_id, self.now())

    def ingest(
        self, source_id: int, batches: Iterable[EventBatch], checkpoint: Checkpoint | None = None
    ) -> IngestResult:
        """Put batches into the ledger, the checkpoint with the last. Raises `LedgerError`."""
        return self._ingest(source_id, batches, MergeQueue(self.ledger), checkpoint)

    def ingest_received(
        self, source_id: int, batches: Sequence[ReceivedBatch], uncertain: Collection[int] = ()
    ) -> IngestResult:
        """Merge batches of a source that the ledger keeps, in one transaction that deletes them.

        What another process has merged meanwhile counts as well, unless the ledger may never have
        had it: `uncertain` are the first lines of such batches. Raises `LedgerError`.
        """
        gone: frozenset[int] = frozenset()
        result = IngestResult()
        while left := [item for item in batches if item.line not in gone]:
            lines = [item.line for item in left]
            merges = MergeQueue(self.ledger, gathered=ALL)
            try:
                result = self._ingest(source_id, _joined(left), merges, received=lines)
                break
            except NotReceived as error:
                gone |= error.lines
        elsewhere = [item for item in batches if item.line in gone.difference(uncertain)]
        return result.plus(self.count(source_id, _joined(elsewhere))) if elsewhere else result

    def count(self, source_id: int, batches: Iterable[EventBatch]) -> IngestResult:
        """Count batches that are merged already. Raises `LedgerError`."""
        buffer = ChangeBuffer(
            MergeQueue(self.ledger, gathered=ALL), self._audiences, source_id, self.now
        )
        counted, _ = self._collected(buffer, batches)
        return counted.plus(IngestResult(buffer.counts))

    def _ingest(
        self,
        source_id: int,
        batches: Iterable[EventBatch],
        merges: MergeQueue,
        checkpoint: Checkpoint | None = None,
        received: Sequence[int] = (),
    ) -> IngestResult:
        self._audiences.refresh()
        buffer = ChangeBuffer(merges, self._audiences, source_id, self.now)
        result, last = self._collected(buffer, batches)
        latest = self._news(last, source_id)  # as the ledger is before the merge
        buffer.merge(checkpoint, received)
        merges.flush()
        updated = merges.updated
        return result.plus(
            IngestResult(buffer.counts, latest=latest if updated else (), updated=updated)
        )

    def _collected(
        self, buffer: ChangeBuffer, batches: Iterable[EventBatch]
    ) -> tuple[IngestResult, Sequence[Change]]:
        """Add batches to a buffer; return who entered and left, and the last changes."""
        result, last = IngestResult(), deque[Change](maxlen=LATEST)
        for batch in batches:
            merged = buffer.add(batch)
            result = result.plus(self._counted(merged))
            last.extend(latest_of(merged.changes, LATEST))
        return result, last

    def _counted(self, batch: EventBatch) -> IngestResult:
        """Count the changes of a batch that were not refused, as all of one audience may be."""
        ids, entered, left = self._audiences.ids, Counter[int](), Counter[int]()
        for (audience, is_member), count in moves_of(batch.changes).items():
            audience_id = ids.get(audience)
            if audience_id is not None:
                (entered if is_member else left)[audience_id] += count
        return IngestResult(ReadCounts(), entered, left)

    def _news(self, changes: Iterable[Change], source_id: int) -> tuple[Recent, ...]:
        """The changes of a source that differ from what was known before."""
        ids, found = self._audiences.ids, list[tuple[IdType, KnownMember, Recent]]()
        for audience, user_id, amplitude_id, is_member, at, line in changes:
            if audience in ids:  # else the change was refused
                id_type = IdType.AMPLITUDE_ID if user_id is None else IdType.USER_ID
                id_ = user_id or amplitude_id or ""
                says = KnownMember(is_member, at, source_id, line)
                found.append((id_type, says, Recent(ids[audience], id_, is_member)))
        if not found:
            return ()
        named: dict[tuple[int, IdType], set[str]] = {}
        for id_type, _, change in found:
            named.setdefault((change.audience_id, id_type), set()).add(change.id)
        known = self.ledger.read(known_members, named)
        news = []
        for id_type, says, change in found:
            key = (change.audience_id, id_type, change.id)
            before = known.get(key)
            if before is not None and says[1:] < before[1:]:
                continue
            known[key] = says
            if before is None or before.is_member != says.is_member:
                news.append(change)
        return tuple(news)


def _joined(received: Iterable[ReceivedBatch]) -> Iterator[EventBatch]:
    return larger_batches(unpacked(item.content) for item in received)


def merge_received(ledger: Ledger) -> None:
    """Merge what receivers have kept in the ledger until now. Raises `LedgerError`.

    One that was killed has left it; one that is at work leaves out what is merged here.
    """
    ingestor = StreamIngestor(ledger, ReadOptions())
    for source_id, until in ledger.read(received_until).items():
        while found := ledger.read(received_batches, source_id, until, AT_ONCE):
            ingestor.ingest_received(source_id, found)
