"""Users who could not be delivered, each with the reason: in groups, in pages, or all of them.

There are two kinds. Users that Amplitude skipped or refused have a rejection. Members without an
identifier of the audience's ID type were never sent: that follows from the events, so it is not
stored, only looked up.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from amp_console.ledger.audiences import Audience, all_audiences
from amp_console.ledger.counts import IS_UNIDENTIFIED
from amp_console.ledger.db import EVERY, ID_TYPE_CODE, ID_TYPE_OF, Db
from amp_console.ledger.deliveries import Reason
from amp_console.values import IdType, Operation


class RejectedUser(msgspec.Struct, frozen=True):
    """One user that Amplitude rejected, or that has no identifier to send.

    `at` is when, in microseconds since 1970; `tries` how often Amplitude refused; `request_id`
    the request that carried the user, None where there was nothing to send.
    """

    audience_id: int
    audience: str
    computation_id: str
    audience_name: str
    id_type: IdType
    id: str
    operation: Operation
    reason: str
    code: Reason
    at: int
    tries: int
    request_id: int | None
    since: int


class RejectedFilter(msgspec.Struct, frozen=True):
    """Which rejected users to select; None and "" mean all.

    `run_id` is the run whose request refused them, `text` a part of the identifier, whatever its
    case. `up_to` is the `newest_rejection` that counts: it leaves out who was refused since.
    """

    audience_id: int | None = None
    operation: Operation | None = None
    code: Reason | None = None
    reason: str | None = None
    run_id: int | None = None
    text: str = ""
    up_to: int | None = None


ALL_REJECTED = RejectedFilter()


class RejectionGroup(msgspec.Struct, frozen=True):
    """Users of one audience who were rejected for the same reason; `latest_at` in microseconds."""

    audience_id: int
    audience: str
    audience_name: str
    operation: Operation
    code: Reason
    reason: str
    count: int
    latest_at: int

    @property
    def filter(self) -> RejectedFilter:
        """The users of this group."""
        return RejectedFilter(self.audience_id, self.operation, self.code, self.reason)


class _Query(NamedTuple):
    """The condition that selects rows of `member`, with its values."""

    text: str
    values: dict[str, object]


def _refused(criteria: RejectedFilter) -> _Query:
    """Users that Amplitude skipped or refused; answered by the index `member_rejected` alone."""
    reasons = [
        f"{name} = :{name}" for name in ("operation", "code", "reason") if _has(criteria, name)
    ]
    if criteria.run_id is not None:
        reasons.append("request_id IN (SELECT id FROM request WHERE run_id = :run_id)")
    conditions = ["rejection_id IS NOT NULL"]
    if criteria.up_to is not None:
        conditions.append("rejection_id <= :up_to")
    if reasons:
        among = f"SELECT id FROM rejection WHERE {' AND '.join(reasons)}"
        conditions.append(f"rejection_id IN ({among})")
    return _query(conditions, criteria)


def _unidentified(criteria: RejectedFilter) -> _Query | None:
    """Members with only the other kind of identifier; None if the criteria exclude them."""
    meant = (
        criteria.run_id is None
        and criteria.code in {None, Reason.NO_IDENTIFIER}
        and criteria.operation in {None, Operation.ADD}
    )
    return _query([IS_UNIDENTIFIED], criteria) if meant else None


def _query(conditions: list[str], criteria: RejectedFilter) -> _Query:
    if criteria.audience_id is not None:
        conditions.append("audience_id = :audience_id")
    if criteria.text:
        # instr knows no wildcards, so that nothing in the text has to be escaped.
        conditions.append("instr(lower(id), lower(:text)) > 0")
    return _Query(" AND ".join(conditions), msgspec.structs.asdict(criteria))


def _has(criteria: RejectedFilter, name: str) -> bool:
    return getattr(criteria, name) is not None


def no_identifier(audience: Audience) -> str:
    """Why a member without an identifier of the audience's ID type is not delivered."""
    return f"No {audience.id_type.label} in the event"


def rejection_groups(db: Db, criteria: RejectedFilter = ALL_REJECTED) -> list[RejectionGroup]:
    """The rejected by audience, operation and reason, the largest group first."""
    known = {audience.id: audience for audience in all_audiences(db)}
    groups = [
        RejectionGroup(
            audience_id,
            known[audience_id].handle,
            known[audience_id].name,
            operation,
            code,
            reason,
            count,
            at,
        )
        for audience_id, operation, code, reason, count, at in (
            *_reasons_of_refused(db, criteria),
            *_reasons_of_unidentified(db, criteria, known),
        )
    ]
    return sorted(groups, key=lambda group: (-group.count, group.audience_name, group.reason))


_Reason = tuple[int, Operation, Reason, str, int, int]


def _reasons_of_refused(db: Db, criteria: RejectedFilter) -> Iterator[_Reason]:
    query = _refused(criteria)
    # The rejections are few, the rejected many: they are counted before the join.
    rows = db.execute(
        "SELECT audience_id, operation, code, reason, sum(many), max(at) FROM ("
        "SELECT audience_id, rejection_id AS which, count(*) AS many FROM member "
        f"WHERE {query.text} GROUP BY 1, 2) AS counted "
        "JOIN rejection ON rejection.id = which GROUP BY 1, 2, 3, 4",
        query.values,
    )
    for audience_id, operation, code, *rest in rows:
        yield audience_id, Operation(operation), Reason(code), *rest


def _reasons_of_unidentified(
    db: Db, criteria: RejectedFilter, known: Mapping[int, Audience]
) -> Iterator[_Reason]:
    query = _unidentified(criteria)
    if query is None:
        return
    rows = db.execute(
        f"SELECT audience_id, count(*), max(event_at) FROM member WHERE {query.text} GROUP BY 1",
        query.values,
    )
    for audience_id, count, at in rows:
        reason = no_identifier(known[audience_id])
        if criteria.reason in {None, reason}:
            yield audience_id, Operation.ADD, Reason.NO_IDENTIFIER, reason, count, at


def count_rejected(db: Db, criteria: RejectedFilter = ALL_REJECTED) -> int:
    """How many users match."""
    return sum(selection.size for selection in _selections(db, criteria))


class _Selection(NamedTuple):
    """The matching users of one audience and one kind: their number, and the query for them."""

    audience: Audience
    query: _Query
    is_refused: bool
    size: int


def _selections(db: Db, criteria: RejectedFilter) -> list[_Selection]:
    """The matching users by audience; first those refused, then those without identifier."""
    refused, unidentified = _refused(criteria), _unidentified(criteria)
    sent = _counts(db, refused)
    unsent = _counts(db, unidentified) if unidentified else {}
    selections = []
    for audience in all_audiences(db):
        if audience.id in sent:
            selections.append(_Selection(audience, refused, True, sent[audience.id]))
        if (
            unidentified
            and audience.id in unsent
            and criteria.reason in {None, no_identifier(audience)}
        ):
            selections.append(_Selection(audience, unidentified, False, unsent[audience.id]))
    return selections


def _counts(db: Db, query: _Query) -> dict[int, int]:
    return dict(
        db.execute(
            f"SELECT audience_id, count(*) FROM member WHERE {query.text} GROUP BY 1", query.values
        )
    )


def rejected_page(db: Db, criteria: RejectedFilter, offset: int, limit: int) -> list[RejectedUser]:
    """Some of the users that match, in a stable order.

    By audience, then as they were rejected, then those without the identifier.
    """
    found: list[RejectedUser] = []
    for selection in _selections(db, criteria):
        if offset < selection.size:
            read = _read_refused if selection.is_refused else _read_unidentified
            found += read(db, selection.audience, selection.query, limit - len(found), offset)
        offset = max(0, offset - selection.size)
        if len(found) >= limit:
            break
    return found


def _read_refused(
    db: Db, audience: Audience, query: _Query, limit: int, offset: int
) -> Iterator[RejectedUser]:
    rows = db.execute(
        "SELECT id_type, member.id, operation, reason, code, at, refusals, rejection.request_id, "
        "coalesce(rejected_since, at) "
        "FROM (SELECT n AS nth, rejection_id AS which FROM member "
        f"WHERE {query.text} AND audience_id = :audience_id "
        "ORDER BY rejection_id, n LIMIT :limit OFFSET :offset) AS page "
        "JOIN member ON n = nth JOIN rejection ON rejection.id = which ORDER BY which, nth",
        {**query.values, "audience_id": audience.id, "limit": limit, "offset": offset},
    )
    for id_type, id_, operation, reason, code, at, tries, request_id, since in rows:
        yield RejectedUser(
            audience.id,
            audience.handle,
            audience.computation_id,
            audience.name,
            ID_TYPE_OF[id_type],
            id_,
            Operation(operation),
            reason,
            Reason(code),
            at,
            tries,
            request_id,
            since,
        )


def _read_unidentified(
    db: Db, audience: Audience, query: _Query, limit: int, offset: int
) -> Iterator[RejectedUser]:
    rows = db.execute(
        f"SELECT id, event_at FROM member WHERE {query.text} AND audience_id = :audience_id "
        "ORDER BY n LIMIT :limit OFFSET :offset",
        {**query.values, "audience_id": audience.id, "limit": limit, "offset": offset},
    )
    for id_, at in rows:
        yield RejectedUser(
            audience.id,
            audience.handle,
            audience.computation_id,
            audience.name,
            audience.id_type.other,
            id_,
            Operation.ADD,
            no_identifier(audience),
            Reason.NO_IDENTIFIER,
            at,
            0,
            None,
            at,
        )


def rejected_users(db: Db, only: Audience | None = None) -> list[RejectedUser]:
    """All users rejected now, of one audience or of all."""
    criteria = RejectedFilter(audience_id=only.id if only else None)
    return rejected_page(db, criteria, 0, EVERY)


def newest_rejection(db: Db) -> int:
    """The id of the newest rejection; 0 before the first."""
    return int(db.execute("SELECT coalesce(max(id), 0) FROM rejection").fetchone()[0])


def retry_rejected(db: Db, criteria: RejectedFilter = ALL_REJECTED) -> int:
    """Make the users that match pending again; return how many.

    Users without the identifier stay: there is nothing to send for them.
    """
    query = _refused(criteria)
    return db.execute(
        f"UPDATE member SET rejection_id = NULL WHERE {query.text}", query.values
    ).rowcount


def retry_users(db: Db, users: Sequence[tuple[int, IdType, str]]) -> int:
    """Make these users (audience, ID type, identifier) pending again; return how many."""
    done = db.executemany(
        "UPDATE member SET rejection_id = NULL WHERE audience_id = ? AND id_type = ? AND id = ? "
        "AND rejection_id IS NOT NULL",
        [(audience_id, ID_TYPE_CODE[id_type], id_) for audience_id, id_type, id_ in users],
    )
    return done.rowcount


def last_rejection(db: Db, audience_id: int) -> tuple[Reason, str, int] | None:
    """Why a user of the audience was rejected last among those who still are, and when."""
    row = db.execute(
        "SELECT code, reason, at FROM rejection WHERE id = (SELECT max(rejection_id) FROM member "
        "WHERE audience_id = ? AND rejection_id IS NOT NULL)",
        (audience_id,),
    ).fetchone()
    return None if row is None else (Reason(row[0]), str(row[1]), int(row[2]))
