"""How many users go into the next request, and how long to wait after one that failed.

A retry does not repeat the request: the next batch may be smaller, and users may have entered or
left meanwhile. So no call is wrapped in retries; the loop that sends what is pending asks the
`RetryBudget` and the `BatchSize` here. A wait requested with Retry-After outlasts the run: see
`ledger.rate_limits`.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from amp_console.amplitude import RateLimited, TimedOut, TooLarge, Transient
from amp_console.connections import Limits
from amp_console.ledger.rate_limits import DAY
from amp_console.sync.formatting import clock_time

if TYPE_CHECKING:
    from amp_console.sync.timing import Timing

MAX_BACKOFF = 60.0  # seconds between two tries
LIFT_AFTER = 8  # clean answers, before a larger batch is tried again


class RetriesExhausted(Exception):
    """The limit on attempts or on waiting is reached; the users stay pending."""

    def __init__(self, last: Transient, tries: int) -> None:
        failures = f"{tries} failures in a row" if tries > 1 else "a failure"
        super().__init__(f"Gave up after {failures}. {last}")
        self.last = last


class RetryBudget:
    """How long to wait after a failure: as Amplitude asks, otherwise exponentially with jitter.

    `limits.tries` counts failures in a row; `limits.longest_wait` is seconds of waiting in all.
    """

    def __init__(self, limits: Limits, timing: "Timing") -> None:
        self._limits = limits
        self._timing = timing
        self._waited = 0.0
        self.failures = 0

    def renew(self) -> None:
        """Count failures from zero again, after a clean answer."""
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
        backoff = min(MAX_BACKOFF, self._limits.first_wait * 2.0 ** (self.failures - 1))
        return backoff * (0.5 + self._timing.rng.random() / 2)


class RequestedWait(NamedTuple):
    """Amplitude answered 429 with Retry-After: no request before `until`, in microseconds.

    `is_capped`: it asked for more than a day, the longest wait allowed. `ledger.rate_limits` keeps
    it, so that the next run waits, too.
    """

    until: int
    is_capped: bool
    is_about_cohort: bool


def asked_to_wait(error: Transient, now: int) -> RequestedWait | None:
    """Return the wait that an error asks for; None if it gives no time."""
    if not isinstance(error, RateLimited) or error.retry_after is None:
        return None
    wait = min(error.retry_after * 1_000_000, float(DAY))
    is_capped = error.retry_after * 1_000_000 > DAY
    return RequestedWait(now + int(wait), is_capped, error.is_about_cohort)


def limit_note(until: int, now: int, *, is_capped: bool = False) -> str:
    """Explain until when nothing is sent for an audience, and what happens to its users."""
    longer = " It asked for longer, but no wait exceeds a day." if is_capped else ""
    return (
        f"Amplitude asked to wait until {clock_time(until, now)}.{longer} "
        "Nothing is sent until then; pending users stay pending."
    )


class BatchSize:
    """Grows while requests succeed, shrinks when a request was, or may have been, too large.

    The first batch tests whether the cohort accepts requests; once it does, the next is as large as
    allowed. After trouble, the size doubles and halves, so that it recovers soon. A 413, or a
    time-out at a size that was never answered, is about the size: it sets a ceiling, which is
    raised slowly.
    """

    def __init__(self, limits: Limits) -> None:
        self._largest = limits.largest_batch
        self._ceiling = limits.largest_batch
        self._largest_clean = 0
        self._clean_in_a_row = 0
        self._had_trouble = False
        self.current = min(limits.first_batch, limits.largest_batch)

    def after(self, sent: int) -> int:
        """The size of the next batch if a request with `sent` users gets a clean answer."""
        if not self._had_trouble:
            return self._ceiling
        return max(self.current, min(sent * 2, self._ceiling))

    def grow(self, sent: int) -> None:
        """Note a clean answer to a request with this many users; a small one proves little."""
        self._largest_clean = max(self._largest_clean, sent)
        if sent >= self._ceiling:
            self._clean_in_a_row += 1
            if self._clean_in_a_row % LIFT_AFTER == 0:
                self._ceiling = min(self._largest, self._ceiling + self._ceiling // 2 + 1)
        self.current = self.after(sent)

    def shrink(self, error: Transient, sent: int) -> None:
        """Note the failure of a request with this many users."""
        self._had_trouble = True
        self._clean_in_a_row = 0
        is_new_size = sent > self._largest_clean
        self.current = max(1, self.current // 2)
        if isinstance(error, TooLarge) or (isinstance(error, TimedOut) and is_new_size):
            self._ceiling = max(1, min(self._ceiling, sent) // 2)
            self.current = min(self.current, self._ceiling)


def requests_for(counts: Iterable[int], limits: Limits) -> int:
    """Return how many requests these counts of users take, one count after the other.

    Assumes no trouble. They share one batch size, as the operations of an audience do: it grows
    from one to the next.
    """
    size = BatchSize(limits)
    requests = 0
    for count in counts:
        left = count
        while left > 0:
            sent = min(left, size.current)
            left -= sent
            requests += 1
            size.grow(sent)
    return requests
