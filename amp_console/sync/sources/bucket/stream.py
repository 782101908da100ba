"""Buckets that are followed: they are listed repeatedly, and new objects are read."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import msgspec

from amp_console.engage import EventBatch, UnreadableSource
from amp_console.ledger import LedgerError
from amp_console.ledger.sources import begin_source
from amp_console.ledger.unread_sources import UnreadSource, keep_unread
from amp_console.sync.formatting import without_name
from amp_console.sync.ingest.stream import IngestResult, StreamIngestor
from amp_console.sync.sources.bucket.address import BucketAddress
from amp_console.sync.sources.bucket.errors import StreamClosed
from amp_console.sync.sources.bucket.listing import ListedObject
from amp_console.sync.sources.bucket.object_set import ObjectPart, ObjectSet
from amp_console.sync.sources.bucket.store import TRANSFER, TransferOptions
from amp_console.sync.sources.protocols import EventStream, Sink, SourceStatus, StreamKind
from amp_console.sync.sources.streams import grouped

P = ParamSpec("P")
T = TypeVar("T")

MAX_TROUBLES = 20  # objects


class PollOptions(msgspec.Struct, frozen=True):
    """How often a bucket is listed; times in seconds.

    Every `interval`; after trouble twice as long each time, up to `longest`. A ledger that failed
    is tried again after `retry_interval`.
    """

    interval: float = 60.0
    longest: float = 600.0
    retry_interval: float = 5.0


POLL = PollOptions()


@dataclass(slots=True)
class _ObjectTrouble:
    """An object that could not be read: as it was then, and when it is tried again.

    If `again_at` (monotonic, s) is None, its content is wrong: only a new version is read.
    """

    name: str
    version: str
    reason: str
    tries: int
    again_at: float | None


class BucketStream:
    """The objects below one address."""

    def __init__(
        self,
        ingestor: StreamIngestor,
        objects: ObjectSet,
        options: PollOptions = POLL,
        turn: asyncio.Lock | None = None,
    ) -> None:
        """Streams of the same bucket share a `turn`, since only one may read from it at a time."""
        self._ingestor = ingestor
        self._objects = objects
        self._options = options
        self._now = ingestor.timing.monotonic
        self._events = 0
        self._objects_read = 0
        self._last: float | None = None
        self._trouble = ""
        self._troubles: dict[str, _ObjectTrouble] = {}
        self._unread: set[str] = set()  # keys of objects that the listing under way found
        self._is_caught_up = False
        self._turn = turn or asyncio.Lock()

    def status(self) -> tuple[SourceStatus, ...]:
        """The address, and the objects that could not be read."""
        whole = SourceStatus(
            self._objects.name,
            self._events,
            self._last,
            trouble=self._trouble,
            kind=StreamKind.BUCKET,
            objects=self._objects_read,
        )
        odd = list(self._troubles.values())[:MAX_TROUBLES]
        return (
            whole,
            *(SourceStatus(o.name, trouble=o.reason, kind=StreamKind.BUCKET) for o in odd),
        )

    async def follow(self, sink: Sink) -> None:
        """List and read until the session ends. Objects that can't be read are tried again."""
        ending = asyncio.create_task(self._end_with(sink))
        try:
            await self._follow(sink)
        finally:
            ending.cancel()

    async def _end_with(self, sink: Sink) -> None:
        """Break off what is read: an object of which a part is missing is read again."""
        await sink.ending.wait()
        self._objects.close()

    async def _follow(self, sink: Sink) -> None:
        failures = 0
        while not sink.ending.is_set():
            try:
                async with self._turn:
                    await self._poll(sink)
                self._trouble, failures, self._is_caught_up = "", 0, True
                wait = self._options.interval
            except StreamClosed:  # the session ends
                return
            except UnreadableSource as error:
                self._trouble = (
                    f"{without_name(error, self._objects.name)} The session keeps trying."
                )
                failures += 1
                wait = self._after(failures)
            except LedgerError as error:
                self._trouble = str(error)
                sink.catch_up_soon()  # a part may have been merged before it failed
                wait = self._options.retry_interval
            await self._ingestor.timing.wait_for(sink.ending, wait)

    def _after(self, failures: int) -> float:
        interval, longest = self._options.interval, self._options.longest
        return min(interval * 2.0**failures, max(interval, longest))

    async def _poll(self, sink: Sink) -> None:
        """Read what is new, object by object. Raises `UnreadableSource` and `LedgerError`."""
        ledger, now = self._ingestor.ledger, self._ingestor.now
        self._unread.clear()
        with ExitStack() as held:
            opened = self._objects.unread(ledger, now, is_repeated=True, is_due=self._is_due)
            parts = await self._in_thread(held.enter_context, opened)
            try:
                while not sink.ending.is_set():
                    part = await self._in_thread(next, parts, None)
                    if part is None:
                        self._forget_gone()
                        return
                    await self._read(sink, part)
            finally:
                await self._in_thread(held.close)

    def _forget_gone(self) -> None:
        """Forget the trouble with objects that a whole listing did not find."""
        for key in self._troubles.keys() - self._unread:
            del self._troubles[key]

    async def _in_thread(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call what may wait for the bucket; what is cancelled breaks that off, and waits for it.

        So never more than one thread works on what is read.
        """
        calling = asyncio.ensure_future(asyncio.to_thread(call, *args, **kwargs))
        try:
            return await asyncio.shield(calling)
        except asyncio.CancelledError:
            self._objects.close()
            await asyncio.wait([calling])
            calling.exception()  # it is of no interest: it was broken off
            raise

    def _is_due(self, item: ListedObject) -> bool:
        self._unread.add(item.key)
        trouble = self._troubles.get(item.key)
        if trouble is None or trouble.version != item.version:
            return True
        return trouble.again_at is not None and trouble.again_at <= self._now()

    async def _read(self, sink: Sink, part: ObjectPart) -> None:
        steps = self._steps(part)
        try:
            while (result := await self._in_thread(next, steps, None)) is not None:
                if result.tally.read:
                    self._events += result.tally.read
                    self._last = self._now()
                await sink.arrived(result if self._is_caught_up else result.all_earlier())
                if sink.ending.is_set():  # unless it was the last part, it is read again
                    return
            self._troubles.pop(part.item.key, None)
        except UnreadableSource as error:
            if sink.ending.is_set():  # it may have been broken off
                return
            before = self._troubles.get(part.item.key)
            tries = before.tries + 1 if before else 1
            again_at = self._now() + self._after(tries) if part.has_failed else None
            reason = without_name(error, part.name)
            self._troubles[part.item.key] = _ObjectTrouble(
                part.name, part.item.version, reason, tries, again_at
            )
            now = self._ingestor.now()
            unread = UnreadSource(part.key, part.name, reason, now)
            await self._ingestor.ledger.awrite(keep_unread, unread)

    def _steps(self, part: ObjectPart) -> Iterator[IngestResult]:
        """Read an object; its last batch is merged together with its checkpoint."""
        ingestor = self._ingestor
        with part.open() as source:
            source_id = ingestor.ledger.write(begin_source, source.name, source.key, ingestor.now())
            waiting: list[EventBatch] = []
            for batch in source:
                if waiting:
                    yield ingestor.ingest(source_id, waiting)
                waiting = [batch]
            last = ingestor.ingest(source_id, waiting, part.checkpoint())
            self._objects_read += 1
            yield last


def open_buckets(
    addresses: Sequence[BucketAddress],
    ingestor: StreamIngestor,
    options: PollOptions = POLL,
    transfer: TransferOptions = TRANSFER,
) -> EventStream:
    """Follow buckets. Raises `UnreadableSource` where what it takes is not installed."""
    turns = {address.root: asyncio.Lock() for address in addresses}
    streams = [
        BucketStream(
            ingestor, ObjectSet(address, ingestor.options, transfer), options, turns[address.root]
        )
        for address in addresses
    ]
    return grouped(streams)
