"""Empty ledgers for tests, on SQLite or on a real PostgreSQL.

A test whose module or itself is marked `both_engines` runs once on each. On PostgreSQL a worker's
ledgers are a few schemas that are emptied before each use: making one takes 20 times as long.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from amp_console.ledger import open_ledger
from tests.postgresql import PASSWORD, PostgresqlServer, postgresql_server

if TYPE_CHECKING:
    import psycopg

ENGINES = ("sqlite", "postgresql")
sqlite_only = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
postgresql_only = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)


class PostgresqlLedgers:
    """The schemas of one server, and which of them the test under way uses."""

    def __init__(self, server: PostgresqlServer, connection: "psycopg.Connection[Any]") -> None:
        self.server = server
        self._connection = connection
        self._emptying: list[str] = []  # a script for each schema
        self._used = 0

    def begin_test(self) -> None:
        """Use all schemas again."""
        self._used = 0

    def empty(self) -> str:
        """The address of an empty ledger that this test does not use yet; it has no password."""
        number, self._used = self._used, self._used + 1
        url = f"{self.server.url()}?schema=ledger_{number}"
        if number < len(self._emptying):
            self._connection.execute(self._emptying[number].encode())
        else:
            open_ledger(url).close()
            self._emptying.append(self._script(f"ledger_{number}"))
        return url

    def _script(self, schema: str) -> str:
        """Statements that empty a ledger: TRUNCATE would make new files for each table."""
        rows = self._connection.execute(
            "SELECT format('DELETE FROM %%I.%%I', schemaname, tablename) FROM pg_tables "
            "WHERE schemaname = %s AND tablename <> 'ledger_version' UNION ALL "
            "SELECT format('SELECT setval(''%%I.%%I'', 1, false)', schemaname, sequencename) "
            "FROM pg_sequences WHERE schemaname = %s",
            [schema, schema],
        )
        return "; ".join(str(statement) for (statement,) in rows.fetchall())


@contextmanager
def postgresql_ledgers() -> Iterator[PostgresqlLedgers]:
    """Run a server for ledgers until the block ends."""
    with postgresql_server() as server:
        import psycopg

        with psycopg.connect(server.url(), password=PASSWORD, autocommit=True) as connection:
            yield PostgresqlLedgers(server, connection)
