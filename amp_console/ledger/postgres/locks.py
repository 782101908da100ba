"""Locks of a ledger on PostgreSQL: session advisory locks, held on a connection of their own.

The server releases them when that connection ends, which it does the moment its process dies; of a
host that vanished, once the keepalives have failed. A connection that is not used for anything else
is never in a transaction that failed, and holds up no vacuum.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from amp_console.ledger.errors import LeaseLost
from amp_console.ledger.locks import AudienceBusy, Holds, SourceBusy
from amp_console.ledger.postgres.errors import explain

if TYPE_CHECKING:
    import psycopg

# Of all the advisory locks of the database, those that are held by a number of 64 bits.
_HELD = (
    "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks WHERE locktype = 'advisory' "
    "AND granted AND objsubid = 1 AND database = "
    "(SELECT oid FROM pg_database WHERE datname = current_database())"
)


class SessionLocks:
    """The locks of one ledger, whose session begins with the first of them.

    A session that was lost has lost all its locks: who held one is told by `check`, before anything
    is sent, and a new session begins with the next lock.
    """

    def __init__(
        self, connect: "Callable[[], psycopg.Connection[Any]]", schema: str, place: str
    ) -> None:
        self._connect = connect
        self._schema = schema
        self._place = place
        self._guard = threading.Lock()
        self._session: psycopg.Connection[Any] | None = None
        self._held: dict[str, psycopg.Connection[Any]] = {}

    def lease(self, audience_id: int) -> AbstractContextManager[None]:
        """Hold an audience's lease; raises `AudienceBusy` at once if another session holds it."""
        return self._hold(_lease(audience_id), AudienceBusy)

    def hold_source(self, key: str) -> AbstractContextManager[None]:
        """Hold a source while it is read; raises `SourceBusy` at once if someone else holds it."""
        return self._hold(f"{_SOURCE} {key}", SourceBusy)

    def check_lease(self, audience_id: int) -> None:
        """Raise `LeaseLost` if the session that took the lease has ended, on either side."""
        import psycopg

        session = self._held.get(_lease(audience_id))
        try:
            if session is None:
                raise LeaseLost
            session.execute("SELECT")
        except psycopg.Error:
            raise LeaseLost from None

    @contextmanager
    def hold_run(self) -> Iterator[str]:
        """Hold a new lock during a run, and yield its name, for `begin_run` to write down."""
        name = f"run-{os.urandom(8).hex()}"
        with self._hold(name, RuntimeError):
            yield name

    def dead(self, running: Mapping[int, str | None]) -> frozenset[int]:
        """Those of the runs marked running, each with its lock, that no session holds any more."""
        if not running:
            return frozenset()
        held = self._keys_held()
        return frozenset(
            run_id for run_id, name in running.items() if name is None or self.key(name) not in held
        )

    def holds(self, audiences: Collection[int], running: Mapping[int, str | None]) -> Holds:
        """What is held: of these audiences, of the runs marked running, and of all sources."""
        held = self._keys_held()
        sources = self.key(_SOURCE) >> 32
        return Holds(
            frozenset(audience for audience in audiences if self.key(_lease(audience)) in held),
            frozenset(running) - self.dead(running),
            sum(key >> 32 == sources for key in held),
        )

    def _keys_held(self) -> frozenset[int]:
        with self._explained():
            return frozenset(key for (key,) in self._connected().execute(_HELD))

    def close(self) -> None:
        """End the session, and with it all its locks."""
        with self._guard:
            session, self._session = self._session, None
            self._held.clear()
        if session is not None:
            session.close()

    @contextmanager
    def _hold(self, name: str, busy: type[Exception]) -> Iterator[None]:
        with self._explained():
            session = self._acquired(name)
        if session is None:
            raise busy
        try:
            yield
        finally:
            self._release(name, session)

    def _acquired(self, name: str) -> "psycopg.Connection[Any] | None":
        """Take a lock at once and return its session; None where anyone holds it, here or there.

        PostgreSQL gives a session any number of times what it holds already, so that is asked here.
        """
        session = self._connected()
        with self._guard:
            if self._held.get(name) is session:
                return None
            row = session.execute("SELECT pg_try_advisory_lock($1)", [self.key(name)]).fetchone()
            if row is None or not row[0]:
                return None
            self._held[name] = session
        return session

    def _release(self, name: str, session: "psycopg.Connection[Any]") -> None:
        import psycopg

        with self._guard:
            if self._held.get(name) is session:
                del self._held[name]
        with suppress(psycopg.Error):  # a session that ended has released it
            session.execute("SELECT pg_advisory_unlock($1)", [self.key(name)])

    def _connected(self) -> "psycopg.Connection[Any]":
        with self._guard:
            if self._session is None or self._session.closed:
                self._session = self._connect()
            return self._session

    def key(self, name: str) -> int:
        """The number of a lock: ledgers of one database, in schemas of their own, share none.

        Its first half is that of the ledger and of the kind of the lock, the first word of its
        name: so locks of a kind are found whose names are not known.
        """
        kind = name.partition(" ")[0]
        halves = (f"amp-console {self._schema} {kind}", name)
        digests = (hashlib.sha256(half.encode()).digest()[:4] for half in halves)
        return int.from_bytes(b"".join(digests), signed=True)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        import psycopg

        try:
            yield
        except psycopg.Error as error:
            raise explain(error, self._place) from error


_SOURCE = "source"


def _lease(audience_id: int) -> str:
    return f"lease {audience_id}"
