"""The speed of a run and its remaining time, calculated from timestamps.

Textual's `textual.eta.ETA` does not replace this. It has ratios, not users, so no rate to show. It
starts again whenever the ratio falls, as it does when people enter the audience in the meantime.
And its speed does not change while a rate limit is in effect.
"""

from collections import deque

WINDOW = 20.0  # seconds; a request of 100,000 ids takes two to four
NEVER = 100 * 3600.0  # seconds; a longer estimate is of no use
STEPS, SETTLED = 3, 3.0  # steps and seconds before time left is estimated: the first one says
# little, since its speed has the start of the run in it, and small batches come first


class Speed:
    """Users per second over the last `window` seconds. Times are seconds of any one clock."""

    def __init__(self, began: float = 0.0, window: float = WINDOW) -> None:
        self._window = window
        self._seen: deque[tuple[float, int]] = deque([(began, 0)])
        self._steps = 0
        self._first_step = began

    def record(self, at: float, done: int) -> None:
        """Record how many users are done at a time; times only increase."""
        if done != self._seen[-1][1]:
            self._seen.append((at, done))
            self._steps += 1
            self._first_step = at if self._steps == 1 else self._first_step
        self._forget(at)

    def per_second(self, now: float) -> float | None:
        """Return the mean speed over the window; None before any user is done."""
        self._forget(now)
        (since, before), (_, done) = self._seen[0], self._seen[-1]
        passed = now - since
        return (done - before) / passed if done and passed > 0 else None

    def seconds_left(self, left: int, now: float) -> float | None:
        """Return how long `left` users will take; None while that is unknown."""
        if left <= 0:
            return 0.0
        if self._steps < STEPS or now - self._first_step < SETTLED:
            return None
        per_second = self.per_second(now)
        if not per_second:
            return None
        seconds = left / per_second
        return seconds if seconds < NEVER else None

    def _forget(self, now: float) -> None:
        """Keep one sample from before the window: the speed is measured from there."""
        while len(self._seen) > 1 and self._seen[1][0] <= now - self._window:
            self._seen.popleft()
        if self._seen[0][0] < now - self._window:
            self._seen[0] = (now - self._window, self._seen[0][1])


def ordinal(number: int) -> str:
    """Return "1st", "2nd", "3rd", "11th"."""
    last = 0 if number % 100 in {11, 12, 13} else number % 10
    return str(number) + {1: "st", 2: "nd", 3: "rd"}.get(last, "th")
