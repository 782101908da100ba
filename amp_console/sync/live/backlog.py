"""What is pending for an audience and since when, and how long deliveries take."""

from collections import deque
from collections.abc import Callable, Iterator

SAMPLES = 2_000  # arrivals whose lag is kept
MINUTES = 30  # whose changes are counted one by one


class Backlog:
    """The pending changes of one audience, with the times they became pending.

    Their number comes only from the ledger's counts: events repeat what is already delivered,
    others import, and a person may enter and leave in one window. Between two counts, a delivery
    under way counts down: `done` returns how many users the run has answered for. `clock` is
    monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float], done: Callable[[], int]) -> None:
        self._clock = clock
        self._done = done
        self._settled = done()  # answered for, and no longer in `_arrivals`
        self._arrivals: deque[tuple[float, int]] = deque()
        self._arrived = 0
        self._earlier = 0  # of the oldest: they became pending at an unknown time
        self.dropped = 0
        """Changes that were no longer pending before they were sent."""

    def __len__(self) -> int:
        """The number of arrivals, each of one or more changes."""
        return len(self._arrivals)

    @property
    def size(self) -> int:
        """Changes that are not delivered yet."""
        return max(0, self._balance)

    @property
    def arrived(self) -> int:
        """Changes that ever became pending: delivered, rejected, dropped, or still in `size`."""
        return self._arrived + max(0, -self._balance)

    @property
    def _balance(self) -> int:
        """Negative while a delivery has answered for more than was counted before it."""
        return sum(count for _, count in self._arrivals) - self._done() + self._settled

    def age(self, now: float) -> float:
        """Seconds since the oldest change became pending; 0.0 if all are delivered."""
        return now - self._arrivals[0][0] if self.size else 0.0

    def seconds_left(self, window: float) -> float:
        """Seconds until the window that the oldest change opened closes, given its length."""
        return window - (self._clock() - self._arrivals[0][0]) if self._arrivals else 0.0

    def begin(self, pending: int) -> bool:
        """Set how many changes were pending before anything was read; True if there are more."""
        are_more = self.recount(pending)
        self._earlier = self.size
        return are_more

    def recount(self, pending: int) -> bool:
        """Set how many changes are pending, as counted by the ledger; True if there are more now.

        If there are more, the new ones became pending now. If there are fewer, the newest are
        dropped.
        """
        before, more = self.size, pending - self._balance
        if more > 0:
            self._arrivals.append((self._clock(), more))
            self._arrived += more
        left = -more
        while left > 0 and self._arrivals:
            at, count = self._arrivals.pop()
            if count > left:
                self._arrivals.append((at, count - left))
            self.dropped += min(count, left)
            left -= count
        self._earlier = min(self._earlier, self.size)
        return pending > before

    def settle(self) -> Iterator[tuple[float, int]]:
        """Remove what the run has answered for, oldest first; yield the seconds and the changes.

        How long those took that were pending before anything was read, no one knows.
        """
        now, done = self._clock(), self._done()
        left, self._settled = done - self._settled, done
        while left > 0 and self._arrivals:
            at, count = self._arrivals.popleft()
            if count > left:
                self._arrivals.appendleft((at, count - left))
            settled = min(count, left)
            earlier = min(self._earlier, settled)
            self._earlier -= earlier
            if settled > earlier:
                yield now - at, settled - earlier
            left -= count
        self._arrived += max(0, left)

    def restart(self) -> None:
        """Make all changes pending from now on: waiting for the operator does not count as lag."""
        pending = sum(count for _, count in self._arrivals)
        self._arrivals = deque([(self._clock(), pending)] if pending else ())

    def merge(self, most: int) -> None:
        """Keep at most this many arrivals, merging neighbors: an audience may be late for days."""
        while len(self._arrivals) > most:
            found = list(self._arrivals)
            pairs = zip(found[::2], [*found[1::2], (0.0, 0)], strict=False)
            self._arrivals = deque((at, count + more) for (at, count), (_, more) in pairs)


class Lags:
    """How long changes took from their arrival to Amplitude's answer."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=SAMPLES)
        self.omits_waits = False
        """Whether some of the changes waited for the operator first, which does not count."""

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
    """How many users entered and left, minute by minute from the start of the session.

    `start` and all moments are in seconds of one clock.
    """

    def __init__(self, start: float) -> None:
        self._start = start
        self._counts: deque[tuple[int, int, int]] = deque(maxlen=MINUTES)

    def add(self, now: float, entered: int, left: int) -> None:
        """Count more users at a moment."""
        minute = self._minute(now)
        if self._counts and self._counts[-1][0] == minute:
            _, before, gone = self._counts.pop()
            entered, left = entered + before, left + gone
        self._counts.append((minute, entered, left))

    def last(self, now: float) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return those who entered, and those who left, in each of the last minutes.

        The session was under way in each of them.
        """
        if not self._counts:
            return (), ()
        known = {minute: counts for minute, *counts in self._counts}
        current = self._minute(now)
        first = max(0, current - MINUTES + 1)
        shown = [known.get(minute, [0, 0]) for minute in range(first, current + 1)]
        return tuple(entered for entered, _ in shown), tuple(left for _, left in shown)

    def _minute(self, moment: float) -> int:
        return int((moment - self._start) // 60)
