"""Where each connection's ledger is: in a file on this machine, or on a server for a team."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from amp_console.connections import (
    MAX_OPERATOR,
    OPERATOR_VARIABLE,
    Connection,
    Folders,
    Keyring,
    KeysError,
    LedgerServer,
    entered_ledger,
    find_ledger_password,
)
from amp_console.connections.ledger_server import LEDGER_VARIABLE
from amp_console.ledger import Db, Ledger, LedgerError
from amp_console.ledger.backups import remains_of
from amp_console.ledger.database import Database
from amp_console.ledger.errors import LedgerReadOnly, LedgerUnreachable
from amp_console.ledger.opening import database_at, examine_server, listen, peek
from amp_console.ledger.operators import this_user
from amp_console.ledger.received import received_until
from amp_console.text import clean, trimmed
from amp_console.values import Secret

if TYPE_CHECKING:
    from amp_console.ledger.postgres.examination import ServerCheck
    from amp_console.ledger.postgres.listening import Listener

T = TypeVar("T")


class LedgerMisconfigured(LedgerError):
    """AMP_CONSOLE_LEDGER is not the address of a ledger."""


class LedgerPlace(NamedTuple):
    """Where a ledger is: its server (None: a file), and a password that is not in a keyring yet."""

    server: LedgerServer | None
    password: Secret | None = None


class Ledgers:
    """Opens ledgers: the settings determine where each is, or AMP_CONSOLE_LEDGER for all.

    Passwords that were found in the keyring are remembered in `passwords`, by their items.
    """

    def __init__(
        self,
        folders: Folders,
        environ: Mapping[str, str],
        keyring: Keyring,
        passwords: dict[str, Secret] | None = None,
    ) -> None:
        self._folders = folders
        self._environ = environ
        self._keyring = keyring
        self._passwords = {} if passwords is None else passwords

    @property
    def is_from_environment(self) -> bool:
        """Whether AMP_CONSOLE_LEDGER determines where every ledger is."""
        return bool(self._environ.get(LEDGER_VARIABLE, "").strip())

    def operator(self, connection: Connection) -> str:
        """The operator of a connection: its setting, or AMP_CONSOLE_OPERATOR for every connection.

        By default user@host.
        """
        return self._operator_of_environment or connection.operator or this_user()

    @property
    def is_operator_from_environment(self) -> bool:
        """Whether AMP_CONSOLE_OPERATOR names the operator of every connection."""
        return bool(self._operator_of_environment)

    @property
    def _operator_of_environment(self) -> str:
        return clean(trimmed(self._environ.get(OPERATOR_VARIABLE, "")), MAX_OPERATOR)

    def place(self, connection: Connection) -> LedgerPlace:
        """Where a connection's ledger is. Raises `LedgerMisconfigured`."""
        if not self.is_from_environment:
            return LedgerPlace(connection.ledger)
        try:
            return LedgerPlace(*entered_ledger(self._environ[LEDGER_VARIABLE]))
        except ValueError as error:
            raise LedgerMisconfigured(f"{LEDGER_VARIABLE} can't be used. {error}") from None

    def file(self, connection: Connection) -> Path | None:
        """The file of a connection's ledger, which may not exist yet; None: it is on a server."""
        try:
            place = self.place(connection)
        except LedgerMisconfigured:
            return None
        return self._folders.ledger(connection.id) if place.server is None else None

    def left_behind(self, connection: Connection) -> tuple[str, ...]:
        """The paths of files on this machine of a connection's earlier ledger.

        The connection has left it for a server: it was moved there, or the team's ledger was
        joined.
        """
        file = self._folders.ledger(connection.id)
        return tuple(remains_of(file)) if connection.ledger is not None else ()

    def where(self, connection: Connection, place: LedgerPlace | None = None) -> str:
        """Where a ledger is, for people: its path, or its URL without a password."""
        try:
            server = (place or self.place(connection)).server
        except LedgerMisconfigured:
            return LEDGER_VARIABLE
        return str(self._folders.ledger(connection.id)) if server is None else server.url

    def exists(self, connection: Connection) -> bool:
        """Whether a connection has a ledger; one on a server is not checked."""
        file = self.file(connection)
        return file is None or file.exists()

    def open(self, connection: Connection, place: LedgerPlace | None = None) -> Ledger:
        """Open a connection's ledger, or another one, creating or migrating it as needed.

        What a receiver that was killed has left there is merged. It may block. Raises
        `LedgerError`, also where the keyring doesn't give its password.
        """
        ledger = Ledger(self.database(connection, place))
        try:
            if ledger.read(received_until):
                _merge_received(ledger)
        except BaseException:
            ledger.close()
            raise
        return ledger

    def database(self, connection: Connection, place: LedgerPlace | None = None) -> Database:
        """The database of a connection's ledger, or of one at another address; it is not opened.

        Raises `LedgerError`, also where the keyring doesn't give its password.
        """
        server, password = place or self.place(connection)
        operator = self.operator(connection)
        if server is None:
            return database_at(self._folders.ledger(connection.id), operator=operator)
        password = password or self._stored(server)
        return database_at(
            server.url, password=password, app_id=connection.app_id, operator=operator
        )

    def listen(self, connection: Connection, heard: Callable[[], None]) -> "Listener | None":
        """Call `heard` for each change of a connection's ledger, in another thread.

        None: a file's changes have to be polled. Raises as `open`.
        """
        server, password = self.place(connection)
        if server is None:
            return None
        return listen(server.url, heard, password=password or self._stored(server))

    def peek(
        self,
        connection: Connection,
        work: Callable[[Db, frozenset[int]], T],
        place: LedgerPlace | None = None,
        *,
        may_ask: bool = False,
    ) -> T | None:
        """Read a ledger that is not open, as `peek` of the ledger does. It may block.

        Unless it `may_ask`, which may open a dialog of the keyring, None is also the answer for a
        ledger whose password is not known yet. Raises `LedgerError`.
        """
        server, password = place or self.place(connection)
        if server is None:
            return peek(self._folders.ledger(connection.id), work)
        if password is None and server.password_item is not None:
            if not may_ask and server.password_item not in self._passwords:
                return None
            password = self._stored(server)
        return peek(server.url, work, password=password, app_id=connection.app_id)

    def examine(self, connection: Connection) -> "tuple[ServerCheck, ...]":
        """Check the server of a connection's ledger; no checks for a file. Raises `LedgerError`."""
        server, password = self.place(connection)
        if server is None:
            return ()
        return examine_server(server.url, password or self._stored(server))

    def _stored(self, server: LedgerServer) -> Secret | None:
        """The password that is stored for a server."""
        item = server.password_item
        if item is None:
            return None
        if item not in self._passwords:
            try:
                found = find_ledger_password(server, self._keyring)
            except KeysError as error:
                raise LedgerUnreachable(str(error)) from None
            assert found is not None
            self._passwords[item] = found
        return self._passwords[item]


def _merge_received(ledger: Ledger) -> None:
    from amp_console.sync.ingest.stream import merge_received

    try:
        merge_received(ledger)
    except LedgerReadOnly:  # a role that only reads; others merge it
        pass
    except LedgerError as error:
        ledger.notices += (f"Events of webhooks wait in the ledger, and were not merged. {error}",)
