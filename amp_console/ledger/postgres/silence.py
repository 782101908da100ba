"""How long a server may be silent, and how to find out that it will never answer.

If packets are not acknowledged, the kernel's limits end a connection, on either side. A half-dead
proxy acknowledges everything but passes nothing on, which no such limit detects. So a statement
that has waited long asks, on a second connection, whether the server is working on it.
"""

from collections.abc import Callable
from contextlib import closing
from functools import cache
from time import monotonic
from typing import Any, NamedTuple, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.rows import tuple_row

from amp_console.ledger.postgres.errors import is_full

RV = TypeVar("RV")

CONNECT_SECONDS = 10
# A host or a server that vanished is noticed after a minute, on either side: until then the server
# keeps the locks of a session. By default, it would for more than two hours.
KEEPALIVES = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # milliseconds
}
KEEPALIVES_OF_SERVER = {
    name if name.startswith("tcp_") else f"tcp_{name}": value for name, value in KEEPALIVES.items()
}
_QUESTIONS = 2  # at the first, the answer to the statement may have been on its way
_PAUSE = 0.1  # of the limit, after each of them

# One that waits for its client either has never received the statement, or its answer was lost.
_BACKEND = (
    "FROM pg_stat_activity "
    "WHERE pid = $1 AND (extract(epoch FROM backend_start) * 1000000)::bigint = $2"
)
_IS_AT_WORK = f"SELECT wait_event_type IS DISTINCT FROM 'Client' {_BACKEND}"
# Its transaction is undone and its locks are free, although the proxy keeps its connection.
_IS_AT_WORK_OR_ENDED = (
    "SELECT CASE WHEN wait_event_type = 'Client' THEN NOT pg_terminate_backend(pid) ELSE true END "
    f"{_BACKEND}"
)


class Backend(NamedTuple):
    """A process of the server, and when it began, in microseconds since 1970."""

    pid: int
    begun: int


class Doubts:
    """When a connection to a server was last given up: others to it are then checked sooner."""

    def __init__(self) -> None:
        self._given_up = float("-inf")

    def give_up(self) -> None:
        """Remember that a connection was given up just now."""
        self._given_up = monotonic()

    def are_fresh(self, seconds: float) -> bool:
        """Whether one was given up in the last seconds."""
        return monotonic() - self._given_up < seconds


@cache
def doubts_about(_url: str) -> Doubts:
    """The doubts that all connections of this process to the same address share."""
    return Doubts()


class GuardedConnection(psycopg.Connection[Any]):
    """A connection on which no statement waits forever for an answer that can't come.

    It is then closed, and the statement fails as on any lost connection. A statement that the
    server is working on, or that waits for a lock there, may take as long as it needs.
    """

    def __init__(self, pgconn: psycopg.pq.abc.PGconn, row_factory: Any = tuple_row) -> None:
        super().__init__(pgconn, row_factory)
        self._limit = float("inf")
        self._doubts = Doubts()
        self._is_at_work: Callable[[bool], bool] = _unknown

    def guard(
        self,
        limit: float,
        is_at_work: Callable[[bool], bool] | None = None,
        doubts: Doubts | None = None,
    ) -> None:
        """Wait this many seconds for a sign from the server, then ask whether it is working.

        `is_at_work` is told whether it is asked for the last time; without it, the server counts as
        idle.
        """
        self._limit = limit
        self._is_at_work = is_at_work or _unknown
        self._doubts = doubts or Doubts()

    def wait(self, gen: PQGen[RV], *args: Any, **kwargs: Any) -> RV:
        """Do what psycopg does, which wakes up every tenth of a second."""
        return super().wait(self._guarded(gen), *args, **kwargs)

    def _guarded(self, gen: PQGen[RV]) -> PQGen[RV]:
        due: float | None = None
        asked = 0
        try:
            awaited = next(gen)
            while True:
                ready = yield awaited
                if ready:
                    due, asked = None, 0
                elif due is None:
                    asked = int(self._doubts.are_fresh(self._limit))
                    due = self._next(asked)
                elif monotonic() >= due:
                    if asked == _QUESTIONS:
                        raise self._given_up()
                    asked += 1
                    if self._is_at_work(asked == _QUESTIONS):
                        asked = 0
                    due = self._next(asked)
                awaited = gen.send(ready)
        except StopIteration as done:
            result: RV = done.value
            return result

    def _next(self, asked: int) -> float:
        """When to act again, after this many questions in vain."""
        return monotonic() + self._limit * (_PAUSE if asked else 1)

    def _given_up(self) -> psycopg.OperationalError:
        self._doubts.give_up()
        self.close()
        return psycopg.OperationalError("the server no longer answers")


def _unknown(_is_last: bool) -> bool:
    return False


def is_at_work(connect: Callable[[], GuardedConnection], backend: Backend, is_last: bool) -> bool:
    """Ask on a new connection whether a process of the server is working for its client.

    If not, and this `is_last`, the process is ended. A server without room for the question is
    alive, so it may be working.
    """
    query = _IS_AT_WORK_OR_ENDED if is_last else _IS_AT_WORK
    try:
        with closing(connect()) as other:
            row = other.execute(query.encode(), backend).fetchone()
    except psycopg.Error as error:
        return is_full(error)
    return row is not None and bool(row[0])
