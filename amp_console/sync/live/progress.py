"""The state of a live session: lag, queue, counts, and which audiences wait."""

import enum
from collections.abc import Iterable

import msgspec

from amp_console.ledger.refused_requests import RefusedRequests
from amp_console.ledger.runs import AudienceCounts, RunStatus, total_of
from amp_console.ledger.sources import ReadCounts
from amp_console.sync.delivery.progress import RequestsByStatus
from amp_console.sync.sources.protocols import SourceStatus
from amp_console.text import clean, first_sentence


class LivePhase(enum.StrEnum):
    """Whether an audience's cohort is live. `delayed`: trouble, retried without the operator.

    `waiting`: it needs the operator (no cohort, a large removal, disabled, paused, a broken link).
    """

    LIVE = "live"
    DELAYED = "delayed"
    WAITING = "waiting"
    ENDED = "ended"


class WaitReason(enum.StrEnum):
    """What an audience waits for, in words for a list; other reasons are Amplitude's words."""

    NO_COHORT = "no cohort"
    REMOVAL = "large removal"
    BROKEN = "broken link"
    OFF = "disabled"
    PAUSED = "paused"


CHOSEN = frozenset({WaitReason.OFF, WaitReason.PAUSED})
"""What an audience waits for because an operator chose it."""


class LiveAudience(msgspec.Struct, frozen=True):
    """One audience: `queue` changes are not delivered yet, the oldest of them for `lag` seconds.

    `state` says in words why they are pending, "" while it is live or where nothing is pending
    after the end; `waits_for` in a few (a `WaitReason`, or what Amplitude refused), "" unless it
    waits for the operator. `would_remove` names the members that a large removal waits with.
    `entered` and `left` count the events of the last minutes, the current one last, also those that
    changed nothing. So many changes ever `arrived`, and so many of them were `dropped` before they
    were sent: both only grow.
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
    waits_for: str = ""
    would_remove: str = ""
    entered: tuple[int, ...] = ()
    left: tuple[int, ...] = ()
    arrived: int = 0
    dropped: int = 0

    @property
    def is_live(self) -> bool:
        """Whether its cohort is live just now."""
        return self.phase is LivePhase.LIVE

    @property
    def waits(self) -> bool:
        """Whether nothing is delivered until the operator acts."""
        return self.phase is LivePhase.WAITING

    @property
    def needs_operator(self) -> bool:
        """Whether changes wait for anything but an operator's own decision, such as a pause."""
        return self.waits and self.queue > 0 and self.waits_for not in CHOSEN


class LiveChange(msgspec.Struct, frozen=True):
    """A change and when it was received, in microseconds since 1970 (UTC).

    `number` counts the changes of the session: one person may change several times.
    """

    number: int
    at: int
    audience: str
    id: str
    is_member: bool


class LiveSnapshot(msgspec.Struct, frozen=True):
    """A live session at one moment; all times in seconds.

    `latest` holds the changes read that were new to the ledger, the newest first.
    `now` is the moment on the clock of the sources' times. `backup_trouble` says why the ledger's
    last backup was not made. Every change that is not delivered counts in `queue` or in `waiting`.
    So many of the events read were there `earlier`, before their source was followed; so many
    changes were `pending_before` the session read any. `answered` has the requests to Amplitude by
    their answers. `updated` counts the members with something new in the events read.
    `omits_waits`: `lag_95` is without the time that changes waited for the operator.
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
    earlier: int = 0
    pending_before: int = 0
    answered: tuple[RequestsByStatus, ...] = ()
    updated: int = 0
    omits_waits: bool = False

    @property
    def source_count(self) -> int:
        """How many sources there are; of many files not all are listed."""
        return sum(1 + source.unlisted for source in self.sources)

    @property
    def arrived(self) -> int:
        """Changes that became pending since the session began, by its own events or others'.

        Together with those that were `pending_before`, they are delivered, rejected, `dropped`, or
        pending now.
        """
        return sum(audience.arrived for audience in self.audiences) - self.pending_before

    @property
    def dropped(self) -> int:
        """Changes that needed no request: later ones undid them, or another process sent them."""
        return sum(audience.dropped for audience in self.audiences)

    @property
    def lag(self) -> float:
        """Seconds since the oldest change that is not delivered yet was read."""
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
        """The ids of the audiences that are live just now."""
        return frozenset(item.audience_id for item in self.audiences if item.is_live)

    @property
    def refused(self) -> tuple[RefusedRequests, ...]:
        """The requests that receivers refused, by reason."""
        return tuple(refused for source in self.sources for refused in source.refused)

    @property
    def counts(self) -> AudienceCounts:
        """What was done for all audiences together."""
        return total_of(audience.counts for audience in self.audiences)


class LiveReport(msgspec.Struct, frozen=True):
    """How a session ended: `pending` users of audiences that do not wait for the operator.

    `status` is how the history shows it. So many users are `rejected`, or `unidentified`: without
    an identifier to send. A request without an answer may still undo what was delivered for the
    `uncertain` users.
    """

    run_id: int
    last: LiveSnapshot
    status: RunStatus
    pending: int
    rejected: int
    keys_refused: str | None
    uncertain: int = 0
    unidentified: int = 0


def pending_by_audience(audiences: Iterable[LiveAudience]) -> list[str]:
    """How many users of each audience are pending, and why: "“Newsletter” 120 (no cohort)"."""
    found = []
    for item in audiences:
        why = clean(item.waits_for or first_sentence(item.state), 200)
        if item.queue:
            found.append(f"“{clean(item.name)}” {item.queue:,}" + (f" ({why})" if why else ""))
    return found
