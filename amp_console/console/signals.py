"""Being told to end from outside: `kill`, a shutdown, a terminal whose window is closed."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ENDS = tuple(getattr(signal, item) for item in ("SIGTERM", "SIGHUP") if hasattr(signal, item))
"""Windows has no SIGHUP."""


@contextmanager
def told_to_end(end: Callable[[int], None]) -> Iterator[None]:
    """While inside, a signal to end calls `end` with its number, between two steps of the loop.

    A handler of Python's own may run in the middle of anything: an exception that it raises lands
    in whatever was at work just then. For the main thread, and inside a running loop.
    """
    loop = asyncio.get_running_loop()

    def told(number: int, _: object) -> None:
        loop.call_soon_threadsafe(end, number)

    before = {number: signal.signal(number, told) for number in ENDS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
