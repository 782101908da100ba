"""Time, chance and being told to stop: handed in, so that tests never wait and demos repeat."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field


def now_in_microseconds() -> int:
    """The time of day in microseconds since 1970 (UTC), the ledger's unit."""
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class Timing:
    """Where a run gets the time, its patience and its dice from."""

    now: Callable[[], int] = now_in_microseconds
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    rng: random.Random = field(default_factory=random.Random)


class Stop:
    """A wish to end a run, or to pause it: what is in flight ends, nothing more is taken."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._may_go_on = asyncio.Event()
        self._may_go_on.set()

    @property
    def is_asked(self) -> bool:
        """Whether somebody asked."""
        return self._asked.is_set()

    def ask(self) -> None:
        """End the run; to be called in the event loop's thread."""
        self._asked.set()
        self._may_go_on.set()

    @property
    def is_paused(self) -> bool:
        """Whether somebody paused the run, which was not asked to end."""
        return not self._may_go_on.is_set()

    def pause(self) -> None:
        """Take nothing more until `resume`; to be called in the event loop's thread."""
        if not self.is_asked:
            self._may_go_on.clear()

    def resume(self) -> None:
        """Go on after a pause."""
        self._may_go_on.set()

    @property
    def goes_on(self) -> bool:
        """Whether the run is neither paused nor to end."""
        return self._may_go_on.is_set() and not self.is_asked

    async def may_go_on(self) -> bool:
        """Wait while the run is paused; say whether it goes on then, or is to end."""
        await self._may_go_on.wait()
        return not self.is_asked

    async def or_sleep(self, timing: Timing, seconds: float) -> None:
        """Wait `seconds`, or until the stop is asked for, whichever is first."""
        tasks = {
            asyncio.ensure_future(self._asked.wait()),
            asyncio.ensure_future(timing.sleep(seconds)),
        }
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
