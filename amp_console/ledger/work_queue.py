"""The work of a ledger's single thread, in the order in which it was requested.

A commit waits for the disk, often longer than the writing itself takes. The followers of a live
session write at the same moment, so consecutive waiting writes share one transaction.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

from amp_console.ledger.db import Db
from amp_console.ledger.errors import LedgerClosed, LedgerError

P = ParamSpec("P")
T = TypeVar("T")

TOGETHER_SECONDS = 0.05  # after which no more writes join a transaction: its first one waits


class SharedWrite(Generic[T]):
    """A write that may share its transaction with others, and the future of its result."""

    def __init__(self, work: Callable[[Db], T]) -> None:
        self.future: Future[T] = Future()
        self._work = work
        self._result: T

    def run(self, db: Db) -> None:
        """Write within the transaction under way; it may be run again in another one."""
        self._result = self._work(db)

    def settle(self) -> None:
        """Hand out the result, which is committed."""
        self.future.set_result(self._result)


class Explaining(Protocol):
    """What turns a database's errors into the operator's: see `Database`."""

    @property
    def errors(self) -> type[Exception]: ...

    def explain(self, error: Exception) -> LedgerError: ...


class WorkQueue:
    """A thread, and the work that waits for it; its futures raise `LedgerError`.

    `put` and `share` raise `LedgerClosed` once the queue is shut down.
    """

    def __init__(
        self, database: Explaining, transaction: Callable[[Callable[[Db], None]], None]
    ) -> None:
        """`transaction` runs what it is given in one that may write."""
        self._database = database
        self._transaction = transaction
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._waiting: deque[Callable[[], None] | SharedWrite[Any]] = deque()
        self._adding = threading.Lock()  # as many turns of the thread follow as there are items

    def put(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue work that runs on its own."""
        future = Future[T]()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = work(*args, **kwargs)
            except BaseException as error:
                future.set_exception(self._explained(error))
            else:
                future.set_result(result)

        self._add(run)
        return future

    def share(self, work: Callable[[Db], T]) -> Future[T]:
        """Queue a write, which may be committed together with those queued next to it."""
        write = SharedWrite(work)
        self._add(write)
        return write.future

    def shut_down(self) -> None:
        """Accept nothing more, and wait until everything is done."""
        self._thread.shutdown()

    def _add(self, item: Callable[[], None] | SharedWrite[Any]) -> None:
        with self._adding:
            try:
                self._thread.submit(self._run_next)
            except RuntimeError:
                raise LedgerClosed from None
            self._waiting.append(item)

    def _run_next(self) -> None:
        with self._adding:
            if not self._waiting:
                return  # it was written together with an earlier one
            item = self._waiting.popleft()
        if not isinstance(item, SharedWrite):
            item()
        elif item.future.set_running_or_notify_cancel():
            self._write_together(item)

    def _write_together(self, first: SharedWrite[Any]) -> None:
        begun = [first]
        try:
            self._write_all(self._in_a_row(begun))
        except BaseException as error:
            if len(begun) == 1:
                first.future.set_exception(self._explained(error))
                return
            for write in begun:  # each by itself, so that what fails is only one caller's
                self._write_alone(write)
        else:
            for write in begun:
                write.settle()

    def _write_alone(self, write: SharedWrite[Any]) -> None:
        try:
            self._write_all(iter([write]))
        except BaseException as error:
            write.future.set_exception(self._explained(error))
        else:
            write.settle()

    def _write_all(self, writes: Iterator[SharedWrite[Any]]) -> None:
        def run(db: Db) -> None:
            for write in writes:
                write.run(db)

        self._transaction(run)

    def _explained(self, error: BaseException) -> BaseException:
        if not isinstance(error, self._database.errors):
            return error
        explained = self._database.explain(error)
        explained.__cause__ = error
        return explained

    def _in_a_row(self, begun: list[SharedWrite[Any]]) -> Iterator[SharedWrite[Any]]:
        """Yield the first write, then those that wait behind it; they are added to those begun."""
        yield begun[0]
        latest = time.monotonic() + TOGETHER_SECONDS
        while self._waiting and time.monotonic() < latest:
            item = self._waiting[0]
            if not isinstance(item, SharedWrite):
                return
            self._waiting.popleft()
            if item.future.set_running_or_notify_cancel():
                begun.append(item)
                yield item
