"""A ledger: one SQLite file, and the one thread that touches it.

SQLite releases Python's lock while a statement runs, so a statement over a whole batch works
beside the reader of the next one; that is why work comes in sets and why there is one thread.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Concatenate, NamedTuple, ParamSpec, Self, TypeVar

from amp_console.ledger.backups import BackupOptions, BackupSkipped, back_up, open_to_read
from amp_console.ledger.dead_runs import dead_runs, end_dead_runs
from amp_console.ledger.errors import damaged, explain, explain_os
from amp_console.ledger.files import EMPTY, prepare
from amp_console.ledger.schema import migrate

Db = sqlite3.Connection
"""What the ledger's functions take first; no other room needs to know what it is."""

P = ParamSpec("P")
T = TypeVar("T")
Work = Callable[Concatenate[sqlite3.Connection, P], T]

BUSY_SECONDS = 30.0
CACHE_KIB = 64 * 1024


class Ledger:
    """Runs functions that take a `sqlite3.Connection` first, each in a transaction of its own.

    `read` and `write` wait for the result, `aread` and `awrite` await it, `submit` returns a
    future. All raise `LedgerError` where SQLite fails; the transaction is then undone.
    """

    def __init__(
        self,
        path: Path,
        *,
        backups: BackupOptions | None = None,
        now: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        """Open the ledger at `path`, making it (0600) or bringing it up to date as needed.

        An older one is backed up first; `now` is in microseconds since 1970. `notices` says in
        sentences what an operator has to know of that.
        """
        self.path = path
        self.backups = backups or BackupOptions()
        self.notices: tuple[str, ...] = ()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        try:
            self._db = self._thread.submit(self._guard, self._open, now).result()
        except BaseException:
            self._thread.shutdown()
            raise

    def submit(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a write; its errors come with the future."""
        return self._thread.submit(
            self._guard, self._transaction, "BEGIN IMMEDIATE", lambda db: work(db, *args, **kwargs)
        )

    def write(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` in a transaction that may change the ledger."""
        return self.submit(work, *args, **kwargs).result()

    async def awrite(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Like `write`, without holding up the event loop."""
        return await asyncio.wrap_future(self.submit(work, *args, **kwargs))

    def read(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` on one consistent picture of the ledger; other processes may go on writing."""
        return self._look(work, *args, **kwargs).result()

    async def aread(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Like `read`, without holding up the event loop."""
        return await asyncio.wrap_future(self._look(work, *args, **kwargs))

    def _look(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return self._thread.submit(
            self._guard, self._transaction, "BEGIN", lambda db: work(db, *args, **kwargs)
        )

    def close(self) -> None:
        """Finish what was queued and close the file."""
        self._thread.submit(self._db.close).result()
        self._thread.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self, now: Callable[[], int]) -> sqlite3.Connection:
        if notice := prepare(self.path):
            self.notices += (notice,)
        db = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            if not db.execute("PRAGMA user_version").fetchone()[0]:
                raise damaged(self.path, "is not a ledger")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")  # what was taken must outlive a power cut
            db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            db.execute("PRAGMA foreign_keys = ON")
            migrate(db, lambda version: self._back_up(f"before-version-{version + 1}", now()))
            _end_dead_runs(db)
        except BaseException:
            db.close()
            raise
        return db

    def _back_up(self, reason: str, now: int) -> None:
        """Make a backup; without room for one, the migration, which needs little, goes ahead."""
        try:
            back_up(self.path, reason, now, self.backups)
        except BackupSkipped as skipped:
            self.notices += (str(skipped),)

    def _transaction(self, begin: str, work: Callable[[sqlite3.Connection], T]) -> T:
        self._db.execute(begin)
        try:
            result = work(self._db)
            self._db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # a full disk has rolled back already
                self._db.execute("ROLLBACK")
            raise
        return result

    def _guard(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return call(*args, **kwargs)
        except sqlite3.Error as error:
            raise explain(error, self.path) from error


class Examination(NamedTuple):
    """What a ledger file holds, and what SQLite finds wrong with it (None: nothing)."""

    audiences: int
    trouble: str | None


def examine(path: Path) -> Examination:
    """Let SQLite check a ledger, of whatever version, and change nothing. Raises `LedgerError`."""
    try:
        if path.stat().st_size == 0:
            raise damaged(path, EMPTY)
        with closing(open_to_read(path)) as db:
            says = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
            count = db.execute("SELECT count(*) FROM audience").fetchone()[0]
    except sqlite3.Error as error:
        raise explain(error, path) from error
    except OSError as error:
        raise explain_os(error, path) from error
    return Examination(count, None if says == "ok" else says)


def _end_dead_runs(db: sqlite3.Connection) -> None:
    """End what a process left behind; without any, nobody who writes is waited for."""
    if dead_runs(db):
        db.execute("BEGIN IMMEDIATE")
        end_dead_runs(db)
        db.execute("COMMIT")
