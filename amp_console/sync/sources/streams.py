"""Where live events come from: watched paths, and a stream such as the standard input."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from functools import partial
from typing import BinaryIO, TypeVar, cast

import msgspec

from amp_console.engage import EventBatch, Source, read_stream
from amp_console.ledger import LedgerError
from amp_console.ledger.sources import counts_of_source
from amp_console.sync.formatting import without_name
from amp_console.sync.ingest.stream import IngestResult, StreamIngestor
from amp_console.sync.sources.pipe import EndableStream
from amp_console.sync.sources.protocols import EventStream, Sink, SourceStatus, StreamKind
from amp_console.sync.sources.watcher import PathWatcher

WAKE_UP = 1_000  # milliseconds until the watcher sees that it is to end
LAST_TURN = 4 * 1024 * 1024  # bytes that are read when the session is to end
GIVEN_UP = 5.0  # seconds for which the end of the reading thread is waited for

T = TypeVar("T")


class FollowOptions(msgspec.Struct, frozen=True):
    """How often sources are polled; times in seconds.

    Single files, and files that may be incomplete, are polled every `poll_interval`. Folders are
    polled every `folder_interval` even if the system reports no change, and every
    `unwatched_interval` where it reports none at all. A ledger that failed is tried again after
    `retry_interval`. An incomplete line is shown as waiting after `patience`.
    """

    poll_interval: float = 0.25
    folder_interval: float = 10.0
    unwatched_interval: float = 1.0
    retry_interval: float = 5.0
    patience: float = 60.0


FOLLOW_OPTIONS = FollowOptions()


class StreamGroup:
    """Sources that share a session; more can be added while it lasts."""

    def __init__(self, *sources: EventStream) -> None:
        self._sources = list(sources)
        self._tasks: set[asyncio.Task[None]] = set()
        self._added = asyncio.Event()
        self._sink: Sink | None = None

    def status(self) -> tuple[SourceStatus, ...]:
        """Where events come from, in the order the sources were added."""
        return tuple(found for source in self._sources for found in source.status())

    def add(self, source: EventStream) -> None:
        """Follow one more source; in a running session, it begins at once."""
        self._sources.append(source)
        if self._sink is not None:
            self._tasks.add(asyncio.create_task(source.follow(self._sink)))
            self._added.set()

    async def follow(self, sink: Sink) -> None:
        """Follow until every source has ended; one that fails ends the others, and is raised."""
        self._sink = sink
        self._tasks = {asyncio.create_task(source.follow(sink)) for source in self._sources}
        try:
            while self._tasks:
                await self._until_one_ends()
        finally:
            self._sink = None
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _until_one_ends(self) -> None:
        """Wait until a source has ended, or another one was added; raises what ended it."""
        self._added.clear()
        added = asyncio.create_task(self._added.wait())
        try:
            await asyncio.wait({*self._tasks, added}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            added.cancel()
        ended = {task for task in self._tasks if task.done()}
        self._tasks -= ended
        for task in ended:
            task.result()


def grouped(streams: Sequence[EventStream]) -> EventStream:
    """Sources as one: a single one is itself."""
    return streams[0] if len(streams) == 1 else StreamGroup(*streams)


class PathStream:
    """Files that grow, and folders in which files appear."""

    def __init__(self, watcher: PathWatcher, options: FollowOptions = FOLLOW_OPTIONS) -> None:
        self._watcher = watcher
        self._options = options
        self._trouble = ""

    def status(self) -> tuple[SourceStatus, ...]:
        """The files; before them the ledger, while it can't store what is in them."""
        found = self._watcher.status()
        return (SourceStatus("ledger", trouble=self._trouble), *found) if self._trouble else found

    async def follow(self, sink: Sink) -> None:
        """Ingest files that grow or appear, until the session ends.

        A ledger that fails is tried again. Raises `LedgerError` where it fails in the end.
        """
        watcher, is_caught_up = self._watcher, False
        async for _ in self._wake_ups(sink):
            try:
                result = await asyncio.to_thread(watcher.scan, sink.ending.is_set)
                await sink.arrived(result if is_caught_up else result.all_earlier())
                is_caught_up = is_caught_up or not (watcher.has_more or watcher.is_settling)
                self._trouble = ""
            except LedgerError as error:
                self._trouble = str(error)
                sink.catch_up_soon()  # a part may have been taken in before it failed
                await _wait_or_ending(sink, self._options.retry_interval)
        # What was written up to the end is ingested, too, unless it is a backlog.
        scan = partial(self._watcher.scan, turn=LAST_TURN)
        await sink.arrived(await asyncio.to_thread(scan))

    async def _wake_ups(self, sink: Sink) -> AsyncIterator[None]:
        options, changed = self._options, asyncio.Event()
        folders = asyncio.create_task(self._watch_folders(sink, changed))
        try:
            while not sink.ending.is_set():
                changed.clear()
                looked_at = self._watcher.clock()
                yield
                if self._watcher.has_more:
                    continue
                while not (sink.ending.is_set() or changed.is_set() or self._watcher.is_settling):
                    await _wait_or_ending(sink, options.poll_interval)
                    since = self._watcher.clock() - looked_at
                    max_length = (
                        options.unwatched_interval if folders.done() else options.folder_interval
                    )
                    # In a thread: a network file system may not answer for minutes.
                    if await asyncio.to_thread(self._watcher.has_news) or since > max_length:
                        break
                if self._watcher.is_settling:
                    await _wait_or_ending(sink, options.poll_interval)
        finally:
            folders.cancel()
            await asyncio.gather(folders, return_exceptions=True)

    async def _watch_folders(self, sink: Sink, changed: asyncio.Event) -> None:
        """Report changes in folders; it ends if the system can't (too many folders, say)."""
        folders = await asyncio.to_thread(self._watcher.folders)
        if not folders:
            await sink.ending.wait()
            return
        # Not at the top: the console's first paint would wait 50 ms for it.
        from watchfiles import awatch  # noqa: PLC0415

        with suppress(OSError, RuntimeError):
            async for _ in awatch(*folders, rust_timeout=WAKE_UP):
                changed.set()


class PipeStream:
    """A stream, such as the standard input, in any format that an import reads."""

    def __init__(
        self,
        ingestor: StreamIngestor,
        stream: BinaryIO,
        name: str,
        options: FollowOptions = FOLLOW_OPTIONS,
    ) -> None:
        self._ingestor = ingestor
        self._stream = EndableStream(stream)
        self._options = options
        self._source: Source | None = None
        self._has_failed = False
        self._seen = SourceStatus(name, kind=StreamKind.STDIN)
        self._now = ingestor.timing.monotonic
        self._changed = self._now()

    def status(self) -> tuple[SourceStatus, ...]:
        """The stream."""
        seen, waiting = self._seen, self._source.unfinished if self._source else 0
        if waiting and not seen.trouble and self._now() - self._changed >= self._options.patience:
            trouble = f"Its last line is incomplete: {waiting:,} bytes wait for the rest."
            return (msgspec.structs.replace(seen, trouble=trouble),)
        return (seen,)

    async def follow(self, sink: Sink) -> None:
        """Ingest the stream, until it or the session ends; all that was read is ingested.

        It is read by a thread of its own. A ledger that fails is tried again. Raises `LedgerError`
        where it fails in the end, and `UnreadableSource` where nothing of the stream can be read.
        """
        source_id = await self._retrying(sink, lambda: self._ingestor.begin(self._seen.name))
        batches: asyncio.Queue[EventBatch | Exception | None] = asyncio.Queue(maxsize=1)
        thread = self._read_aside(batches)
        ending = asyncio.create_task(self._end_with(sink))
        try:
            while (batch := await self._next(batches, ending)) is not None:
                if isinstance(batch, Exception):
                    raise batch
                await self._ingest(sink, source_id, batch)
        finally:
            ending.cancel()
            self._stream.end()
            if self._stream.can_end:
                await asyncio.to_thread(thread.join, GIVEN_UP)
            if not thread.is_alive():
                self._stream.close()

    async def _end_with(self, sink: Sink) -> None:
        await sink.ending.wait()
        self._stream.end()

    async def _next(
        self, batches: "asyncio.Queue[EventBatch | Exception | None]", ending: "asyncio.Task[None]"
    ) -> EventBatch | Exception | None:
        coming = asyncio.ensure_future(batches.get())
        if not self._stream.can_end:
            await asyncio.wait({coming, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                coming.cancel()
                return None
        return await coming

    def _read_aside(
        self, batches: "asyncio.Queue[EventBatch | Exception | None]"
    ) -> threading.Thread:
        loop = asyncio.get_running_loop()

        def put(batch: EventBatch | Exception | None) -> None:
            asyncio.run_coroutine_threadsafe(batches.put(batch), loop).result()

        def read() -> None:
            with suppress(RuntimeError, CancelledError):  # the loop is closed: no one reads on
                try:
                    for batch in self._batches():
                        put(batch)
                    put(None)
                except Exception as error:  # it is raised where it is awaited
                    put(error)

        thread = threading.Thread(target=read, daemon=True, name="stream")
        thread.start()
        return thread

    def _batches(self) -> Iterator[EventBatch]:
        self._source = read_stream(
            cast("BinaryIO", self._stream), self._seen.name, self._ingestor.options, is_live=True
        )
        for batch in self._source:
            self._changed = self._now()
            yield batch

    async def _ingest(self, sink: Sink, source_id: int, batch: EventBatch) -> None:
        self._has_failed = False
        result = await self._retrying(sink, partial(self._ingested_once, source_id, batch))
        position = self._source.position() if self._source else 0
        events = self._seen.events + result.tally.read
        self._seen = SourceStatus(
            self._seen.name, events, self._now(), position, kind=self._seen.kind
        )
        await sink.arrived(result)

    def _ingested_once(self, source_id: int, batch: EventBatch) -> IngestResult:
        """Ingest a batch, unless a try that failed has done so: its answer was lost."""
        ledger = self._ingestor.ledger
        # As a write, which waits for the end of a commit that may still be under way.
        if self._has_failed and ledger.write(counts_of_source, source_id).read > self._seen.events:
            return self._ingestor.count(source_id, [batch])
        return self._ingestor.ingest(source_id, [batch])

    async def _retrying(self, sink: Sink, work: Callable[[], T]) -> T:
        while True:
            try:
                return await asyncio.to_thread(work)
            except LedgerError as error:
                if sink.ending.is_set():
                    raise
                self._has_failed = True
                trouble = without_name(error, self._seen.name)
                self._seen = msgspec.structs.replace(self._seen, trouble=trouble)
                await _wait_or_ending(sink, self._options.retry_interval)


async def _wait_or_ending(sink: Sink, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(sink.ending.wait(), seconds)
