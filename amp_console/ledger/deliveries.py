"""Deliveries: opening a request for a batch of pending members, and recording its result.

Opening marks each member as delivered *by an open request*, before anything is sent. While the
request is open, its result is unknown. Then it is either confirmed (the marks hold, nothing more to
write) or void (its members become unknown, so they are pending, whichever way they are wanted). A
crash leaves an open request behind, and the next holder of the audience's lease voids it. So each
member is written once per delivery, and a lost answer can't lose a person. A request that certainly
changed nothing is undone instead: what was known of its members before is true again.
"""

import enum
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import msgspec

from amp_console.ledger import late_effects
from amp_console.ledger.comparisons import EXTRA, DifferenceKind
from amp_console.ledger.db import (
    EVERY,
    ID_TYPE_CODE,
    WANTED,
    Db,
    ServerDb,
    as_json,
    members_between,
    pending_rows,
)
from amp_console.ledger.runs import NEVER_SENT
from amp_console.values import IdType, Operation


class RequestKind(enum.StrEnum):
    """Which of Amplitude's calls a request was."""

    MEMBERSHIP = "membership"
    UPLOAD = "upload"
    REPLACE = "replace"  # an upload, of all that a cohort is to hold


class DeliveredBefore(msgspec.Struct, frozen=True):
    """Where the members of a request were before it was opened.

    `in_cohort` is the JSON array of the rows of those who were in the cohort, `unknown` that of
    those who may have been. All others were not in the cohort. `requested` is that of those who
    were in a request before, and `last_requests` has the last one of each of them.
    """

    in_cohort: str
    unknown: str
    requested: str
    last_requests: str


class DeliveryBatch(msgspec.Struct, frozen=True):
    """The members one request carries; `ids` is the JSON text of an array of identifiers."""

    request_id: int
    audience_id: int
    id_type: IdType
    operation: Operation
    size: int
    ids: msgspec.Raw
    before: DeliveredBefore

    def identifiers(self) -> list[str]:
        """The identifiers as a list, for the few batches whose contents are needed."""
        return msgspec.json.decode(self.ids, type=list[str])


class ResponseRecord(msgspec.Struct, frozen=True):
    """Amplitude's answer: HTTP status (None: no answer), its text, and when (microseconds).

    `sent_at` is when the request was sent, in microseconds; None means when it was opened.
    """

    at: int
    status: int | None = None
    message: str = ""
    sent_at: int | None = None


class NotApplied(NamedTuple):
    """How many users of a request Amplitude did not accept, and how many of them are rejected.

    The wanted state of the others has changed since, so they are pending.
    """

    users: int
    rejected: int


class Reason(enum.StrEnum):
    """Why a user was rejected, as a code; Amplitude's words are kept beside it."""

    UNKNOWN = "unknown_to_amplitude"
    REFUSED = "refused_by_amplitude"
    NO_IDENTIFIER = "no_identifier"


def unknown_to_amplitude(id_type: IdType) -> str:
    """Why a user with `Reason.UNKNOWN` was rejected; rejected users are grouped by this text."""
    return f"Amplitude did not know this {id_type.label}"


_IS_PENDING = (
    "audience_id = :audience AND id_type = :id_type AND wanted = :wanted "
    "AND wanted IS NOT delivered AND rejection_id IS NULL"
)
_KINDS = {
    Operation.ADD: f"[{int(DifferenceKind.MISSING)}]",
    Operation.REMOVE: str([int(k) for k in EXTRA]),
}
_ROWS = (
    "min(n), max(n), count(*), json_group_array(id), "
    "json_group_array(n) FILTER (WHERE delivered = 1), "
    "json_group_array(n) FILTER (WHERE delivered IS NULL), "
    "json_group_array(n) FILTER (WHERE request_id IS NOT NULL), "
    "json_group_array(request_id) FILTER (WHERE request_id IS NOT NULL)"
)
"""Selects `MemberRows` from members."""
_CHUNK = 500  # identifiers bound to one statement


_IS_CHOSEN = (
    "EXISTS (SELECT 1 FROM difference AS d WHERE d.comparison_id = :comparison "
    "AND d.kind IN (SELECT CAST(value AS INTEGER) FROM json_each(:kinds)) "
    "AND d.id_type = member.id_type AND d.id = member.id AND d.state = 1)"
)


class MemberRows(msgspec.Struct, frozen=True):
    """Some members: their first and last row, how many, their ids as JSON, and where they are.

    The last four are those of `DeliveredBefore`.
    """

    first: int
    last: int
    size: int
    ids: str
    in_cohort: str
    unknown: str
    requested: str
    last_requests: str

    @property
    def are_adjacent(self) -> bool:
        """Whether most rows between the first and the last one belong to these members."""
        return self.last - self.first < 2 * self.size


def member_rows(db: Db, where: str, values: Mapping[str, object]) -> MemberRows:
    """Select the members that a condition names; it may end with an order and a limit."""
    row = db.execute(
        f"SELECT {_ROWS} FROM "
        f"(SELECT n, id, delivered, request_id FROM member WHERE {where}) AS chosen",
        values,
    ).fetchone()
    return MemberRows(*row)


def open_batch(
    db: Db,
    run_id: int,
    audience_id: int,
    id_type: IdType,
    operation: Operation,
    limit: int,
    now: int,
    comparison_id: int | None = None,
    avoid: Collection[str] = (),
    only: Collection[str] | None = None,
) -> DeliveryBatch | None:
    """Open a request for up to `limit` pending members; None if no one is pending.

    With a comparison, it includes only the chosen differences; with `only`, only those ids. It
    never includes ids in `avoid`.
    """
    values = {
        "audience": audience_id,
        "id_type": ID_TYPE_CODE[id_type],
        "wanted": WANTED[operation],
        "operation": operation,
        "run": run_id,
        "kind": RequestKind.MEMBERSHIP,
        "now": now,
        "limit": limit,
        "least": limit + len(avoid) if comparison_id is None and only is None else EVERY,
        "comparison": comparison_id,
        "kinds": _KINDS[operation],
        "avoid": as_json(sorted(avoid)),
        "only": as_json(sorted(only or ())),
    }
    is_meant = _IS_PENDING if comparison_id is None else f"{_IS_PENDING} AND {_IS_CHOSEN}"
    if avoid:
        is_meant += " AND id NOT IN (SELECT value FROM json_each(:avoid))"
    if only is not None:
        is_meant += " AND id IN (SELECT value FROM json_each(:only))"
    if isinstance(db, ServerDb):
        opened = _open_on_server(db, is_meant, values)
        return opened and _batch(opened[0], audience_id, id_type, operation, opened[1])
    rows = member_rows(db, f"{is_meant} ORDER BY n LIMIT :limit", values)
    if not rows.size:
        return None
    batch = open_request(db, run_id, audience_id, id_type, operation, rows, now)
    # Going through the rows is quicker than through an index that changes on the way.
    table = "member NOT INDEXED" if rows.are_adjacent else "member"
    db.execute(
        f"UPDATE {table} SET delivered = :wanted, request_id = :request "
        f"WHERE {is_meant} AND n BETWEEN :first AND :last",
        {**values, "request": batch.request_id, "first": rows.first, "last": rows.last},
    )
    return batch


def _open_on_server(
    db: ServerDb, is_meant: str, values: Mapping[str, object]
) -> tuple[int, MemberRows] | None:
    """Open it in one statement, which reads no more blocks of pending members than necessary."""
    pending = pending_rows(db)
    request_id, *rows = db.execute(
        "WITH last AS MATERIALIZED (SELECT min(block) AS block FROM (SELECT block, "
        "sum(people) OVER (ORDER BY block) AS so_far FROM pending_block WHERE people > 0 "
        "AND audience_id = :audience AND id_type = :id_type AND wanted = :wanted) AS summed "
        "WHERE so_far >= :least), "
        "chosen AS MATERIALIZED (SELECT n, id, delivered, request_id, place "
        f"FROM {pending.table} AS member WHERE {is_meant} "
        "AND block <= coalesce((SELECT block FROM last), block) "
        f"ORDER BY {pending.order} LIMIT :limit), "
        "opened AS (INSERT INTO request (run_id, audience_id, kind, id_type, operation, size, "
        "first_n, last_n, sent_at) SELECT :run, :audience, :kind, :id_type, :operation, count(*), "
        "min(n), max(n), :now FROM chosen HAVING count(*) > 0 RETURNING id), "
        # By an array of places: a join is planned as if the whole table were read.
        "marked AS (UPDATE member SET delivered = :wanted, request_id = (SELECT id FROM opened) "
        "WHERE ctid = ANY (ARRAY(SELECT place FROM chosen))) "
        f"SELECT (SELECT id FROM opened), {_ROWS} FROM chosen",
        values,
    ).fetchone()
    return None if request_id is None else (request_id, MemberRows(*rows))


def open_sub_batch(
    db: Db, run_id: int, batch: DeliveryBatch, ids: Sequence[str], now: int
) -> DeliveryBatch | None:
    """Open a request for those of `ids` that are still pending as they were in `batch`."""
    pending: list[tuple[int, str, int | None, int | None]] = []
    code = ID_TYPE_CODE[batch.id_type]
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        pending += db.execute(
            "SELECT n, id, delivered, request_id FROM member WHERE audience_id = ? AND id_type = ? "
            "AND wanted = ? AND wanted IS NOT delivered AND rejection_id IS NULL "
            f"AND id IN ({','.join('?' * len(chunk))})",
            (batch.audience_id, code, WANTED[batch.operation], *chunk),
        ).fetchall()
    if not pending:
        return None
    numbers = [n for n, *_ in pending]
    rows = MemberRows(
        min(numbers),
        max(numbers),
        len(pending),
        as_json([id_ for _, id_, *_ in pending]),
        as_json([n for n, _, delivered, _ in pending if delivered == 1]),
        as_json([n for n, _, delivered, _ in pending if delivered is None]),
        as_json([n for n, _, _, request_id in pending if request_id is not None]),
        as_json([request_id for *_, request_id in pending if request_id is not None]),
    )
    sub_batch = open_request(
        db, run_id, batch.audience_id, batch.id_type, batch.operation, rows, now
    )
    db.executemany(
        "UPDATE member SET delivered = wanted, request_id = ? WHERE n = ?",
        [(sub_batch.request_id, n) for n in numbers],
    )
    return sub_batch


def open_control_batch(
    db: Db,
    run_id: int,
    audience_id: int,
    id_type: IdType,
    now: int,
    avoid: Collection[str] = (),
) -> DeliveryBatch | None:
    """Open a request that repeats what was delivered for one user, added or else removed.

    Repeating it is harmless, and shows whether the cohort accepts requests. None if there is no
    such user, apart from those in `avoid`.
    """
    for operation in (Operation.ADD, Operation.REMOVE):
        rows = member_rows(
            db,
            "audience_id = :audience AND id_type = :id_type AND wanted = :wanted "
            "AND delivered = wanted AND rejection_id IS NULL "
            "AND id NOT IN (SELECT value FROM json_each(:avoid)) LIMIT 1",
            {
                "audience": audience_id,
                "avoid": as_json(sorted(avoid)),
                "id_type": ID_TYPE_CODE[id_type],
                "wanted": WANTED[operation],
            },
        )
        if rows.size:
            batch = open_request(db, run_id, audience_id, id_type, operation, rows, now)
            db.execute(
                "UPDATE member SET request_id = ? WHERE n = ?", (batch.request_id, rows.first)
            )
            return batch
    return None


def open_request(
    db: Db,
    run_id: int,
    audience_id: int,
    id_type: IdType,
    operation: Operation,
    rows: MemberRows,
    now: int,
    kind: RequestKind = RequestKind.MEMBERSHIP,
) -> DeliveryBatch:
    """Write a request down before it is sent."""
    request_id = db.execute(
        "INSERT INTO request (run_id, audience_id, kind, id_type, operation, size, first_n, "
        "last_n, sent_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (
            run_id,
            audience_id,
            kind,
            ID_TYPE_CODE[id_type],
            operation,
            rows.size,
            rows.first,
            rows.last,
            now,
        ),
    ).fetchone()[0]
    return _batch(request_id, audience_id, id_type, operation, rows)


def _batch(
    request_id: int, audience_id: int, id_type: IdType, operation: Operation, rows: MemberRows
) -> DeliveryBatch:
    ids = msgspec.Raw(rows.ids.encode())
    before = DeliveredBefore(rows.in_cohort, rows.unknown, rows.requested, rows.last_requests)
    return DeliveryBatch(request_id, audience_id, id_type, operation, rows.size, ids, before)


def confirm(
    db: Db,
    batch: DeliveryBatch,
    response: ResponseRecord,
    skipped: Sequence[str] = (),
    reason: str = "",
) -> NotApplied:
    """Amplitude applied the request, except for the `skipped`.

    A skipped user who was to be added is out. One who was to be removed may be in or out.
    """
    settle(db, batch.request_id, "confirmed", response, len(skipped))
    late_effects.settle_confirmed(db, batch.request_id)
    late_effects.rule_out(db, batch.audience_id, batch.id_type, batch.operation, skipped)
    if not skipped:
        return NotApplied(0, 0)
    return _reject(db, batch, skipped, Reason.UNKNOWN, reason, response.at)


def refuse(
    db: Db, batch: DeliveryBatch, named_ids: Sequence[str], response: ResponseRecord
) -> NotApplied:
    """Amplitude refused the request because of these users, twice, although it accepted others.

    They are where they were before it (`undo`).
    """
    return _reject(db, batch, named_ids, Reason.REFUSED, response.message, response.at)


def _reject(
    db: Db,
    batch: DeliveryBatch,
    ids: Sequence[str],
    code: Reason,
    reason: str,
    at: int,
) -> NotApplied:
    rejection = db.execute(
        "INSERT INTO rejection (request_id, operation, code, reason, at) VALUES (?, ?, ?, ?, ?) "
        "RETURNING id",
        (batch.request_id, batch.operation, code, reason, at),
    ).fetchone()[0]
    wanted = WANTED[batch.operation]
    done = db.executemany(
        # An event that came meanwhile and wants them otherwise makes them pending, not rejected.
        "UPDATE member SET delivered = CASE WHEN ? = 1 THEN delivered ELSE ? END, "
        "rejection_id = CASE WHEN wanted = ? THEN ? END, "
        "rejected_since = CASE WHEN wanted = ? AND (refusals = 0 OR rejected_since IS NULL) "
        "THEN ? ELSE rejected_since END, "
        "refusals = CASE WHEN wanted = ? THEN refusals + 1 ELSE refusals END "
        "WHERE audience_id = ? AND id_type = ? AND id = ? AND request_id = ?",
        [
            (
                code is Reason.REFUSED,
                0 if batch.operation is Operation.ADD else None,
                wanted,
                rejection,
                wanted,
                at,
                wanted,
                batch.audience_id,
                ID_TYPE_CODE[batch.id_type],
                id_,
                batch.request_id,
            )
            for id_ in ids
        ],
    )
    (rejected,) = db.execute(
        "SELECT count(*) FROM member WHERE audience_id = ? AND rejection_id = ?",
        (batch.audience_id, rejection),
    ).fetchone()
    return NotApplied(done.rowcount, int(rejected))


def void(db: Db, request_id: int, response: ResponseRecord, late_until: int | None = None) -> None:
    """It is not known whether the request was applied: its members become unknown, so pending.

    If it was to replace the cohort's content, so do all other users in the cohort. It may take
    effect until `late_until`, in microseconds since 1970; None: no later than now.
    """
    kind, audience_id, id_type, first, last, size = db.execute(
        "SELECT kind, audience_id, id_type, first_n, last_n, size FROM request WHERE id = ?",
        (request_id,),
    ).fetchone()
    settle(db, request_id, "void", response)
    db.execute(
        "UPDATE member SET delivered = NULL "
        f"WHERE {members_between(first, last, size)} AND request_id = :request",
        {
            "audience": audience_id,
            "id_type": id_type,
            "first": first,
            "last": last,
            "request": request_id,
        },
    )
    if kind == RequestKind.REPLACE:
        db.execute(
            "UPDATE member SET delivered = NULL WHERE audience_id = ? AND delivered = 1",
            (audience_id,),
        )
    if late_until is not None:
        late_effects.remember(db, request_id, late_until)


def undo(db: Db, batch: DeliveryBatch, response: ResponseRecord) -> None:
    """The request changed nothing: its members are where they were before it, so pending."""
    settle(db, batch.request_id, "void", response)
    _restore(db, batch, batch.request_id)


def withdraw(db: Db, batch: DeliveryBatch) -> None:
    """Delete a request that was never sent; its members are as before it, so pending."""
    _restore(db, batch, None)
    db.execute("DELETE FROM request WHERE id = ?", (batch.request_id,))
    before = batch.before
    texts = (before.last_requests, before.requested)
    requests, rows = (msgspec.json.decode(text, type=list[int]) for text in texts)
    db.executemany("UPDATE member SET request_id = ? WHERE n = ?", zip(requests, rows, strict=True))


def _restore(db: Db, batch: DeliveryBatch, request_id: int | None) -> None:
    """Put the members back where they were, with this one as their last request."""
    first, last = db.execute(
        "SELECT first_n, last_n FROM request WHERE id = ?", (batch.request_id,)
    ).fetchone()
    db.execute(
        "UPDATE member SET request_id = :last_request, delivered = CASE "
        "WHEN n IN (SELECT CAST(value AS INTEGER) FROM json_each(:in_cohort)) THEN 1 "
        "WHEN n IN (SELECT CAST(value AS INTEGER) FROM json_each(:unknown)) THEN NULL ELSE 0 END "
        f"WHERE {members_between(first, last, batch.size)} AND request_id = :request",
        {
            "audience": batch.audience_id,
            "id_type": ID_TYPE_CODE[batch.id_type],
            "first": first,
            "last": last,
            "request": batch.request_id,
            "last_request": request_id,
            "in_cohort": batch.before.in_cohort,
            "unknown": batch.before.unknown,
        },
    )


PROCESS_ENDED = "The process ended before the answer came."
"""What is kept of a request instead of its answer."""


def void_open(db: Db, audience_id: int, now: int, late_until: int | None) -> int:
    """Void what a dead process left open; only for the holder of the lease. Returns how many.

    What it sent may take effect until `late_until`, in microseconds since 1970; None: it can't. A
    batch is sent only once those before it are settled, so only the first of these can have been
    sent.
    """
    requests = db.execute(
        "SELECT id FROM request WHERE audience_id = ? AND state = 'open' ORDER BY id",
        (audience_id,),
    ).fetchall()
    for number, (request_id,) in enumerate(requests):
        if number == 0:
            void(db, request_id, ResponseRecord(now, None, PROCESS_ENDED), late_until)
        else:
            void(db, request_id, ResponseRecord(now, None, NEVER_SENT))
    return len(requests)


def settle(db: Db, request_id: int, state: str, response: ResponseRecord, skipped: int = 0) -> None:
    """Close a request with its answer; the caller updates its members."""
    db.execute(
        "UPDATE request SET state = ?, settled_at = ?, status = ?, answer = ?, skipped = ?, "
        "sent_at = coalesce(?, sent_at) WHERE id = ?",
        (
            state,
            response.at,
            response.status,
            response.message[:2000],
            skipped,
            response.sent_at,
            request_id,
        ),
    )


def doubt_delivered(db: Db, audience_id: int, id_type_in_use: IdType) -> None:
    """Mark users delivered under the ID type in use as unknown, so that they are added again.

    Do this before users are removed by the other ID type, which may remove the same people.
    """
    db.execute(
        "UPDATE member SET delivered = NULL WHERE audience_id = ? AND id_type = ? "
        "AND delivered = 1",
        (audience_id, ID_TYPE_CODE[id_type_in_use]),
    )
