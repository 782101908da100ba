"""DuckDB files as warehouses."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from amp_console.sync.sources.warehouse.cursor import reads_on, with_placeholder
from amp_console.sync.sources.warehouse.engine import (
    DriverMissing,
    QueryResult,
    WarehouseError,
    in_chunks,
)


class DuckDbEngine:
    """One DuckDB file, opened read-only; one statement that reads is all that runs."""

    def __init__(self, path: Path) -> None:
        """Open the file. Raises WarehouseError."""
        try:
            import duckdb
        except ImportError:
            raise DriverMissing("DuckDB", "duckdb", "duckdb") from None
        self._duckdb = duckdb
        self._path = path
        if not os.path.exists(path):  # noqa: PTH110  # it never raises
            raise WarehouseError(f"{path} does not exist.", "Check the path of the source.")
        with self._explained("can't open the file"):
            self._db = duckdb.connect(str(path), read_only=True)

    def version(self) -> str:
        """Return the version of DuckDB itself."""
        return f"DuckDB {self._duckdb.__version__}"

    def query(self, sql: str, timeout: float, since: datetime | None = None) -> QueryResult:
        """Run a query; the caller interrupts it when its time is over."""
        del timeout
        values = None
        with self._explained("refused the query"):
            if since is not None:
                self._db.execute("SET TimeZone = 'UTC'")
                values = {"cursor": since} if reads_on(sql) else None
                sql = with_placeholder(sql, "$cursor")
            statements = self._db.extract_statements(sql)
            is_one = len(statements) == 1
            if not is_one or statements[0].type != self._duckdb.StatementType.SELECT:
                raise WarehouseError(
                    "DuckDB refused the query: it may only read.", "Write it as one SELECT."
                )
            self._db.execute(statements[0], values)
            described = self._db.description or ()
        return QueryResult(
            tuple(str(item[0]) for item in described),
            in_chunks(self._db.fetchmany, lambda: self._explained("stopped the query")),
            tuple(str(item[1]) for item in described),
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
        except (self._duckdb.Error, RuntimeError) as error:
            raise WarehouseError(*_words(what, str(error))) from None


def _words(what: str, text: str) -> tuple[str, str]:
    """DuckDB's own first line, with the line of the query it names."""
    message = text.partition("\n")[0].rstrip(".!")
    message += next((f" ({line.strip()})" for line in text.splitlines() if "LINE " in line), "")
    if "lock" in message.lower() and "file" in what:
        return (
            f"DuckDB {what}: {message}.",
            "Another process has it open for writing: end that, or try again later.",
        )
    advice = {
        "refused the query": "Correct the query, or check the path of the source.",
        "stopped the query": "Correct the query, and try again.",
    }.get(what, "Check the path of the source.")
    return f"DuckDB {what}: {message}.", advice
