"""Empty ledgers for tests, on SQLite or on a real PostgreSQL.

A test marked `both_engines`, itself or by its module, runs once on each. On PostgreSQL, a worker's
ledgers are a few schemas that are emptied before each use: creating one takes 20 times as long.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from amp_console.ledger import Db, open_ledger
from amp_console.ledger.db import ServerDb
from tests.postgresql import PASSWORD, PostgresqlServer

if TYPE_CHECKING:
    import psycopg

EmptyLedger = Callable[..., str]
"""Returns the address of an empty ledger; called with another number, of another one."""

ENGINES = ("sqlite", "postgresql")
sqlite_only = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
postgresql_only = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)


def tables(db: Db) -> list[str]:
    """The names of a ledger's tables."""
    query = "SELECT name FROM main.sqlite_schema WHERE type = 'table'"
    if isinstance(db, ServerDb):
        query = "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()"
    return [name for (name,) in db.execute(query).fetchall()]


def temporary_tables(db: Db) -> list[str]:
    """The names of the temporary tables of a ledger's connection."""
    query = "SELECT name FROM temp.sqlite_schema WHERE type = 'table'"
    if isinstance(db, ServerDb):
        query = "SELECT relname::text FROM pg_class WHERE relpersistence = 't' AND relkind = 'r'"
    return [name for (name,) in db.execute(query).fetchall()]


def fail(db: Db, operation: str, table: str, when: str = "true") -> None:
    """Make INSERT, UPDATE or DELETE on a table fail from now on, for rows that meet a condition."""
    trigger = f"CREATE TRIGGER fails BEFORE {operation} ON {table}"
    if isinstance(db, ServerDb):
        raises = "BEGIN RAISE EXCEPTION 'it failed'; END"
        db.execute(f"CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$ {raises} $$")
        db.execute(f"{trigger} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION fails()")
    else:
        db.execute(f"{trigger} WHEN {when} BEGIN SELECT RAISE(ABORT, 'it failed'); END")


def fail_no_more(db: Db, table: str) -> None:
    """Undo `fail`."""
    if isinstance(db, ServerDb):
        db.execute(f"DROP TRIGGER fails ON {table}")
        db.execute("DROP FUNCTION fails()")
    else:
        db.execute("DROP TRIGGER fails")


class PostgresqlLedgers:
    """The schemas of one server."""

    def __init__(self, server: PostgresqlServer, connection: "psycopg.Connection[Any]") -> None:
        self.server = server
        self._connection = connection
        self._emptying: dict[str, str] = {}  # a script for each schema

    def empty(self, number: int = 0) -> str:
        """Empty one of the ledgers; return its address, without a password."""
        schema = f"ledger_{number}"
        url = f"{self.server.url()}?schema={schema}"
        if schema in self._emptying:
            self._connection.execute(self._emptying[schema].encode())
        else:
            open_ledger(url).close()
            self._emptying[schema] = self._script(schema)
        return url

    def _script(self, schema: str) -> str:
        """Statements that empty a ledger: TRUNCATE would create new files for each table."""
        rows = self._connection.execute(
            "SELECT format('DELETE FROM %%I.%%I', schemaname, tablename) FROM pg_tables "
            "WHERE schemaname = %s "
            "AND tablename NOT IN ('ledger_version', 'member_count', 'pending_block') UNION ALL "
            "SELECT format('SELECT setval(''%%I.%%I'', 1, false)', schemaname, sequencename) "
            "FROM pg_sequences WHERE schemaname = %s",
            [schema, schema],
        )
        # A moved ledger refuses writes.
        writable = f"DROP FUNCTION IF EXISTS {schema}.refuse_moved CASCADE"
        works = f"DROP FUNCTION IF EXISTS {schema}.fails CASCADE"
        emptied = [str(statement) for (statement,) in rows.fetchall()]
        # Members were counted by their rejections, which may be gone before them here.
        counts = [f"DELETE FROM {schema}.{table}" for table in ("member_count", "pending_block")]
        return "; ".join([writable, works, *emptied, *counts])


@contextmanager
def postgresql_ledgers(server: PostgresqlServer) -> Iterator[PostgresqlLedgers]:
    """The ledgers of a running server, until the block ends."""
    import psycopg

    with psycopg.connect(server.url(), password=PASSWORD, autocommit=True) as connection:
        yield PostgresqlLedgers(server, connection)
