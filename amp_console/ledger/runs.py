"""Runs: what each sync did, kept for the history."""

import enum
import sqlite3

import msgspec

from amp_console.ledger.sources import Tally


class RunStatus(enum.StrEnum):
    """How a run ended. `partial`: finished, but users are rejected or events were invalid."""

    RUNNING = "running"
    DELIVERED = "delivered"
    PARTIAL = "partial"
    STOPPED = "stopped"


class AudienceCounts(msgspec.Struct, frozen=True):
    """What one run did for one audience."""

    added: int = 0
    removed: int = 0
    rejected: int = 0
    requests: int = 0
    retries: int = 0
    note: str = ""


class Run(msgspec.Struct, frozen=True):
    """One run, summed over its audiences. A run without an end was killed, or still goes on."""

    id: int
    started_at: int
    ended_at: int | None
    status: RunStatus
    note: str
    audiences: int
    added: int
    removed: int
    rejected: int
    requests: int
    retries: int


def begin_run(db: sqlite3.Connection, tally: Tally, now: int) -> int:
    """Start a run that delivers, among others, what was read as `tally`; return its id."""
    row = db.execute(
        "INSERT INTO run (started_at, read, changes, filtered, invalid) VALUES (?, ?, ?, ?, ?) "
        "RETURNING id",
        (now, tally.read, tally.changes, tally.filtered, tally.invalid),
    ).fetchone()
    return int(row[0])


def record_audience(
    db: sqlite3.Connection, run_id: int, audience_id: int, counts: AudienceCounts, now: int
) -> None:
    """Keep what a run did for an audience; called again, it replaces what was kept."""
    db.execute(
        "INSERT OR REPLACE INTO run_audience VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            run_id,
            audience_id,
            counts.added,
            counts.removed,
            counts.rejected,
            counts.requests,
            counts.retries,
            counts.note,
        ),
    )
    db.execute("UPDATE audience SET last_run_at = ? WHERE id = ?", (now, audience_id))


def end_run(db: sqlite3.Connection, run_id: int, status: RunStatus, note: str, now: int) -> None:
    """Keep how a run ended."""
    db.execute(
        "UPDATE run SET ended_at = ?, status = ?, note = ? WHERE id = ?",
        (now, status, note, run_id),
    )


def all_runs(db: sqlite3.Connection) -> list[Run]:
    """Every run, the newest first."""
    rows = db.execute(
        "SELECT id, started_at, ended_at, status, run.note, count(audience_id), "
        "coalesce(sum(added), 0), coalesce(sum(removed), 0), coalesce(sum(rejected), 0), "
        "coalesce(sum(requests), 0), coalesce(sum(retries), 0) "
        "FROM run LEFT JOIN run_audience ON run_id = id GROUP BY id ORDER BY id DESC"
    )
    return [
        Run(id_, start, end, RunStatus(status), *counts)
        for id_, start, end, status, *counts in rows
    ]
