"""One person: what every audience knows of an identifier."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from amp_console.ledger import late_effects
from amp_console.ledger.audiences import Audience, all_audiences
from amp_console.ledger.db import ID_TYPE_CODE, ID_TYPE_OF, Db
from amp_console.ledger.deliveries import Reason
from amp_console.ledger.requests import RequestRecord, RequestState, request
from amp_console.ledger.runs import RunStatus, run
from amp_console.values import IdType, Operation


class Rejection(msgspec.Struct, frozen=True):
    """Why a person is rejected; `at` in microseconds since 1970."""

    operation: Operation
    code: Reason
    reason: str
    at: int
    tries: int


class PersonRecord(msgspec.Struct, frozen=True):
    """What one audience knows of one identifier.

    `is_member` is what the newest event says; `wanted` the same, but False under an ID type that
    the audience does not use. `delivered` None is unknown, as it is while a request is open.
    `source` and `line` are where the event is, `event_at` its time in microseconds since 1970;
    `source` is None for a user that no event ever named (a seed). `request` is the last one that
    carried the person; `is_under_way` says that it is open, and its run still active. `refusals`
    counts how often Amplitude refused the change that is wanted now, also after a retry. Until
    `certain_at`, in microseconds since 1970, an earlier request may still undo what is delivered.
    """

    audience: Audience
    id_type: IdType
    id: str
    is_member: bool
    wanted: bool
    event_at: int
    source: str | None
    line: int
    delivered: bool | None
    request: RequestRecord | None
    is_under_way: bool
    rejection: Rejection | None
    refusals: int
    counterpart: str | None
    certain_at: int | None = None


def find_person(db: Db, text: str, dead: Collection[int] = ()) -> list[PersonRecord]:
    """What is known of an identifier of either kind, spelled exactly; `dead` as in `all_runs`."""
    found = []
    for audience in all_audiences(db):
        for id_type in (audience.id_type, audience.id_type.other):
            row = db.execute(
                "SELECT id_type, member.id, is_member, wanted, event_at, source.name, line, "
                "delivered, member.request_id, counterpart, rejection.operation, code, reason, at, "
                "refusals FROM member LEFT JOIN source ON source.id = source_id "
                "LEFT JOIN rejection ON rejection.id = rejection_id "
                "WHERE audience_id = ? AND id_type = ? AND member.id = ?",
                (audience.id, ID_TYPE_CODE[id_type], text),
            ).fetchone()
            if row is not None:
                found.append(_record(db, audience, row, dead))
    return found


def _record(db: Db, audience: Audience, row: Sequence[Any], dead: Collection[int]) -> PersonRecord:
    code, id_, is_member, wanted, event_at, source, line, delivered, request_id, other, *why = row
    refusals = why[-1]
    last = None if request_id is None else request(db, request_id)
    is_open = last is not None and last.state is RequestState.OPEN
    return PersonRecord(
        audience=audience,
        id_type=ID_TYPE_OF[code],
        id=id_,
        is_member=bool(is_member),
        wanted=bool(wanted),
        event_at=event_at,
        source=source,
        line=line,
        delivered=None if delivered is None or is_open else bool(delivered),
        request=last,
        is_under_way=is_open and _is_running(db, last, dead),
        rejection=_rejection(why),
        refusals=refusals,
        counterpart=other,
        certain_at=late_effects.uncertain_until(db, audience.id, ID_TYPE_OF[code], id_),
    )


def _is_running(db: Db, last: RequestRecord | None, dead: Collection[int]) -> bool:
    found = run(db, last.run_id, dead) if last is not None else None
    return found is not None and found.status is RunStatus.RUNNING


def _rejection(why: Sequence[Any]) -> Rejection | None:
    operation, code, reason, at, tries = why
    return (
        None if code is None else Rejection(Operation(operation), Reason(code), reason, at, tries)
    )
