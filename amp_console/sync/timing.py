"""Time, randomness and the request to stop: injected, so that tests never wait and demos repeat."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from amp_console.values import now_in_microseconds


def call_later(seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
    """Call a function later, in the running event loop."""
    return asyncio.get_running_loop().call_later(seconds, call)


@dataclass(frozen=True, slots=True)
class Timing:
    """Clocks, waits and randomness; seconds, except `now` (microseconds since 1970).

    `sleep` is for waits that the work itself asks for: before a retry, until a window closes.
    `call_later` is for timers beside the work: the next snapshot, the end of a grace period.
    """

    now: Callable[[], int] = now_in_microseconds
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    call_later: Callable[[float, Callable[[], None]], asyncio.TimerHandle] = call_later
    rng: random.Random = field(default_factory=random.Random)

    async def wait_for(self, event: asyncio.Event, seconds: float) -> None:
        """Wait for an event, at most `seconds`."""
        tasks = {
            asyncio.ensure_future(event.wait()),
            asyncio.ensure_future(self.sleep(seconds)),
        }
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def wait_for_all(
        self, tasks: Iterable["asyncio.Task[None]"], seconds: float
    ) -> set["asyncio.Task[None]"]:
        """Wait until all tasks have ended, at most `seconds`; return those that have not."""
        waiting = set(tasks)
        if not waiting:
            return waiting
        timer = asyncio.ensure_future(self.tick(seconds))
        try:
            while waiting and not timer.done():
                done, _ = await asyncio.wait({*waiting, timer}, return_when=asyncio.FIRST_COMPLETED)
                waiting -= done
        finally:
            timer.cancel()
            await asyncio.gather(timer, return_exceptions=True)
        return waiting

    async def tick(self, seconds: float) -> None:
        """Wait for a timer of `seconds`."""
        is_over = asyncio.Event()
        timer = self.call_later(seconds, is_over.set)
        try:
            await is_over.wait()
        finally:
            timer.cancel()


class Stop:
    """Asks a run to end or to pause: the request in flight ends, nothing more is sent."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._not_paused = asyncio.Event()
        self._not_paused.set()

    @property
    def is_asked(self) -> bool:
        return self._asked.is_set()

    def ask(self) -> None:
        """End the run; to be called in the event loop's thread."""
        self._asked.set()
        self._not_paused.set()

    @property
    def is_paused(self) -> bool:
        """Whether the run is paused, and was not asked to end."""
        return not self._not_paused.is_set()

    def pause(self) -> None:
        """Send nothing more until `resume`; to be called in the event loop's thread."""
        if not self.is_asked:
            self._not_paused.clear()

    def resume(self) -> None:
        self._not_paused.set()

    @property
    def may_send(self) -> bool:
        """Whether the run is neither paused nor asked to end."""
        return self._not_paused.is_set() and not self.is_asked

    async def wait_while_paused(self) -> bool:
        """Wait while the run is paused; return False once it is asked to end."""
        await self._not_paused.wait()
        return not self.is_asked

    async def wait(self, timing: Timing, seconds: float) -> None:
        """Wait `seconds`, or until the run is asked to end."""
        await timing.wait_for(self._asked, seconds)
