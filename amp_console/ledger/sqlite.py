"""A ledger in one SQLite file, by default: for one person on one machine."""

import sqlite3
from collections.abc import Callable, Collection
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

from amp_console.ledger.backups import (
    Backup,
    BackupOptions,
    Backups,
    BackupSkipped,
    open_to_read,
)
from amp_console.ledger.database import Access
from amp_console.ledger.db import Db
from amp_console.ledger.errors import LedgerError, damaged, explain, explained, not_locked
from amp_console.ledger.event_log import log_backup
from amp_console.ledger.files import prepare, refuse_empty
from amp_console.ledger.locks import FileLocks, Locks
from amp_console.ledger.schema import check_version, migrate

T = TypeVar("T")

BUSY_SECONDS = 30.0
CACHE_KIB = 40 * 1024  # with 64 MiB, 2,000,000 rows from DuckDB take more than 150 MiB


class SqliteDatabase:
    """A file, through SQLite's own connection."""

    errors = sqlite3.Error
    has_one_writer = True
    clock_offset = 0

    def __init__(
        self,
        path: Path,
        backups: BackupOptions,
        now: Callable[[], int],
        operator: str,
        *,
        is_durable: bool,
    ) -> None:
        self.url = str(path)
        self.locks: Locks = FileLocks(path, not_locked)
        self.backups: Backups | None = Backups(path, backups)
        self._path = path
        self._backups = self.backups
        self._now = now
        self._operator = operator
        self._is_durable = is_durable
        self._made: Backup | None = None  # before a migration
        self._db: sqlite3.Connection

    def open(self) -> tuple[str, ...]:
        """Open the file, creating or migrating it as needed. Raises `LedgerError`."""
        notices = [notice] if (notice := prepare(self._path)) else []
        db = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            if not db.execute("PRAGMA user_version").fetchone()[0]:
                raise damaged(self._path, "is not a ledger")
            db.execute("PRAGMA journal_mode = WAL")
            # What was taken must outlive a power cut.
            db.execute(f"PRAGMA synchronous = {'FULL' if self._is_durable else 'OFF'}")
            db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            db.execute("PRAGMA foreign_keys = ON")
            db.create_function("this_operator", 0, lambda: self._operator)
            migrate(db, lambda version: self._back_up_before(version + 1, notices))
            if self._made is not None:
                log_backup(db, self._made.path.name, self._made.size, self._now())
        except BaseException:
            db.close()
            raise
        self._db = db
        return tuple(notices)

    def _back_up_before(self, version: int, notices: list[str]) -> None:
        """Make a backup; without space for one, the migration, which needs little, still runs."""
        try:
            self._made = self._backups.make(f"before-version-{version}", self._now())
        except BackupSkipped as skipped:
            notices.append(str(skipped))

    def transaction(
        self, access: Access, work: Callable[[Db], T], _audiences: Collection[int] | None = None, /
    ) -> T:
        """Run `work` in a transaction; roll it back if it fails.

        A file has one writer at a time, whatever the audiences. Raises `LedgerTooNew` once a
        process of a newer version has migrated it.
        """
        if self._db.in_transaction:  # the ROLLBACK of the last one failed, too
            self._db.execute("ROLLBACK")
        self._db.execute("BEGIN IMMEDIATE" if access is Access.WRITE else "BEGIN")
        try:
            check_version(self._db)
            result = work(self._db)
            self._db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # a full disk has rolled back already
                self._db.execute("ROLLBACK")
            raise
        return result

    def explain(self, error: Exception) -> LedgerError:
        """Turn SQLite's error into the operator's."""
        assert isinstance(error, sqlite3.Error)
        return explain(error, self._path)

    def close(self) -> None:
        """Close the file."""
        self._db.close()


class Examination(NamedTuple):
    """What a ledger file contains, and what SQLite finds wrong with it (None: nothing)."""

    audiences: int
    trouble: str | None


def examine(path: Path) -> Examination:
    """Have SQLite check a ledger of any version, without changing it. Raises `LedgerError`."""
    with explained(path):
        refuse_empty(path)
        with closing(open_to_read(path)) as db:
            says = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
            count = db.execute("SELECT count(*) FROM audience").fetchone()[0]
    return Examination(count, None if says == "ok" else says)


_COUNTED = ("member", "run", "request", "comparison", "log_entry")


class LedgerSizes(NamedTuple):
    """How large a ledger is: its files in bytes, and rows by table; older ledgers lack some.

    `unfinished` counts the deletion requests whose person is still in a cohort, or in the files.
    """

    bytes: int
    rows: dict[str, int]
    unfinished: int


def measure(path: Path) -> LedgerSizes:
    """Measure a ledger of any version, without changing it. Raises `LedgerError`."""
    with explained(path):
        files = [path, path.with_name(f"{path.name}-wal")]
        size = sum(file.stat().st_size for file in files if file.exists())
        with closing(open_to_read(path)) as db:
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
            rows = {
                table: int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
                for table in _COUNTED
                if table in tables
            }
            unfinished = 0
            if "erasure" in tables:
                query = "SELECT count(*) FROM erasure WHERE erased_at IS NULL OR cleaned_at IS NULL"
                unfinished = int(db.execute(query).fetchone()[0])
    return LedgerSizes(size, rows, unfinished)
