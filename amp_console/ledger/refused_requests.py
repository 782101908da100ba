"""Requests that a receiver refused, counted by reason and kept with their run."""

import enum
from collections.abc import Iterable

import msgspec

from amp_console.ledger.db import Db, ledger_time


class RefusalReason(enum.StrEnum):
    """Why a receiver refused a request, as operators read it. A closed set: counts stay few."""

    MISSING_SIGNATURE = "missing signature"
    WRONG_SIGNATURE = "wrong signature"
    NOT_JSON = "not JSON"
    SEVERAL_DOCUMENTS = "several documents"
    SINGLE_EVENTS_ONLY = "an array, with single events only"
    OTHER_PATH = "another path"
    OTHER_METHOD = "another method"
    TOO_LARGE = "too large"
    TOO_SLOW = "too slow"
    TOO_BUSY = "too much at once"
    LEDGER_FAILED = "the ledger failed"
    BAD_HTTP = "broken HTTP"


class RefusedRequests(msgspec.Struct, frozen=True):
    """Requests refused for one reason, with an HTTP status.

    `last_at` is when the last one came, in microseconds since 1970 (UTC), and `message` what its
    sender was told.
    """

    reason: RefusalReason
    status: int
    count: int
    last_at: int
    message: str


def keep_refused(db: Db, run_id: int, refused: Iterable[RefusedRequests]) -> None:
    """Keep how many requests were refused during a run, by this machine's clock.

    Called again, it replaces what was kept.
    """
    db.executemany(
        "INSERT INTO refused_requests (run_id, reason, status, count, last_at, words) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (run_id, reason, status) DO UPDATE SET "
        "count = excluded.count, last_at = excluded.last_at, words = excluded.words",
        [
            (
                run_id,
                entry.reason,
                entry.status,
                entry.count,
                ledger_time(db, entry.last_at),
                entry.message,
            )
            for entry in refused
        ],
    )


def refused_requests(db: Db, run_id: int) -> list[RefusedRequests]:
    """What was refused during a run, the most recent reason first."""
    rows = db.execute(
        "SELECT reason, status, count, last_at, words FROM refused_requests WHERE run_id = ? "
        "ORDER BY last_at DESC, reason",
        (run_id,),
    )
    return [RefusedRequests(RefusalReason(reason), *rest) for reason, *rest in rows]
