"""Listening for changes that others make in a ledger, on a separate connection.

Triggers of the tables send notifications, which PostgreSQL delivers once their transaction is
committed. They contain the kind of the changed rows, never the contents.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from selectors import EVENT_READ, DefaultSelector
from socket import socketpair
from typing import TYPE_CHECKING

from amp_console.ledger.errors import LedgerError
from amp_console.ledger.postgres.address import Address
from amp_console.ledger.postgres.connection import connect
from amp_console.ledger.postgres.schema import CHANNEL

if TYPE_CHECKING:
    import psycopg

RETRY_SECONDS = 2.0  # between two attempts to connect


class Listener:
    """Calls `heard`, in a thread of its own, for each transaction that has changed a ledger.

    While its connection is lost, it keeps trying to make a new one. Changes are missed meanwhile,
    so `heard` is called as soon as it listens again. Silence is normal here: after the address's
    `answer_timeout`, it asks whether the server is still there.
    """

    def __init__(self, address: Address, heard: Callable[[], None]) -> None:
        self._address = address
        self._heard = heard
        self._is_listening = threading.Event()
        self._is_closed = threading.Event()
        self._wakes, self._waked = socketpair()
        threading.Thread(target=self._run, name="ledger-listener", daemon=True).start()

    @property
    def is_listening(self) -> bool:
        """Whether changes are heard now, as far as is known of the connection."""
        return self._is_listening.is_set()

    def close(self) -> None:
        """Stop listening; it does not wait for the server."""
        self._is_closed.set()
        self._wakes.close()

    def _run(self) -> None:
        import psycopg

        with self._waked, suppress(RuntimeError):  # the event loop that is told has ended
            while not self._is_closed.is_set():
                with suppress(psycopg.Error, LedgerError):
                    self._listen()
                self._is_listening.clear()
                self._is_closed.wait(RETRY_SECONDS)

    def _listen(self) -> None:
        """Connect, and listen until the connection is lost or the listener is closed."""
        with closing(connect(self._address)) as connection:
            notices = list[str]()
            connection.add_notify_handler(lambda notice: notices.append(notice.payload))
            connection.execute(f"LISTEN {CHANNEL}")
            self._is_listening.set()
            self._heard()
            for has_arrived in self._arrivals(connection):
                if has_arrived:
                    notices += _received(connection)
                else:
                    connection.execute("SELECT")  # fails if the server is no longer there
                if any(self._is_about_ledger(payload) for payload in notices):
                    self._heard()
                notices.clear()

    def _arrivals(self, connection: "psycopg.Connection[object]") -> Iterator[bool]:
        """Yield whenever the server has sent something or has hung up, or was silent for long."""
        with DefaultSelector() as selector:
            selector.register(connection.fileno(), EVENT_READ)
            selector.register(self._waked, EVENT_READ)
            while not self._is_closed.is_set():
                has_arrived = bool(selector.select(self._address.answer_timeout))
                if not self._is_closed.is_set():
                    yield has_arrived

    def _is_about_ledger(self, payload: str) -> bool:
        """Whether it is about this ledger: others in the database have their own schemas."""
        return payload.partition(" ")[2] == self._address.schema


def _received(connection: "psycopg.Connection[object]") -> list[str]:
    """What has arrived, without waiting for more. Raises `psycopg.Error`."""
    session, found = connection.pgconn, list[str]()
    session.consume_input()
    while (notice := session.notifies()) is not None:
        found.append(notice.extra.decode())
    return found
