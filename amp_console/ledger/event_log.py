"""The log of what was done: imports and settings. Runs have a history of their own."""

import enum

import msgspec

from amp_console.ledger.db import Db

MAX_ENTRIES = 10_000  # entries that are kept


class LogKind(enum.StrEnum):
    """What a log entry is about."""

    IMPORT = "import"
    SETTINGS = "settings"


class LogEntry(msgspec.Struct, frozen=True):
    """Something that was done, in words; `at` in microseconds since 1970.

    `is_bad`: an operator should look at it.
    """

    at: int
    kind: LogKind
    text: str
    is_bad: bool = False


def add_log_entry(db: Db, entry: LogEntry) -> None:
    """Keep an entry; the oldest ones are dropped beyond `MAX_ENTRIES`."""
    row = db.execute(
        "INSERT INTO log_entry (at, kind, text, is_bad) VALUES (?, ?, ?, ?) RETURNING id",
        (entry.at, entry.kind, entry.text, entry.is_bad),
    ).fetchone()
    db.execute("DELETE FROM log_entry WHERE id <= ?", (row[0] - MAX_ENTRIES,))


def log_entries(db: Db, limit: int) -> list[LogEntry]:
    """The last `limit` entries, the newest first."""
    rows = db.execute(
        "SELECT at, kind, text, is_bad FROM log_entry ORDER BY id DESC LIMIT ?", (limit,)
    )
    return [LogEntry(at, LogKind(kind), text, bool(is_bad)) for at, kind, text, is_bad in rows]
