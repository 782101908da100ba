"""A ledger in a schema of a PostgreSQL database, for several operators and workers."""

import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from amp_console.ledger.backups import Backups
from amp_console.ledger.database import Access
from amp_console.ledger.db import Db
from amp_console.ledger.errors import LedgerError
from amp_console.ledger.locks import Locks
from amp_console.ledger.moved import running_locks_if_in_use
from amp_console.ledger.postgres.address import Address
from amp_console.ledger.postgres.connection import PostgresDb, connect
from amp_console.ledger.postgres.errors import explain, not_connected
from amp_console.ledger.postgres.locks import SessionLocks
from amp_console.ledger.postgres.schema import (
    LEAST_VERSION,
    check_project,
    check_version,
    claim,
    is_current,
    migrate,
)
from amp_console.values import now_in_microseconds

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")

BUSY_SECONDS = 30
TRIES = 5  # of a transaction that others make fail
FIRST_PAUSE = 0.05  # seconds between two tries; it doubles, so that the others are out of the way
# All locks are taken before anything else, that of the ledger first and those of audiences in the
# order of their ids, so that no two writers wait for each other. The server has room for 64 locks a
# connection: who writes to more audiences at once waits for the whole ledger.
MAX_AUDIENCES = 32
_TIME_AND_VERSION = (
    "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, version FROM ledger_version"
)
_BEGIN = {
    Access.READ: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    Access.STAGE: "BEGIN ISOLATION LEVEL REPEATABLE READ",
}


class PostgresDatabase:
    """A schema of a database, whose server makes the backups.

    The next transaction replaces a lost connection; what was staged on it is lost.
    """

    backups: Backups | None = None
    has_one_writer = False

    def __init__(self, address: Address, operator: str, app_id: int | None = None) -> None:
        """With `app_id`, a ledger of another Amplitude project is refused."""
        self.url = address.url
        self._app_id = app_id
        self._address = address
        self._operator = operator
        self._sessions = SessionLocks(self._connect, address.schema, address.place)
        self.locks: Locks = self._sessions
        self.clock_offset = 0
        self._db: PostgresDb | None = None
        self._has_staged = False  # on this connection
        self._was_open = False
        self._version = 0  # as the last transaction has seen it

    def _connect(self) -> "psycopg.Connection[Any]":
        import psycopg

        try:
            connection = connect(self._address)
        except psycopg.Error as error:
            place, is_in_use = self._address.place, self._was_open
            raise not_connected(error, place, is_in_use=is_in_use) from None
        connection.execute(f"SET lock_timeout = '{BUSY_SECONDS}s'")
        connection.execute("SELECT set_config('amp_console.operator', $1, false)", [self._operator])
        return connection

    def open(self) -> tuple[str, ...]:
        """Connect, creating or migrating the ledger as needed. Raises `LedgerError`."""
        connection = self._connect()
        try:
            version = connection.info.server_version
            if version < LEAST_VERSION:
                raise LedgerError(
                    f"The server of the ledger {self._address.place} is PostgreSQL "
                    f"{version // 10_000}. Nothing was changed. A ledger needs version "
                    f"{LEAST_VERSION // 10_000} or newer."
                )
            migrate(connection, self._address.schema)
            if self._app_id is not None:
                claim(connection, self._address.schema, self._app_id)
        except BaseException:
            connection.close()
            raise
        self._db, self._has_staged, self._was_open = PostgresDb(connection), False, True
        return ()

    def transaction(
        self, access: Access, work: Callable[[Db], T], audiences: Collection[int] | None = None, /
    ) -> T:
        """Run `work` in a transaction; roll it back if it fails.

        It is run again if the server broke it off because of a deadlock. Raises `LedgerTooNew` once
        a process of a newer version has migrated the ledger.
        """
        from psycopg.errors import DeadlockDetected, SerializationFailure

        for number in range(TRIES - 1):
            with suppress(DeadlockDetected, SerializationFailure):
                return self._attempt(access, work, audiences)
            time.sleep(FIRST_PAUSE * 2**number)
        return self._attempt(access, work, audiences)

    def _begin_write(self, audiences: Collection[int] | None) -> str:
        """The statements that begin a transaction, after writers that it must not overlap."""
        ledger = self._sessions.key("write")
        if audiences is None or len(audiences) > MAX_AUDIENCES:
            return f"BEGIN; SELECT pg_advisory_xact_lock({ledger})"
        locks = [
            f"SELECT pg_advisory_xact_lock({self._sessions.key(f'write {audience_id}')})"
            for audience_id in sorted(audiences)
        ]
        return "; ".join(["BEGIN", f"SELECT pg_advisory_xact_lock_shared({ledger})", *locks])

    def _attempt(
        self, access: Access, work: Callable[[Db], T], audiences: Collection[int] | None
    ) -> T:
        import psycopg

        db = self._begun(_BEGIN.get(access) or self._begin_write(audiences))
        self._has_staged = self._has_staged or access is Access.STAGE
        try:
            check_version(self._version)
            result = work(db)
            db.connection.execute("COMMIT")
        except BaseException:
            with suppress(psycopg.Error):  # the server has undone what a lost connection began
                db.connection.execute("ROLLBACK")
            raise
        return result

    def peek(self, work: Callable[[Db, frozenset[int]], T]) -> T | None:
        """Run `work` as `amp_console.ledger.peek` does, on separate connections."""
        try:
            connection = self._connect()
            self._db = PostgresDb(connection)
            if not is_current(connection, self._address.schema):
                return None
            if self._app_id is not None:
                check_project(connection, self._address.schema, self._app_id)
            return self.transaction(
                Access.READ, lambda db: work(db, self.locks.dead(running_locks_if_in_use(db)))
            )
        except self.errors as error:
            raise self.explain(error) from error
        finally:
            self.close()

    def _begun(self, begin: str) -> PostgresDb:
        """Begin a transaction, on a new connection if the one so far was lost.

        It fails if something was staged on that one, because the staged rows are gone.
        """
        import psycopg

        self._sessions.revive()
        if self._db is not None and not self._db.connection.closed:
            try:
                self._begin(self._db, begin)
            except psycopg.Error:
                with suppress(psycopg.Error):
                    self._db.connection.execute("ROLLBACK")
                if self._has_staged or not self._db.connection.closed:
                    raise
            else:
                return self._db
        self.open()
        db = self._db
        assert db is not None
        self._begin(db, begin)
        return db

    def _begin(self, db: PostgresDb, begin: str) -> None:
        """Begin a transaction, and read the server's time and the ledger's version.

        The offset changes only if it can't be right, because the answer may have taken long.
        """
        before = now_in_microseconds()
        cursor = db.connection.execute(f"{begin}; {_TIME_AND_VERSION}")
        after = now_in_microseconds()
        while cursor.nextset():
            pass
        row = cursor.fetchone()
        assert row is not None
        now, self._version = row
        self.clock_offset = min(max(self.clock_offset, now - after), now - before)
        db.clock_offset = self.clock_offset

    @property
    def errors(self) -> type[Exception]:
        """What its statements raise."""
        import psycopg

        return psycopg.Error

    def explain(self, error: Exception) -> LedgerError:
        """Turn PostgreSQL's error into the operator's."""
        return explain(error, self._address.place)

    def close(self) -> None:
        """Close both connections; all locks are released."""
        self._sessions.close()
        if self._db is not None:
            self._db.connection.close()
