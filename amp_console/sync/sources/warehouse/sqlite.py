"""SQLite files as warehouses."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from amp_console.sync.sources.warehouse.engine import (
    NO_ROWS,
    QueryResult,
    WarehouseError,
    in_chunks,
)

_ALLOWED = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}
BUSY_SECONDS = 10.0


class SqliteEngine:
    """One SQLite file, opened read-only: the file can't be created, and nothing is attached."""

    def __init__(self, path: Path) -> None:
        """Open the file. Raises WarehouseError."""
        self._path = path
        with self._explained("can't open the file"):
            self._db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro",
                uri=True,
                timeout=BUSY_SECONDS,
                check_same_thread=False,  # a query may be cancelled from another thread
            )
            self._db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            self._db.set_authorizer(_authorize)

    def version(self) -> str:
        """Return the version of SQLite itself."""
        return f"SQLite {sqlite3.sqlite_version}"

    def query(self, sql: str, timeout: float, since: datetime | None = None) -> QueryResult:
        """Run a query; the caller interrupts it when its time is over.

        SQLite has no times, so `since` is a text as its function `datetime` writes it.
        """
        del timeout
        with self._explained("refused the query"):
            values = {"cursor": f"{since:%Y-%m-%d %H:%M:%S}"} if since else {}
            cursor = self._db.execute(sql, values)
        if cursor.description is None:
            raise WarehouseError(*NO_ROWS)
        return QueryResult(
            tuple(item[0] for item in cursor.description),
            in_chunks(cursor.fetchmany, lambda: self._explained("stopped the query")),
        )

    def cancel(self) -> None:
        """Interrupt the query."""
        self._db.interrupt()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise WarehouseError(*self._message(what, str(error))) from None

    def _message(self, what: str, message: str) -> tuple[str, str]:
        # Not the path's own method, which raises where a folder above it is closed.
        if "unable to open" in message and not os.path.exists(self._path):  # noqa: PTH110
            return f"{self._path} does not exist.", "Check the path of the source."
        if "unable to open" in message or "not a database" in message:
            return f"SQLite can't open {self._path}: {message}.", "Check the path of the source."
        if message == "not authorized":
            return "SQLite refused the query: it may only read.", "Write it as a SELECT."
        if "no such" in message:
            advice = "Check the names in the query, and the path of the source."
        else:
            advice = "Correct the query." if what == "refused the query" else "Try again."
        return f"SQLite {what}: {message}.", advice


def _authorize(action: int, table: object, *_: object) -> int:
    # SQLite asks this before it declares a table such as json_each, and nothing is written: a
    # statement of one's own that updates its schema is refused, and the file is read-only.
    declares = action == sqlite3.SQLITE_UPDATE and table == "sqlite_master"
    return sqlite3.SQLITE_OK if action in _ALLOWED or declares else sqlite3.SQLITE_DENY
