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
    """One warehouse: `execute` fills it, `opened` opens it as the product does."""

    def __init__(
        self, url: str, execute: Callable[[str], object], password: Secret | None = None
    ) -> None:
        self.url = url
        self.password = password
        self._execute = execute

    def execute(self, *statements: str) -> None:
        """Run statements on a writable connection."""
        for statement in statements:
            self._execute(statement)

    def members(self, *users: str, table: str = "vips") -> None:
        """Make these users the rows of a table."""
        self.execute(f"DROP TABLE IF EXISTS {table}", f"CREATE TABLE {table} (user_id TEXT)")
        quoted = (user.replace("'", "''") for user in users)
        if users:
            rows = ", ".join(f"('{user}')" for user in quoted)
            self.execute(f"INSERT INTO {table} VALUES {rows}")

    @contextmanager
    def opened(self) -> Iterator[Engine]:
        """Open it, read-only."""
        with closing(open_engine(self.url, self.password)) as engine:
            yield engine


def sqlite_warehouse(folder: Path) -> Warehouse:
    """An empty SQLite file."""
    path = folder / "warehouse.db"

    def execute(statement: str) -> None:
        with closing(sqlite3.connect(path)) as db, db:
            db.execute(statement)

    execute("CREATE TABLE other (n INTEGER)")
    return Warehouse(f"sqlite://{path}", execute)


def duckdb_warehouse(folder: Path) -> Warehouse:
    """An empty DuckDB file; skips the test without the driver."""
    duckdb = pytest.importorskip("duckdb")
    path = folder / "warehouse.duckdb"

    def execute(statement: str) -> None:
        with duckdb.connect(str(path)) as db:
            db.execute(statement)

    execute("CREATE TABLE other (n INTEGER)")
    return Warehouse(f"duckdb://{path}", execute)


def postgresql_warehouse(server: PostgresqlServer) -> Warehouse:
    """The server's database, as its administrator."""
    return Warehouse(server.url(), server.execute, Secret(PASSWORD))
