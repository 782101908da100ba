"""What the ledger's functions need from a database connection, and how columns store values."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from amp_console.values import IdType, Operation

ID_TYPE_CODE = {IdType.USER_ID: 1, IdType.AMPLITUDE_ID: 2}
ID_TYPE_OF = {code: id_type for id_type, code in ID_TYPE_CODE.items()}
WANTED = {Operation.REMOVE: 0, Operation.ADD: 1}
"""The value of `wanted` and `delivered` for a member that the operation is for."""


EVERY = 1 << 62
"""A limit that no table reaches: PostgreSQL does not accept LIMIT -1."""


def as_json(values: object) -> str:
    """Values as one parameter, for json_each() to take apart."""
    return msgspec.json.encode(values).decode()


class Cursor(Protocol):
    """The rows of one statement."""

    @property
    def rowcount(self) -> int:
        """How many rows the statement changed."""

    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...


class Db(Protocol):
    """A connection in a transaction; `sqlite3.Connection` satisfies it unwrapped.

    SQL is one text for both engines. It is written as SQLite runs it, in words that
    `postgres/sql.py` can translate: nullable columns, for example, are compared with IS and IS NOT.
    IS DISTINCT FROM needs SQLite 3.39, and Python 3.11 on Ubuntu 22.04 comes with 3.37. SQLite also
    uses the index `member_pending` only where a query spells its condition, `wanted IS NOT
    delivered`, in the same way.
    """

    def execute(
        self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ..., /
    ) -> Cursor: ...

    def executemany(self, sql: str, parameters: Any, /) -> Cursor: ...


class ServerDb(ABC):
    """A `Db` of a database server, and what only a server does, or does differently.

    `clock_offset` is how many microseconds the server's clock is ahead of this machine's.
    """

    clock_offset = 0

    @abstractmethod
    def execute(
        self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ..., /
    ) -> Cursor: ...

    @abstractmethod
    def executemany(self, sql: str, parameters: Any, /) -> Cursor: ...

    @abstractmethod
    def stream(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any], /) -> Iterator[Any]:
        """Yield the rows of a query as the server sends them."""

    @abstractmethod
    def handle_rows(
        self,
        sql: str,
        parameters: Sequence[Any] | Mapping[str, Any],
        handle: Callable[[Any], None],
        /,
    ) -> None:
        """Call `handle` with each row of a query, while the server computes the next one."""

    @abstractmethod
    def copy(self, table: str, columns: str, rows: Iterable[Sequence[Any]]) -> None:
        """Load rows into some columns of a table, many times faster than INSERT."""

    @abstractmethod
    def load(self, table: str, columns: str, rows: Iterable[Sequence[Any]]) -> None:
        """Load rows into a temporary table, which is made with these columns, or emptied first."""

    @abstractmethod
    def lock(self, tables: Iterable[str]) -> None:
        """Keep every other connection from writing to tables until the transaction ends."""

    @abstractmethod
    def empty(self, tables: Iterable[str]) -> None:
        """Delete all rows of tables that do not refer to others."""

    @abstractmethod
    def number_on(self) -> None:
        """Make the numbers of new rows follow the existing ones."""

    @abstractmethod
    def numbers_taken(self) -> list[str]:
        """The columns whose next number is not greater than all existing ones."""

    @abstractmethod
    def engine(self) -> str:
        """The server and its version, in words."""

    @abstractmethod
    def version(self) -> int:
        """The version of the ledger's tables."""

    @abstractmethod
    def refuse_writes(self, tables: Iterable[str], text: str) -> None:
        """Make each write to tables fail with a text, until `accept_writes`."""

    @abstractmethod
    def accept_writes(self) -> None:
        """Undo `refuse_writes`, if it was called."""

    @abstractmethod
    def stored_bytes(self) -> int:
        """How many bytes the ledger takes on the server."""

    @abstractmethod
    def revision(self) -> int:
        """A number that changes whenever another connection has committed."""


def ledger_time(db: Db, own_time: int) -> int:
    """Convert a time of this machine's clock to the ledger's (microseconds); see `Ledger.clock`."""
    return own_time + (db.clock_offset if isinstance(db, ServerDb) else 0)


class PendingRows(NamedTuple):
    """Where a query finds pending members, and the order of their numbers.

    The `table` may be `member` itself, so a query also spells the condition of being pending.
    """

    table: str
    order: str


def pending_rows(db: Db) -> PendingRows:
    """A file has an index of pending members, a server a view of them."""
    if isinstance(db, ServerDb):
        return PendingRows("pending_member", "block, n")
    return PendingRows("member", "n")


_DENSE = 20  # rows for each one that is meant: SQLite reads so many in order while it seeks one


def are_dense(first: int, last: int, size: int) -> bool:
    """Whether reading these rows in order is faster than seeking `size` of them."""
    return last - first < _DENSE * size


def members_between(first: int, last: int, size: int, rows: str = ":first AND :last") -> str:
    """The condition for an audience's members in these rows, about `size` of them.

    Its parameters are `:audience` and `:id_type`, and those of `rows`. SQLite would always read the
    whole audience by its identifiers, which takes seconds for 2,000,000. The plus sign makes it
    read the rows from the first to the last one, unless most of them belong to other audiences.
    """
    sign = "+" if are_dense(first, last, size) else ""
    return (
        f"{sign}member.audience_id = :audience AND {sign}member.id_type = :id_type "
        f"AND member.n BETWEEN {rows}"
    )


def each_row(db: Db, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Iterator[Any]:
    """Yield the rows of a query that may return millions, with only a few of them in memory.

    Other statements may run meanwhile. `execute` would keep all rows that a server sends in memory.
    """
    if isinstance(db, ServerDb):
        return db.stream(sql, parameters)
    return iter(db.execute(sql, parameters))


def handle_rows(
    db: Db,
    sql: str,
    parameters: Sequence[Any] | Mapping[str, Any],
    handle: Callable[[Any], None],
) -> None:
    """Call `handle` with each row of a query; a server computes the next one meanwhile.

    `handle` must not run other statements.
    """
    if isinstance(db, ServerDb):
        db.handle_rows(sql, parameters, handle)
    else:
        for row in db.execute(sql, parameters):
            handle(row)
