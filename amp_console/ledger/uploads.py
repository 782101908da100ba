"""Uploads that create a cohort: the members they carry, and how their answers are recorded.

A member in an upload becomes unknown and stays pending. The answer to an upload lists only a sample
of the skipped users, so all of them go through /membership afterwards, which lists every one.
"""

from collections.abc import Collection

from amp_console.ledger.audiences import audience
from amp_console.ledger.db import ID_TYPE_CODE, Db, as_json
from amp_console.ledger.deliveries import (
    PROCESS_ENDED,
    DeliveryBatch,
    MemberRows,
    Reason,
    RequestKind,
    member_rows,
    open_request,
)
from amp_console.values import IdType, Operation

BEFORE_ANY_EVENT = -(1 << 62)


def open_upload(
    db: Db,
    run_id: int,
    audience_id: int,
    id_type: IdType,
    after: int,
    limit: int,
    avoid: Collection[str],
    now: int,
) -> tuple[DeliveryBatch, int] | None:
    """Open an upload of up to `limit` members after row `after`, none of `avoid`; None at the end.

    With it comes the row to continue after. Under the ID type not in use these are members whose
    identifier of the other type is known too. Without a cohort, all other members are pending,
    which an index has in the order of their rows.
    """
    is_used = audience(db, audience_id).id_type is id_type
    is_sent = (
        "audience_id = :audience AND id_type = :id_type AND n > :after "
        "AND is_member = 1 AND rejection_id IS NULL AND "
        f"{'wanted = 1 AND wanted IS NOT delivered' if is_used else 'counterpart IS NOT NULL'} "
        "AND id NOT IN (SELECT value FROM json_each(:avoid))"
    )
    values = {
        "audience": audience_id,
        "id_type": ID_TYPE_CODE[id_type],
        "after": after,
        "avoid": as_json(sorted(avoid)),
    }
    rows = member_rows(db, f"{is_sent} ORDER BY n LIMIT :limit", {**values, "limit": limit})
    if not rows.size:
        return None
    batch = _open(db, run_id, audience_id, id_type, rows, now)
    db.execute(
        f"UPDATE member SET delivered = NULL, request_id = :request WHERE {is_sent} AND n <= :last",
        {**values, "request": batch.request_id, "last": rows.last},
    )
    return batch, rows.last


def open_seed_upload(
    db: Db, run_id: int, audience_id: int, user_id: str, now: int
) -> DeliveryBatch:
    """Open an upload of a user who is no member, for the cohort of an empty audience.

    Before anything is sent, the ledger records the user as not wanted and unknown: a pending
    removal like any other. An event about the user takes precedence.
    """
    values = {"audience": audience_id, "id_type": ID_TYPE_CODE[IdType.USER_ID], "user": user_id}
    db.execute(
        "INSERT INTO member (audience_id, id_type, id, is_member, wanted, event_at, source_id, "
        "line, delivered) VALUES (:audience, :id_type, :user, 0, 0, :at, 0, 0, 0) "
        "ON CONFLICT (audience_id, id_type, id) DO UPDATE SET rejection_id = NULL",
        {**values, "at": BEFORE_ANY_EVENT},
    )
    is_seed = "audience_id = :audience AND id_type = :id_type AND id = :user"
    rows = member_rows(db, is_seed, values)
    batch = _open(db, run_id, audience_id, IdType.USER_ID, rows, now)
    db.execute(
        f"UPDATE member SET delivered = NULL, request_id = :request WHERE {is_seed}",
        {**values, "request": batch.request_id},
    )
    return batch


def _open(
    db: Db, run_id: int, audience_id: int, id_type: IdType, rows: MemberRows, now: int
) -> DeliveryBatch:
    kind = RequestKind.UPLOAD
    return open_request(db, run_id, audience_id, id_type, Operation.ADD, rows, now, kind)


def unanswered_at(db: Db, audience_id: int) -> int | None:
    """When the last upload was sent, if its process ended before the answer came; else None."""
    row = db.execute(
        "SELECT sent_at, answer FROM request WHERE audience_id = ? AND kind = ? "
        "ORDER BY id DESC LIMIT 1",
        (audience_id, RequestKind.UPLOAD),
    ).fetchone()
    return int(row[0]) if row is not None and row[1] == PROCESS_ENDED else None


def reject_all_pending(db: Db, batch: DeliveryBatch, reason: str, at: int) -> int:
    """Reject all pending additions: Amplitude knows none of them; `batch` was the last tried."""
    rejection = db.execute(
        "INSERT INTO rejection (request_id, operation, code, reason, at) VALUES (?, ?, ?, ?, ?) "
        "RETURNING id",
        (batch.request_id, Operation.ADD, Reason.UNKNOWN, reason, at),
    ).fetchone()[0]
    done = db.execute(
        "UPDATE member SET delivered = 0, rejection_id = ?, refusals = refusals + 1, "
        "rejected_since = CASE WHEN refusals = 0 OR rejected_since IS NULL THEN ? "
        "ELSE rejected_since END "
        "WHERE audience_id = ? AND id_type = ? AND wanted = 1 AND wanted IS NOT delivered "
        "AND rejection_id IS NULL",
        (rejection, at, batch.audience_id, ID_TYPE_CODE[batch.id_type]),
    )
    return done.rowcount
