"""What a live session looks like: lag, queue, what was done, and who waits."""

import enum

import msgspec

from amp_console.ledger.refused_requests import RefusedRequests
from amp_console.ledger.runs import AudienceCounts, total_of
from amp_console.ledger.sources import ReadCounts
from amp_console.sync.sources.protocols import SourceStatus


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
    sources: tuple[SourceStatus, ...] = ()
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
