"""Locks of a ledger on PostgreSQL: session advisory locks, held on a separate connection.

The server releases them when that connection ends, which it does the moment its process dies; of a
host that vanished, once the keepalives have failed. A connection that is not used for anything else
is never in a transaction that failed, and holds up no vacuum.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from selectors import EVENT_READ, DefaultSelector
from socket import gethostname
from typing import TYPE_CHECKING, Any

from amp_console.ledger.errors import LeaseLost, LedgerClosed
from amp_console.ledger.locks import AudienceBusy, Fence, Holds, SourceBusy
from amp_console.ledger.postgres.errors import explain

if TYPE_CHECKING:
    import psycopg

# Of all the advisory locks of the database, those that are held by a number of 64 bits.
_HELD = (
    "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks WHERE locktype = 'advisory' "
    "AND granted AND objsubid = 1 AND database = "
    "(SELECT oid FROM pg_database WHERE datname = current_database())"
)


# It names who has the lease at once: what is written under it may have to wait for the server.
_COUNT = (
    "INSERT INTO lease (audience_id, pid, host, since, operator, number) "
    "VALUES ($1, $2, $3, extract(epoch FROM now()) * 1000000, this_operator(), 1) "
    "ON CONFLICT (audience_id) DO UPDATE SET pid = excluded.pid, host = excluded.host, "
    "since = excluded.since, operator = excluded.operator, run_id = NULL, "
    "number = lease.number + 1 RETURNING number"
)


class SessionLocks:
    """The locks of one ledger, whose session begins with the first of them.

    A lost session has lost all its locks. A new one takes the locks of runs and sources again,
    unless someone else has. A lease stays lost: `check_lease` reports this to its holder before
    anything is sent.
    """

    def __init__(
        self, connect: "Callable[[], psycopg.Connection[Any]]", schema: str, place: str
    ) -> None:
        self._connect = connect
        self._schema = schema
        self._place = place
        self._guard = threading.Lock()
        self._session: psycopg.Connection[Any] | None = None
        self._held: dict[str, _Held] = {}
        self._is_closed = False

    @contextmanager
    def lease(self, audience_id: int) -> Iterator[Fence]:
        """Hold an audience's lease; raises `AudienceBusy` at once if another session holds it.

        The session that holds it counts how often it was taken; a session that has ended no longer
        counts.
        """
        with self._hold(_lease(audience_id), AudienceBusy) as held:
            with self._explained():
                values = [audience_id, os.getpid(), gethostname()]
                row = held.session.execute(_COUNT, values).fetchone()
            assert row is not None
            held.number = int(row[0])
            yield Fence(audience_id, held.number)

    @contextmanager
    def hold_source(self, key: str) -> Iterator[None]:
        """Hold a source while it is read; raises `SourceBusy` at once if someone else holds it."""
        with self._hold(f"{_SOURCE} {key}", SourceBusy):
            yield

    def check_lease(self, fence: Fence) -> None:
        """Raise `LeaseLost` if the session that took the lease has ended, on either side."""
        import psycopg

        held = self._held.get(_lease(fence.audience_id))
        if held is None or held.number != fence.number:
            raise LeaseLost
        try:
            held.session.execute("SELECT")
        except psycopg.Error:
            raise LeaseLost from None

    def revive(self) -> None:
        """Take lost locks again, on a new session if the server has ended the last one.

        It costs nothing unless something was lost. Raises `LedgerError`.
        """
        session = self._session
        if session is not None and self._held and (_has_heard(session) or self._lost(session)):
            with self._explained():
                self._connected()

    @contextmanager
    def hold_run(self) -> Iterator[str]:
        """Hold a new lock during a run, and yield its name, for `begin_run` to write down."""
        name = f"run-{os.urandom(8).hex()}"
        with self._hold(name, RuntimeError):
            yield name

    def dead(self, running: Mapping[int, str | None]) -> frozenset[int]:
        """Those of the runs marked running, each with its lock, that no session holds anymore."""
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
            self._is_closed = True
            session, self._session = self._session, None
            self._held.clear()
        if session is not None:
            session.close()

    @contextmanager
    def _hold(self, name: str, busy: type[Exception]) -> "Iterator[_Held]":
        with self._explained():
            held = self._acquired(name)
        if held is None:
            raise busy
        try:
            yield held
        finally:
            self._release(name, held)

    def _acquired(self, name: str) -> "_Held | None":
        """Take a lock at once; None if anyone holds it, in this process or another.

        PostgreSQL grants a session any lock that it already holds, so this is checked here.
        """
        session = self._connected()
        with self._guard:
            known = self._held.get(name)
            if (known is not None and known.session is session) or not self._try(session, name):
                return None
            held = self._held[name] = _Held(session)
        return held

    def _try(self, session: "psycopg.Connection[Any]", name: str) -> bool:
        row = session.execute("SELECT pg_try_advisory_lock($1)", [self.key(name)]).fetchone()
        return row is not None and bool(row[0])

    def _release(self, name: str, held: "_Held") -> None:
        import psycopg

        with self._guard:
            if self._held.get(name) is held:
                del self._held[name]
        with suppress(psycopg.Error):  # a session that ended has released it
            held.session.execute("SELECT pg_advisory_unlock($1)", [self.key(name)])

    def _connected(self) -> "psycopg.Connection[Any]":
        with self._guard:
            if self._is_closed:
                raise LedgerClosed
            if self._session is None or not _is_alive(self._session):
                self._session = self._connect()
            for name, held in self._lost(self._session):
                if self._try(self._session, name):
                    held.session = self._session
            return self._session

    def _lost(self, session: "psycopg.Connection[Any]") -> "list[tuple[str, _Held]]":
        """The locks of runs and sources that an earlier session than this one held."""
        return [
            (name, held)
            for name, held in list(self._held.items())
            if held.session is not session and not _is_lease(name)
        ]

    def key(self, name: str) -> int:
        """The number of a lock: ledgers in one database, each with its own schema, share none.

        Its first half is for the ledger and the kind of the lock, the first word of its name,
        so that locks of a kind can be found without knowing their names.
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


def _is_lease(name: str) -> bool:
    return name.startswith("lease ")


class _Held:
    """A lock, and the session that took it; `number` is that of a lease."""

    def __init__(self, session: "psycopg.Connection[Any]") -> None:
        self.session = session
        self.number = 0


def _is_alive(session: "psycopg.Connection[Any]") -> bool:
    import psycopg

    try:
        session.execute("SELECT")
    except psycopg.Error:
        session.close()
        return False
    return True


def _has_heard(session: "psycopg.Connection[Any]") -> bool:
    """Whether the server has sent something unrequested, such as its farewell, or hung up."""
    if session.closed:
        return True
    with DefaultSelector() as selector:
        selector.register(session.fileno(), EVENT_READ)
        return bool(selector.select(0))
