"""How a command comes to what it works with: the connection, its ledger, its keys."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from amp_console.cli.options import common
from amp_console.cli.output import say
from amp_console.connections import (
    Connection,
    ConnectionBook,
    Folders,
    Vault,
    find_keys,
    restricted,
)
from amp_console.ledger import open_ledger
from amp_console.sync.workspace import Workspace, client_for
from amp_console.values import Credentials


def folders() -> Folders:
    """Return the folders of this user, made where they are not there."""
    found = Folders.locate(os.environ)
    found.prepare()
    return found


def book() -> ConnectionBook:
    """Return the book of connections; --read-only keeps it as it is."""
    return ConnectionBook(folders().config_file, read_only=common().read_only)


def vault() -> Vault:
    """Return the keyring, which says so when it makes us wait."""
    waiting = "Waiting for your keyring… it is asking for your password in another window."
    return Vault(os.environ, on_waiting=lambda: say(waiting, err=True))


def keys_of(connection: Connection) -> Credentials:
    """Find a connection's keys: in the environment, else in the keyring. Raises `KeysError`."""
    credentials, _ = find_keys(connection, os.environ, vault())
    return credentials


@contextmanager
def workplace(name: str | None) -> Iterator[Workspace]:
    """Open the connection called `name`, or the only one there is. Raises `SettingsError`."""
    connection = book().pick(name)
    if common().read_only:
        connection = restricted(connection)
    with open_ledger(folders().ledger(connection.id)) as ledger:
        for notice in ledger.notices:
            say(notice, err=True)
        yield Workspace(connection, ledger)


__all__ = ["Workspace", "book", "client_for", "folders", "keys_of", "vault", "workplace"]
