"""Users who could not be delivered, each with the reason: in groups, in pages, or all of them.

There are two kinds. Whom Amplitude skipped or refused has a rejection. Who is a member but has no
identifier of the audience's ID type was never sent: that follows from the events, so it is not
kept anywhere, only looked up.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from amp_console.ledger.audiences import Audience, all_audiences
from amp_console.ledger.codes import ID_TYPE_CODE, ID_TYPE_OF
from amp_console.ledger.deliveries import Reason
from amp_console.values import IdType, Operation


class RejectedUser(msgspec.Struct, frozen=True):
    """One user Amplitude did not take, or whom nothing could be sent for.

    `at` is when, in microseconds since 1970; `tries` how often Amplitude refused; `request_id`
    the request that carried the user, None where there was nothing to send.
    """

    audience_id: int
    audience: str
    audience_name: str
    id_type: IdType
    id: str
    operation: Operation
    reason: str
    code: Reason
    at: int
    tries: int
    request_id: int | None


class RejectedFilter(msgspec.Struct, frozen=True):
    """Which rejected users are meant; None and "" mean all.

    `run_id` is the run whose request refused them, `text` a part of the identifier, whatever its
    case.
    """

    audience_id: int | None = None
    operation: Operation | None = None
    code: Reason | None = None
    reason: str | None = None
    run_id: int | None = None
    text: str = ""


EVERYBODY = RejectedFilter()


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
    """What stands after SELECT, with its values."""

    text: str
    values: dict[str, object]


def _refused(wish: RejectedFilter) -> _Query:
    """Those whom Amplitude skipped or refused."""
    conditions = ["member.rejection_id IS NOT NULL"]
    for column, name in (
        ("member.audience_id", "audience_id"),
        ("rejection.operation", "operation"),
        ("rejection.code", "code"),
        ("rejection.reason", "reason"),
    ):
        if getattr(wish, name) is not None:
            conditions.append(f"{column} = :{name}")
    if wish.run_id is not None:
        conditions.append("rejection.request_id IN (SELECT id FROM request WHERE run_id = :run_id)")
    return _query(
        "FROM member JOIN rejection ON rejection.id = member.rejection_id",
        conditions,
        wish,
    )


def _query(tables: str, conditions: list[str], wish: RejectedFilter) -> _Query:
    if wish.text:
        # instr knows no wildcards, so that nothing in the text has to be escaped.
        conditions.append("instr(lower(member.id), lower(:text))")
    values = msgspec.structs.asdict(wish)
    return _Query(f"{tables} WHERE {' AND '.join(conditions)}", values)


def _unidentified(audience: Audience, wish: RejectedFilter) -> _Query | None:
    """Members of an audience with only the other kind of identifier; None where none are meant."""
    meant = (
        wish.run_id is None
        and wish.audience_id in {None, audience.id}
        and wish.code in {None, Reason.NO_IDENTIFIER}
        and wish.operation in {None, Operation.ADD}
        and wish.reason in {None, _no_identifier(audience)}
    )
    if not meant:
        return None
    conditions = [
        f"member.audience_id = {audience.id}",
        f"member.id_type = {ID_TYPE_CODE[audience.id_type.other]}",
        "is_member = 1",
        "counterpart IS NULL",
    ]
    return _query("FROM member", conditions, wish)


def _no_identifier(audience: Audience) -> str:
    return f"No {audience.id_type.label} in the event"


def rejection_groups(
    db: sqlite3.Connection, wish: RejectedFilter = EVERYBODY
) -> list[RejectionGroup]:
    """The rejected by audience, operation and reason, the largest group first."""
    known = {each.id: each for each in all_audiences(db)}
    query = _refused(wish)
    # The rejections are few, the rejected many: they are counted before they are told apart.
    rows = db.execute(
        "SELECT audience_id, operation, code, reason, sum(many), max(at) FROM ("
        f"SELECT member.audience_id, member.rejection_id AS which, count(*) AS many {query.text} "
        "GROUP BY 1, 2) JOIN rejection ON rejection.id = which GROUP BY 1, 2, 3, 4",
        query.values,
    )
    groups = [
        RejectionGroup(
            of,
            known[of].key,
            known[of].name,
            Operation(operation),
            Reason(code),
            reason,
            count,
            at,
        )
        for of, operation, code, reason, count, at in rows
    ]
    groups += _groups_of_unidentified(db, wish, known.values())
    return sorted(groups, key=lambda each: (-each.count, each.audience_name, each.reason))


def _groups_of_unidentified(
    db: sqlite3.Connection, wish: RejectedFilter, audiences: Sequence[Audience] | Any
) -> Iterator[RejectionGroup]:
    for audience in audiences:
        query = _unidentified(audience, wish)
        if query is None:
            continue
        count, at = db.execute(
            f"SELECT count(*), max(event_at) {query.text}", query.values
        ).fetchone()
        if count:
            yield RejectionGroup(
                audience.id,
                audience.key,
                audience.name,
                Operation.ADD,
                Reason.NO_IDENTIFIER,
                _no_identifier(audience),
                count,
                at,
            )


def count_rejected(db: sqlite3.Connection, wish: RejectedFilter = EVERYBODY) -> int:
    """How many users are meant."""
    count = _count(db, _refused(wish))
    for audience in all_audiences(db):
        if (query := _unidentified(audience, wish)) is not None:
            count += _count(db, query)
    return count


def _count(db: sqlite3.Connection, query: _Query) -> int:
    return int(db.execute(f"SELECT count(*) {query.text}", query.values).fetchone()[0])


def rejected_page(
    db: sqlite3.Connection, wish: RejectedFilter, offset: int, limit: int
) -> list[RejectedUser]:
    """Some of the users that are meant, in an order that stays: by audience, then as they came."""
    found: list[RejectedUser] = []
    for audience in all_audiences(db):
        if wish.audience_id not in {None, audience.id}:
            continue
        of_one = msgspec.structs.replace(wish, audience_id=audience.id)
        for query, read in (
            (_refused(of_one), _read_refused),
            (_unidentified(audience, wish), _read_unidentified),
        ):
            if query is None:
                continue
            count = _count(db, query) if offset else None
            if count is not None and offset >= count:
                offset -= count
                continue
            found += read(db, audience, query, limit - len(found), offset)
            offset = 0
            if len(found) >= limit:
                return found
    return found


def _read_refused(
    db: sqlite3.Connection, audience: Audience, query: _Query, limit: int, offset: int
) -> Iterator[RejectedUser]:
    rows = db.execute(
        "SELECT member.id_type, member.id, operation, reason, code, at, refusals, "
        f"rejection.request_id {query.text} "
        f"ORDER BY member.id_type, member.n LIMIT {limit} OFFSET {offset}",
        query.values,
    )
    for id_type, id_, operation, reason, code, at, tries, request_id in rows:
        yield RejectedUser(
            audience.id,
            audience.key,
            audience.name,
            ID_TYPE_OF[id_type],
            id_,
            Operation(operation),
            reason,
            Reason(code),
            at,
            tries,
            request_id,
        )


def _read_unidentified(
    db: sqlite3.Connection, audience: Audience, query: _Query, limit: int, offset: int
) -> Iterator[RejectedUser]:
    rows = db.execute(
        f"SELECT member.id, event_at {query.text} ORDER BY n LIMIT {limit} OFFSET {offset}",
        query.values,
    )
    for id_, at in rows:
        yield RejectedUser(
            audience.id,
            audience.key,
            audience.name,
            audience.id_type.other,
            id_,
            Operation.ADD,
            _no_identifier(audience),
            Reason.NO_IDENTIFIER,
            at,
            0,
            None,
        )


def rejected_users(db: sqlite3.Connection, only: Audience | None = None) -> list[RejectedUser]:
    """Everybody rejected now, of one audience or of all."""
    wish = RejectedFilter(audience_id=only.id if only else None)
    return rejected_page(db, wish, 0, 1 << 62)


def retry_rejected(db: sqlite3.Connection, wish: RejectedFilter = EVERYBODY) -> int:
    """Make the users that are meant pending again; return how many.

    Whoever lacks the identifier stays: there is nothing to send for them.
    """
    query = _refused(wish)
    done = db.execute(
        "UPDATE member SET rejection_id = NULL WHERE rejection_id IS NOT NULL "
        f"AND n IN (SELECT member.n {query.text})",
        query.values,
    )
    return done.rowcount


def retry_users(db: sqlite3.Connection, users: Sequence[tuple[int, IdType, str]]) -> int:
    """Make these users (audience, ID type, identifier) pending again; return how many."""
    done = db.executemany(
        "UPDATE member SET rejection_id = NULL WHERE audience_id = ? AND id_type = ? AND id = ? "
        "AND rejection_id IS NOT NULL",
        [(of, ID_TYPE_CODE[id_type], id_) for of, id_type, id_ in users],
    )
    return done.rowcount
