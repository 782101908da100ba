"""Comparisons: how a cohort, as exported from Amplitude, differed from its audience."""

import enum
from collections.abc import Collection, Sequence
from typing import Any, cast

import msgspec

from amp_console.ledger.db import EVERY, ID_TYPE_CODE, ID_TYPE_OF, Db
from amp_console.ledger.runs import RunKind, RunStatus
from amp_console.values import IdType

KEPT = 10  # comparisons of an audience whose differences are kept


class DifferenceKind(enum.IntEnum):
    """How a person's membership differs, or why it can't be compared."""

    MISSING = 1  # in the audience, not in the cohort
    LEFT = 2  # in the cohort, although they left the audience
    STRANGER = 3  # in the cohort, and never seen in the audience
    NO_ID_IN_COHORT = 4  # in the cohort, without an identifier of the audience's ID type
    NO_ID_IN_AUDIENCE = 5  # in the audience, without one
    LISTED = 6  # in the list and in the cohort; but not wanted by the ledger
    UNLISTED = 7  # in neither of them; but wanted by the ledger


EXTRA = (DifferenceKind.LEFT, DifferenceKind.STRANGER)
DISAGREEING = (DifferenceKind.LISTED, DifferenceKind.UNLISTED)


class PriorState(enum.IntEnum):
    """What the ledger knew of a person before the comparison."""

    DELIVERED = 1  # the cohort has changed since, without a trace
    PENDING = 2  # the next sync does it anyway
    REJECTED = 3  # Amplitude rejected them
    NOTHING = 4  # or, against a list: something else


class Explanation(enum.Enum):
    """What the ledger already knew that explains why a person differs.

    Not an `IntEnum`: it is a key beside `DifferenceKind`, where equal integers are equal keys.
    """

    NONE = 0  # nothing: only the comparison found it
    PENDING = 1  # the next sync sends it anyway
    REJECTED = 2  # missing, because Amplitude rejected the user


class Comparison(msgspec.Struct, frozen=True):
    """How a cohort and an audience differed, in numbers.

    `at` is the time of the export, in microseconds since 1970. `against` names the list that the
    cohort was compared with; None if it was compared with what the ledger wants. `against_at` is
    the list's time. `applies` is the comparison whose differences were repaired before this one.
    `in_cohort` counts all users in the cohort. Of the `missing`, `missing_drifted` had been
    delivered and were gone, and `missing_rejected` are rejected. Of the `disagreeing`, list and
    cohort agree, but the ledger wants something else: the next sync undoes it, except for users
    that the ledger does not know or who are rejected. `list_overlap` counts the identifiers in the
    list itself that occur in the cohort or in the audience; None if that is not known. `pending`
    counts those of the `missing` and `has_left` that the next sync sends anyway.
    """

    id: int
    run_id: int
    audience_id: int
    cohort_id: str
    id_type: IdType
    at: int
    against: str | None
    against_at: int | None
    applies: int | None
    in_audience: int
    in_cohort: int
    in_both: int
    missing: int
    missing_drifted: int
    missing_rejected: int
    has_left: int
    strangers: int
    cohort_no_id: int
    audience_no_id: int
    disagreeing: int = 0
    list_overlap: int | None = None
    pending: int = 0

    @property
    def is_foreign_list(self) -> bool:
        """Whether no identifier of the list occurs in the cohort or in the audience."""
        return self.against is not None and self.list_overlap == 0

    @property
    def extra(self) -> int:
        """How many are in the cohort and not in the audience."""
        return self.has_left + self.strangers

    @property
    def not_comparable(self) -> int:
        """How many have no identifier of the audience's ID type, on either side."""
        return self.cohort_no_id + self.audience_no_id

    @property
    def members(self) -> int:
        """How many are in the audience, with or without an identifier to compare."""
        return self.in_audience + self.audience_no_id

    @property
    def has_differences(self) -> bool:
        """Whether any recorded user differs, can't be compared, or is `disagreeing`."""
        return bool(self.missing or self.extra or self.not_comparable or self.disagreeing)

    @property
    def is_equal(self) -> bool:
        """Whether all users who can be compared are in both."""
        return not (self.missing or self.extra)

    @property
    def is_repairable(self) -> bool:
        """Whether a repair has anything to change, in the cohort or only in the ledger."""
        return bool(self.missing or self.extra or self.disagreeing)

    @property
    def differing(self) -> int:
        """How many differ and are neither pending nor missing because Amplitude rejected them."""
        return self.missing + self.extra - self.pending - self.missing_rejected

    def count(self, kind: DifferenceKind) -> int:
        """How many differences of a kind there are; 0 for kinds of which only the sum is kept.

        These are the `DISAGREEING` ones.
        """
        return {
            DifferenceKind.MISSING: self.missing,
            DifferenceKind.LEFT: self.has_left,
            DifferenceKind.STRANGER: self.strangers,
            DifferenceKind.NO_ID_IN_COHORT: self.cohort_no_id,
            DifferenceKind.NO_ID_IN_AUDIENCE: self.audience_no_id,
        }.get(kind, 0)


class Difference(msgspec.Struct, frozen=True):
    """One person who differs. `resembles` is a similarly spelled identifier on the other side.

    `id_type` is usually the audience's, or the other one for users who are only known by it.
    `is_repaired`: delivered since. `is_due`: any sync delivers it now.
    """

    kind: DifferenceKind
    id_type: IdType
    id: str
    prior_state: PriorState
    resembles: str | None
    explanation: Explanation = Explanation.NONE
    is_repaired: bool = False
    is_due: bool = False

    @property
    def key(self) -> tuple[int, int, str]:
        """What identifies it within its comparison."""
        return self.kind, ID_TYPE_CODE[self.id_type], self.id


class DifferenceFilter(msgspec.Struct, frozen=True):
    """Which differences of a comparison to select; `text` is part of the identifier.

    `only_open` leaves out those that a repair would not choose: see `IS_OPEN`. `explanation`
    selects those with it; None: all.
    """

    comparison_id: int
    kinds: tuple[DifferenceKind, ...] = tuple(DifferenceKind)
    text: str = ""
    only_open: bool = False
    explanation: Explanation | None = None


class SizeCheck(msgspec.Struct, frozen=True):
    """How many users Amplitude's list shows in a cohort after its repair; None: not yet."""

    expected: int
    found: int | None

    @property
    def agrees(self) -> bool | None:
        """Whether the sizes agree; None: not known. Equal sizes do not prove equal members."""
        return None if self.found is None else self.found == self.expected


_AGAINST = "(SELECT against FROM comparison WHERE comparison.id = comparison_id)"
_BY_EVENTS = f"kind IN ({int(DifferenceKind.MISSING)}, {int(DifferenceKind.LEFT)})"
_EXPLANATION = (
    f"CASE WHEN standing = {int(PriorState.PENDING)} AND {_BY_EVENTS} AND {_AGAINST} IS NULL "
    f"THEN {Explanation.PENDING.value} "
    f"WHEN standing = {int(PriorState.REJECTED)} AND kind = {int(DifferenceKind.MISSING)} "
    f"THEN {Explanation.REJECTED.value} ELSE {Explanation.NONE.value} END"
)
_MEMBER = (
    "SELECT 1 FROM member WHERE audience_id = "
    "(SELECT audience_id FROM comparison WHERE comparison.id = comparison_id) "
    "AND member.id_type = difference.id_type AND member.id = difference.id"
)
_IS_WANTED_SO = f"wanted = CASE kind WHEN {int(DifferenceKind.MISSING)} THEN 1 ELSE 0 END"
_IS_SENT = "coalesce(request_id IN (SELECT id FROM request WHERE state = 'open'), false)"
"""Whether a request without an answer so far carries a member: `delivered` is what it asks for."""
_IS_REMOVED = (
    f"{_MEMBER} AND wanted = 0 AND delivered = 0 AND NOT {_IS_SENT} AND EXISTS ("
    "SELECT 1 FROM request JOIN comparison ON comparison.id = comparison_id "
    "WHERE request.id = member.request_id AND request.run_id > comparison.run_id)"
)
IS_RESOLVED = (
    f"(state = 2 OR ({_BY_EVENTS} AND EXISTS ({_MEMBER} AND delivered IS wanted "
    f"AND NOT {_IS_SENT} AND ({_AGAINST} IS NULL OR {_IS_WANTED_SO}))) "
    f"OR (kind = {int(DifferenceKind.STRANGER)} AND EXISTS ({_IS_REMOVED})))"
)
"""Whether a difference is gone: Amplitude confirmed it to a repair, or to any sync since."""
IS_OPEN = f"(state < 2 AND ({_AGAINST} IS NOT NULL OR NOT {IS_RESOLVED}))"
"""Whether a difference is still there for a repair.

What a sync has delivered since needs none, except to keep to a list.
"""
_IS_DUE = (
    f"(state < 2 AND {_BY_EVENTS} AND EXISTS ({_MEMBER} "
    f"AND (wanted IS NOT delivered OR {_IS_SENT}) AND rejection_id IS NULL AND {_IS_WANTED_SO}))"
)
_COLUMNS = ", ".join(Comparison.__struct_fields__)


def comparison(db: Db, comparison_id: int) -> Comparison | None:
    """The comparison with this id; None if there is none: the history may have been pruned."""
    row = db.execute(f"SELECT {_COLUMNS} FROM comparison WHERE id = ?", (comparison_id,)).fetchone()
    return None if row is None else _comparison(row)


def comparisons_in(db: Db, run_id: int) -> list[Comparison]:
    """The comparisons that a run made, in the order it made them."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM comparison WHERE run_id = ? ORDER BY id", (run_id,))
    return [_comparison(row) for row in rows]


def last_comparison(db: Db, audience_id: int) -> Comparison | None:
    """The newest comparison of an audience's present cohort with what the ledger wanted or a list.

    None where there is none, and after the audience was linked to another cohort.
    """
    row = db.execute(
        f"SELECT {_COLUMNS} FROM comparison WHERE audience_id = ?1 AND cohort_id = "
        "(SELECT cohort_id FROM audience WHERE id = ?1) ORDER BY id DESC LIMIT 1",
        (audience_id,),
    ).fetchone()
    return None if row is None else _comparison(row)


def last_compared_at(db: Db) -> int | None:
    """When a cohort of any audience was compared last; None: never."""
    return cast("int | None", db.execute("SELECT max(at) FROM comparison").fetchone()[0])


def keep_size(db: Db, run_id: int, audience_id: int, check: SizeCheck, now: int) -> None:
    """Record the size that Amplitude's list showed after a run."""
    db.execute(
        "INSERT INTO size_check (run_id, audience_id, at, expected, found) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (run_id, audience_id) DO UPDATE SET "
        "at = excluded.at, expected = excluded.expected, found = excluded.found",
        (run_id, audience_id, now, check.expected, check.found),
    )


def size_checks_in(db: Db, run_id: int) -> dict[int, SizeCheck]:
    """The sizes that Amplitude's list showed after a repair, by audience ID, if it was asked."""
    rows = db.execute(
        "SELECT audience_id, expected, found FROM size_check WHERE run_id = ?", (run_id,)
    )
    return {audience_id: SizeCheck(expected, found) for audience_id, expected, found in rows}


def differences(
    db: Db, criteria: DifferenceFilter, offset: int = 0, limit: int = EVERY
) -> list[Difference]:
    """Some of the differences, by kind and identifier."""
    where, values = _where(criteria)
    rows = db.execute(
        f"SELECT kind, id_type, id, standing, resembles, {_EXPLANATION}, {IS_RESOLVED}, {_IS_DUE} "
        f"FROM difference WHERE {where} "
        "ORDER BY kind, id_type, id LIMIT ? OFFSET ?",
        (*values, limit, offset),
    )
    return [
        Difference(
            DifferenceKind(kind),
            ID_TYPE_OF[id_type],
            id_,
            PriorState(prior_state),
            like,
            Explanation(explanation),
            bool(is_repaired),
            bool(is_due),
        )
        for kind, id_type, id_, prior_state, like, explanation, is_repaired, is_due in rows
    ]


def count_differences(db: Db, criteria: DifferenceFilter) -> int:
    """How many differences match."""
    where, values = _where(criteria)
    row = db.execute(f"SELECT count(*) FROM difference WHERE {where}", values).fetchone()
    return int(row[0])


def keeps_differences(db: Db, compared: Comparison) -> bool:
    """Whether it is still known who differed; True if no one did."""
    if not compared.has_differences:
        return True
    return count_differences(db, DifferenceFilter(compared.id)) > 0


class Resolved(msgspec.Struct, frozen=True):
    """What has happened to a comparison's differences since.

    The delivered ones are counted separately: `repaired` were unexplained (by kind), `sent` were
    pending, `accepted` were rejected. Of the unexplained ones, any sync delivers those that are
    `due`: the comparison has corrected what the ledger knew of them. `added` counts the missing
    users, with or without an explanation, who are in the cohort by now; `removed` counts the extra
    ones who no longer are. `is_repairing`: a repair of the audience is under way and has started
    sending. `following` counts the `disagreeing` ones for which the ledger now follows the list; no
    other number includes these.
    """

    repaired: dict[DifferenceKind, int]
    sent: int
    accepted: int = 0
    due: int = 0
    added: int = 0
    removed: int = 0
    is_repairing: bool = False
    following: int = 0

    @property
    def total(self) -> int:
        """How many unexplained differences were repaired."""
        return sum(self.repaired.values())


def resolved_since(db: Db, comparison_id: int, dead: Collection[int] = ()) -> Resolved:
    """How many of the users who differed have been delivered since, or are due.

    `dead` are the ids from `Ledger.dead_runs`: such a repair is not under way.
    """
    repaired: dict[DifferenceKind, int] = {}
    explained: dict[Explanation, int] = {}
    due = added = removed = following = 0
    rows = db.execute(
        f"SELECT kind, {_EXPLANATION}, {IS_RESOLVED}, {_IS_DUE}, count(*) FROM difference "
        "WHERE comparison_id = ? GROUP BY 1, 2, 3, 4",
        (comparison_id,),
    )
    for kind, code, is_resolved, is_due, count in rows:
        explanation = Explanation(code)
        if kind in DISAGREEING:
            following += count if is_resolved else 0
            continue
        if is_resolved and kind == DifferenceKind.MISSING:
            added += count
        elif is_resolved and kind in EXTRA:
            removed += count
        if is_resolved and explanation is Explanation.NONE:
            repaired[DifferenceKind(kind)] = count
        elif is_resolved:
            explained[explanation] = explained.get(explanation, 0) + count
        elif is_due and explanation is Explanation.NONE:
            due += count
    return Resolved(
        repaired,
        sent=explained.get(Explanation.PENDING, 0),
        accepted=explained.get(Explanation.REJECTED, 0),
        due=due,
        added=added,
        removed=removed,
        following=following,
        is_repairing=bool(set(_repairs_under_way(db, comparison_id)) - set(dead)),
    )


def count_due(db: Db, comparison_id: int) -> int:
    """How many unexplained differences of a comparison any sync delivers now, as in `Resolved`."""
    row = db.execute(
        f"SELECT count(*) FROM difference WHERE comparison_id = ? AND {_IS_DUE} "
        f"AND {_EXPLANATION} = {Explanation.NONE.value}",
        (comparison_id,),
    ).fetchone()
    return int(row[0])


def _repairs_under_way(db: Db, comparison_id: int) -> list[int]:
    """The repairs of a comparison's audience that have sent a request and not finished it."""
    rows = db.execute(
        "SELECT DISTINCT run.id FROM run JOIN request ON request.run_id = run.id "
        "JOIN comparison ON comparison.audience_id = request.audience_id "
        "WHERE comparison.id = ? AND run.kind = ? AND run.status = ? AND NOT EXISTS ("
        "SELECT 1 FROM run_audience WHERE run_audience.run_id = run.id "
        "AND run_audience.audience_id = comparison.audience_id)",
        (comparison_id, RunKind.REPAIR, RunStatus.RUNNING),
    )
    return [run_id for (run_id,) in rows]


class CohortFinding(msgspec.Struct, frozen=True):
    """Who is in a cohort without any event that explains it, by its last comparison.

    `strangers` were never in the audience, and are not removed yet; `without_id` have no
    identifier of the audience's ID type. `at` is the time of the export. `size` is how many users
    the cohort has, None once a later run has changed it.
    """

    comparison_id: int
    at: int
    strangers: int
    without_id: int
    size: int | None = None


def last_finding(db: Db, audience_id: int) -> CohortFinding | None:
    """What the last comparison with what the ledger wants found; None if there is none."""
    return _findings(db, "audience.id = ?1", (audience_id,)).get(audience_id)


def last_findings(db: Db) -> dict[int, CohortFinding]:
    """The `last_finding` of each audience that was compared, by its id."""
    return _findings(db, "true", ())


def _findings(db: Db, which: str, values: tuple[int, ...]) -> dict[int, CohortFinding]:
    rows = db.execute(
        "SELECT audience_id, id, at, (SELECT count(*) FROM difference WHERE comparison_id = c.id "
        f"AND kind = {int(DifferenceKind.STRANGER)} AND {IS_OPEN}), cohort_no_id, "
        "CASE WHEN NOT EXISTS (SELECT 1 FROM run_audience AS later WHERE later.audience_id = "
        "c.audience_id AND later.run_id > c.run_id AND requests > 0) THEN in_cohort END "
        "FROM comparison AS c WHERE id IN (SELECT max(comparison.id) FROM audience "
        "JOIN comparison ON comparison.audience_id = audience.id "
        "AND comparison.cohort_id = audience.cohort_id "
        f"WHERE against IS NULL AND {which} GROUP BY audience.id)",
        values,
    )
    return {audience_id: CohortFinding(*row) for audience_id, *row in rows}


def _where(criteria: DifferenceFilter) -> tuple[str, list[object]]:
    kinds = ",".join(str(int(kind)) for kind in criteria.kinds)
    where, values = f"comparison_id = ? AND kind IN ({kinds})", [criteria.comparison_id]
    if criteria.only_open:
        where += f" AND {IS_OPEN}"
    if criteria.explanation is not None:
        where += f" AND {_EXPLANATION} = {criteria.explanation.value}"
    if not criteria.text:
        return where, list(values)
    return f"{where} AND instr(lower(id), lower(?)) > 0", [*values, criteria.text]


def _comparison(row: Sequence[Any]) -> Comparison:
    values = dict(zip(Comparison.__struct_fields__, row, strict=True))
    return Comparison(**{**values, "id_type": ID_TYPE_OF[values["id_type"]]})
