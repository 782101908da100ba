"""A ledger: the one thread that uses its database, and transactions on it.

SQLite and psycopg release Python's lock while a statement runs, so a statement over a whole batch
runs in parallel with reading the next batch. That is why work comes in sets, and why there is one
thread.
"""

import enum
import threading
from collections.abc import AsyncIterator, Callable, Collection
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Concatenate, ParamSpec, Protocol, Self, TypeVar

from amp_console.ledger.backups import Backups
from amp_console.ledger.db import Db, ServerDb
from amp_console.ledger.errors import LedgerClosed, LedgerError, LedgerReadOnly
from amp_console.ledger.locks import Fence, Locks
from amp_console.ledger.moved import running_locks_if_in_use
from amp_console.ledger.run_log import end_and_log_dead_runs
from amp_console.ledger.work_queue import WorkQueue
from amp_console.values import now_in_microseconds

P = ParamSpec("P")
T = TypeVar("T")
Work = Callable[Concatenate[Db, P], T]
Clock = Callable[[], int]
"""Tells the time in microseconds since 1970."""

RELEASE_SECONDS = 5.0  # that the holder of a lock waits for a server to answer its release


class Access(enum.Enum):
    """What a transaction may do: read, write to temporary tables as well, or write to all."""

    READ = enum.auto()
    STAGE = enum.auto()
    WRITE = enum.auto()


class Database(Protocol):
    """The database of a ledger. All methods except `open` are called in the ledger's thread.

    `url` opens it again; `backups` is None if a server's administrator makes them.
    `has_one_writer`: only one transaction writes at a time, whatever its audiences. `clock_offset`
    is how many microseconds its clock is ahead of this machine's.
    """

    url: str
    has_one_writer: bool
    clock_offset: int
    locks: Locks
    backups: Backups | None

    def open(self) -> tuple[str, ...]:
        """Open the database, creating or migrating it as needed; return `Ledger.notices`."""

    def transaction(
        self, access: Access, work: Callable[[Db], T], audiences: Collection[int] | None = None, /
    ) -> T:
        """Run `work` in a transaction; roll it back where it fails.

        It may be run again, in another one. With `audiences`, as in `Ledger.writes_of`.
        """

    @property
    def errors(self) -> type[Exception]:
        """What its statements raise."""

    def explain(self, error: Exception) -> LedgerError:
        """Turn one of its errors into the operator's."""

    def close(self) -> None:
        """Close the database."""


class Ledger:
    """Runs functions that take a `Db` first, each in a separate transaction; see `Writes.share`.

    `read`, `stage` and `write` wait for the result, `aread` and `awrite` await it, and `submit`
    returns a future. All raise `LedgerError` if the database fails; the transaction is
    then rolled back. `notices` are sentences that an operator has to know about its opening.
    """

    def __init__(self, database: Database) -> None:
        """Open the ledger; see `open_ledger`."""
        self.backups = database.backups
        self._database = database
        self.locks = database.locks
        self._queued = WorkQueue(database, partial(database.transaction, Access.WRITE))
        self._writes = Writes(self._queued, database, None)
        try:
            self.notices = self._queued.put(database.open).result()
        except BaseException:
            self._queued.shut_down()
            raise
        try:
            with suppress(LedgerReadOnly):  # a role that only reads; others end them
                self._queued.put(self._end_dead_runs).result()
        except BaseException:
            self.close()
            raise

    def writes_of(self, *audience_ids: int) -> "Writes":
        """Writes that change only these audiences, and rows that belong to the writer alone.

        The latter are rows that no other process changes at the same time: of a run, of a source
        that it reads, of the log. Such writes wait only for writes to the same audiences or to the
        whole ledger.
        """
        return Writes(self._queued, self._database, audience_ids)

    def submit(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a write; its errors come with the future."""
        return self._writes.submit(work, *args, **kwargs)

    def write(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` in a transaction that may change all of the ledger."""
        return self._writes.write(work, *args, **kwargs)

    async def awrite(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Like `write`, without holding up the event loop."""
        return await self._writes.awrite(work, *args, **kwargs)

    def read(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` on one consistent state of the ledger, while other processes may write."""
        return self._queue(Access.READ, work, *args, **kwargs).result()

    async def aread(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Like `read`, without holding up the event loop."""
        return await _awaitable(self._queue(Access.READ, work, *args, **kwargs))

    def stage(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work`, which may write to temporary tables of this connection and to nothing else.

        Writers of the ledger are not held up.
        """
        return self._queue(Access.STAGE, work, *args, **kwargs).result()

    @property
    def url(self) -> str:
        """The address from which `open_ledger` opens this ledger."""
        return self._database.url

    def clock(self, own: Clock = now_in_microseconds) -> Clock:
        """The clock of all who share the ledger: this machine's `own`, corrected by the server's.

        All times in a ledger that a process of ours has observed follow this clock, so no one waits
        for hours, or not at all, because another machine's clock is wrong.
        """
        if isinstance(own, _LedgerClock):
            return own
        return _LedgerClock(own, self._database)

    def lease(self, audience_id: int) -> AbstractContextManager[Fence | None]:
        """Hold an audience's lease; raises `AudienceBusy` at once if another process holds it.

        What is written under it is `fenced` by what it yields.
        """
        return self.locks.lease(audience_id)

    @asynccontextmanager
    async def ahold(
        self, lock: AbstractContextManager[T], longest_release: float = RELEASE_SECONDS
    ) -> AsyncIterator[T]:
        """Hold a lock, such as `lease`, without holding up the event loop.

        The ledger's thread takes and releases the lock, after what was queued before. If the caller
        is cancelled before the lock is taken, it is released at once. If the release takes more
        than `longest_release` seconds, it continues without the caller.
        """
        held = ExitStack()
        try:
            yield await _awaitable(self._queued.put(held.enter_context, lock))
        finally:
            try:
                releasing = self._queued.put(held.close)
            except LedgerClosed:  # nothing but the lock of a file is left to release
                threading.Thread(target=held.close, daemon=True).start()
            else:
                await _finished(releasing, longest_release)

    async def acheck_lease(self, fence: Fence | None) -> None:
        """Make sure that a lease is still held; without a fence, always. Raises `LeaseLost`."""
        if fence is not None:
            await _awaitable(self._queued.put(self.locks.check_lease, fence))

    def hold_source(self, key: str) -> AbstractContextManager[None]:
        """Hold a source while it is read; raises `SourceBusy` at once if someone else holds it."""
        return self.locks.hold_source(key)

    def hold_run(self) -> AbstractContextManager[str]:
        """Hold a new lock during a run; its name is what `begin_run` writes down."""
        return self.locks.hold_run()

    def dead_runs(self) -> frozenset[int]:
        """Return the runs marked running whose process no longer holds their lock.

        Later reads may use this result: a run that began since is not in it, and if one has ended
        since, that end counts.
        """
        return self._queued.put(self._find_dead_runs).result()

    async def adead_runs(self) -> frozenset[int]:
        """Like `dead_runs`, without holding up the event loop."""
        return await _awaitable(self._queued.put(self._find_dead_runs))

    async def aend_dead_runs(self) -> None:
        """End the dead runs in the history, with the results that their requests show."""
        await _awaitable(self._queued.put(self._end_dead_runs))

    def close(self) -> None:
        """Finish what was queued and close the database."""
        closed = self._queued.put(self._database.close)
        self._queued.shut_down()  # at once: nothing is taken that would find it closed
        closed.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _find_dead_runs(self) -> frozenset[int]:
        return self.locks.dead(self._database.transaction(Access.READ, running_locks_if_in_use))

    def _end_dead_runs(self) -> None:
        dead = self._find_dead_runs()
        if dead:  # else no process that writes is waited for
            self._database.transaction(Access.WRITE, lambda db: end_and_log_dead_runs(db, dead))

    def _queue(
        self, access: Access, work: Work[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        return self._queued.put(
            self._database.transaction, access, lambda db: work(db, *args, **kwargs)
        )


class _LedgerClock:
    """Tells the time of a ledger's server, as of the last transaction."""

    def __init__(self, own: Clock, database: Database) -> None:
        self._own = own
        self._database = database

    def __call__(self) -> int:
        return self._own() + self._database.clock_offset


class Writes:
    """Transactions that may change the whole ledger, or only some of its audiences."""

    def __init__(
        self,
        queue: WorkQueue,
        database: Database,
        audiences: Collection[int] | None,
    ) -> None:
        self._queue = queue
        self._database = database
        self._audiences = audiences

    def submit(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a write; its errors come with the future."""
        return self._queue.put(
            self._database.transaction,
            Access.WRITE,
            lambda db: work(db, *args, **kwargs),
            self._audiences,
        )

    def share(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a short write that may be committed together with others, as `submit` does.

        With one writer at a time, each commit of a file waits for the disk.
        """
        if not self._database.has_one_writer:
            return self.submit(work, *args, **kwargs)
        return self._queue.share(lambda db: work(db, *args, **kwargs))

    def write(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` in a transaction of its own, and wait for the result."""
        return self.submit(work, *args, **kwargs).result()

    async def awrite(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Write without holding up the event loop, as `share` does."""
        return await _awaitable(self.share(work, *args, **kwargs))


async def _awaitable(future: Future[T]) -> T:
    """Await what the ledger's thread does, without holding up the event loop."""
    # Not at the top: commands that read a ledger have no event loop, and start 30 ms sooner.
    from asyncio import wrap_future

    return await wrap_future(future)


async def _finished(future: Future[None], seconds: float) -> None:
    """Wait until the ledger's thread has finished something, for a limited number of seconds."""
    from asyncio import wait, wrap_future

    done, _ = await wait([wrap_future(future)], timeout=seconds)
    for item in done:
        item.result()


def revision(db: Db) -> int:
    """A number that changes whenever another connection, of any process, has committed."""
    if isinstance(db, ServerDb):
        return db.revision()
    return int(db.execute("PRAGMA data_version").fetchone()[0])
