"""A ledger: one SQLite file, and the one thread that uses it.

SQLite releases Python's lock while a statement runs, so a statement over a whole batch runs
beside the reader of the next batch; that is why work comes in sets and why there is one thread.
"""

import re
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Concatenate, NamedTuple, ParamSpec, Self, TypeVar

from amp_console.ledger.backups import (
    Backup,
    BackupOptions,
    Backups,
    BackupSkipped,
    open_to_read,
)
from amp_console.ledger.db import Db
from amp_console.ledger.errors import LedgerClosed, LedgerError, damaged, explain, explain_os
from amp_console.ledger.event_log import log_backup
from amp_console.ledger.files import EMPTY, prepare
from amp_console.ledger.locks import FileLocks
from amp_console.ledger.run_log import end_and_log_dead_runs
from amp_console.ledger.runs import running_locks
from amp_console.ledger.schema import migrate
from amp_console.values import now_in_microseconds

P = ParamSpec("P")
T = TypeVar("T")
Work = Callable[Concatenate[Db, P], T]

BUSY_SECONDS = 30.0
CACHE_KIB = 48 * 1024  # with 64 MiB, 2,000,000 rows from DuckDB take more than 150 MiB


class Ledger:
    """Runs functions that take a `Db` first, each in a transaction of its own.

    `read`, `stage` and `write` wait for the result, `aread`, `astage` and `awrite` await it,
    `submit` returns a future. All raise `LedgerError` if SQLite fails; the transaction is then
    rolled back.
    """

    def __init__(
        self,
        path: Path,
        *,
        backups: BackupOptions | None = None,
        now: Callable[[], int] = now_in_microseconds,
        is_durable: bool = True,
    ) -> None:
        """Open the ledger at `path`; see `open_ledger`."""
        self._path = path
        self._is_durable = is_durable
        self.backups = Backups(path, backups or BackupOptions())
        self._locks = FileLocks(path)
        self.notices: tuple[str, ...] = ()
        self._made: Backup | None = None  # before a migration
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        try:
            self._db = self._thread.submit(self._guard, self._open, now).result()
            _queue(self._thread, self._guard, self._end_dead_runs).result()
        except BaseException:
            self._thread.shutdown()
            raise

    def submit(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a write; its errors come with the future."""
        return _queue(
            self._thread,
            self._guard,
            self._transaction,
            "BEGIN IMMEDIATE",
            lambda db: work(db, *args, **kwargs),
        )

    def write(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` in a transaction that may change the ledger."""
        return self.submit(work, *args, **kwargs).result()

    async def awrite(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Like `write`, without holding up the event loop."""
        return await _awaitable(self.submit(work, *args, **kwargs))

    def read(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` on one consistent state of the ledger, while other processes may write."""
        return self._submit_read(work, *args, **kwargs).result()

    async def aread(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Like `read`, without holding up the event loop."""
        return await _awaitable(self._submit_read(work, *args, **kwargs))

    def stage(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work`, which may write to temporary tables of this connection and to nothing else.

        SQLite keeps them in a file of their own, so writers of the ledger are not held up.
        """
        return self._submit_read(work, *args, **kwargs).result()

    async def astage(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Like `stage`, without holding up the event loop."""
        return await _awaitable(self._submit_read(work, *args, **kwargs))

    def _submit_read(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return _queue(
            self._thread,
            self._guard,
            self._transaction,
            "BEGIN",
            lambda db: work(db, *args, **kwargs),
        )

    @property
    def url(self) -> str:
        """What `open_ledger` opens this ledger by."""
        return str(self._path)

    def lease(self, audience_id: int) -> AbstractContextManager[None]:
        """Hold an audience's lease; raises `AudienceBusy` at once if another process holds it."""
        return self._locks.lease(audience_id)

    def hold_source(self, key: str) -> AbstractContextManager[None]:
        """Hold a source while it is read; raises `SourceBusy` at once if someone else holds it."""
        return self._locks.hold_source(key)

    def hold_run(self) -> AbstractContextManager[str]:
        """Hold a new lock during a run; its name is what `begin_run` writes down."""
        return self._locks.hold_run()

    def dead_runs(self) -> frozenset[int]:
        """Return the runs marked running whose process no longer holds their lock.

        What is read afterwards may use this: a run that began since is not among them, and for one
        that ended since, its own end counts.
        """
        return _queue(self._thread, self._guard, self._find_dead_runs).result()

    async def adead_runs(self) -> frozenset[int]:
        """Like `dead_runs`, without holding up the event loop."""
        return await _awaitable(_queue(self._thread, self._guard, self._find_dead_runs))

    async def aend_dead_runs(self) -> None:
        """End the dead runs in the history, with what their requests say they did."""
        await _awaitable(_queue(self._thread, self._guard, self._end_dead_runs))

    def close(self) -> None:
        """Finish what was queued and close the file."""
        closed = self._thread.submit(self._db.close)
        self._thread.shutdown()  # at once: nothing is taken that would find the file closed
        closed.result()

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
        if notice := prepare(self._path):
            self.notices += (notice,)
        db = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            if not db.execute("PRAGMA user_version").fetchone()[0]:
                raise damaged(self._path, "is not a ledger")
            db.execute("PRAGMA journal_mode = WAL")
            # What was taken must outlive a power cut.
            db.execute(f"PRAGMA synchronous = {'FULL' if self._is_durable else 'OFF'}")
            db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            db.execute("PRAGMA foreign_keys = ON")
            migrate(db, lambda version: self._back_up_before(version + 1, now()))
            if self._made is not None:
                log_backup(db, self._made.path.name, self._made.size, now())
        except BaseException:
            db.close()
            raise
        return db

    def _back_up_before(self, version: int, now: int) -> None:
        """Make a backup; without space for one, the migration, which needs little, still runs."""
        try:
            self._made = self.backups.make(f"before-version-{version}", now)
        except BackupSkipped as skipped:
            self.notices += (str(skipped),)

    def _find_dead_runs(self) -> frozenset[int]:
        return self._locks.dead(self._transaction("BEGIN", running_locks))

    def _end_dead_runs(self) -> None:
        dead = self._find_dead_runs()
        if dead:  # else no process that writes is waited for
            self._transaction("BEGIN IMMEDIATE", lambda db: end_and_log_dead_runs(db, dead))

    def _transaction(self, begin: str, work: Callable[[Db], T]) -> T:
        if self._db.in_transaction:  # the ROLLBACK of the last one failed, too
            self._db.execute("ROLLBACK")
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
            raise explain(error, self._path) from error


async def _awaitable(future: Future[T]) -> T:
    """Await what the ledger's thread does, without holding up the event loop."""
    # Not at the top: commands that read a ledger have no event loop, and start 30 ms sooner.
    from asyncio import wrap_future

    return await wrap_future(future)


def _queue(
    thread: ThreadPoolExecutor, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> Future[T]:
    """Let the thread of a ledger call it. Raises `LedgerClosed` once that takes nothing more."""
    try:
        return thread.submit(call, *args, **kwargs)
    except RuntimeError:
        raise LedgerClosed from None


def open_ledger(
    url: str | Path,
    *,
    backups: BackupOptions | None = None,
    now: Callable[[], int] = now_in_microseconds,
    is_durable: bool = True,
) -> Ledger:
    """Open the ledger at a path or a `sqlite:` URL, creating or migrating it as needed.

    A new file is readable by its owner only (0600). A ledger of an older version is backed up
    first; `now` is in microseconds since 1970. `Ledger.notices` says in sentences what an operator
    has to know about that. A power cut may damage a ledger that is not `is_durable`: for one that
    is thrown away. Raises `LedgerError`, also for a URL of another scheme.
    """
    return Ledger(_path_of(url), backups=backups, now=now, is_durable=is_durable)


_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):")  # a single letter is a drive of Windows


def _path_of(url: str | Path) -> Path:
    if isinstance(url, Path) or not (scheme := _SCHEME.match(url)):
        return Path(url)
    if scheme[1].lower() != "sqlite":
        raise LedgerError(
            f"Ledgers can't be opened with {scheme[1]}:. Use a path, or sqlite: and a path."
        )
    rest = url[scheme.end() :]
    return Path(rest.removeprefix("//"))


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


def revision(db: Db) -> int:
    """A number that changes whenever another connection, of any process, has committed."""
    return int(db.execute("PRAGMA data_version").fetchone()[0])
