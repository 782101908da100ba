"""Runs whose process ended in the middle: they are ended in the history for it."""

import sqlite3

from amp_console.ledger.run_locks import is_held

INTERRUPTED = "The process ended before this audience was through."

_LAST_SIGN = (
    "SELECT max(started_at, coalesce(("
    " SELECT max(max(sent_at, CASE state WHEN 'confirmed' THEN settled_at ELSE 0 END))"
    " FROM request WHERE run_id = run.id), 0)) FROM run WHERE id = ?"
)


def last_sign(db: sqlite3.Connection, run_id: int) -> int:
    """When a run that died was last seen alive: it sent something, or was answered."""
    return int(db.execute(_LAST_SIGN, (run_id,)).fetchone()[0])


def end_dead_runs(db: sqlite3.Connection) -> int:
    """End the runs whose process is gone, with what their requests say they did.

    Returns how many. Their requests without an answer are voided by whoever holds the lease next.
    """
    found = dead_runs(db)
    for run_id in found:
        _recount(db, run_id)
        db.execute(
            "UPDATE run SET status = 'interrupted', ended_at = ?, lock = NULL WHERE id = ?",
            (last_sign(db, run_id), run_id),
        )
    return len(found)


def dead_runs(db: sqlite3.Connection) -> list[int]:
    """The runs that go on by the books, while nobody carries them out."""
    rows = db.execute("SELECT id, lock FROM run WHERE status = 'running'").fetchall()
    return [run_id for run_id, lock in rows if not is_held(db, lock)]


def _recount(db: sqlite3.Connection, run_id: int) -> None:
    """Keep what was done for the audiences that the run was at; retries can't be told."""
    db.execute(
        "INSERT OR IGNORE INTO run_audience "
        "(run_id, audience_id, added, removed, rejected, requests, note) "
        "SELECT run_id, audience_id, "
        "sum(iif(is_settled AND operation = 'add', size - skipped, 0)), "
        "sum(iif(is_settled AND operation = 'remove', size - skipped, 0)), "
        "sum(skipped + refused), count(*), ? FROM ("
        " SELECT request.*, kind = 'membership' AND state = 'confirmed' AS is_settled,"
        "  coalesce(users, 0) AS refused"
        " FROM request LEFT JOIN ("
        "  SELECT rejection.request_id, count(*) AS users FROM rejection JOIN member"
        "  ON rejection_id = rejection.id WHERE code = 'refused_by_amplitude'"
        "  GROUP BY rejection.request_id) AS named ON named.request_id = request.id"
        " WHERE run_id = ?) GROUP BY audience_id",
        (INTERRUPTED, run_id),
    )
