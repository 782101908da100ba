"""How many ids go into the next request, and how long to wait after one that failed.

Retrying is not repeating here: after trouble the next batch may be smaller, and people may have
come and gone. So there is no retry around a call; the loop that empties the pending asks these.
"""

from collections.abc import Iterable

from amp_console.amplitude import RateLimited, TimedOut, TooLarge, Transient
from amp_console.connections import Limits
from amp_console.sync.timing import Timing

LONGEST_WAIT = 60.0  # seconds between two tries
LIFT_AFTER = 8  # clean answers, before a larger batch is tried again


class RetriesExhausted(Exception):
    """The limits on tries or waiting are used up; the users stay pending."""

    def __init__(self, last: Transient, tries: int) -> None:
        times = f" {tries} times in a row" if tries > 1 else ""
        super().__init__(f"Gave up after trouble{times}. {last}")
        self.last = last


class RetryBudget:
    """Waits after failures: as told, else exponentially with jitter, within the limits.

    `limits.tries` counts failures in a row; `limits.longest_wait` is seconds of waiting in all.
    """

    def __init__(self, limits: Limits, timing: Timing) -> None:
        self._limits = limits
        self._timing = timing
        self._waited = 0.0
        self.failures = 0

    def clean(self) -> None:
        """An answer came back clean: the count of failures starts anew."""
        self.failures = 0

    def wait_after(self, error: Transient) -> float:
        """Return the seconds to wait before the next try; raises `RetriesExhausted`."""
        self.failures += 1
        seconds = self._seconds(error)
        if self.failures >= self._limits.tries:
            raise RetriesExhausted(error, self.failures)
        if self._waited + seconds > self._limits.longest_wait:
            raise RetriesExhausted(error, self.failures)
        self._waited += seconds
        return seconds

    def _seconds(self, error: Transient) -> float:
        if isinstance(error, RateLimited) and error.retry_after is not None:
            return error.retry_after
        backoff = min(LONGEST_WAIT, self._limits.first_wait * 2.0 ** (self.failures - 1))
        return backoff * (0.5 + self._timing.rng.random() / 2)


class BatchSize:
    """Grows while answers come back clean, shrinks when a request was, or may have been, too much.

    Doubling and halving, so that passing trouble is soon made good. A 413, or a time-out of more
    than was ever answered, does speak of the size: it sets a ceiling, which is only lifted slowly.
    """

    def __init__(self, limits: Limits) -> None:
        self._largest = limits.largest_batch
        self._ceiling = limits.largest_batch
        self._largest_clean = 0
        self._calm = 0  # clean answers in a row
        self.size = min(limits.first_batch, limits.largest_batch)

    def grow(self) -> None:
        """The last request was answered cleanly."""
        self._largest_clean = max(self._largest_clean, self.size)
        self._calm += 1
        if self._calm % LIFT_AFTER == 0:
            self._ceiling = min(self._largest, self._ceiling + self._ceiling // 2 + 1)
        self.size = min(self.size * 2, self._ceiling)

    def shrink(self, error: Transient) -> None:
        """The last request failed."""
        self._calm = 0
        is_new_size = self.size > self._largest_clean
        self.size = max(1, self.size // 2)
        if isinstance(error, TooLarge) or (isinstance(error, TimedOut) and is_new_size):
            self._ceiling = self.size


def requests_for(counts: Iterable[int], limits: Limits) -> int:
    """How many requests these counts of ids take, one count after the other, without trouble.

    They share one batch size, as the operations of an audience do: it grows from one to the next.
    """
    size = BatchSize(limits)
    requests = 0
    for count in counts:
        left = count
        while left > 0:
            left -= size.size
            requests += 1
            size.grow()
    return requests
