"""Counts of one audience's members: pending, rejected, delivered, in flight, over time."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import msgspec

from amp_console.ledger import late_effects
from amp_console.ledger.audiences import Audience
from amp_console.ledger.db import ID_TYPE_CODE, WANTED, Db, ServerDb, as_json, pending_rows
from amp_console.values import IdType, Operation

IS_UNIDENTIFIED = "is_member = 1 AND wanted = 0 AND counterpart IS NULL"
"""Members without an identifier of the ID type in use: only there `wanted` equals `is_member`.

Spelled as in the index `member_unidentified`, or SQLite reads every member.
"""


class _Counted(NamedTuple):
    """What members are counted from: a `table`, and the aggregate that counts its `people`."""

    table: str
    people: str

    def where(self, condition: str) -> str:
        """The aggregate that counts those who meet a condition."""
        return f"coalesce({self.people} FILTER (WHERE {condition}), 0)"


def _counted(db: Db) -> _Counted:
    """A server keeps counts of the members in each state; a file counts the members themselves."""
    if isinstance(db, ServerDb):
        return _Counted("counted_member", "sum(people)")
    return _Counted("member", "count(*)")


class Outstanding(msgspec.Struct, frozen=True):
    """What is left to do for an audience, counted from indexes alone, which is cheap at any size.

    `rejected` users were rejected by Amplitude. The `unidentified` were never sent: none of their
    events has an identifier of the audience's ID type. Of the pending users, those `adding` or
    `removing` are in a request that has no answer yet. For the `uncertain`, a request without an
    answer may still undo what was delivered; they can be confirmed again from `certain_at` on, in
    microseconds since 1970.
    """

    add: int
    remove: int
    rejected: int
    unidentified: int
    uncertain: int = 0
    certain_at: int | None = None
    adding: int = 0
    removing: int = 0

    @property
    def in_flight(self) -> int:
        """Pending users in requests that have no answer yet."""
        return self.adding + self.removing

    @property
    def pending(self) -> int:
        """Users still to be added or removed."""
        return self.add + self.remove

    @property
    def failed(self) -> int:
        """Users that no sync delivers as they are: rejected, or without an identifier."""
        return self.rejected + self.unidentified


PendingCounts: TypeAlias = Mapping[tuple[int, int], int]
"""How many members are pending, by ID type (code) and what is wanted."""


def pending_counts(db: Db, audience_id: int) -> PendingCounts:
    """Count an audience's pending members, without those in requests that have no answer yet."""
    counted, counts = _counted(db), Counter[tuple[int, int]]()
    for id_type, wanted, count in db.execute(
        f"SELECT id_type, wanted, {counted.people} FROM {counted.table} WHERE audience_id = ? "
        "AND wanted IS NOT delivered AND rejection_id IS NULL GROUP BY id_type, wanted",
        (audience_id,),
    ):
        counts[id_type, wanted] += count
    return counts


def outstanding(db: Db, known: Audience, counts: PendingCounts | None = None) -> Outstanding:
    """Count what is left; requests without an answer yet count as pending.

    `counts` are the `pending_counts`, where they are known.
    """
    pending = Counter[int]()
    for (_, wanted), count in (counts or pending_counts(db, known.id)).items():
        pending[wanted] += count
    adding, removing = _in_flight(db, known)
    uncertain = late_effects.uncertain(db, known.id).get(known.id)
    return Outstanding(
        add=pending[1] + adding,
        remove=pending[0] + removing,
        rejected=_count(db, "rejection_id IS NOT NULL", known.id),
        unidentified=_count(db, IS_UNIDENTIFIED, known.id),
        uncertain=uncertain.users if uncertain else 0,
        certain_at=uncertain.until if uncertain else None,
        adding=adding,
        removing=removing,
    )


def pending_of(db: Db, audience_ids: Iterable[int]) -> Counter[int]:
    """How many users of each of these audiences are pending, in two statements for all of them."""
    counted, ids = _counted(db), set(audience_ids)
    pending = _by_audience(
        db,
        f"SELECT audience_id, wanted, {counted.people} FROM {counted.table} WHERE audience_id IN "
        "(SELECT CAST(value AS INTEGER) FROM json_each(?)) "
        "AND wanted IS NOT delivered AND rejection_id IS NULL "
        "GROUP BY audience_id, id_type, wanted",
        as_json(sorted(ids)),
    )
    users = Counter[int]()
    for (audience_id, _), count in (pending + _in_flight_of_all(db)).items():
        if audience_id in ids:
            users[audience_id] += count
    return users


def count_pending(db: Db, audience_id: int, id_type: IdType, operation: Operation) -> int:
    """How many users a delivery would add or remove now, by one ID type."""
    return _count(
        db,
        "id_type = ? AND wanted = ? AND wanted IS NOT delivered AND rejection_id IS NULL",
        audience_id,
        ID_TYPE_CODE[id_type],
        WANTED[operation],
    )


class PendingMember(msgspec.Struct, frozen=True):
    """A member that a delivery adds, or removes; `event_at` in microseconds since 1970."""

    id: str
    id_type: IdType
    is_wanted: bool
    event_at: int


def pending_members(db: Db, audience_id: int, limit: int) -> list[PendingMember]:
    """The first `limit` members to be added, then as many to be removed, by either identifier."""
    found: list[PendingMember] = []
    pending = pending_rows(db)
    for wanted in (1, 0):
        room = limit
        for id_type in IdType:
            rows = db.execute(
                f"SELECT id, event_at FROM {pending.table} WHERE audience_id = ? AND id_type = ? "
                "AND wanted = ? AND wanted IS NOT delivered AND rejection_id IS NULL "
                f"ORDER BY {pending.order} LIMIT ?",
                (audience_id, ID_TYPE_CODE[id_type], wanted, room),
            ).fetchall()
            found += [PendingMember(id_, id_type, bool(wanted), at) for id_, at in rows]
            room -= len(rows)
    return found


class ToSend(msgspec.Struct, frozen=True):
    """How many users a delivery removes and adds, in the order in which it sends them.

    `remove_by_other_id` are in the cohort by the ID type that is not in use. Removing them may
    remove members who are in it by both, so `add` then includes all members that are in it.
    """

    remove_by_other_id: int
    remove: int
    add: int

    @property
    def users(self) -> int:
        """How many users it sends."""
        return self.remove_by_other_id + self.remove + self.add


def to_send(db: Db, known: Audience, now: int, pending: PendingCounts | None = None) -> ToSend:
    """Count what a delivery sends; requests without an answer yet are sent again.

    It includes users who have to be confirmed again by `now`, in microseconds since 1970. `pending`
    are the `pending_counts`, where they are known.
    """
    counts = late_effects.due(db, known.id, now)
    counts.update(pending or pending_counts(db, known.id))
    for id_type, wanted, count in db.execute(
        "SELECT id_type, CASE operation WHEN 'add' THEN 1 ELSE 0 END, sum(size) FROM request "
        "WHERE audience_id = ? AND state = 'open' AND kind = 'membership' GROUP BY 1, 2",
        (known.id,),
    ):
        counts[id_type, wanted] += count
    used, other = ID_TYPE_CODE[known.id_type], ID_TYPE_CODE[known.id_type.other]
    again = 0
    if counts[other, 0]:
        is_open = "request_id IN (SELECT id FROM request WHERE state = 'open')"
        (again,) = db.execute(
            "SELECT count(*) FROM member WHERE audience_id = ? AND id_type = ? AND wanted = 1 "
            "AND delivered = 1 AND rejection_id IS NULL "
            f"AND (request_id IS NULL OR NOT {is_open})",
            (known.id, used),
        ).fetchone()
    return ToSend(counts[other, 0], counts[used, 0], counts[used, 1] + again)


class InCohort(msgspec.Struct, frozen=True):
    """How many users are in an audience's cohort by the ledger, by either identifier.

    `delivered` users were added, or found there, and not removed since. Whether the `unconfirmed`
    are in the cohort is not known, for one of these reasons: Amplitude has not answered the last
    request that carried them; Amplitude refused to remove them, and they may have been added by
    their other identifier since; or they are to be removed from a cohort that others may have
    filled. Until something is delivered to a cohort, all users that it may contain are unconfirmed.
    A rejected user that Amplitude does not know is not counted.
    """

    delivered: int
    unconfirmed: int

    @property
    def at_most(self) -> int:
        """How many users the cohort has if all of the unconfirmed are in it."""
        return self.delivered + self.unconfirmed

    def more_in(self, size: int) -> int:
        """By how many users a cohort of this size exceeds what is possible; negative for fewer."""
        return size - min(max(size, self.delivered), self.at_most)


class Headcount(msgspec.Struct, frozen=True):
    """How many people should be in a cohort, and how many are in it according to the ledger.

    The members are the sum of those who are `in_cohort`, `pending`, `rejected` and `unidentified`
    (without an identifier of the audience's ID type). `held` counts all users in the cohort,
    including those who have left the audience and are still to be removed.

    `ahead` counts people with an event dated later than a limit; the latest of these is at
    `ahead_until`. The oldest event of a pending user is at `pending_since`. Both in microseconds
    since 1970.
    """

    in_cohort: int
    pending: int
    rejected: int
    unidentified: int
    held: InCohort
    ahead: int = 0
    ahead_until: int | None = None
    pending_since: int | None = None

    @property
    def identified(self) -> int:
        """How many members have an identifier of the audience's ID type."""
        return self.in_cohort + self.pending + self.rejected

    @property
    def members(self) -> int:
        """How many people should be in the cohort."""
        return self.identified + self.unidentified

    def at(self, then: Outstanding, now: Outstanding) -> "Headcount":
        """Bring a count that was made with `then` up to date with what is outstanding `now`.

        What is no longer pending was delivered or rejected; what is pending in addition is new, and
        who is to be removed in addition was in the cohort.
        """
        rejected = now.rejected - then.rejected
        added = max(0, then.add - now.add - rejected)
        removed = max(0, then.remove - now.remove) + now.removing - then.removing
        leaving = max(0, now.remove - then.remove)
        return msgspec.structs.replace(
            self,
            in_cohort=max(0, self.in_cohort + added - leaving),
            pending=now.add,
            rejected=max(0, self.rejected + rejected),
            unidentified=now.unidentified,
            held=InCohort(
                max(0, self.held.delivered + added - removed),
                max(0, self.held.unconfirmed + now.in_flight - then.in_flight),
            ),
            pending_since=self.pending_since if now.pending else None,
        )


def outstanding_of_all(db: Db) -> dict[int, Outstanding]:
    """What is left to do for each audience that is not done, in five statements for all of them."""
    counted = _counted(db)
    members = f"{counted.people} FROM {counted.table}"
    pending = _by_audience(
        db,
        # In the order of the index: a million need no sorting.
        f"SELECT audience_id, wanted, {members} "
        "WHERE wanted IS NOT delivered AND rejection_id IS NULL "
        "GROUP BY audience_id, id_type, wanted",
    )
    in_flight = _in_flight_of_all(db)
    rejected = _by_audience(
        db,
        f"SELECT audience_id, 0, {members} WHERE rejection_id IS NOT NULL GROUP BY 1",
    )
    unidentified = _by_audience(
        db,
        f"SELECT audience_id, 0, {members} WHERE {IS_UNIDENTIFIED} GROUP BY 1",
    )
    uncertain = late_effects.uncertain(db)
    ids = {audience_id for audience_id, _ in pending | in_flight | rejected | unidentified}
    return {
        audience_id: Outstanding(
            add=pending[audience_id, 1] + in_flight[audience_id, 1],
            remove=pending[audience_id, 0] + in_flight[audience_id, 0],
            rejected=rejected[audience_id, 0],
            unidentified=unidentified[audience_id, 0],
            uncertain=uncertain[audience_id].users if audience_id in uncertain else 0,
            certain_at=uncertain[audience_id].until if audience_id in uncertain else None,
            adding=in_flight[audience_id, 1],
            removing=in_flight[audience_id, 0],
        )
        for audience_id in ids | set(uncertain)
    }


def _by_audience(db: Db, query: str, *values: object) -> Counter[tuple[int, int]]:
    sums = Counter[tuple[int, int]]()
    for audience_id, kind, count in db.execute(query, values):
        sums[audience_id, kind] += count
    return sums


def headcount(db: Db, known: Audience, limit: int) -> Headcount:
    """Count the members, those in the cohort by either identifier, and those dated too late.

    In a file, this reads each of them (2,000,000 a second). Users in a request that has no answer
    yet do not count as delivered. `limit` is in microseconds since 1970.
    """
    return headcounts(db, [known], limit)[known.id]


def headcounts(db: Db, audiences: Sequence[Audience], limit: int) -> dict[int, Headcount]:
    """The `headcount` of each of several audiences, by its id."""
    if isinstance(db, ServerDb):
        return _headcounts_of_server(db, audiences, limit)
    return {known.id: _headcount_of_file(db, known, limit) for known in audiences}


def _headcounts_of_server(
    db: ServerDb, audiences: Sequence[Audience], limit: int
) -> dict[int, Headcount]:
    """Of the members, only the oldest pending ones and those dated too late are read."""
    used = {known.id: ID_TYPE_CODE[known.id_type] for known in audiences}
    values = {"ids": as_json(list(used)), "limit": limit}
    chosen = "audience_id IN (SELECT CAST(value AS INTEGER) FROM json_each(:ids))"
    where = _counted(db).where
    counts = {
        audience_id: [*map(int, row)]
        for audience_id, *row in db.execute(
            f"SELECT audience_id, {where('wanted = 1')}, {where(_IS_DELIVERED)}, "
            f"{where('wanted = 1 AND rejection_id IS NOT NULL')}, {where(IS_UNIDENTIFIED)}, "
            f"max(latest), {_held_columns(db)} FROM counted_member WHERE {chosen} GROUP BY 1",
            values,
        )
    }
    since = dict(db.execute(_PENDING_SINCE.format(chosen=chosen), values).fetchall())
    in_flight = _in_flight_of_all(db)
    found = {}
    for audience_id, id_type in used.items():
        row = counts.get(audience_id, [0] * 8)
        identified, in_cohort, rejected, unidentified, latest, *held = row
        ahead, until = 0, None
        if latest > limit:
            ahead, until = db.execute(
                "SELECT count(*) FILTER (WHERE id_type = ?), max(event_at) FROM member "
                "WHERE audience_id = ? AND event_at > ?",
                (id_type, audience_id, limit),
            ).fetchone()
        adding, removing = in_flight[audience_id, 1], in_flight[audience_id, 0]
        in_cohort = max(0, in_cohort - adding)
        found[audience_id] = Headcount(
            in_cohort=in_cohort,
            pending=identified - in_cohort - rejected,
            rejected=rejected,
            unidentified=unidentified,
            held=_held(held, adding, removing),
            ahead=ahead,
            ahead_until=until if ahead else None,
            pending_since=since.get(audience_id),
        )
    return found


# The block whose events may be the oldest has an event that is the oldest of all, unless that is in
# one of the few others that may have an older one.
_PENDING_SINCE = """
WITH pending AS (
    SELECT audience_id, id_type, wanted, block, oldest FROM pending_block
    WHERE people > 0 AND oldest IS NOT NULL AND {chosen}),
first AS (
    SELECT DISTINCT ON (audience_id) * FROM pending ORDER BY audience_id, oldest),
known AS MATERIALIZED (
    SELECT first.audience_id AS of_audience,
        (SELECT min(event_at) FROM pending_member AS m WHERE event_at > 0
        AND (m.audience_id, m.id_type, m.wanted, m.block)
            = (first.audience_id, first.id_type, first.wanted, first.block)) AS at
    FROM first)
SELECT of_audience, min(least(at, (SELECT min(event_at) FROM pending_member AS m WHERE event_at > 0
        AND (m.audience_id, m.id_type, m.wanted, m.block)
            = (of_audience, pending.id_type, pending.wanted, pending.block))))
FROM known LEFT JOIN pending ON pending.audience_id = of_audience
    AND (at IS NULL OR pending.oldest < at)
GROUP BY 1
"""
_IS_DELIVERED = "wanted = 1 AND delivered = 1 AND rejection_id IS NULL"


def _headcount_of_file(db: Db, known: Audience, limit: int) -> Headcount:
    identified, in_cohort, rejected, ahead, until, pending_since, *held = db.execute(
        "SELECT coalesce(sum(wanted), 0), "
        "count(*) FILTER (WHERE wanted = 1 AND delivered = 1 AND rejection_id IS NULL), "
        "count(*) FILTER (WHERE wanted = 1 AND rejection_id IS NOT NULL), "
        "count(*) FILTER (WHERE id_type = :id_type AND event_at > :limit), max(event_at), "
        "min(event_at) FILTER (WHERE wanted IS NOT delivered AND rejection_id IS NULL "
        f"AND event_at > 0), {_held_columns(db)} FROM member WHERE audience_id = :audience",
        {"audience": known.id, "id_type": ID_TYPE_CODE[known.id_type], "limit": limit},
    ).fetchone()
    adding, removing = _in_flight(db, known)
    in_cohort = max(0, in_cohort - adding)
    return Headcount(
        in_cohort=in_cohort,
        pending=identified - in_cohort - rejected,
        rejected=rejected,
        unidentified=_count(db, IS_UNIDENTIFIED, known.id),
        held=_held(held, adding, removing),
        ahead=ahead,
        ahead_until=until if ahead else None,
        pending_since=pending_since,
    )


def held_by_cohort(db: Db, known: Audience) -> InCohort:
    """Count who is in an audience's cohort; in a file it reads each member."""
    row = db.execute(
        f"SELECT {_held_columns(db)} FROM {_counted(db).table} WHERE audience_id = ?", (known.id,)
    ).fetchone()
    return _held(row, *_in_flight(db, known))


_IS_REFUSED = "rejection_id IN (SELECT id FROM rejection WHERE code = 'refused_by_amplitude')"


def _held_columns(db: Db) -> str:
    """Delivered, unknown, and unknown because nothing was ever sent to a cohort that others filled.

    A user that Amplitude does not know is in no cohort; a user that it refused to add may be. A
    user that it refused to remove is in the cohort, but may be counted as delivered by the other
    identifier.
    """
    where = _counted(db).where
    is_refused = "refused = 1" if isinstance(db, ServerDb) else _IS_REFUSED
    is_unknown = f"delivered IS NULL AND (rejection_id IS NULL OR {is_refused})"
    is_not_removed = "delivered = 1 AND wanted = 0 AND rejection_id IS NOT NULL"
    was_sent = f"{is_unknown} AND (wanted = 0 OR request_id IS NOT NULL)"
    return ", ".join(
        (
            where("delivered = 1 AND (wanted = 1 OR rejection_id IS NULL)"),
            where(f"{was_sent} OR {is_not_removed}"),
            where(f"{is_unknown} AND wanted = 1 AND request_id IS NULL"),
        )
    )


def _held(row: Sequence[int], adding: int, removing: int) -> InCohort:
    """Read what `_held_columns` selects; the users of an open request are unconfirmed."""
    delivered, unknown, never_sent = row
    delivered = max(0, delivered - adding)
    unconfirmed = unknown + adding + removing
    return InCohort(delivered, unconfirmed if delivered else unconfirmed + never_sent)


def _in_flight(db: Db, known: Audience) -> tuple[int, int]:
    """How many users an open request adds, and how many one removes."""
    sizes: dict[str, int] = dict(
        db.execute(
            "SELECT operation, sum(size) FROM request WHERE audience_id = ? AND state = 'open' "
            "AND kind = 'membership' GROUP BY operation",
            (known.id,),
        )
    )
    return sizes.get("add", 0), sizes.get("remove", 0)


def _in_flight_of_all(db: Db) -> Counter[tuple[int, int]]:
    """How many users the open requests add (1) and remove (0), by audience and that number."""
    return _by_audience(
        db,
        "SELECT audience_id, CASE operation WHEN 'add' THEN 1 ELSE 0 END, sum(size) FROM request "
        "WHERE state = 'open' AND kind = 'membership' GROUP BY 1, 2",
    )


def members(db: Db, known: Audience) -> int:
    """How many people with an identifier are wanted in the cohort; a file reads each of them."""
    return _count(db, "id_type = ? AND wanted = 1", known.id, ID_TYPE_CODE[known.id_type])


def has_members(db: Db, known: Audience) -> bool:
    """Whether anyone with an identifier is wanted in the cohort; reading stops at the first one."""
    row = db.execute(
        "SELECT EXISTS (SELECT 1 FROM member WHERE audience_id = ? AND id_type = ? AND wanted = 1)",
        (known.id, ID_TYPE_CODE[known.id_type]),
    ).fetchone()
    return bool(row[0])


def leavers(db: Db, known: Audience) -> int:
    """How many people left the audience; a file reads each of its identifiers."""
    return _count(db, "id_type = ? AND wanted = 0", known.id, ID_TYPE_CODE[known.id_type])


def has_delivered(db: Db, audience_id: int, least: int) -> bool:
    """Whether the cohort has at least this many users by the ledger; reading stops there."""
    (found,) = db.execute(
        "SELECT count(*) FROM (SELECT 1 FROM member WHERE audience_id = ? AND delivered = 1 "
        "LIMIT ?) AS found",
        (audience_id, least),
    ).fetchone()
    return int(found) >= least


def _count(db: Db, where: str, audience_id: int, *values: object) -> int:
    counted = _counted(db)
    row = db.execute(
        f"SELECT coalesce({counted.people}, 0) FROM {counted.table} WHERE audience_id = ? "
        f"AND {where}",
        (audience_id, *values),
    ).fetchone()
    return int(row[0])


class OtherIdType(msgspec.Struct, frozen=True):
    """What the next sync would do if the audience were switched to its other ID type.

    `leave` are, or may be, in the cohort by the ID type in use; `enter` would be added by the
    other one; `unknown` are members without a known identifier of the other one.
    """

    leave: int
    enter: int
    unknown: int


def other_id_type(db: Db, known: Audience) -> OtherIdType:
    """Count them; it reads each member (2,000,000 a second)."""
    leave, unknown = db.execute(
        "SELECT count(*) FILTER (WHERE delivered IS NULL OR delivered <> 0), "
        "count(*) FILTER (WHERE is_member = 1 AND counterpart IS NULL) FROM member "
        "WHERE audience_id = ? AND id_type = ?",
        (known.id, ID_TYPE_CODE[known.id_type]),
    ).fetchone()
    (enter,) = db.execute(
        "SELECT count(*) FROM member WHERE audience_id = ? AND id_type = ? "
        "AND is_member = 1 AND (delivered IS NULL OR delivered <> 1)",
        (known.id, ID_TYPE_CODE[known.id_type.other]),
    ).fetchone()
    return OtherIdType(leave, enter, unknown)


def stored_bytes(db: Db) -> int:
    """The size of the ledger in bytes, including SQLite's write-ahead log."""
    if isinstance(db, ServerDb):
        return db.stored_bytes()
    pages, size = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in _PAGES)
    return int(pages) * int(size)


_PAGES = "page_count", "page_size"
