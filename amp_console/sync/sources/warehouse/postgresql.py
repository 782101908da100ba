"""PostgreSQL as a warehouse, through psycopg 3.

Passwords, hosts and everything else a URL leaves out come from libpq's own conventions: PG*
variables, ~/.pgpass and service files.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import chain, islice
from typing import TYPE_CHECKING

from amp_console.connections import redact_secret
from amp_console.sync.sources.warehouse.cursor import reads_on, with_placeholder
from amp_console.sync.sources.warehouse.engine import (
    NO_ROWS,
    DriverMissing,
    QueryResult,
    Row,
    WarehouseError,
    in_chunks,
    position_in,
)
from amp_console.values import Secret

if TYPE_CHECKING:
    import psycopg

FETCHED = 1_000  # rows that libpq takes from the server at once
CONNECT_SECONDS = 10
CANCEL_SECONDS = 5.0
_FAILED = "failed: "
_ADVICE = {
    "42501": "Grant the user of the source SELECT on it (and USAGE on its schema).",
    "42P01": "Check the name of the table and its schema.",
    "3F000": "Check the name of the schema.",
    "42703": "Check the names of the columns.",
    "25006": "A query may only read: write it as a SELECT.",
}
_BY_CLASS = {
    "53": "The server is short of resources: try again later.",
    "57": "The server ended it: ask its administrator, or try again later.",
    "40": "Try again.",
    "08": "Check the network, and try again.",
}


class PostgresqlEngine:
    """One connection, in one transaction that is read-only."""

    def __init__(self, url: str, password: Secret | None) -> None:
        """Connect. Raises WarehouseError."""
        try:
            import psycopg
        except ImportError:
            raise DriverMissing("PostgreSQL", "psycopg[binary]", "postgresql") from None
        self._psycopg = psycopg
        self._password = password
        try:
            self._connection = self._connect(url)
        except (psycopg.Error, UnicodeError, ValueError) as error:
            raise WarehouseError(*_refused(redact_secret(str(error), password))) from None
        self._connection.read_only = True

    def version(self) -> str:
        """Return the version of the server."""
        number = self._connection.info.server_version
        return f"PostgreSQL {number // 10_000}.{number % 10_000}"

    def query(self, sql: str, timeout: float, since: datetime | None = None) -> QueryResult:
        """Run a query, with a time limit that the server keeps."""
        can_chunk = self._psycopg.capabilities.has_stream_chunked()
        values = None
        with self._explained(sql):
            self._set("statement_timeout", str(max(1, round(timeout * 1_000))))
            if since is not None:
                self._set("TimeZone", "UTC")
                values = [since] if reads_on(sql) else None
                sql = with_placeholder(sql, "$1")
            cursor = self._psycopg.RawCursor(self._connection)
            rows = cursor.stream(sql.encode(), values, size=FETCHED if can_chunk else 1)
            first = next(rows, None)
            if first is None:
                columns = self._described(sql, [] if values is None else ["timestamptz"])
            else:
                columns = [(item.name, item.type_code) for item in cursor.description or ()]
        return QueryResult(
            tuple(name for name, _ in columns),
            self._chunks(sql, [] if first is None else [first], rows),
            tuple(self._type_name(type_code) for _, type_code in columns),
        )

    def cancel(self) -> None:
        """Ask the server to cancel the query."""
        with suppress(self._psycopg.Error):
            self._connection.cancel_safe(timeout=CANCEL_SECONDS)

    def close(self) -> None:
        """Close the connection."""
        with suppress(self._psycopg.Error):
            self._connection.close()

    def _connect(self, url: str) -> "psycopg.Connection[tuple[object, ...]]":
        more: dict[str, str | int] = {"fallback_application_name": "amp-console"}
        stated = self._psycopg.conninfo.conninfo_to_dict(url)
        if "connect_timeout" not in stated and "PGCONNECT_TIMEOUT" not in os.environ:
            more["connect_timeout"] = CONNECT_SECONDS
        if self._password is not None:
            more["password"] = self._password.reveal()
        return self._psycopg.connect(url, client_encoding="utf8", **more)  # type: ignore[arg-type,unused-ignore]

    def _set(self, name: str, value: str) -> None:
        """Set a parameter of the server for the transaction."""
        self._connection.execute("SELECT set_config(%s, %s, true)", [name, value])

    def _described(self, sql: str, parameters: Sequence[str]) -> list[tuple[str, int]]:
        """The columns of a query and their types: a stream without rows does not say them."""
        server, types = self._connection.pgconn, self._connection.adapters.types
        server.prepare(b"", sql.encode(), [types[name].oid for name in parameters])
        found = server.describe_prepared(b"")
        names = [(found.fname(index) or b"").decode() for index in range(found.nfields)]
        return [(name, found.ftype(index)) for index, name in enumerate(names)]

    def _type_name(self, type_code: int) -> str:
        found = self._connection.adapters.types.get(type_code)
        return found.name if found else f"type {type_code}"

    def _chunks(
        self, sql: str, first: Sequence[Row], rows: Iterator[Row]
    ) -> Iterator[Sequence[Row]]:
        everything = chain(first, rows)
        return in_chunks(
            lambda count: list(islice(everything, count)), lambda: self._explained(sql)
        )

    @contextmanager
    def _explained(self, sql: str) -> Iterator[None]:
        try:
            yield
        except self._psycopg.Error as error:
            message = redact_secret(error.diag.message_primary or str(error), self._password)
            state = error.sqlstate or ""
            is_empty = "EMPTY_QUERY" in message  # it holds comments only
            if not state and (is_empty or isinstance(error, self._psycopg.ProgrammingError)):
                raise WarehouseError(*NO_ROWS) from None
            if not state and isinstance(error, self._psycopg.DataError):
                raise WarehouseError(
                    f"PostgreSQL sent a value that can't be read: {message}.",
                    "Leave such rows out in the query, or convert them.",
                ) from None
            if not state:
                raise WarehouseError(*_broken(message)) from None
            if error.diag.statement_position:
                message += f" ({position_in(sql, int(error.diag.statement_position) - 1)})"
            advice = _ADVICE.get(state) or _BY_CLASS.get(state[:2], "Correct the query.")
            raise WarehouseError(f"PostgreSQL refused the query: {message}.", advice) from None
        except UnicodeError:
            raise WarehouseError(
                "PostgreSQL sent text that is not valid UTF-8.",
                "Convert the column in the query, e.g. with convert_from.",
            ) from None


def _broken(message: str) -> tuple[str, str]:
    first = message.partition("\n")[0].rstrip(".")
    return f"The connection to PostgreSQL broke: {first}.", "Check the network, and try again."


def _refused(text: str) -> tuple[str, str]:
    """Say why there is no connection; the words are the server's, or libpq's."""
    lines = [line for line in text.splitlines() if _FAILED in line] or text.splitlines() or [""]
    message = lines[-1].rpartition(_FAILED)[2].removeprefix("FATAL:").strip().rstrip(".")
    what = f"Could not connect to PostgreSQL: {message}."
    lowered = message.lower()
    if "password" in lowered or "authentication" in lowered or "pg_hba" in lowered:
        return what, (
            "Check the user and the password: add the source again with the right ones, or put "
            "them into ~/.pgpass or PGPASSWORD."
        )
    if "database" in lowered or "role" in lowered:
        return what, "Check the database and the user in the URL of the source."
    if "ssl" in lowered or "certificate" in lowered:
        return what, "Check sslmode and sslrootcert in the URL of the source."
    return what, "Check the host and the port, and that the server accepts connections from here."
