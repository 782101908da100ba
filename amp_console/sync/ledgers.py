"""Where the ledger of each connection is: in a file of this machine, or on a server for a team."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from amp_console.connections import (
    Connection,
    Folders,
    Keyring,
    KeysError,
    LedgerServer,
    entered_ledger,
    find_ledger_password,
)
from amp_console.connections.ledger_server import LEDGER_VARIABLE
from amp_console.ledger import Db, Ledger, LedgerError, open_ledger
from amp_console.ledger.errors import LedgerUnreachable
from amp_console.ledger.opening import peek
from amp_console.values import Secret

T = TypeVar("T")


class LedgerMisconfigured(LedgerError):
    """AMP_CONSOLE_LEDGER names no ledger."""


class Ledgers:
    """Opens ledgers: the settings say where each is, or AMP_CONSOLE_LEDGER for every connection.

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
        """Whether AMP_CONSOLE_LEDGER says where every ledger is."""
        return bool(self._environ.get(LEDGER_VARIABLE, "").strip())

    def file(self, connection: Connection) -> Path | None:
        """The file of a connection's ledger, which may not exist yet; None: it is on a server."""
        try:
            server, _ = self._find(connection)
        except LedgerMisconfigured:
            return None
        return self._folders.ledger(connection.id) if server is None else None

    def where(self, connection: Connection) -> str:
        """Where a connection's ledger is, for people: its path, or its URL without a password."""
        try:
            server, _ = self._find(connection)
        except LedgerMisconfigured:
            return LEDGER_VARIABLE
        return str(self._folders.ledger(connection.id)) if server is None else server.url

    def exists(self, connection: Connection) -> bool:
        """Whether there is a ledger of a connection; one on a server is not looked for."""
        file = self.file(connection)
        return file is None or file.exists()

    def open(self, connection: Connection) -> Ledger:
        """Open a connection's ledger, creating or migrating it as needed. It may block.

        Raises `LedgerError`, also where the keyring doesn't give its password.
        """
        server, password = self._find(connection)
        if server is None:
            return open_ledger(self._folders.ledger(connection.id))
        return open_ledger(server.url, password=password or self._stored(connection))

    def peek(self, connection: Connection, work: Callable[[Db, frozenset[int]], T]) -> T | None:
        """Read a ledger that is not open, as `peek` of the ledger does. It may block.

        Nothing is asked of the keyring, which may open a dialog: with a password that is not known
        yet, the answer is None. Raises `LedgerError`.
        """
        server, password = self._find(connection)
        if server is None:
            return peek(self._folders.ledger(connection.id), work)
        if password is None and server.password_item is not None:
            password = self._passwords.get(server.password_item)
            if password is None:
                return None
        return peek(server.url, work, password=password)

    def _find(self, connection: Connection) -> tuple[LedgerServer | None, Secret | None]:
        """The server, None for a file, and the password that the environment gives."""
        if not self.is_from_environment:
            return connection.ledger, None
        try:
            return entered_ledger(self._environ[LEDGER_VARIABLE])
        except ValueError as error:
            raise LedgerMisconfigured(f"{LEDGER_VARIABLE} can't be used. {error}") from None

    def _stored(self, connection: Connection) -> Secret | None:
        """The password in the keyring, unless the environment says where the ledger is."""
        item = connection.ledger.password_item if connection.ledger else None
        if item is None or self.is_from_environment:
            return None
        if item not in self._passwords:
            try:
                found = find_ledger_password(connection, self._keyring)
            except KeysError as error:
                raise LedgerUnreachable(str(error)) from None
            assert found is not None
            self._passwords[item] = found
        return self._passwords[item]
