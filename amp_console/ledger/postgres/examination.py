"""Checking, for `doctor`, whether a server meets a ledger's requirements. Nothing is changed."""

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from amp_console.ledger.errors import LedgerTooNew
from amp_console.ledger.postgres.address import Address
from amp_console.ledger.postgres.connection import connect
from amp_console.ledger.postgres.errors import explain, not_connected
from amp_console.ledger.postgres.schema import LEAST_VERSION, is_current

if TYPE_CHECKING:
    import psycopg

CLOCK_TOLERANCE = 2_000_000  # microseconds; the newest change wins, whichever machine saw it
_WORKING = "SELECT, INSERT, UPDATE, DELETE"


class ServerCheck(NamedTuple):
    """One check: what it is about, in a word or two, and a sentence, with a way out if needed."""

    what: str
    is_well: bool
    says: str


def examine_server(address: Address, now: Callable[[], int]) -> tuple[ServerCheck, ...]:
    """Check a server, and what its ledger's user may do there. `now` is in microseconds since 1970.

    Raises `LedgerError` if it can't be reached, or is no server that a ledger can use.
    """
    import psycopg

    try:
        connection = connect(address)
    except psycopg.Error as error:
        raise not_connected(error, address.place) from None
    try:
        return tuple(_Examination(connection, address, now).checks())
    except psycopg.Error as error:
        raise explain(error, address.place) from error
    finally:
        connection.close()


class _Examination:
    """The checks of one connection."""

    def __init__(
        self, connection: "psycopg.Connection[Any]", address: Address, now: Callable[[], int]
    ) -> None:
        self._connection = connection
        self._address = address
        self._now = now

    def checks(self) -> Iterator[ServerCheck]:
        yield self._server()
        yield self._encryption()
        yield self._rights()
        yield self._temporary_tables()
        yield self._locks()
        yield self._clock()

    def _ask(self, query: str, *values: object) -> Any:
        """The first column of a query's only row."""
        row = self._connection.execute(query, values).fetchone()
        assert row is not None
        return row[0]

    def _server(self) -> ServerCheck:
        version = self._connection.info.server_version
        says = f"PostgreSQL {self._ask('SHOW server_version')}"
        if version < LEAST_VERSION:
            least = LEAST_VERSION // 10_000
            says = f"{says}. A ledger needs version {least} or newer: upgrade the server"
        elif self._ask("SELECT pg_is_in_recovery()"):
            says = f"{says}, a standby. It can't be written: use the address of the primary"
        else:
            return ServerCheck("server", True, says)
        return ServerCheck("server", False, says)

    def _encryption(self) -> ServerCheck:
        sslmode, is_remote = self._address.sslmode, self._address.is_remote
        if not self._connection.pgconn.ssl_in_use:
            says = f"not encrypted (sslmode={sslmode})"
            if not is_remote:
                return ServerCheck("encryption", True, f"{says}: the server is on this machine")
            return ServerCheck("encryption", False, f"{says}. Add sslmode=verify-full")
        if sslmode == "verify-full" or not is_remote:
            return ServerCheck("encryption", True, f"encrypted, sslmode={sslmode}")
        says = f"encrypted, but sslmode={sslmode} does not check that this is the server. "
        return ServerCheck("encryption", False, f"{says}Use sslmode=verify-full")

    def _rights(self) -> ServerCheck:
        schema = self._address.schema
        found = self._ask("SELECT to_regnamespace(quote_ident($1))::oid", schema)
        if found is None:
            return self._creation(
                "SELECT has_database_privilege(current_database(), 'CREATE')",
                f"CREATE SCHEMA {schema} AUTHORIZATION",
            )
        if not self._ask("SELECT has_schema_privilege($1::oid, 'USAGE')", found):
            return self._missing(f"can't use the schema {schema}", f"USAGE ON SCHEMA {schema}")
        if self._ask("SELECT to_regclass('ledger_version') IS NULL"):
            return self._creation(
                f"SELECT has_schema_privilege({int(found)}, 'CREATE')",
                f"GRANT CREATE ON SCHEMA {schema} TO",
            )
        return self._rights_in_ledger(schema)

    def _creation(self, query: str, remedy: str) -> ServerCheck:
        """Whether a ledger that is not there yet can be created."""
        schema, user = self._address.schema, self._user
        if self._ask(query):
            says = f"no ledger yet; {user} can create it in the schema {schema}"
            return ServerCheck("rights", True, says)
        says = f"{user} can't create the ledger. An administrator runs: {remedy} {user}"
        return ServerCheck("rights", False, says)

    def _rights_in_ledger(self, schema: str) -> ServerCheck:
        lacking = self._lacking("SELECT")
        if lacking:
            return self._missing(
                f"can't read {', '.join(lacking[:3])}", f"SELECT ON ALL TABLES IN SCHEMA {schema}"
            )
        try:
            is_newest = is_current(self._connection, schema)
        except LedgerTooNew as error:
            return ServerCheck("rights", False, str(error))
        owner = "SELECT tableowner FROM pg_tables WHERE schemaname = $1 AND tablename = $2"
        owns = self._ask(f"SELECT pg_has_role(({owner}), 'USAGE')", schema, "ledger_version")
        if not is_newest and not owns:
            name = self._ask(owner, schema, "ledger_version")
            says = f"the ledger is of an older version, and only its owner {name} can migrate it"
            return ServerCheck("rights", False, f"{says}. Open it once as {name}")
        if not any(self._lacking(right) for right in _WORKING.split(", ")):
            return ServerCheck("rights", True, f"{self._user} can read and write")
        if all(self._lacking(right) for right in ("INSERT", "UPDATE", "DELETE")):
            return ServerCheck("rights", True, f"{self._user} can only read: start read-only")
        lacking = [name for right in _WORKING.split(", ") for name in self._lacking(right)]
        return self._missing(
            f"can't change {', '.join(dict.fromkeys(lacking))}",
            f"{_WORKING} ON ALL TABLES IN SCHEMA {schema}",
        )

    def _lacking(self, right: str) -> list[str]:
        """The tables that the user does not have a right on."""
        rows = self._connection.execute(
            "SELECT relname FROM pg_class "
            "WHERE relnamespace = quote_ident(current_schema())::regnamespace "
            "AND relkind IN ('r', 'p') AND NOT has_table_privilege(oid, $1) ORDER BY relname",
            [right],
        )
        return [str(name) for (name,) in rows.fetchall()]

    def _missing(self, what: str, right: str) -> ServerCheck:
        says = f"{self._user} {what}. An administrator runs: GRANT {right} TO {self._user}"
        return ServerCheck("rights", False, says)

    @property
    def _user(self) -> str:
        return str(self._ask("SELECT current_user"))

    def _temporary_tables(self) -> ServerCheck:
        """Comparisons and large imports load what they read into temporary tables."""
        import psycopg

        try:
            with self._connection.transaction(force_rollback=True):
                self._connection.execute("CREATE TEMP TABLE amp_console_check (id bigint)")
        except psycopg.Error as error:
            database = self._ask("SELECT current_database()")
            remedy = f"GRANT TEMPORARY ON DATABASE {database} TO {self._user}"
            why = error.diag.message_primary
            says = f"can't be created ({why}). An administrator runs: {remedy}"
            return ServerCheck("temp tables", False, says)
        return ServerCheck("temp tables", True, "can be created")

    def _locks(self) -> ServerCheck:
        """Whether a session keeps the lock that it takes, as a lease has to be."""
        key = int.from_bytes(os.urandom(7))
        self._connection.execute("SELECT pg_try_advisory_lock($1)", [key])
        is_held = self._ask("SELECT pg_advisory_unlock($1)", key)
        says = "are kept by the session"
        if not is_held:
            says = "are lost between transactions. Use the direct address of the server"
        return ServerCheck("locks", bool(is_held), says)

    def _clock(self) -> ServerCheck:
        before = self._now()
        there = int(self._ask("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"))
        after = self._now()
        difference = there - (before + after) // 2
        if abs(difference) - (after - before) // 2 <= CLOCK_TOLERANCE:
            return ServerCheck("clock", True, "agrees with the server's")
        word = "behind" if difference > 0 else "ahead of"
        says = f"{abs(difference) / 1_000_000:,.0f} s {word} the server's"
        return ServerCheck("clock", False, f"{says}. Let both follow a time server (NTP)")
