"""Keys come first: an import waits from the moment a key is read until the screen shows its effect.

Threads compute one at a time, under Python's lock. A key needs that lock about ten times before its
effect is on the screen, and a computing thread gives it up only every 5 ms or even later.
"""

import threading
import time
from collections.abc import Callable

MAX_SECONDS = 0.03  # for one key; many keys have no effect on the screen


class KeyPriority:
    """Makes threads with long computations wait while a key is handled.

    They wait at most `max_seconds` for a key, and at most half of the time: a key that is held
    down does not stop an import.
    """

    def __init__(
        self, max_seconds: float = MAX_SECONDS, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_seconds = max_seconds
        self._monotonic = monotonic
        self._is_shown = threading.Event()
        self._is_shown.set()
        self._next_wait = monotonic()

    def begin(self) -> None:
        """Note that a key was read."""
        self._is_shown.clear()

    def end(self) -> None:
        """Note that everything painted so far is on the screen."""
        self._is_shown.set()

    def wait(self) -> None:
        """Wait until the effect of a key is shown; call this between two steps of a computation."""
        begun = self._monotonic()
        if self._is_shown.is_set() or begun < self._next_wait:
            return
        self._is_shown.wait(self._max_seconds)
        self._is_shown.set()  # a key without an effect does not make it wait again
        ended = self._monotonic()
        self._next_wait = ended + (ended - begun)
