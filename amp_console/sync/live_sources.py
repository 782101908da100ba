"""Where live events come from: watched paths, and a stream such as the standard input."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from time import monotonic
from typing import Any, BinaryIO, Literal, TypeVar

from watchfiles import awatch

from amp_console.engage.lines import LineSplitter
from amp_console.engage.reader import EventReader
from amp_console.ledger import LedgerError
from amp_console.sync.feed import Feed
from amp_console.sync.live import Live
from amp_console.sync.live_progress import LiveSource
from amp_console.sync.watching import Watching

OFTEN = 0.25  # seconds between two looks at single files, and at files that may not be whole yet
SELDOM = 10.0  # seconds until folders are looked at all the same, whatever the system tells
BLIND = 1.0  # ... where the system tells nothing of them
TRY_AGAIN = 5.0  # seconds until a ledger that failed is tried again
WAKE_UP = 1_000  # milliseconds until the watcher sees that it is to end
BLOCK = 1024 * 1024  # bytes

T = TypeVar("T")


class PathSource:
    """Files that grow, and folders in which files appear."""

    def __init__(self, watching: Watching) -> None:
        self._watching = watching
        self._trouble = ""

    def sources(self) -> tuple[LiveSource, ...]:
        """The files; before them the ledger, while it can't take in what stands in them."""
        found = self._watching.sources()
        return (LiveSource("ledger", trouble=self._trouble), *found) if self._trouble else found

    async def follow(self, live: Live) -> None:
        """Take in what grows and appears, until the session ends.

        A ledger that fails is tried again. Raises `LedgerError` where it fails in the end.
        """
        async for _ in self._wake_ups(live):
            try:
                scan = self._watching.scan
                await live.arrived(await asyncio.to_thread(scan, live.ending.is_set))
                self._trouble = ""
            except LedgerError as error:
                self._trouble = str(error)
                live.look_anew()  # a part may have been taken in before it failed
                await _or_ending(live, TRY_AGAIN)
        # What was written up to the end is taken, too, as far as one look reads.
        await live.arrived(await asyncio.to_thread(self._watching.scan))

    async def _wake_ups(self, live: Live) -> AsyncIterator[None]:
        news = asyncio.Event()
        folders = asyncio.create_task(self._tell(live, news))
        try:
            while not live.ending.is_set():
                news.clear()
                looked = monotonic()
                yield
                if self._watching.has_more:
                    continue
                while not (live.ending.is_set() or news.is_set() or self._watching.is_settling):
                    await _or_ending(live, OFTEN)
                    since = monotonic() - looked
                    if self._watching.has_news() or since > (BLIND if folders.done() else SELDOM):
                        break
                if self._watching.is_settling:
                    await _or_ending(live, OFTEN)
        finally:
            folders.cancel()
            await asyncio.gather(folders, return_exceptions=True)

    async def _tell(self, live: Live, news: asyncio.Event) -> None:
        """Tell of changes in folders; it ends where the system does not (too many of them, say)."""
        folders = [path for path in self._watching.paths if path.is_dir()]
        if not folders:
            await live.ending.wait()
            return
        with suppress(OSError, RuntimeError):
            async for _ in awatch(*folders, rust_timeout=WAKE_UP):
                news.set()


class StreamSource:
    """A stream of lines, such as the standard input."""

    def __init__(self, feed: Feed, stream: BinaryIO, name: str) -> None:
        self._feed = feed
        self._stream = stream
        self._reader = EventReader(feed.options.mapping, feed.options.audience)
        self._seen = LiveSource(name)
        self._number = 1

    def sources(self) -> tuple[LiveSource, ...]:
        """The stream."""
        return (self._seen,)

    async def follow(self, live: Live) -> None:
        """Take in the stream line by line, until it or the session ends.

        It is read by a thread of its own, which may hang in its read when the session ends. A
        ledger that fails is tried again. Raises `LedgerError` where it fails in the end.
        """
        source_id = await self._kept_trying(live, lambda: self._feed.begin(self._seen.name))
        splitter = LineSplitter(is_json=True)
        blocks: asyncio.Queue[bytes] = asyncio.Queue(maxsize=2)
        _read_aside(self._stream, blocks)
        ending = asyncio.create_task(live.ending.wait())
        try:
            while block := await _next(blocks, ending):
                await self._take(live, source_id, splitter.push(block) + splitter.documents())
            if not live.ending.is_set():
                await self._take(live, source_id, [splitter.take()])
        finally:
            ending.cancel()

    async def _take(self, live: Live, source_id: int, lines: list[bytes]) -> None:
        if not lines:
            return
        batch = self._reader.read(lines, self._number)
        self._number += len(lines)
        taken = await self._kept_trying(live, lambda: self._feed.take(source_id, [batch]))
        position = (self._seen.position or 0) + sum(map(len, lines)) + len(lines)
        events = self._seen.events + taken.tally.read
        self._seen = LiveSource(self._seen.name, events, monotonic(), position)
        await live.arrived(taken)

    async def _kept_trying(self, live: Live, work: Callable[[], T]) -> T:
        while True:
            try:
                return await asyncio.to_thread(work)
            except LedgerError as error:
                if live.ending.is_set():
                    raise
                self._seen = LiveSource(self._seen.name, self._seen.events, trouble=str(error))
                await _or_ending(live, TRY_AGAIN)


async def _or_ending(live: Live, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(live.ending.wait(), seconds)


async def _next(blocks: "asyncio.Queue[bytes]", ending: "asyncio.Task[Literal[True]]") -> bytes:
    """Wait for the next block; there is none once the session is to end."""
    coming = asyncio.create_task(blocks.get())
    both: set[asyncio.Task[Any]] = {coming, ending}
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    if coming.done():
        return coming.result()
    coming.cancel()
    return b""


def _read_aside(stream: BinaryIO, blocks: "asyncio.Queue[bytes]") -> None:
    loop = asyncio.get_running_loop()
    read = getattr(stream, "read1", stream.read)

    def pump() -> None:
        block = b"begin"
        with suppress(RuntimeError, CancelledError):  # the loop is closed: nobody reads on
            while block:
                try:
                    block = read(BLOCK)
                except OSError:  # a terminal that has gone away
                    block = b""
                asyncio.run_coroutine_threadsafe(blocks.put(block), loop).result()

    threading.Thread(target=pump, daemon=True, name="stream").start()
