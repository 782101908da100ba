"""A connection to PostgreSQL that the ledger's functions use like SQLite's."""

import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import cache, partial
from itertools import count, islice
from typing import TYPE_CHECKING, Any, cast

from amp_console.ledger.db import Cursor, ServerDb
from amp_console.ledger.errors import LedgerError, PoolerRefused
from amp_console.ledger.postgres.address import Address
from amp_console.ledger.postgres.errors import MOVED
from amp_console.ledger.postgres.sql import translate

if TYPE_CHECKING:
    import psycopg
    from psycopg.adapt import AdaptersMap

    from amp_console.ledger.postgres.silence import Backend, GuardedConnection

_ATTEMPTS = 5  # at finding out how a pooler works while others use it
# Room for what a trigger sees of 100,000 changed members, or for joining 2,000,000 identifiers;
# with the usual 4 MB, both go through files.
_MORE_MEMORY = (
    "SELECT set_config('work_mem', '64MB', false) "
    "WHERE pg_size_bytes(current_setting('work_mem')) < pg_size_bytes('64MB')"
)
# A session is idle by design: while its lease waits for Amplitude, or what it reads is copied.
_NO_IDLE_LIMITS = (
    "SELECT set_config(name, '0', false) FROM pg_settings "
    "WHERE name IN ('idle_session_timeout', 'idle_in_transaction_session_timeout')"
)
_PROCESS = (
    "SELECT pid, (extract(epoch FROM backend_start) * 1000000)::bigint FROM pg_stat_activity "
    "WHERE pid = pg_backend_pid()"
)


def connect(address: Address) -> "psycopg.Connection[Any]":
    """Connect to a server; each statement is a separate transaction, unless one was begun.

    Raises `psycopg.Error`, and `PoolerRefused` before it changes anything in a shared session.
    """
    from amp_console.ledger.postgres.silence import KEEPALIVES_OF_SERVER

    connection = _opened(address)
    try:
        backend = _backend(connection)
        if connection.info.backend_pid != backend.pid and _is_shared(connection, address):
            raise PoolerRefused(address.place)
        _guard(connection, backend, address)
        schema = quoted(address.schema)
        connection.execute(
            "; ".join(
                [
                    f"SET search_path = {schema}, pg_temp",
                    "SET client_min_messages = warning",
                    "SET jit = off",  # compiling takes longer than what the ledger asks
                    _MORE_MEMORY,
                    _NO_IDLE_LIMITS,
                    *(f"SET {name} = {value}" for name, value in KEEPALIVES_OF_SERVER.items()),
                ]
            )
        )
    except BaseException:
        connection.close()
        raise
    return connection


def _opened(address: Address, limit: int | None = None, **others: Any) -> "GuardedConnection":
    """Connect without the ledger's settings; no statement waits longer than the limit."""
    import psycopg

    from amp_console.ledger.postgres.silence import (
        CONNECT_SECONDS,
        KEEPALIVES,
        GuardedConnection,
    )

    secret = {} if address.password is None else {"password": address.password.reveal()}
    known: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "fallback_application_name": "amp-console",
        **KEEPALIVES,
        **address.parameters,
        **others,
        **secret,
        "client_encoding": "utf8",
    }
    connection = GuardedConnection.connect(
        autocommit=True, context=_adapters(), cursor_factory=psycopg.RawCursor, **known
    )
    connection.server_cursor_factory = psycopg.RawServerCursor
    connection.guard(limit or address.answer_timeout)
    return connection


def _guard(connection: "GuardedConnection", backend: "Backend", address: Address) -> None:
    """Make a statement that waits long ask the same server whether it is working on it."""
    from amp_console.ledger.postgres.silence import CONNECT_SECONDS, doubts_about, is_at_work

    info, limit = connection.info, min(address.answer_timeout, CONNECT_SECONDS)
    there = {"host": info.host, "hostaddr": info.hostaddr, "port": info.port}
    again = partial(_opened, address, limit, **{name: one for name, one in there.items() if one})
    connection.guard(
        address.answer_timeout, partial(is_at_work, again, backend), doubts_about(address.url)
    )


def _backend(connection: "psycopg.Connection[Any]") -> "Backend":
    """The server process that runs a query; a pooler reports a different one to its client."""
    from amp_console.ledger.postgres.silence import Backend

    row = connection.execute(_PROCESS).fetchone()
    assert row is not None
    return Backend(*row)


def _is_shared(connection: "psycopg.Connection[Any]", address: Address) -> bool:
    """Whether a pooler lets another client have this connection's process between transactions.

    PgBouncer gives a client the process that became free last, unless others are quicker.
    """
    import psycopg

    with closing(_opened(address)) as other:
        for _ in range(_ATTEMPTS):
            before = _backend(connection)
            try:
                with other.transaction():
                    if _backend(other) == before:
                        return True
            except psycopg.Error:
                return True  # a pooler in statement mode refuses transactions
            if _backend(connection) != before:
                return True
    return False


def quoted(identifier: str) -> str:
    """An identifier as SQL spells it."""
    return '"' + identifier.replace('"', '""') + '"'


@cache
def _adapters() -> "AdaptersMap":
    """How values are passed: every number is a bigint, as all columns are, and True is 1.

    A sum of bigints is a numeric, which is an integer here, too.
    """
    import psycopg
    from psycopg.adapt import AdaptersMap
    from psycopg.types.numeric import IntLoader
    from psycopg.types.string import StrDumperUnknown

    bigint = psycopg.adapters.types["int8"].oid

    class Integer(psycopg.adapt.Dumper):
        oid = bigint

        def dump(self, obj: int) -> bytes:
            return b"%d" % obj

        def quote(self, obj: int) -> bytes:  # in psycopg's own FETCH
            return self.dump(obj)

    class Text(StrDumperUnknown):
        def dump(self, obj: str) -> bytes:
            return storable(obj).encode()

    adapters = AdaptersMap(psycopg.adapters)
    adapters.register_dumper(int, Integer)
    adapters.register_dumper(bool, Integer)
    adapters.register_dumper(str, Text)
    adapters.register_loader("numeric", IntLoader)
    return adapters


_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def storable(text: str) -> str:
    r"""The text with what PostgreSQL can't store escaped: NUL as \x00, half a surrogate pair.

    Only texts for people are stored like this: identifiers that it would change are invalid.
    """
    if _UNSTORABLE.search(text) is None:
        return text
    return _UNSTORABLE.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def _copied(rows: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    """Rows as COPY reads them, a few thousand at once: half the work of psycopg's own."""
    remaining = iter(rows)
    while some := list(islice(remaining, 2_000)):
        copied = _plain(some)
        yield (
            copied or "".join(["\t".join(map(_copied_value, row)) + "\n" for row in some]).encode()
        )


def _plain(rows: Sequence[Sequence[Any]]) -> bytes | None:
    """Rows of texts as COPY reads them, in a fifth of the time; None if any has to be escaped."""
    try:
        text = "\n".join(map("\t".join, rows)) + "\n"
        copied = text.encode()
    except (TypeError, UnicodeEncodeError):  # not all are texts, or one is half a surrogate pair
        return None
    tabs = sum(map(len, rows)) - len(rows)
    is_plain = text.count("\n") == len(rows) and text.count("\t") == tabs
    return copied if is_plain and not any(found in text for found in "\0\\\r") else None


def _copied_value(value: Any) -> str:
    if value is None:
        return "\\N"
    if not isinstance(value, str):
        return f"\\\\x{value.hex()}" if isinstance(value, bytes) else str(value)
    if "\0" in value:
        raise LedgerError(
            "An identifier contains a NUL character, which PostgreSQL can't store. Nothing was "
            "changed. Remove it from the source, and read it again."
        )
    if _COPY_SPECIAL.search(value) is None:
        return value
    return storable(value).translate(_COPY_ESCAPES)


_COPY_SPECIAL = re.compile("[\\\\\t\n\r\ud800-\udfff]")
_COPY_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_FETCHED = 5_000  # rows of a stream
_NUMBERS = count(1)  # several may be read at once
_REFUSAL = "refuse_moved"  # a function, and the trigger of each table that calls it
_QUOTE = "$amp_console$"


def _listed(tables: Iterable[str]) -> str:
    return ", ".join(map(quoted, tables))


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


class PostgresDb(ServerDb):
    """Runs the ledger's statements on a connection."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self.connection = connection

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = (), /) -> Cursor:
        """Run a statement."""
        translated = translate(sql)
        return self.connection.execute(
            translated.sql, translated.bind(parameters) if translated.parameters else None
        )

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Cursor:
        """Run a statement for each of several sets of values."""
        translated = translate(sql)
        cursor = self.connection.cursor()
        cursor.executemany(translated.sql, [translated.bind(values) for values in parameters])
        return cursor

    def copy(self, table: str, columns: str, rows: Iterable[Sequence[Any]]) -> None:
        """Load rows into some columns of a table, many times faster than INSERT."""
        target = translate(table).sql
        with self.connection.cursor().copy(f"COPY {target} ({columns}) FROM STDIN") as copy:
            for part in _copied(rows):
                copy.write(part)

    def load(self, table: str, columns: str, rows: Iterable[Sequence[Any]]) -> None:
        """Load rows into a temporary table, which is made with these columns, or emptied first."""
        self.execute(f"CREATE TEMP TABLE IF NOT EXISTS {table} ({columns})")
        self.connection.execute(f"TRUNCATE pg_temp.{table}")
        names = ", ".join(column.split()[0] for column in columns.split(", "))
        self.copy(f"temp.{table}", names, rows)
        self.connection.execute(f"ANALYZE pg_temp.{table}")

    def stream(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any], /) -> Iterator[Any]:
        """Yield the rows of a query from a server-side cursor, which keeps what it has not sent.

        The transaction must not end meanwhile.
        """
        translated = translate(sql)
        with self.connection.cursor(f"stream_{next(_NUMBERS)}") as cursor:
            cursor.itersize = _FETCHED
            yield from cursor.execute(translated.sql, translated.bind(parameters))

    def handle_rows(
        self,
        sql: str,
        parameters: Sequence[Any] | Mapping[str, Any],
        handle: Callable[[Any], None],
        /,
    ) -> None:
        """Call `handle` with each row of a query, while the server computes the next one.

        If `handle` fails, the query is cancelled.
        """
        translated = translate(sql)
        rows = self.connection.cursor().stream(translated.sql, translated.bind(parameters))
        with closing(cast("Generator[Any, None, None]", rows)):
            for row in rows:
                handle(row)

    def lock(self, tables: Iterable[str]) -> None:
        """Keep every other connection from writing to tables until the transaction ends."""
        self.connection.execute(f"LOCK TABLE {_listed(tables)} IN SHARE ROW EXCLUSIVE MODE")

    def empty(self, tables: Iterable[str]) -> None:
        """Delete all rows of tables that refer to no other one."""
        self.connection.execute(f"TRUNCATE {_listed(tables)}")

    def number_on(self) -> None:
        """Make the numbers of new rows follow the existing ones."""
        for table, column in self._numbered():
            name, key = quoted(table), quoted(column)
            self.connection.execute(
                f"SELECT setval(pg_get_serial_sequence($1, $2), coalesce(max({key}), 1), "
                f"count(*) > 0) FROM {name}",
                [name, column],
            )

    def numbers_taken(self) -> list[str]:
        """The columns whose next number is not greater than all existing ones.

        Only the owner of the tables can always see what the next one is.
        """
        taken = []
        for table, column in self._numbered():
            name, key = quoted(table), quoted(column)
            row = self.connection.execute(
                "SELECT CASE WHEN has_sequence_privilege(pg_get_serial_sequence($1, $2), "
                f"'USAGE, SELECT') THEN max({key}) > coalesce(pg_sequence_last_value("
                f"pg_get_serial_sequence($1, $2)::regclass), 0) END FROM {name}",
                [name, column],
            ).fetchone()
            if row is not None and row[0]:
                taken.append(f"{table}.{column}")
        return taken

    def _numbered(self) -> list[tuple[str, str]]:
        """The tables, and their columns, that the server numbers."""
        return self.connection.execute(
            "SELECT relname::text, attname::text FROM pg_attribute "
            "JOIN pg_class ON pg_class.oid = attrelid WHERE attidentity <> '' "
            "AND relnamespace = quote_ident(current_schema())::regnamespace AND NOT relispartition"
        ).fetchall()

    def engine(self) -> str:
        """The server and its version, in words."""
        return f"PostgreSQL {self.connection.info.server_version // 10_000}"

    def version(self) -> int:
        """The version of the ledger's tables."""
        row = self.connection.execute("SELECT version FROM ledger_version").fetchone()
        return 0 if row is None else int(row[0])

    def refuse_writes(self, tables: Iterable[str], text: str) -> None:
        """Make each write to tables fail with a text, until `accept_writes`."""
        assert _QUOTE not in text
        self.connection.execute(
            f"CREATE FUNCTION {_REFUSAL}() RETURNS trigger LANGUAGE plpgsql AS {_QUOTE}BEGIN "
            f"RAISE EXCEPTION USING ERRCODE = '{MOVED}', MESSAGE = {_literal(text)}; "
            f"END{_QUOTE}"
        )
        for table in tables:
            self.connection.execute(
                f"CREATE TRIGGER {_REFUSAL} BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE "
                f"ON {quoted(table)} EXECUTE FUNCTION {_REFUSAL}()"
            )

    def accept_writes(self) -> None:
        """Undo `refuse_writes`, if it was called."""
        self.connection.execute(f"DROP FUNCTION IF EXISTS {_REFUSAL} CASCADE")

    def stored_bytes(self) -> int:
        """How many bytes the ledger takes on the server."""
        row = self.connection.execute(
            "SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class "
            "WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind = 'r'"
        ).fetchone()
        assert row is not None
        return int(row[0])

    def revision(self) -> int:
        """How many transactions have ended on the server so far.

        It counts those of other databases too, so it may change although the ledger has not.
        """
        row = self.connection.execute(
            "SELECT pg_snapshot_xmax(now)::text::bigint - (SELECT count(*) "
            "FROM pg_snapshot_xip(now)) FROM pg_current_snapshot() AS now"
        ).fetchone()
        assert row is not None
        return int(row[0])
