"""The log: everything that any process did with a ledger, in words."""

import enum
import os
import socket
from collections.abc import Sequence
from typing import Any

import msgspec

from amp_console.ledger.db import EVERY, Db, ledger_time

MAX_ENTRIES = 100_000  # entries that are kept


class LogKind(enum.StrEnum):
    """What a log entry is about. Runs have the words of `RunKind`."""

    IMPORT = "import"
    SYNC = "sync"
    COMPARE = "compare"
    REPAIR = "repair"
    LIVE = "live"
    FORGET = "forget"
    RETRY = "retry"
    LINK = "link"
    SETTINGS = "settings"
    KEYS = "keys"
    BACKUP = "backup"
    PRUNE = "prune"
    MESSAGE = "message"  # of a console to its operator


class Severity(enum.IntEnum):
    """How urgent a log entry is: an operator should check a warning, and act on an error."""

    INFORMATION = 0
    WARNING = 1
    ERROR = 2


class LogEntry(msgspec.Struct, frozen=True):
    """Something that was done, in words; `at` in microseconds since 1970.

    `run_id` and `audience_id` are what it is about. `process` names the process that did it
    ("process 71 on desk"), and `operator` the person who uses that process; either is "" if it is
    not known. `id` is 0 before the entry is saved.
    """

    at: int
    kind: LogKind
    text: str
    severity: Severity = Severity.INFORMATION
    run_id: int | None = None
    audience_id: int | None = None
    process: str = ""
    id: int = 0
    operator: str = ""


class LogFilter(msgspec.Struct, frozen=True):
    """Which entries to select: `text` is part of one, or of its operator's name, ignoring case.

    No `kinds` are all kinds.

    `since` is a time in microseconds since 1970, `after` the id of an entry kept before them; with
    `audience_id`, only those about one audience.
    """

    text: str = ""
    kinds: tuple[LogKind, ...] = ()
    since: int | None = None
    after: int = 0
    audience_id: int | None = None


def this_process() -> str:
    """Name this process as `LogEntry.process` does."""
    return process_name(os.getpid(), socket.gethostname())


def process_name(pid: int, host: str) -> str:
    """Name a process for people."""
    return f"process {pid} on {host}"


def by_whom(operator: str, process: str) -> str:
    """Name an operator and a process for people; either may be ""."""
    return ", ".join(filter(None, (operator, process)))


def add_log_entry(db: Db, entry: LogEntry) -> None:
    """Add an entry of this process; beyond `MAX_ENTRIES`, the oldest ones are dropped."""
    row = db.execute(
        "INSERT INTO log_entry (at, kind, text, severity, run_id, audience_id, process, operator) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, coalesce(nullif(?, ''), this_operator())) RETURNING id",
        (
            entry.at,
            entry.kind,
            entry.text,
            int(entry.severity),
            entry.run_id,
            entry.audience_id,
            entry.process or this_process(),
            entry.operator,
        ),
    ).fetchone()
    db.execute("DELETE FROM log_entry WHERE id <= ?", (row[0] - MAX_ENTRIES,))


def add_local_entry(db: Db, entry: LogEntry) -> None:
    """Add an entry whose time is by this machine's clock, from before the ledger was open."""
    add_log_entry(db, msgspec.structs.replace(entry, at=ledger_time(db, entry.at)))


def log_page(db: Db, criteria: LogFilter, offset: int = 0, limit: int = EVERY) -> list[LogEntry]:
    """Some of the entries, the newest first."""
    where, values = _where(criteria)
    rows = db.execute(
        "SELECT at, kind, text, severity, run_id, audience_id, process, id, operator "
        f"FROM log_entry WHERE {where} ORDER BY at DESC, id DESC LIMIT ? OFFSET ?",
        (*values, limit, offset),
    )
    return [_entry(row) for row in rows]


def log_counts(db: Db, criteria: LogFilter) -> dict[LogKind, int]:
    """How many entries match by kind, ignoring the filter's kinds; kinds without any lack."""
    where, values = _where(msgspec.structs.replace(criteria, kinds=()))
    rows = db.execute(f"SELECT kind, count(*) FROM log_entry WHERE {where} GROUP BY kind", values)
    return {LogKind(kind): count for kind, count in rows}


def count_log(db: Db, criteria: LogFilter) -> int:
    """How many entries match."""
    where, values = _where(criteria)
    return int(db.execute(f"SELECT count(*) FROM log_entry WHERE {where}", values).fetchone()[0])


def newest_log_id(db: Db) -> int:
    """The id of the newest entry; 0 if there is none."""
    row = db.execute("SELECT coalesce(max(id), 0) FROM log_entry").fetchone()
    return int(row[0])


def last_changed_by(db: Db, audience_id: int) -> str:
    """Who changed the settings or the link of an audience last.

    "" if it was the operator who asks, or if it is not known.
    """
    row = db.execute(
        "SELECT CASE WHEN operator = this_operator() THEN '' ELSE operator END FROM log_entry "
        "WHERE audience_id = ? AND kind IN (?, ?) ORDER BY id DESC LIMIT 1",
        (audience_id, LogKind.SETTINGS, LogKind.LINK),
    ).fetchone()
    return "" if row is None else str(row[0])


def log_backup(db: Db, name: str, size: int, now: int) -> None:
    """Log that the ledger was backed up, into a file of this name and size in bytes."""
    text = f"Ledger backed up: {name}, {size / 1_000_000:,.1f} MB."
    add_log_entry(db, LogEntry(now, LogKind.BACKUP, text))


def _where(criteria: LogFilter) -> tuple[str, list[Any]]:
    where = "id > ?"
    values: list[Any] = [criteria.after]
    if criteria.kinds:
        where += f" AND kind IN ({', '.join('?' * len(criteria.kinds))})"
        values += criteria.kinds
    if criteria.since is not None:
        where += " AND at >= ?"
        values.append(criteria.since)
    if criteria.audience_id is not None:
        where += " AND audience_id = ?"
        values.append(criteria.audience_id)
    if criteria.text:
        where += " AND (instr(lower(text), lower(?)) > 0 OR instr(lower(operator), lower(?)) > 0)"
        values += [criteria.text] * 2
    return where, values


def _entry(row: Sequence[Any]) -> LogEntry:
    at, kind, text, severity, *rest = row
    return LogEntry(at, LogKind(kind), text, Severity(severity), *rest)
