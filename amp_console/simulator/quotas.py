"""How often each call may be made, and how many at the same time."""

from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from amp_console.simulator.behavior import Behavior
from amp_console.simulator.calls import Refused
from amp_console.simulator.world import Clock


class Window:
    """Counts what happened within the last `seconds`."""

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._seconds = seconds
        self._clock = clock
        self._stamps: deque[float] = deque()

    def take(self, limit: int) -> None:
        """Count one more. Raises Refused with 429 if that exceeds the limit."""
        now = self._clock()
        while self._stamps and self._stamps[0] <= now - self._seconds:
            self._stamps.popleft()
        if len(self._stamps) >= limit:
            raise Refused(429, f"Exceeded rate limit of {limit} in {self._seconds:.0f} seconds")
        self._stamps.append(now)


class Quotas:
    """The quotas of one project, by its clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._searches = Window(3_600, clock)
        self._starts = Window(600, clock)
        self._downloads: Counter[str] = Counter()

    def take_search(self, behavior: Behavior) -> None:
        """Count a user search. Raises Refused with 429 if the hour's quota is used up."""
        self._searches.take(behavior.searches_per_hour)

    def take_download(self, behavior: Behavior) -> None:
        """Count the start of a download. Raises Refused with 429 if a quota is used up."""
        if self.downloads >= behavior.downloads_per_month:
            raise Refused(429, "Exceeded the monthly limit of cohort downloads")
        self._starts.take(behavior.starts_per_10_minutes)
        self._downloads[self._month()] += 1

    @property
    def downloads(self) -> int:
        """How many downloads were started this month (UTC)."""
        return self._downloads[self._month()]

    @property
    def resets_at(self) -> str:
        """When the month's quota is reset, in ISO 8601."""
        now = self._now()
        year, month = (now.year + 1, 1) if now.month == 12 else (now.year, now.month + 1)
        return f"{year}-{month:02}-01T00:00:00Z"

    def _month(self) -> str:
        return f"{self._now():%Y-%m}"

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


class Lines:
    """How many requests of each queue are in progress."""

    def __init__(self) -> None:
        self._busy: Counter[str] = Counter()

    @property
    def in_work(self) -> int:
        """How many requests are in progress in all queues."""
        return self._busy.total()

    @contextmanager
    def enter(self, line: str, limit: int) -> Iterator[None]:
        """Occupy a slot of a queue while the block runs; the queue "" has no limit.

        Raises Refused with 429 if the queue is full.
        """
        if line and self._busy[line] >= limit:
            raise Refused(429, "Exceeded concurrent limit with query of cost 415")
        self._busy[line] += 1
        try:
            yield
        finally:
            self._busy[line] -= 1
            self._busy += Counter()  # removes empty queues
