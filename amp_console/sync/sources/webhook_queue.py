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


class _Waiting(msgspec.Struct):
    """The events of one request, and its wait until they are in the ledger."""

    events: list[bytes]
    merged: "asyncio.Future[None]"


class WebhookQueue:
    """The requests whose events are not in the ledger yet."""

    def __init__(self, ingestor: StreamIngestor) -> None:
        self._ingestor = ingestor
        self._reader = EventReader(ingestor.options.mapping, ingestor.options.audience)
        self._waiting: list[_Waiting] = []
        self._arrived = asyncio.Event()
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

    async def begin(self) -> None:
        """Begin the source in the ledger. Raises `LedgerError`."""
        self._source_id = await asyncio.to_thread(self._ingestor.begin, "webhook")

    async def run(self, sink: Sink) -> None:
        """Merge what is put into the queue, until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            waiting, self._waiting = self._waiting, []
            try:
                await sink.arrived(await asyncio.to_thread(self._merge, waiting))
            except LedgerError as error:
                sink.catch_up_soon()  # they may be in the ledger for all that
                _release(waiting, error)
            except BaseException:
                for item in waiting:
                    item.merged.cancel()
                raise
            else:
                _release(waiting, None)

    def _merge(self, waiting: list[_Waiting]) -> IngestResult:
        assert self._source_id is not None
        lines = [event for item in waiting for event in item.events]
        batch = self._reader.read(lines, self._number)
        self._number += len(lines)
        return self._ingestor.ingest(self._source_id, [batch])


def _release(waiting: list[_Waiting], error: LedgerError | None) -> None:
    for item in waiting:
        if item.merged.done():
            continue  # its sender has gone
        if error is None:
            item.merged.set_result(None)
        else:
            item.merged.set_exception(error)
