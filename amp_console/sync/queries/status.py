"""The status of audiences: in one word, and in the few numbers that operators need."""

import enum
from collections.abc import Callable, Collection, Iterable, Sequence

import msgspec

from amp_console.connections import Connection
from amp_console.ledger import Db
from amp_console.ledger.audiences import Audience, all_audiences, audience
from amp_console.ledger.comparisons import CohortFinding, count_due, last_finding
from amp_console.ledger.counts import (
    Headcount,
    InCohort,
    Outstanding,
    headcount,
    outstanding,
    outstanding_of_all,
)
from amp_console.ledger.runs import live_audiences
from amp_console.sync.delivery.plan import cohort_name, owner_email
from amp_console.sync.future_changes import dated_ahead, latest_credible
from amp_console.text import plural
from amp_console.values import now_in_microseconds


class Status(enum.StrEnum):
    """The status of an audience, in the words of the screen.

    `NOT_COMPARED` says that everything the events read ask for was delivered and that Amplitude
    confirmed it, but the cohort was not compared: others may have changed it, and an equal size
    says little. `IN_SYNC` says that the cohort was compared, too. `DIFFERS` is what the last
    comparison found until it is delivered. `PAUSED`: a live session follows it and delivers
    nothing. `SIZE_DIFFERS` is the difference between
    the size that Amplitude gave last and what was delivered and found in the cohort; only a
    comparison tells who that is.
    """

    IN_SYNC = "in sync"
    NOT_COMPARED = "not compared"
    PENDING = "pending"
    UNCERTAIN = "not yet certain"
    REJECTED = "rejected"
    NOT_LINKED = "not linked"
    BROKEN = "broken link"
    OFF = "disabled"
    DIFFERS = "differs"
    SIZE_DIFFERS = "size differs"
    LIVE = "live"
    PAUSED = "paused"


BY_SEVERITY = (
    Status.BROKEN,
    Status.DIFFERS,
    Status.SIZE_DIFFERS,
    Status.REJECTED,
    Status.NOT_LINKED,
    Status.UNCERTAIN,
    Status.PAUSED,
    Status.PENDING,
    Status.LIVE,
    Status.OFF,
    Status.NOT_COMPARED,
    Status.IN_SYNC,
)
"""The most severe first: what only an operator can fix, then what the next sync fixes."""
NEEDS_ATTENTION = frozenset({Status.BROKEN, Status.DIFFERS, Status.SIZE_DIFFERS, Status.REJECTED})
"""What stays as it is until an operator acts on it."""


class State(msgspec.Struct, frozen=True):
    """One thing that is true of an audience now, and how many users it concerns (0: no count).

    `is_fewer`: Amplitude has so many users fewer, not more, than it should. `is_extra`: all who
    differ are extra in the cohort. `has_same_size`: Amplitude gave the expected size.
    """

    status: Status
    users: int = 0
    is_fewer: bool = False
    is_extra: bool = False
    has_same_size: bool = False

    def __str__(self) -> str:
        """In words: "10 rejected", "6 extra", "175 fewer in Amplitude", "broken link"."""
        if self.has_same_size:
            return f"same size, {self.status}"
        if not self.users:
            return str(self.status)
        if self.status is Status.DIFFERS:
            differ = "differs" if self.users == 1 else "differ"
            return f"{self.users:,} {'extra' if self.is_extra else differ}"
        if self.status is Status.SIZE_DIFFERS:
            return more_or_fewer(self.users, "Amplitude", is_fewer=self.is_fewer)
        return f"{self.users:,} {self.status}"

    @property
    def severity(self) -> int:
        """Its place in `BY_SEVERITY`; 0 is the worst."""
        return BY_SEVERITY.index(self.status)


def more_or_fewer(users: int, where: str, *, is_fewer: bool) -> str:
    """How a size elsewhere differs from the expected one: "175 fewer in Amplitude"."""
    return f"{users:,} {'fewer' if is_fewer else 'more'} in {where}"


class AudienceSummary(msgspec.Struct, frozen=True):
    """One audience with its effective settings and what is left to do.

    `count` is None if the members were not counted.
    """

    audience: Audience
    cohort_name: str
    owner_email: str
    left: Outstanding
    count: Headcount | None
    status: Status
    finding: CohortFinding | None = None
    """What the last comparison found that no sync changes; None if it was never compared."""
    due: int = 0
    """How many of those who are pending the last comparison found to differ."""
    is_live: bool = False
    """Whether a live session, of any process, delivers it now, as far as the ledger knows."""

    @property
    def members(self) -> int | None:
        """How many people the audience wants in its cohort; None if they were not counted."""
        return self.count.members if self.count else None

    @property
    def held(self) -> InCohort | None:
        """How many users are in its cohort by the ledger; None if they were not counted."""
        return self.count.held if self.count else None

    def states(
        self, size: int | None = None, *, is_live: bool | None = None, is_paused: bool = False
    ) -> tuple[State, ...]:
        """Every state of the audience now, the most severe first.

        `size` is the size of its cohort in Amplitude, if known. `is_live` comes from a session of
        this process that follows the audience, and is newer than the ledger; None without one.
        `is_paused`: that session was told to deliver nothing.
        """
        strangers = self.finding.strangers if self.finding else 0
        by_size = 0
        if size is not None and self.held is not None:
            without_id = self.finding.without_id if self.finding else 0
            by_size = self.held.more_in(size - strangers - without_id)
        is_live = self.is_live if is_live is None else is_live
        return states_of(
            self.audience,
            self.left,
            strangers,
            by_size,
            due=self.due,
            is_compared=self.finding is not None,
            has_size=size is not None,
            is_live=is_live,
            is_paused=is_paused,
        )

    @property
    def notice(self) -> str | None:
        """A warning about the times of its events, or None."""
        if self.count is None or not self.count.ahead:
            return None
        return dated_ahead(self.count.ahead, self.count.ahead_until)


def status_of(audience: Audience, left: Outstanding, *, is_compared: bool) -> Status:
    """The status of an audience: the first one that applies; `is_compared` as in `states_of`."""
    if not audience.enabled:
        return Status.OFF
    if audience.broken:
        return Status.BROKEN
    if audience.cohort_id is None:
        return Status.NOT_LINKED
    if left.pending:
        return Status.PENDING
    if left.uncertain:
        return Status.UNCERTAIN
    delivered = Status.IN_SYNC if is_compared else Status.NOT_COMPARED
    return Status.REJECTED if left.rejected else delivered


def states_of(
    audience: Audience,
    left: Outstanding,
    strangers: int = 0,
    by_size: int = 0,
    *,
    due: int = 0,
    is_compared: bool,
    has_size: bool = False,
    is_live: bool = False,
    is_paused: bool = False,
) -> tuple[State, ...]:
    """Every state of an audience, the most severe first.

    `strangers` are in its cohort without a reason, and of those who are pending, so many are `due`
    to the comparison that found them; `by_size` is how many users more its cohort has in Amplitude
    than are known to be in it, negative for fewer. `has_size`: that was read. A disabled audience
    has its other states, too.
    """
    users = {
        Status.DIFFERS: strangers + due,
        Status.SIZE_DIFFERS: abs(by_size),
        Status.REJECTED: left.rejected,
        Status.UNCERTAIN: left.uncertain,
        Status.PENDING: left.pending,
    }
    found = [
        State(
            status,
            count,
            is_fewer=status is Status.SIZE_DIFFERS and by_size < 0,
            is_extra=status is Status.DIFFERS and not due,
        )
        for status, count in users.items()
        if count
    ]
    if audience.broken:
        found.append(State(Status.BROKEN))
    elif audience.cohort_id is None:
        found.append(State(Status.NOT_LINKED))
    if not found:
        delivered = Status.IN_SYNC if is_compared else Status.NOT_COMPARED
        found.append(State(delivered, has_same_size=has_size and not is_compared))
    if not audience.enabled:
        found.append(State(Status.OFF))
    if is_paused:
        found.append(State(Status.PAUSED))
    elif is_live:
        found.append(State(Status.LIVE))
    return tuple(sorted(found, key=lambda state: state.severity))


def needs_attention(states: Iterable[State]) -> bool:
    """Whether an operator has to act on an audience in these states."""
    return any(state.status in NEEDS_ATTENTION for state in states)


class Overview(msgspec.Struct, frozen=True):
    """What is true of several audiences together: how many there are, and need attention.

    Of these, `broken`, `sizes` (which differ) and `unlinked` count audiences; `differing` and
    `rejected` count the users of so many audiences (`_in`), `pending` counts changes; `unchecked`
    audiences are delivered and not compared.
    """

    audiences: int
    attention: int
    broken: int
    differing: int
    differing_in: int
    sizes: int
    rejected: int
    rejected_in: int
    unlinked: int
    pending: int
    unchecked: int

    @property
    def reasons(self) -> list[str]:
        """Why so many audiences need attention: "1 broken link", "2 with 13 rejected users"."""
        found = []
        if self.broken:
            found.append(plural(self.broken, "broken link"))
        if self.differing:
            users = plural(self.differing, "differing user")
            found.append(f"{self.differing_in:,} with {users}")
        if self.sizes:
            found.append(f"{self.sizes:,} with a different size")
        if self.rejected:
            users = plural(self.rejected, "rejected user")
            found.append(f"{self.rejected_in:,} with {users}")
        return found

    @property
    def brief_reasons(self) -> list[str]:
        """The same for little room, without the users: "1 broken", "2 with rejections"."""
        reasons = [
            (self.broken, "broken"),
            (self.differing_in, "with differences"),
            (self.sizes, "other size"),
            (self.rejected_in, "with rejections"),
        ]
        return [f"{count:,} {what}" for count, what in reasons if count]


def overview(audiences: Sequence[Sequence[State]]) -> Overview:
    """Sum up the states of several audiences."""

    def count(status: Status) -> int:
        return sum(state.users or 1 for state in all_of(status))

    def all_of(status: Status) -> list[State]:
        return [state for states in audiences for state in states if state.status is status]

    return Overview(
        len(audiences),
        sum(needs_attention(states) for states in audiences),
        count(Status.BROKEN),
        count(Status.DIFFERS),
        len(all_of(Status.DIFFERS)),
        len(all_of(Status.SIZE_DIFFERS)),
        count(Status.REJECTED),
        len(all_of(Status.REJECTED)),
        count(Status.NOT_LINKED),
        count(Status.PENDING),
        count(Status.NOT_COMPARED),
    )


def audience_summaries(
    db: Db,
    connection: Connection,
    *,
    count_members: bool = True,
    now: Callable[[], int] = now_in_microseconds,
    dead: Collection[int] = (),
) -> list[AudienceSummary]:
    """Every audience, by name. Counting members reads each of them.

    `dead` are the ids from `Ledger.dead_runs`: their sessions follow nothing any more.
    """
    left = outstanding_of_all(db)
    limit = latest_credible(now()) if count_members else None
    live = live_audiences(db, dead)
    return [
        _standing(db, connection, item, left.get(item.id, NOTHING_LEFT), limit, live)
        for item in all_audiences(db)
    ]


def audience_summary(
    db: Db,
    connection: Connection,
    audience_id: int,
    now: Callable[[], int] = now_in_microseconds,
    dead: Collection[int] = (),
) -> AudienceSummary:
    """One audience, with its members counted; `dead` as in `audience_summaries`."""
    known = audience(db, audience_id)
    left, live = outstanding(db, known), live_audiences(db, dead)
    return _standing(db, connection, known, left, latest_credible(now()), live)


def _standing(
    db: Db,
    connection: Connection,
    known: Audience,
    left: Outstanding,
    limit: int | None,
    live: Collection[int],
) -> AudienceSummary:
    finding = last_finding(db, known.id)
    return AudienceSummary(
        audience=known,
        cohort_name=known.linked_name or cohort_name(known, connection),
        owner_email=owner_email(known, connection),
        left=left,
        count=None if limit is None else headcount(db, known, limit),
        status=status_of(known, left, is_compared=finding is not None),
        finding=finding,
        due=count_due(db, finding.comparison_id) if finding and left.pending else 0,
        is_live=known.id in live,
    )


NOTHING_LEFT = Outstanding(add=0, remove=0, rejected=0, unidentified=0)
