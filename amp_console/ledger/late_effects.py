"""Late effects: what a request without an answer may still do, and who is confirmed again.

Amplitude may apply a request long after it was given up, and so undo what was confirmed since.
During a quiet time, each of its members is remembered with the operation. After that, the request
can no longer take effect. Members whose operation matches what is wanted now are settled; the
others are delivered once more. They stay remembered until a request that was sent after the quiet
time is confirmed.
"""

from collections import Counter
from collections.abc import Sequence

import msgspec

from amp_console.ledger.db import ID_TYPE_CODE, WANTED, Db, members_between
from amp_console.values import IdType, Operation

_JOINED = (
    "late_effect AS late JOIN audience AS a ON a.id = late.audience_id "
    "AND (late.cohort_id = '' OR late.cohort_id IS a.cohort_id) JOIN member AS m ON m.n = late.n"
)
# A removal by the ID type that is not in use may remove a member who is in by the other one.
_UNDOES = (
    "(late.operation <> m.wanted OR (late.operation = 0 AND m.id_type <> a.id_type)) "
    "AND m.rejection_id IS NULL"
)
_UNCERTAIN = f"{_UNDOES} AND m.delivered = m.wanted"
# Whatever is wanted: what is known of them may be true no more.
_CONTRADICTS = "m.delivered IS NOT NULL AND late.operation <> m.delivered"
_KEEP_LATEST = (
    "ON CONFLICT (audience_id, cohort_id, n, operation) "
    "DO UPDATE SET until = excluded.until WHERE excluded.until > late_effect.until"
)


class Uncertain(msgspec.Struct, frozen=True):
    """Users whose delivered state a late effect may undo; `until` in microseconds since 1970.

    They can be confirmed again from `first_until` on, and all of them from `until` on.
    """

    users: int
    first_until: int
    until: int


def remember(db: Db, request_id: int, until: int) -> None:
    """Remember that a request, now void, may take effect until a time.

    One that replaces a cohort's content also removes all users who are not in it, including users
    of later events.
    """
    values = {"request": request_id, "until": until}
    kind, audience_id, id_type, first, last, size = db.execute(
        "SELECT kind, audience_id, id_type, first_n, last_n, size FROM request WHERE id = ?",
        (request_id,),
    ).fetchone()
    db.execute(
        "INSERT INTO late_effect SELECT r.audience_id, coalesce(a.cohort_id, ''), member.n, "
        "CASE r.operation WHEN 'add' THEN 1 ELSE 0 END, :until FROM request AS r "
        "JOIN audience AS a ON a.id = r.audience_id "
        f"JOIN member ON {members_between(first, last, size)} AND member.request_id = r.id "
        f"WHERE r.id = :request {_KEEP_LATEST}",
        {**values, "audience": audience_id, "id_type": id_type, "first": first, "last": last},
    )
    if kind != "replace":
        return
    db.execute(
        "INSERT INTO late_effect SELECT r.audience_id, coalesce(a.cohort_id, ''), m.n, 0, :until "
        "FROM request AS r JOIN audience AS a ON a.id = r.audience_id "
        "JOIN member AS m ON m.audience_id = r.audience_id AND m.request_id IS NOT r.id "
        f"WHERE r.id = :request {_KEEP_LATEST}",
        values,
    )
    db.execute(
        "INSERT INTO late_replacement SELECT r.audience_id, coalesce(a.cohort_id, ''), "
        "(SELECT max(n) FROM member), :until FROM request AS r "
        "JOIN audience AS a ON a.id = r.audience_id WHERE r.id = :request",
        values,
    )


def make_due_pending(db: Db, audience_id: int, now: int, quiet: int) -> None:
    """Mark as pending the users whose confirmation is due; only for the holder of the lease.

    `quiet` is the quiet time in microseconds: no wait is longer, so that a clock that was set back
    delays nothing forever.
    """
    if not _has_any(db, audience_id):
        return
    values = {"audience": audience_id, "now": now, "latest": now + quiet}
    _extend_replacements(db, audience_id)
    db.execute(
        "UPDATE late_replacement SET until = :latest WHERE audience_id = :audience "
        "AND until > :latest",
        values,
    )
    db.execute(
        "DELETE FROM late_replacement WHERE audience_id = :audience AND until <= :now", values
    )
    db.execute(
        "UPDATE late_effect SET until = :latest WHERE audience_id = :audience AND until > :latest",
        values,
    )
    due = "late.audience_id = :audience AND late.until <= :now"
    db.execute(
        "UPDATE member SET delivered = NULL WHERE n IN "
        f"(SELECT m.n FROM {_JOINED} WHERE {due} AND ({_UNCERTAIN} OR {_CONTRADICTS}))",
        values,
    )
    # An export that was started before may not show what landed since, so it is not resumed.
    db.execute(
        "UPDATE download SET is_over = 1 WHERE audience_id = :audience AND is_over = 0 "
        f"AND started_at <= (SELECT max(late.until) FROM late_effect AS late WHERE {due})",
        values,
    )
    # Not with NOT IN: SQLite would go through all of them for each.
    db.execute(
        f"DELETE FROM late_effect AS late WHERE {due} AND NOT EXISTS (SELECT 1 FROM audience AS a "
        "JOIN member AS m ON m.n = late.n WHERE a.id = late.audience_id "
        f"AND (late.cohort_id = '' OR late.cohort_id IS a.cohort_id) AND {_UNDOES})",
        values,
    )


def _has_any(db: Db, audience_id: int) -> bool:
    row = db.execute(
        "SELECT EXISTS (SELECT 1 FROM late_effect WHERE audience_id = ?1) "
        "OR EXISTS (SELECT 1 FROM late_replacement WHERE audience_id = ?1)",
        (audience_id,),
    ).fetchone()
    return bool(row[0])


def _extend_replacements(db: Db, audience_id: int) -> None:
    """Remember the users added since a replacement was given up, because it would remove them."""
    db.execute(
        "INSERT INTO late_effect SELECT m.audience_id, r.cohort_id, m.n, 0, r.until "
        "FROM late_replacement AS r JOIN member AS m "
        "ON m.audience_id = r.audience_id AND m.n > r.after_n "
        f"WHERE r.audience_id = ? {_KEEP_LATEST}",
        (audience_id,),
    )
    db.execute(
        "UPDATE late_replacement SET after_n = (SELECT max(n) FROM member) WHERE audience_id = ?",
        (audience_id,),
    )


def settle_confirmed(db: Db, request_id: int) -> None:
    """Forget the effects that were over when a request, now confirmed, was sent to its members."""
    row = db.execute(
        "SELECT audience_id, sent_at, first_n, last_n FROM request WHERE id = ?", (request_id,)
    ).fetchone()
    audience_id, sent_at, first, last = row
    if not _has_any(db, audience_id):
        return
    _extend_replacements(db, audience_id)
    db.execute(
        "DELETE FROM late_effect WHERE audience_id = ? AND until <= ? AND n BETWEEN ? AND ? "
        "AND n IN (SELECT n FROM member WHERE n BETWEEN ? AND ? AND request_id = ?)",
        (audience_id, sent_at, first, last, first, last, request_id),
    )


def rule_out(
    db: Db,
    audience_id: int,
    id_type: IdType,
    operation: Operation,
    ids: Sequence[str],
) -> None:
    """Forget what can't have taken effect: Amplitude does not know these users."""
    if not ids or not _has_any(db, audience_id):
        return
    db.executemany(
        "DELETE FROM late_effect WHERE audience_id = ?1 AND operation = ?2 AND n = "
        "(SELECT n FROM member WHERE audience_id = ?1 AND id_type = ?3 AND id = ?4)",
        [(audience_id, WANTED[operation], ID_TYPE_CODE[id_type], id_) for id_ in ids],
    )


def due(db: Db, audience_id: int, now: int) -> Counter[tuple[int, int]]:
    """Count the users who have to be confirmed again by now, by ID type (code) and wanted state."""
    rows = db.execute(
        f"SELECT m.id_type, m.wanted, count(DISTINCT m.n) FROM {_JOINED} "
        f"WHERE late.audience_id = ? AND late.until <= ? AND {_UNCERTAIN} GROUP BY 1, 2",
        (audience_id, now),
    )
    return Counter({(id_type, wanted): count for id_type, wanted, count in rows})


def uncertain(db: Db, audience_id: int | None = None) -> dict[int, Uncertain]:
    """Count the users whose delivered state a late effect may undo, of one audience or of each."""
    rows = db.execute(
        f"SELECT late.audience_id, count(DISTINCT m.n), min(late.until), max(late.until) "
        f"FROM {_JOINED} WHERE late.audience_id = coalesce(?1, late.audience_id) "
        f"AND {_UNCERTAIN} GROUP BY 1",
        (audience_id,),
    )
    return {found_id: Uncertain(users, first, until) for found_id, users, first, until in rows}


def uncertain_until(db: Db, audience_id: int, id_type: IdType, id_: str) -> int | None:
    """Until when a late effect may undo what was delivered for one user; None if none may."""
    row = db.execute(
        f"SELECT max(late.until) FROM {_JOINED} WHERE late.audience_id = ? AND m.id_type = ? "
        f"AND m.id = ? AND {_UNCERTAIN}",
        (audience_id, ID_TYPE_CODE[id_type], id_),
    ).fetchone()
    return None if row[0] is None else int(row[0])
