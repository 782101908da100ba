"""Warehouses of every kind that tests can fill: the same statements, the same rows."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from amp_console.sync.sources.warehouse import Engine, open_engine
from amp_console.values import Secret
from tests.postgresql import PASSWORD, PostgresqlServer

KINDS = ("sqlite", "duckdb", "postgresql")


class Warehouse:
    """One warehouse: `execute` fills it, `opened` opens it as the product does.

    All statements of a call are run on one connection: opening one takes DuckDB 25 ms.
    """

    def __init__(
        self, url: str, execute: Callable[..., object], password: Secret | None = None
    ) -> None:
        self.url = url
        self.password = password
        self.execute = execute

    def members(self, *users: str, table: str = "vips") -> None:
        """Make these users the rows of a table."""
        statements = [f"DROP TABLE IF EXISTS {table}", f"CREATE TABLE {table} (user_id TEXT)"]
        quoted = (user.replace("'", "''") for user in users)
        if users:
            rows = ", ".join(f"('{user}')" for user in quoted)
            statements.append(f"INSERT INTO {table} VALUES {rows}")
        self.execute(*statements)

    @contextmanager
    def opened(self) -> Iterator[Engine]:
        """Open it, read-only."""
        with closing(open_engine(self.url, self.password)) as engine:
            yield engine


def sqlite_warehouse(folder: Path) -> Warehouse:
    """An empty SQLite file."""
    path = folder / "warehouse.db"

    def execute(*statements: str) -> None:
        with closing(sqlite3.connect(path)) as db, db:
            for statement in statements:
                db.execute(statement)

    execute("CREATE TABLE other (n INTEGER)")
    return Warehouse(f"sqlite://{path}", execute)


def duckdb_warehouse(folder: Path) -> Warehouse:
    """An empty DuckDB file; skips the test without the driver."""
    duckdb = pytest.importorskip("duckdb")
    path = folder / "warehouse.duckdb"

    def execute(*statements: str) -> None:
        with duckdb.connect(str(path)) as db:
            for statement in statements:
                db.execute(statement)

    execute("CREATE TABLE other (n INTEGER)")
    return Warehouse(f"duckdb://{path}", execute)


def postgresql_warehouse(server: PostgresqlServer) -> Warehouse:
    """The server's database, as its administrator."""
    return Warehouse(server.url(), server.execute, Secret(PASSWORD))
