"""What a live session looks like: lag, queue, what was done, and who waits."""

import enum
from collections import deque

import msgspec

from amp_console.ledger.refused_requests import RefusedRequests
from amp_console.ledger.runs import AudienceCounts, total_of
from amp_console.ledger.sources import ReadCounts

SAMPLES = 2_000  # arrivals whose lag is remembered
MINUTES = 30  # whose changes are counted one by one


class LiveSource(msgspec.Struct, frozen=True):
    """Where events come from: how many since the session began, and `last` when (monotonic, s).

    Of a file `position` of `size` bytes are read; both are None for what has no end. A receiver
    counts in `refused` the requests that it refused.
    """

    name: str
    events: int = 0
    last: float | None = None
    position: int | None = None
    size: int | None = None
    trouble: str = ""
    refused: tuple[RefusedRequests, ...] = ()


class LivePhase(enum.StrEnum):
    """Whether an audience's cohort follows. `delayed`: trouble, and it is tried again by itself.

    `waiting`: it needs the operator (no cohort, switched off, paused, a broken link).
    """

    LIVE = "live"
    DELAYED = "delayed"
    WAITING = "waiting"
    ENDED = "ended"


class LiveAudience(msgspec.Struct, frozen=True):
    """One audience: `queue` changes are not delivered yet, the oldest of them for `lag` seconds.

    `state` says in words why they are pending, "" while it is live or where nothing is pending
    after the end. `entered` and `left` count the changes of the last minutes, the current one last.
    """

    audience_id: int
    key: str
    name: str
    queue: int
    lag: float
    counts: AudienceCounts
    state: str
    phase: LivePhase = LivePhase.LIVE
    is_paused: bool = False
    entered: tuple[int, ...] = ()
    left: tuple[int, ...] = ()

    @property
    def waits(self) -> bool:
        """Whether nothing is delivered before the operator has done something."""
        return self.phase is LivePhase.WAITING


class LiveChange(msgspec.Struct, frozen=True):
    """A change that was taken in at a time of day (microseconds since 1970, UTC)."""

    at: int
    audience: str
    id: str
    is_member: bool


class LiveSnapshot(msgspec.Struct, frozen=True):
    """A live session at one moment; all times in seconds. `latest` holds the newest change first.

    `now` is the moment on the clock of the sources' times. `backup_trouble` says why the ledger's
    last backup was not made. Every change that is not delivered counts in `queue` or in `waiting`.
    """

    run_id: int
    elapsed: float
    tally: ReadCounts
    lag_95: float
    audiences: tuple[LiveAudience, ...]
    sources: tuple[LiveSource, ...] = ()
    latest: tuple[LiveChange, ...] = ()
    now: float = 0.0
    backup_trouble: str | None = None
    is_over: bool = False

    @property
    def lag(self) -> float:
        """The age of the oldest change that is not delivered yet."""
        return max((audience.lag for audience in self.audiences if not audience.waits), default=0.0)

    @property
    def queue(self) -> int:
        """Changes that are not delivered yet, of audiences that do not wait for the operator."""
        return sum(audience.queue for audience in self.audiences if not audience.waits)

    @property
    def waiting(self) -> int:
        """Changes of audiences that wait for the operator."""
        return sum(audience.queue for audience in self.audiences if audience.waits)

    @property
    def live(self) -> frozenset[int]:
        """The ids of the audiences whose cohorts follow just now."""
        found = (audience for audience in self.audiences if audience.phase is LivePhase.LIVE)
        return frozenset(item.audience_id for item in found)

    @property
    def refused(self) -> tuple[RefusedRequests, ...]:
        """The requests that receivers refused, by reason."""
        return tuple(refused for source in self.sources for refused in source.refused)

    @property
    def counts(self) -> AudienceCounts:
        """What was done for all audiences together."""
        return total_of(audience.counts for audience in self.audiences)


class LiveReport(msgspec.Struct, frozen=True):
    """How a session ended; so many users are `pending` in audiences that may be delivered.

    What is delivered of the `uncertain`, a request without an answer may still undo.
    """

    run_id: int
    last: LiveSnapshot
    pending: int
    keys_refused: str | None
    uncertain: int = 0


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


class Minutes:
    """How many entered and left, minute by minute."""

    def __init__(self) -> None:
        self._counts: deque[tuple[int, int, int]] = deque(maxlen=MINUTES)

    def add(self, now: float, entered: int, left: int) -> None:
        """So many more have, at a moment in seconds."""
        minute = int(now // 60)
        if self._counts and self._counts[-1][0] == minute:
            _, before, gone = self._counts.pop()
            entered, left = entered + before, left + gone
        self._counts.append((minute, entered, left))

    def last(self, now: float) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Those who entered, and those who left, in each of the last minutes."""
        if not self._counts:
            return (), ()
        known = {minute: counts for minute, *counts in self._counts}
        current = int(now // 60)
        shown = [known.get(current - n, [0, 0]) for n in reversed(range(MINUTES))]
        return tuple(item[0] for item in shown), tuple(item[1] for item in shown)
