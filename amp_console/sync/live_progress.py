"""What a live session looks like: lag, queue, what was done, and who waits."""

from collections import deque

import msgspec

from amp_console.ledger.runs import AudienceCounts, total_of
from amp_console.ledger.sources import Tally

SAMPLES = 2_000  # arrivals whose lag is remembered


class LiveAudience(msgspec.Struct, frozen=True):
    """One audience as it follows: `queue` changes are not delivered yet, the oldest `lag` seconds.

    `state` says why its users are pending, "" while it follows; `waits` says that it may not be
    delivered at all for now, so that its lag is nobody's fault.
    """

    audience_id: int
    key: str
    name: str
    queue: int
    lag: float
    counts: AudienceCounts
    state: str
    waits: bool = False


class LiveSnapshot(msgspec.Struct, frozen=True):
    """A live session at one moment; all times in seconds."""

    run_id: int
    elapsed: float
    tally: Tally
    lag_95: float
    audiences: tuple[LiveAudience, ...]

    @property
    def lag(self) -> float:
        """The age of the oldest change that is not delivered yet."""
        return max((each.lag for each in self.audiences if not each.waits), default=0.0)

    @property
    def queue(self) -> int:
        """Changes that are not delivered yet, of audiences that may be delivered."""
        return sum(each.queue for each in self.audiences if not each.waits)

    @property
    def counts(self) -> AudienceCounts:
        """What was done for all audiences together."""
        return total_of(each.counts for each in self.audiences)


class Lags:
    """How long changes took from their arrival to Amplitude's answer."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=SAMPLES)

    def add(self, seconds: float, changes: int) -> None:
        """So many changes took so long."""
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
