"""Where live events come from: watched paths, and a stream such as the standard input."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import BinaryIO

from watchfiles import awatch

from amp_console.engage import Batch
from amp_console.engage.lines import LINE_LIMIT, TOO_LONG
from amp_console.engage.reader import EventReader
from amp_console.sync.feed import Feed
from amp_console.sync.live import Live
from amp_console.sync.watching import Watching

OFTEN = 0.25  # seconds between two looks at single files
SELDOM = 10  # wake-ups without a change until folders are looked at all the same
WAKE_UP = 1_000  # milliseconds
BLOCK = 1024 * 1024  # bytes


async def follow_paths(live: Live, watching: Watching) -> None:
    """Take in what grows and appears, until the session ends. Raises `LedgerError`."""
    async for _ in _wake_ups(live, watching):
        while True:
            await live.arrived(await asyncio.to_thread(watching.scan))
            if live.ending.is_set() or not watching.is_settling:
                break
            await _or_ending(live, OFTEN)
    # What was written up to the end is taken, too.
    await live.arrived(await asyncio.to_thread(watching.scan))


async def _wake_ups(live: Live, watching: Watching) -> AsyncIterator[None]:
    folders = [path for path in watching.paths if path.is_dir()]
    yield
    if len(folders) < len(watching.paths):  # a few files are looked at as quickly as watched
        while not live.ending.is_set():
            await _or_ending(live, OFTEN)
            yield
        return
    idle = 0
    async for changes in awatch(
        *folders, stop_event=_Ending(live), rust_timeout=WAKE_UP, yield_on_timeout=True
    ):
        idle = 0 if changes else idle + 1
        if changes or idle % SELDOM == 0:
            yield


class _Ending:
    """What watchfiles asks whether it is to end."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def is_set(self) -> bool:
        """Whether the session is to end."""
        return self._live.ending.is_set()


async def _or_ending(live: Live, seconds: float) -> None:
    try:
        await asyncio.wait_for(live.ending.wait(), seconds)
    except TimeoutError:
        return


async def follow_stream(live: Live, feed: Feed, stream: BinaryIO, name: str) -> None:
    """Take in a stream line by line, until it or the session ends. Raises `LedgerError`.

    It is read by a thread of its own, which may hang in its read when the session ends.
    """
    source_id = await asyncio.to_thread(feed.begin, name)
    reader = EventReader(feed.options.mapping, feed.options.audience)
    rest, number = b"", 1
    blocks: asyncio.Queue[bytes] = asyncio.Queue(maxsize=2)
    _read_aside(stream, blocks)
    ending = asyncio.ensure_future(live.ending.wait())
    try:
        while True:
            coming = asyncio.ensure_future(blocks.get())
            await asyncio.wait({coming, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                coming.cancel()
                break
            block = coming.result()
            rest = rest + block if len(rest) <= LINE_LIMIT else TOO_LONG
            *lines, rest = rest.split(b"\n") if block else (rest, b"")
            if lines:
                batch: Batch = reader.read(lines, number)
                number += len(lines)
                await live.arrived(await asyncio.to_thread(feed.take, source_id, [batch]))
            if not block:
                break
    finally:
        ending.cancel()


def _read_aside(stream: BinaryIO, blocks: "asyncio.Queue[bytes]") -> None:
    loop = asyncio.get_running_loop()
    read = getattr(stream, "read1", stream.read)

    def pump() -> None:
        block = b"begin"
        while block:
            block = read(BLOCK)
            asyncio.run_coroutine_threadsafe(blocks.put(block), loop).result()

    threading.Thread(target=pump, daemon=True, name="stream").start()
