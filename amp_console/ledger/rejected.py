"""Users who could not be delivered, each with the reason."""

import sqlite3

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

    audience: str
    id_type: IdType
    id: str
    operation: Operation
    reason: str
    code: Reason
    at: int
    tries: int
    request_id: int | None


def rejected_users(db: sqlite3.Connection, only: Audience | None = None) -> list[RejectedUser]:
    """Everybody rejected now, of one audience or of all."""
    audiences = [only] if only else all_audiences(db)
    return [user for each in audiences for user in (*_refused(db, each), *_unidentified(db, each))]


def _refused(db: sqlite3.Connection, audience: Audience) -> list[RejectedUser]:
    rows = db.execute(
        "SELECT member.id_type, member.id, operation, reason, code, at, refusals, "
        "rejection.request_id FROM member JOIN rejection ON rejection.id = rejection_id "
        "WHERE audience_id = ? AND rejection_id IS NOT NULL ORDER BY rejection_id, member.n",
        (audience.id,),
    )
    return [
        RejectedUser(
            audience.key, ID_TYPE_OF[t], id_, Operation(op), why, Reason(code), at, tries, request
        )
        for t, id_, op, why, code, at, tries, request in rows
    ]


def _unidentified(db: sqlite3.Connection, audience: Audience) -> list[RejectedUser]:
    """Members with only the other kind of identifier: it follows from the events, so not kept."""
    other = audience.id_type.other
    rows = db.execute(
        "SELECT id, event_at FROM member WHERE audience_id = ? AND id_type = ? "
        "AND is_member = 1 AND counterpart IS NULL ORDER BY n",
        (audience.id, ID_TYPE_CODE[other]),
    )
    reason = f"No {audience.id_type.label} in the event"
    add, code = Operation.ADD, Reason.NO_IDENTIFIER
    return [
        RejectedUser(audience.key, other, id_, add, reason, code, at, 0, None) for id_, at in rows
    ]


def retry_rejected(db: sqlite3.Connection, audience_id: int) -> int:
    """Make an audience's rejected users pending again; return how many."""
    done = db.execute(
        "UPDATE member SET rejection_id = NULL WHERE audience_id = ? AND rejection_id IS NOT NULL",
        (audience_id,),
    )
    return done.rowcount
