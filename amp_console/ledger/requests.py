"""The requests that were sent, as recorded before and after."""

import enum
from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from amp_console.ledger.audiences import LABEL
from amp_console.ledger.db import ID_TYPE_CODE, ID_TYPE_OF, Db, as_json, members_between
from amp_console.ledger.deliveries import RequestKind
from amp_console.ledger.runs import NEVER_SENT
from amp_console.values import IdType, Operation


class RequestState(enum.StrEnum):
    """What is known of a request. `void`: it was not applied, or that is unknown."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    VOID = "void"


class RequestRecord(msgspec.Struct, frozen=True):
    """One request. Times in microseconds since 1970; `status` None is no answer.

    `response` is the first 2000 characters of Amplitude's answer; there are no keys in it.
    """

    id: int
    run_id: int
    audience_id: int
    audience_name: str
    kind: RequestKind
    id_type: IdType
    operation: Operation
    size: int
    sent_at: int
    settled_at: int | None
    state: RequestState
    status: int | None
    response: str
    skipped: int
    is_abandoned: bool = False
    """Its run ended before the answer came; the next one to sync the audience voids it."""
    is_rejected: bool = False
    """Amplitude refused it, and its users were rejected for that."""
    is_sent: bool = True
    """Whether it was sent, as far as is known; the next one is opened while one is under way."""

    @property
    def rejected(self) -> int:
        """How many of its users were rejected by its answer."""
        return self.size if self.is_rejected else self.skipped

    @property
    def is_counted(self) -> bool:
        """Whether its users count as sent; others count in a later request, or are rejected."""
        return self.kind is not RequestKind.UPLOAD and self.state is not RequestState.VOID


_SELECT = (
    f"SELECT request.id, run_id, audience_id, coalesce({LABEL}, ''), kind, "
    "request.id_type, operation, size, sent_at, settled_at, state, status, answer, skipped, "
    "state = 'open' AND run_id IN (SELECT run.id FROM run WHERE ended_at IS NOT NULL), "
    "state = 'void' AND request.id IN (SELECT request_id FROM rejection), "
    f"answer <> '{NEVER_SENT}' AND NOT (state = 'open' AND EXISTS (SELECT 1 FROM request AS other "
    "WHERE other.audience_id = request.audience_id AND other.state = 'open' "
    "AND other.id < request.id)) "
    "FROM request LEFT JOIN audience ON audience.id = audience_id "
)
_OF_RUN = "WHERE run_id = :run AND audience_id = coalesce(:audience, audience_id) "


def request(db: Db, request_id: int) -> RequestRecord | None:
    """One request, None where there is none of this number."""
    row = db.execute(f"{_SELECT} WHERE request.id = ?", (request_id,)).fetchone()
    return None if row is None else _record(row)


def count_requests(db: Db, run_id: int, audience_id: int | None = None) -> int:
    """How many requests a run has sent, for one audience or for all."""
    values = {"run": run_id, "audience": audience_id}
    row = db.execute(f"SELECT count(*) FROM request {_OF_RUN}", values).fetchone()
    return int(row[0])


def has_uncounted(db: Db, run_id: int, audience_id: int | None = None) -> bool:
    """Whether the users of any request of a run count nowhere: it was void, or an upload.

    Those of an upload count in the later requests that confirm them.
    """
    values = {"run": run_id, "audience": audience_id}
    row = db.execute(
        f"SELECT EXISTS (SELECT 1 FROM request {_OF_RUN} AND (kind = 'upload' OR state = 'void'))",
        values,
    ).fetchone()
    return bool(row[0])


def requests_page(
    db: Db, run_id: int, offset: int, limit: int, audience_id: int | None = None
) -> list[RequestRecord]:
    """Some of a run's requests, the newest first."""
    rows = db.execute(
        f"{_SELECT} {_OF_RUN} ORDER BY request.id DESC LIMIT :limit OFFSET :offset",
        {"run": run_id, "audience": audience_id, "limit": limit, "offset": offset},
    )
    return [_record(row) for row in rows]


_IS_FORGETTABLE = (
    "state <> 'open' "
    # A batch that is withdrawn lets its members refer to earlier requests again.
    "AND audience_id NOT IN (SELECT audience_id FROM request WHERE state = 'open') "
    # A server holds the distinct numbers in memory, however many members there are.
    "AND id NOT IN (SELECT DISTINCT request_id FROM member WHERE request_id IS NOT NULL)"
)


def forgettable_requests(db: Db, run_ids: str, before: int) -> list[int]:
    """The ids of settled requests that no member refers to, nor will: for `delete_requests`.

    They were sent before a time, by the runs that the subquery `run_ids` selects; it may use
    `:before`. It reads every member, which takes minutes where there are a billion, so it is no
    part of a transaction that others wait for.
    """
    rows = db.execute(
        f"SELECT id FROM request WHERE run_id IN ({run_ids}) AND sent_at < :before "
        f"AND {_IS_FORGETTABLE}",
        {"before": before},
    ).fetchall()
    return [int(id_) for (id_,) in rows]


def delete_requests(db: Db, ids: Sequence[int]) -> int:
    """Delete those of these requests that caused no rejection; return how many.

    What they did is in the counts of their runs.
    """
    return db.execute(
        "DELETE FROM request WHERE id IN (SELECT CAST(value AS INTEGER) FROM json_each(?)) "
        "AND id NOT IN (SELECT request_id FROM rejection)",
        (as_json(ids),),
    ).rowcount


def _record(row: Sequence[Any]) -> RequestRecord:
    *known, status, response, skipped, is_abandoned, is_rejected, is_sent = row
    id_, run_id, audience_id, name, kind, id_type, operation, size, sent, settled, state = known
    return RequestRecord(
        id_,
        run_id,
        audience_id,
        name,
        RequestKind(kind),
        ID_TYPE_OF[id_type],
        Operation(operation),
        size,
        sent,
        settled,
        RequestState(state),
        status,
        response,
        skipped,
        bool(is_abandoned),
        bool(is_rejected),
        bool(is_sent),
    )


class RequestIds(msgspec.Struct, frozen=True):
    """Those identifiers of a request that are still known: the first ones, and how many."""

    first: tuple[str, ...]
    known: int


def request_ids(
    db: Db, record: RequestRecord, limit: int, named: Collection[str] = ()
) -> RequestIds:
    """Up to `limit` identifiers of a request, in its order.

    A member remembers the last request only. Members that a later one sent are missing here,
    unless they are among those that the answer `named`.
    """
    first_row, last_row = db.execute(
        "SELECT first_n, last_n FROM request WHERE id = ?", (record.id,)
    ).fetchone()
    values = {
        "request": record.id,
        "audience": record.audience_id,
        "id_type": ID_TYPE_CODE[record.id_type],
        "first": first_row,
        "last": last_row,
        "named": as_json(sorted(named)),
    }
    its_members = (
        f"FROM member WHERE {members_between(first_row, last_row, record.size)} AND "
        "(request_id = :request OR id IN (SELECT value FROM json_each(:named)))"
    )
    rows = db.execute(
        f"SELECT id {its_members} ORDER BY n LIMIT :limit", {**values, "limit": limit}
    )
    first = tuple(id_ for (id_,) in rows)
    return RequestIds(
        first, int(db.execute(f"SELECT count(*) {its_members}", values).fetchone()[0])
    )
