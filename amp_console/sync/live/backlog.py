"""What has arrived for an audience and is not delivered yet, and how long deliveries take."""

from collections import deque
from collections.abc import Callable, Iterator

SAMPLES = 2_000  # arrivals whose lag is kept
MINUTES = 30  # whose changes are counted one by one


class Backlog:
    """The changes of one audience that are not delivered yet, with the times they arrived.

    Those of a delivery under way count down: `done` returns how many users the run has answered
    for. `clock` is monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float], done: Callable[[], int]) -> None:
        self._clock = clock
        self._done = done
        self._done_before = 0  # answered for before the delivery under way
        self._arrivals: deque[tuple[float, int]] = deque()

    def __len__(self) -> int:
        """The number of arrivals, each of one or more changes."""
        return len(self._arrivals)

    @property
    def size(self) -> int:
        """Changes that are not delivered yet."""
        done = self._done() - self._done_before
        return max(0, sum(count for _, count in self._arrivals) - done)

    def age(self, now: float) -> float:
        """Seconds since the oldest change arrived; 0.0 where all are delivered."""
        return now - self._arrivals[0][0] if self.size else 0.0

    def seconds_left(self, window: float) -> float:
        """Seconds until a window of this length closes that the oldest arrival opened."""
        return window - (self._clock() - self._arrivals[0][0]) if self._arrivals else 0.0

    def add(self, count: int) -> None:
        """Note that changes arrived."""
        self._arrivals.append((self._clock(), count))

    def begin_delivery(self) -> None:
        """Count what is done from here on."""
        self._done_before = self._done()

    def recount(self, pending: int, arrivals: int) -> None:
        """Let the first `arrivals` be `pending` users, the oldest of them first.

        The ledger knows best: events repeat what is delivered already, and a person may enter and
        leave in one window.
        """
        later = list(self._arrivals)[arrivals:]
        kept = []
        for at, count in list(self._arrivals)[:arrivals]:
            if pending > 0:
                kept.append((at, min(count, pending)))
            pending -= count
        if pending > 0:  # others were pending before
            at, count = kept.pop() if kept else (self._clock(), 0)
            kept.append((at, count + pending))
        self._arrivals = deque([*kept, *later])
        self.begin_delivery()

    def remove(self, arrivals: int) -> Iterator[tuple[float, int]]:
        """Remove the first `arrivals`, which are delivered; yield their seconds and changes."""
        now = self._clock()
        for _ in range(arrivals):
            at, count = self._arrivals.popleft()
            yield now - at, count

    def merge(self, most: int) -> None:
        """Keep at most so many arrivals, merging neighbours: an audience may wait for days."""
        while len(self._arrivals) > most:
            found = list(self._arrivals)
            pairs = zip(found[::2], [*found[1::2], (0.0, 0)], strict=False)
            self._arrivals = deque((at, count + more) for (at, count), (_, more) in pairs)


class Lags:
    """How long changes took from their arrival to Amplitude's answer."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=SAMPLES)

    def add(self, seconds: float, changes: int) -> None:
        self._samples.append((seconds, changes))

    def percentile(self, share: float) -> float:
        """The seconds within which that share of the changes was delivered; 0.0 without any."""
        ordered = sorted(self._samples)
        left = share * sum(count for _, count in ordered)
        for seconds, count in ordered:
            left -= count
            if left <= 0:
                return seconds
        return 0.0


class Minutes:
    """How many users entered and left, minute by minute."""

    def __init__(self) -> None:
        self._counts: deque[tuple[int, int, int]] = deque(maxlen=MINUTES)

    def add(self, now: float, entered: int, left: int) -> None:
        """Count more users at a moment in seconds."""
        minute = int(now // 60)
        if self._counts and self._counts[-1][0] == minute:
            _, before, gone = self._counts.pop()
            entered, left = entered + before, left + gone
        self._counts.append((minute, entered, left))

    def last(self, now: float) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return those who entered, and those who left, in each of the last minutes."""
        if not self._counts:
            return (), ()
        known = {minute: counts for minute, *counts in self._counts}
        current = int(now // 60)
        shown = [known.get(current - n, [0, 0]) for n in reversed(range(MINUTES))]
        return tuple(entered for entered, _ in shown), tuple(left for _, left in shown)
