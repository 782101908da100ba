"""Events of webhook requests on their way into the ledger.

A request is answered once its events are saved in the ledger, together with those of all requests
that wait at the same moment, in one short write. They are merged soon after, many at once: a merge
of 50 events takes half as long as one of 5,000, because most events change a different page.
"""

import asyncio

import msgspec

from amp_console.engage.reader import EventReader
from amp_console.ledger import LedgerError
from amp_console.ledger.received import ReceivedBatch
from amp_console.ledger.refused_requests import RefusalReason
from amp_console.sync.ingest.received import Inbox, packed
from amp_console.sync.ingest.stream import StreamIngestor
from amp_console.sync.sources.protocols import Sink
from amp_console.sync.sources.webhook_body import MIB, RequestRefused

LATER = "30"  # seconds, for Retry-After
JUDGED_HERE = 2_000  # events that are judged in the event loop: 5 ms; more have a thread


class MergeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """When saved events are merged; sizes in bytes, times in seconds.

    Merges begin `seconds` after each other, or as soon as `enough` bytes wait in the ledger, about
    25 for an event; after one that failed, the next waits for `retry_seconds`. Once `held` bytes
    wait, requests are refused until some are merged.
    """

    seconds: float = 0.5
    enough: int = 2 * MIB
    retry_seconds: float = 2.0
    held: int = 16 * MIB


class _Waiting(msgspec.Struct):
    """The events of one request, which waits until they are saved."""

    events: list[bytes]
    kept: "asyncio.Future[None]"


class WebhookQueue:
    """The requests whose events are not saved yet, and the saved events that are not merged yet."""

    def __init__(self, ingestor: StreamIngestor, limits: MergeLimits) -> None:
        self.trouble = ""
        """Why the last merge failed; "" where it did not."""
        self._ingestor = ingestor
        self._limits = limits
        self._timing = ingestor.timing
        self._reader = EventReader(ingestor.options.mapping, ingestor.options.audience)
        self._inbox = Inbox(ingestor.ledger)
        self._waiting: list[_Waiting] = []
        self._arrived = asyncio.Event()
        self._unmerged: list[ReceivedBatch] = []
        self._uncertain: set[int] = set()  # lines from which batches may not be kept
        self._bytes = 0  # of what is kept and not merged
        self._kept = asyncio.Event()
        self._must_merge = asyncio.Event()  # enough is kept, or nothing more will be
        self._is_closed = False
        self._is_over = asyncio.Event()  # nothing more is kept
        self._source_id = 0
        self._number = 1

    def __len__(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    async def put(self, events: list[bytes]) -> None:
        """Return once the events are in the ledger; raises `LedgerError` if they can't be.

        Raises `RequestRefused` if too many wait to be merged.
        """
        if self._bytes >= self._limits.held:
            message = "Too many events wait to be merged into the ledger. Send it again."
            raise RequestRefused(RefusalReason.TOO_BUSY, 503, message, Retry_After=LATER)
        waiting = _Waiting(events, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._arrived.set()
        await waiting.kept

    def close(self) -> None:
        """Make `run` end: nothing more is put into the queue."""
        self._is_closed = True
        self._arrived.set()

    async def begin(self) -> None:
        """Begin the source in the ledger. Raises `LedgerError`."""
        self._source_id = await asyncio.to_thread(self._ingestor.begin, "webhook")

    async def run(self, sink: Sink) -> None:
        """Save and merge what is put into the queue, until it is closed or this is cancelled."""
        tasks = [asyncio.create_task(self._keep_all()), asyncio.create_task(self._merge_all(sink))]
        try:
            for task in asyncio.as_completed(tasks):
                await task  # a defect in one of them ends the other
        finally:
            for unfinished in tasks:
                unfinished.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_all(self) -> None:
        while not self._is_closed:
            await self._arrived.wait()
            self._arrived.clear()
            if self._waiting:
                await self._keep_waiting()
        self._is_over.set()
        self._kept.set()
        self._must_merge.set()

    async def _keep_waiting(self) -> None:
        """Save what waits, and notify its senders."""
        waiting, self._waiting = self._waiting, []
        try:
            await self._keep([event for item in waiting for event in item.events])
        except LedgerError as error:
            _release(waiting, error)
        except BaseException:
            for item in waiting:
                item.kept.cancel()
            raise
        else:
            _release(waiting, None)

    async def _keep(self, lines: list[bytes]) -> None:
        if not lines:
            return  # of empty arrays alone
        first, self._number = self._number, self._number + len(lines)
        if len(lines) <= JUDGED_HERE:
            batch = self._reader.read(lines, first)
        else:
            batch = await asyncio.to_thread(self._reader.read, lines, first)
        try:
            kept = await self._inbox.keep(self._source_id, first, batch)
        except LedgerError:
            self._reader.forget_hints()  # those of the batch may not be kept
            # A server's answer may be lost, and the batch be in the ledger for all that.
            self._uncertain.add(first)
            self._add(ReceivedBatch(self._source_id, first, packed(batch)))
            raise
        self._add(kept)

    def _add(self, kept: ReceivedBatch) -> None:
        self._unmerged.append(kept)
        self._bytes += len(kept.content)
        self._kept.set()
        if self._bytes >= self._limits.enough:
            self._must_merge.set()

    async def _merge_all(self, sink: Sink) -> None:
        while not self._is_over.is_set() or self._unmerged:
            await self._kept.wait()
            begun = self._timing.monotonic()
            is_merged = await self._merge(sink)
            if is_merged:
                left = begun + self._limits.seconds - self._timing.monotonic()
                await self._timing.wait_for(self._must_merge, max(0.0, left))
            elif self._is_over.is_set():
                return  # who opens the ledger next merges it
            else:
                await self._timing.wait_for(self._is_over, self._limits.retry_seconds)

    async def _merge(self, sink: Sink) -> bool:
        """Merge what is saved, and tell the sink; return whether that succeeded."""
        merging, self._unmerged = self._unmerged, []
        self._kept.clear()
        if not self._is_over.is_set():
            self._must_merge.clear()
        if not merging:
            return True
        uncertain = self._uncertain.intersection(item.line for item in merging)
        try:
            result = await asyncio.to_thread(
                self._ingestor.ingest_received, self._source_id, merging, uncertain
            )
        except LedgerError as error:
            self._unmerged = [*merging, *self._unmerged]
            self._kept.set()
            self.trouble = str(error)
            sink.catch_up_soon()
            return False
        self._bytes -= sum(len(item.content) for item in merging)
        self._uncertain -= uncertain
        self.trouble = ""
        await sink.arrived(result)
        return True


def _release(waiting: list[_Waiting], error: LedgerError | None) -> None:
    for item in waiting:
        if item.kept.done():
            continue  # its sender has gone
        if error is None:
            item.kept.set_result(None)
        else:
            item.kept.set_exception(error)
