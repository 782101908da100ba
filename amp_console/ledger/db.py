"""What the ledger's functions need of a database connection, and how columns hold values."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from amp_console.values import IdType, Operation

ID_TYPE_CODE = {IdType.USER_ID: 1, IdType.AMPLITUDE_ID: 2}
ID_TYPE_OF = {code: id_type for id_type, code in ID_TYPE_CODE.items()}
WANTED = {Operation.REMOVE: 0, Operation.ADD: 1}
"""The value of `wanted` and `delivered` for a member that the operation is for."""


EVERY = 1 << 62
"""A limit that no table reaches: PostgreSQL does not accept LIMIT -1."""


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

    SQL is written so that PostgreSQL could run it, with one exception: nullable columns are
    compared with IS and IS NOT. IS DISTINCT FROM needs SQLite 3.39, and Python 3.11 on Ubuntu 22.04
    comes with 3.37. SQLite also uses the index `member_pending` only where a query spells its
    condition, `wanted IS NOT delivered`, in the same way.
    """

    def execute(
        self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ..., /
    ) -> Cursor: ...

    def executemany(self, sql: str, parameters: Any, /) -> Cursor: ...
