"""Events of webhook requests on their way into the ledger; a request is answered afterwards.

Whatever waits is merged together, so that a thousand small requests a second are a few
transactions.
"""

import asyncio

import msgspec

from amp_console.engage.reader import EventReader
from amp_console.ledger import LedgerError
from amp_console.sync.ingest.stream import IngestResult, StreamIngestor
from amp_console.sync.sources.protocols import Sink

PAUSE_RATIO = 3  # times as long as the sink worked on earlier events it is not given more,
MAX_PAUSE = 0.5  # and at most so many seconds, which the events' audiences wait


class _Waiting(msgspec.Struct):
    """The events of one request, and its wait until they are in the ledger."""

    events: list[bytes]
    merged: "asyncio.Future[None]"


class WebhookQueue:
    """The requests whose events are not in the ledger yet.

    Events are merged while the sink still takes in earlier ones. Where they come fast, it is told
    of several merges at once: what it counts in the ledger may take a quarter of the time.
    """

    def __init__(self, ingestor: StreamIngestor) -> None:
        self._ingestor = ingestor
        self._timing = ingestor.timing
        self._reader = EventReader(ingestor.options.mapping, ingestor.options.audience)
        self._waiting: list[_Waiting] = []
        self._arrived = asyncio.Event()
        self._untold = IngestResult()  # what was merged, and the sink was not told of
        self._merged = asyncio.Event()
        self._closed = asyncio.Event()
        self._is_over = False  # nothing more is merged
        self._source_id: int | None = None
        self._number = 1

    def __len__(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    async def put(self, events: list[bytes]) -> None:
        """Return once the events are in the ledger; raises `LedgerError` if they can't be."""
        waiting = _Waiting(events, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._arrived.set()
        await waiting.merged

    def close(self) -> None:
        """Let `run` end: nothing more is put into the queue."""
        self._closed.set()
        self._arrived.set()

    async def begin(self) -> None:
        """Begin the source in the ledger. Raises `LedgerError`."""
        self._source_id = await asyncio.to_thread(self._ingestor.begin, "webhook")

    async def run(self, sink: Sink) -> None:
        """Merge what is put into the queue, until it is closed or this is cancelled."""
        tasks = [asyncio.create_task(work(sink)) for work in (self._merge_all, self._tell)]
        try:
            for task in asyncio.as_completed(tasks):
                await task  # a defect in one of them ends the other
        finally:
            for unfinished in tasks:
                unfinished.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _merge_all(self, sink: Sink) -> None:
        while not self._closed.is_set():
            await self._arrived.wait()
            self._arrived.clear()
            if self._waiting:
                await self._merge_waiting(sink)
        self._is_over = True
        self._merged.set()

    async def _merge_waiting(self, sink: Sink) -> None:
        """Merge what waits, and let its senders know."""
        waiting, self._waiting = self._waiting, []
        try:
            result = await asyncio.to_thread(self._merge, waiting)
        except LedgerError as error:
            sink.catch_up_soon()  # they may be in the ledger for all that
            _release(waiting, error)
        except BaseException:
            for item in waiting:
                item.merged.cancel()
            raise
        else:
            self._untold = self._untold.plus(result)
            self._merged.set()
            _release(waiting, None)

    async def _tell(self, sink: Sink) -> None:
        """Tell the sink what was merged."""
        is_last = False
        while not is_last:
            await self._merged.wait()
            self._merged.clear()
            is_last, begun = self._is_over, self._timing.monotonic()
            untold, self._untold = self._untold, IngestResult()
            await sink.arrived(untold)
            seconds = self._timing.monotonic() - begun
            await self._timing.wait_for(self._closed, min(seconds * PAUSE_RATIO, MAX_PAUSE))

    def _merge(self, waiting: list[_Waiting]) -> IngestResult:
        assert self._source_id is not None
        lines = [event for item in waiting for event in item.events]
        batch = self._reader.read(lines, self._number)
        self._number += len(lines)
        try:
            return self._ingestor.ingest(self._source_id, [batch])
        except LedgerError:
            self._reader.forget_hints()  # those of the batch were not kept
            raise


def _release(waiting: list[_Waiting], error: LedgerError | None) -> None:
    for item in waiting:
        if item.merged.done():
            continue  # its sender has gone
        if error is None:
            item.merged.set_result(None)
        else:
            item.merged.set_exception(error)
