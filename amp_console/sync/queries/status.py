"""The status of audiences: in one word, and in the few numbers that operators need."""

import enum
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from amp_console.amplitude import KeysRefused
from amp_console.connections import Connection
from amp_console.ledger import Db
from amp_console.ledger.audiences import Audience, all_audiences, audience
from amp_console.ledger.comparisons import CohortFinding, count_due, last_finding, last_findings
from amp_console.ledger.counts import (
    Headcount,
    InCohort,
    Outstanding,
    headcount,
    headcounts,
    outstanding,
    outstanding_of_all,
)
from amp_console.ledger.db import ledger_time
from amp_console.ledger.runs import (
    RunKind,
    delivering_audiences,
    failed_since,
    live_audiences,
)
from amp_console.ledger.turns import Turn, turns
from amp_console.sync.delivery.plan import (
    AudiencePlan,
    cohort_name,
    large_removal,
    owner_email,
)
from amp_console.sync.future_changes import dated_ahead, latest_credible
from amp_console.text import part_of, plural
from amp_console.values import now_in_microseconds


class Status(enum.StrEnum):
    """The status of an audience, in the words of the screen.

    `NOT_COMPARED` says that everything the events read ask for was delivered and that Amplitude
    confirmed it, but the cohort was not compared: others may have changed it, and an equal size
    says little. `IN_SYNC` says that the cohort was compared, too. `DIFFERS` is what the last
    comparison found until it is delivered. `UNDER_WAY`: a run of any process has its lease.
    `PAUSED`: a live session follows it and delivers nothing. `SIZE_DIFFERS` is the difference
    between the size that Amplitude gave last and what was delivered and found in the cohort; only a
    comparison tells who that is. `LARGE_REMOVAL`: the next sync removes more than half of the
    cohort's members, as its plan warns. `NO_IDENTIFIER`: members have no identifier of the
    audience's ID type, so they are never sent. `KEYS_REFUSED`: something is pending that a sync
    would send, and Amplitude refused the keys of the last request.
    """

    IN_SYNC = "in sync"
    NOT_COMPARED = "not compared"
    PENDING = "pending"
    UNCERTAIN = "not yet certain"
    REJECTED = "rejected"
    NO_IDENTIFIER = "missing ID"
    NO_COHORT = "no cohort"
    BROKEN = "broken link"
    KEYS_REFUSED = "keys refused"
    LARGE_REMOVAL = "to remove"
    OFF = "disabled"
    DIFFERS = "differs"
    SIZE_DIFFERS = "size differs"
    UNDER_WAY = "under way"
    LIVE = "live"
    PAUSED = "paused"


NEEDS_ATTENTION = (
    Status.BROKEN,
    Status.KEYS_REFUSED,
    Status.LARGE_REMOVAL,
    Status.DIFFERS,
    Status.SIZE_DIFFERS,
    Status.REJECTED,
    Status.NO_IDENTIFIER,
)
"""What stays as it is until an operator acts on it, the most severe first.

So does what is pending without a cohort.
"""
BY_SEVERITY = (
    *NEEDS_ATTENTION,
    Status.NO_COHORT,
    Status.UNCERTAIN,
    Status.PAUSED,
    Status.UNDER_WAY,
    Status.PENDING,
    Status.LIVE,
    Status.OFF,
    Status.NOT_COMPARED,
    Status.IN_SYNC,
)
"""The most severe first: what only an operator can fix, then what the next sync fixes."""


class State(msgspec.Struct, frozen=True):
    """One thing that is true of an audience now, and how many users it concerns (0: no count).

    `is_fewer`: Amplitude has so many users fewer, not more, than it should. `is_extra`: all who
    differ are extra in the cohort. `has_same_size`: Amplitude gave the expected size. `members` are
    those of the cohort from which so many users are removed; 0: not known. `words` say it all where
    there is more to say; `run_id` is that of a run under way.
    """

    status: Status
    users: int = 0
    is_fewer: bool = False
    is_extra: bool = False
    has_same_size: bool = False
    members: int = 0
    words: str = ""
    run_id: int | None = None

    def __str__(self) -> str:
        """In words: "10 rejected", "3 missing Amplitude IDs", "6 extra", "broken link"."""
        if self.words or not self.users:
            return self.words or f"{'same size, ' if self.has_same_size else ''}{self.status}"
        if self.status is Status.DIFFERS:
            differ = plural(self.users, "differs", "differ")
            return f"{self.users:,} extra" if self.is_extra else differ
        if self.status is Status.SIZE_DIFFERS:
            return more_or_fewer(self.users, "Amplitude", is_fewer=self.is_fewer)
        if self.status is Status.LARGE_REMOVAL and self.members:
            return f"removes {part_of(self.users, self.members, 'cohort member')}"
        return f"{self.users:,} {self.status}"

    @property
    def brief(self) -> str:
        """In words for a list, whose other columns say how many are removed, or pending."""
        if self.status is Status.LARGE_REMOVAL:
            return "large removal"
        if self.status is Status.NO_IDENTIFIER:
            return plural(self.users, "missing ID")
        return str(self.status) if self.status is Status.NOT_COMPARED else str(self)

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
    live_by: str = ""
    """The operator of that session; "" where it is the one who asks."""
    turn: Turn | None = None
    """The run that has its lease now, in whatever process; None: no run has."""
    is_delivering: bool = False
    """Whether a run, of any process, is changing its cohort now: its size is not judged then."""
    large_removal: AudiencePlan | None = None
    """What the next sync sends where it removes more than half of the cohort's members; None where
    it does not, or where the members were not counted."""

    @property
    def members(self) -> int | None:
        """How many people should be in the cohort; None if they were not counted."""
        return self.count.members if self.count else None

    @property
    def is_never_compared(self) -> bool:
        """Whether it is delivered to a cohort that was never compared."""
        known = self.audience
        is_linked = known.cohort_id is not None and not known.broken
        return known.enabled and is_linked and self.finding is None

    @property
    def held(self) -> InCohort | None:
        """How many users are in its cohort by the ledger; None if they were not counted."""
        return self.count.held if self.count else None

    def states(
        self,
        size: int | None = None,
        *,
        is_live: bool | None = None,
        is_paused: bool = False,
        are_keys_refused: bool = False,
        run_words: str = "",
    ) -> tuple[State, ...]:
        """Every state of the audience now, the most severe first.

        `size` is the size of its cohort in Amplitude, if known. `is_live` comes from a session of
        this process that follows the audience, and is newer than the ledger; None without one.
        `is_paused`: that session was told to deliver nothing. `are_keys_refused`: Amplitude refused
        the keys of the last request. `run_words` say what a run of this process does, which knows
        more than the ledger; "" without one.
        """
        if self.is_delivering:
            size = None
        known, left = self.audience, self.left
        found = self._counted(size)
        leaving = self.large_removal.in_cohort if self.large_removal else 0
        if leaving and left.remove and not known.broken:
            found.append(State(Status.LARGE_REMOVAL, left.remove, members=leaving))
        if are_keys_refused and left.pending and known.enabled and not known.broken:
            found.append(State(Status.KEYS_REFUSED))
        if known.broken:
            found.append(State(Status.BROKEN))
        elif known.cohort_id is None:
            found.append(State(Status.NO_COHORT))
        if not found:
            is_compared = self.finding is not None
            delivered = Status.IN_SYNC if is_compared else Status.NOT_COMPARED
            found.append(State(delivered, has_same_size=size is not None and not is_compared))
        if not known.enabled:
            found.append(State(Status.OFF))
        found += self._happening(is_live=is_live, is_paused=is_paused, run_words=run_words)
        return tuple(sorted(found, key=lambda item: (item.status is not Status.OFF, item.severity)))

    def _counted(self, size: int | None) -> list[State]:
        """The states that concern users, of a disabled audience, too."""
        strangers = self.finding.strangers if self.finding else 0
        by_size = 0  # users more than are known to be in its cohort; negative for fewer
        if size is not None and self.held is not None:
            without_id = self.finding.without_id if self.finding else 0
            by_size = self.held.more_in(size - strangers - without_id)
        missing = plural(self.left.unidentified, f"missing {self.audience.id_type.label}")
        found = (
            State(Status.DIFFERS, strangers + self.due, is_extra=not self.due),
            State(Status.SIZE_DIFFERS, abs(by_size), is_fewer=by_size < 0),
            State(Status.REJECTED, self.left.rejected),
            State(Status.NO_IDENTIFIER, self.left.unidentified, words=missing),
            State(Status.UNCERTAIN, self.left.uncertain),
            State(Status.PENDING, self.left.pending),
        )
        return [state for state in found if state.users]

    def _happening(
        self, *, is_live: bool | None, is_paused: bool, run_words: str
    ) -> Iterator[State]:
        """What sessions and runs do for it now."""
        if is_paused:
            yield State(Status.PAUSED)
        elif is_live or (is_live is None and self.is_live):
            live_by = self.live_by if is_live is None else ""
            yield State(Status.LIVE, words=_with_operator(str(Status.LIVE), live_by))
        if (turn := self.turn) is not None:
            words = run_words or _with_operator(turn_words(turn, self.left.pending), turn.operator)
            yield State(Status.UNDER_WAY, words=words, run_id=turn.run_id)

    @property
    def notice(self) -> str | None:
        """A warning about the times of its events, or None."""
        if self.count is None or not self.count.ahead:
            return None
        return dated_ahead(self.count.ahead, self.count.ahead_until)


def status_of(audience: Audience, left: Outstanding, *, is_compared: bool) -> Status:
    """The first status that applies to an audience, whose cohort `is_compared` with it or not."""
    if not audience.enabled:
        return Status.OFF
    if audience.broken:
        return Status.BROKEN
    if audience.cohort_id is None:
        return Status.NO_COHORT
    if left.pending:
        return Status.PENDING
    if left.uncertain:
        return Status.UNCERTAIN
    failed = Status.REJECTED if left.rejected else Status.NO_IDENTIFIER
    delivered = Status.IN_SYNC if is_compared else Status.NOT_COMPARED
    return failed if left.failed else delivered


def turn_words(turn: Turn, pending: int) -> str:
    """What a run does for an audience, and how far it is: "sync 45%"."""
    is_counted = turn.kind is RunKind.SYNC
    return f"{turn.kind}{share_of(turn.done, turn.done + pending) if is_counted else ''}"


def share_of(done: int, total: int) -> str:
    """How far a run is, after a word: " 45%"; "" if it has nothing to do."""
    return f" {100 * done // total}%" if total else ""


def _with_operator(words: str, operator: str) -> str:
    return f"{words} by {operator}" if operator else words


def needs_attention(states: Iterable[State]) -> bool:
    """Whether an operator has to act on an audience in these states; not while it is disabled."""
    found = {state.status for state in states}
    waits = {Status.NO_COHORT, Status.PENDING} <= found  # a live session does not send these
    return Status.OFF not in found and (waits or not found.isdisjoint(NEEDS_ATTENTION))


def _is_off(states: Iterable[State]) -> bool:
    return any(state.status is Status.OFF for state in states)


class Overview(msgspec.Struct, frozen=True):
    """What is true of several audiences together: how many there are, and need attention.

    `without_cohort` counts the audiences that have no cohort and need no attention, `not_compared`
    the enabled ones in that state, `pending` changes, `rejected` and `unidentified` the users of
    those that are enabled. `reasons` say why so many audiences need attention: "1 broken link", "2
    with rejected users". An audience with two reasons counts for the more severe one, so that they
    add up: "1 more with rejected users". What concerns no other audience comes last: "also 2 with
    rejected users".
    """

    audiences: int
    attention: int
    rejected: int
    unidentified: int
    without_cohort: int
    not_compared: int
    pending: int
    reasons: tuple[str, ...] = ()


def overview(audiences: Sequence[Sequence[State]]) -> Overview:
    """Sum up the states of several audiences; nothing of a disabled one needs attention."""
    needing = [states for states in audiences if needs_attention(states)]

    def count(status: Status, counted: Sequence[Sequence[State]] = audiences) -> int:
        found = [state for states in counted for state in states if state.status is status]
        return sum(state.users or 1 for state in found)

    return Overview(
        len(audiences),
        len(needing),
        count(Status.REJECTED, needing),
        count(Status.NO_IDENTIFIER, needing),
        count(Status.NO_COHORT, [item for item in audiences if not needs_attention(item)]),
        count(Status.NOT_COMPARED, [item for item in audiences if not _is_off(item)]),
        count(Status.PENDING),
        tuple(_reasons(needing)),
    )


def _reasons(needing: Sequence[Sequence[State]]) -> list[str]:
    """Why these audiences need attention, the most severe reason first."""
    reasons, also, counted = list[str](), list[str](), set[int]()
    for status in (*NEEDS_ATTENTION, Status.NO_COHORT):
        found = {
            at: state
            for at, states in enumerate(needing)
            for state in states
            if state.status is status
        }
        if not found:
            continue
        new = found.keys() - counted
        counted |= new
        more = " more" if 0 < len(new) < len(found) else ""
        reason = _reason([found[at] for at in sorted(new or found)], more)
        if new:
            reasons.append(reason)
        else:
            also.append(f"also {reason}")
    return reasons + also


def _reason(found: Sequence[State], more: str) -> str:
    """Say how many audiences are in a state: "2 broken links", "1 more with rejected users"."""
    many, status = f"{len(found):,}{more}", found[0].status
    if status is Status.SIZE_DIFFERS:
        which = {"too small" if state.is_fewer else "too large" for state in found}
        return f"{many} cohort{'' if len(found) == 1 else 's'} {' or '.join(sorted(which))}"
    if status in _WITH:
        return f"{many} {_WITH[status]}"
    if status in _NAMES:
        return f"{many} {_NAMES[status]}{'' if len(found) == 1 else 's'}"
    return f"{status} for {many}"


_WITH = {
    Status.DIFFERS: "with differing users",
    Status.REJECTED: "with rejected users",
    Status.NO_IDENTIFIER: "with missing IDs",
    Status.NO_COHORT: "with no cohort",
}
_NAMES = {Status.BROKEN: "broken link", Status.LARGE_REMOVAL: "large removal"}


def audience_summaries(
    db: Db,
    connection: Connection,
    *,
    count_members: bool = True,
    now: Callable[[], int] = now_in_microseconds,
    dead: Collection[int] = (),
) -> list[AudienceSummary]:
    """Every audience, by name. Counting members reads each of them.

    `dead` are the ids from `Ledger.dead_runs`: their sessions follow nothing anymore.
    """
    left, audiences = outstanding_of_all(db), all_audiences(db)
    moment = ledger_time(db, now()) if count_members else None
    counts = {} if moment is None else headcounts(db, audiences, latest_credible(moment))
    under_way, findings = _under_way(db, dead), last_findings(db)
    return [
        _standing(
            db,
            connection,
            item,
            left.get(item.id, NOTHING_LEFT),
            counts.get(item.id),
            findings.get(item.id),
            moment,
            under_way,
        )
        for item in audiences
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
    left, under_way, moment = outstanding(db, known), _under_way(db, dead), ledger_time(db, now())
    count = headcount(db, known, latest_credible(moment))
    finding = last_finding(db, known.id)
    return _standing(db, connection, known, left, count, finding, moment, under_way)


class _UnderWay(NamedTuple):
    """The audiences that live sessions follow, with their operators; those with a run at work.

    `delivering` are those whose cohorts are being changed.
    """

    live: Mapping[int, str]
    delivering: Collection[int]
    turns: Mapping[int, Turn]


def _under_way(db: Db, dead: Collection[int]) -> _UnderWay:
    return _UnderWay(live_audiences(db, dead), delivering_audiences(db, dead), turns(db, dead))


def _standing(
    db: Db,
    connection: Connection,
    known: Audience,
    left: Outstanding,
    count: Headcount | None,
    finding: CohortFinding | None,
    moment: int | None,
    under_way: _UnderWay,
) -> AudienceSummary:
    removal = None
    if moment is not None and (left.remove or left.uncertain):
        removal = large_removal(db, connection, known, moment)
    return AudienceSummary(
        audience=known,
        cohort_name=known.linked_name or cohort_name(known, connection),
        owner_email=owner_email(known, connection),
        left=left,
        count=count,
        status=status_of(known, left, is_compared=finding is not None),
        finding=finding,
        due=count_due(db, finding.comparison_id) if finding and left.pending else 0,
        is_live=known.id in under_way.live,
        live_by=under_way.live.get(known.id, ""),
        turn=under_way.turns.get(known.id),
        is_delivering=known.id in under_way.delivering,
        large_removal=removal,
    )


def keys_refused_at(db: Db, outside_runs: int | None = None) -> int | None:
    """When Amplitude refused the keys last, in microseconds since 1970.

    None where it did not, or has confirmed a request or a comparison since. `outside_runs` is when
    it refused them for something that is no run, such as a list of cohorts.
    """
    return failed_since(db, KeysRefused.HAPPENED, outside_runs)


NOTHING_LEFT = Outstanding(add=0, remove=0, rejected=0, unidentified=0)
