"""Ingesting events as they arrive: each batch is in the ledger, with its checkpoint, at once."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from amp_console.engage import EventBatch, ReadOptions
from amp_console.ledger import Ledger, sources
from amp_console.ledger.checkpoints import Checkpoint
from amp_console.ledger.sources import ReadCounts
from amp_console.sync.ingest.buffer import ChangeBuffer, KnownAudiences, MergeQueue
from amp_console.sync.timing import Timing

LATEST = 50  # changes of one result that are shown


class Recent(NamedTuple):
    """A change that was ingested: the person as the event names them."""

    audience_id: int
    id: str
    is_member: bool


class IngestResult(msgspec.Struct, frozen=True):
    """What was ingested: what became of the events, and how many entered and left by audience.

    `latest` are the last changes of them, in their order; so many of the events were there
    `earlier`, before the source was followed.
    """

    tally: ReadCounts = ReadCounts()
    entered: Counter[int] = msgspec.field(default_factory=Counter)
    left: Counter[int] = msgspec.field(default_factory=Counter)
    latest: tuple[Recent, ...] = ()
    earlier: int = 0

    def plus(self, more: "IngestResult") -> "IngestResult":
        """Both, this one before the other."""
        return IngestResult(
            self.tally + more.tally,
            self.entered + more.entered,
            self.left + more.left,
            (self.latest + more.latest)[-LATEST:],
            self.earlier + more.earlier,
        )

    def all_earlier(self) -> "IngestResult":
        """The same, of events that were all there before the source was followed."""
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
        self._audiences = KnownAudiences(ledger)

    def begin(self, name: str) -> int:
        """Begin a source that can't be read again from its beginning; return its id."""
        return self.ledger.writes_of().write(sources.begin_source, name, None, self.timing.now())

    def begin_again(self, source_id: int) -> None:
        """Read a source again from its beginning."""
        self.ledger.write(sources.restart_source, source_id, self.timing.now())

    def ingest(
        self, source_id: int, batches: Iterable[EventBatch], checkpoint: Checkpoint | None = None
    ) -> IngestResult:
        """Put batches into the ledger, the checkpoint with the last. Raises `LedgerError`."""
        self._audiences.refresh()
        merges = MergeQueue(self.ledger)
        buffer = ChangeBuffer(merges, self._audiences, source_id, self.timing.now)
        result = IngestResult()
        for batch in batches:
            result = result.plus(self._counted(buffer.add(batch)))
        buffer.merge(checkpoint)
        merges.flush()
        return result.plus(IngestResult(buffer.counts))

    def _counted(self, batch: EventBatch) -> IngestResult:
        """Count the changes of a batch that were not refused, as all of one audience may be."""
        ids, entered, left = self._audiences.ids, Counter[int](), Counter[int]()
        for change in batch.changes:
            audience_id = ids.get(change.audience)
            if audience_id is not None:
                (entered if change.is_member else left)[audience_id] += 1
        latest = (
            Recent(ids[item.audience], item.user_id or item.amplitude_id or "", item.is_member)
            for item in batch.changes[-LATEST:]
            if item.audience in ids
        )
        return IngestResult(ReadCounts(), entered, left, tuple(latest))
