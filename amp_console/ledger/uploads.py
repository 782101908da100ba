"""Uploads that create a cohort: the members they carry, and how their answers are recorded.

A member in an upload becomes unknown and stays pending: an upload answers with a sample of the
skipped users only, so all of them go through /membership afterwards, which names every one.
"""

from collections.abc import Collection, Sequence

import msgspec

from amp_console.ledger import late_effects
from amp_console.ledger.db import ID_TYPE_CODE, Db
from amp_console.ledger.deliveries import (
    DeliveryBatch,
    MemberRows,
    Reason,
    RequestAnswer,
    RequestKind,
    open_request,
    settle,
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
    """Open an upload of up to `limit` members beyond row `after`, none of `avoid`; None at the end.

    With it comes the row to continue after. Under the ID type not in use these are members whose
    identifier of the other type is known too.
    """
    rows = db.execute(
        "SELECT n, id FROM member WHERE audience_id = ? AND id_type = ? AND n > ? "
        "AND is_member = 1 AND rejection_id IS NULL "
        "AND (wanted = 1 OR counterpart IS NOT NULL) "
        "AND id NOT IN (SELECT value FROM json_each(?)) ORDER BY n LIMIT ?",
        (audience_id, ID_TYPE_CODE[id_type], after, _json(avoid), limit),
    ).fetchall()
    if not rows:
        return None
    batch = _open(db, run_id, audience_id, id_type, rows, now)
    db.executemany(
        "UPDATE member SET delivered = NULL, request_id = ? WHERE n = ?",
        [(batch.request_id, n) for n, _ in rows],
    )
    return batch, rows[-1][0]


def open_seed_upload(
    db: Db, run_id: int, audience_id: int, user_id: str, now: int
) -> DeliveryBatch:
    """Open an upload of a user who is no member, for the cohort of an empty audience.

    Before anything is sent, the ledger records the user as not wanted and unknown: a pending
    removal like any other. An event about the user outweighs it.
    """
    row = db.execute(
        "INSERT INTO member (audience_id, id_type, id, is_member, wanted, event_at, source_id, "
        "line, delivered) VALUES (?, ?, ?, 0, 0, ?, 0, 0, NULL) "
        "ON CONFLICT (audience_id, id_type, id) DO UPDATE SET delivered = NULL, "
        "rejection_id = NULL RETURNING n, id",
        (audience_id, ID_TYPE_CODE[IdType.USER_ID], user_id, BEFORE_ANY_EVENT),
    ).fetchone()
    batch = _open(db, run_id, audience_id, IdType.USER_ID, [row], now)
    db.execute("UPDATE member SET request_id = ? WHERE n = ?", (batch.request_id, row[0]))
    return batch


def _open(
    db: Db,
    run_id: int,
    audience_id: int,
    id_type: IdType,
    rows: Sequence[tuple[int, str]],
    now: int,
) -> DeliveryBatch:
    ids = msgspec.json.encode([id_ for _, id_ in rows]).decode()
    members = MemberRows(rows[0][0], rows[-1][0], len(rows), ids)
    kind = RequestKind.UPLOAD
    return open_request(db, run_id, audience_id, id_type, Operation.ADD, members, now, kind)


def _json(ids: Collection[str]) -> str:
    return msgspec.json.encode(sorted(ids)).decode()


def settle_upload(
    db: Db,
    batch: DeliveryBatch,
    answer: RequestAnswer,
    *,
    is_confirmed: bool,
    late_until: int | None = None,
) -> None:
    """Record an upload's answer; only /membership says which of its users are in.

    It may take effect until `late_until`, in microseconds since 1970; None: it can't any more.
    """
    settle(db, batch.request_id, "confirmed" if is_confirmed else "void", answer)
    if late_until is not None:
        late_effects.remember(db, batch.request_id, late_until)


def reject_all_pending(db: Db, batch: DeliveryBatch, reason: str, at: int) -> int:
    """Reject all pending additions: Amplitude knows none of them; `batch` was the last tried."""
    rejection = db.execute(
        "INSERT INTO rejection (request_id, operation, code, reason, at) VALUES (?, ?, ?, ?, ?) "
        "RETURNING id",
        (batch.request_id, Operation.ADD, Reason.UNKNOWN, reason, at),
    ).fetchone()[0]
    done = db.execute(
        "UPDATE member SET delivered = 0, rejection_id = ?, refusals = refusals + 1 "
        "WHERE audience_id = ? AND id_type = ? AND wanted = 1 AND wanted IS NOT delivered "
        "AND rejection_id IS NULL",
        (rejection, batch.audience_id, ID_TYPE_CODE[batch.id_type]),
    )
    return done.rowcount
