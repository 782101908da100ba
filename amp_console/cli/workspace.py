"""Opening what a command needs: the connection, its ledger, its keys."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from amp_console.amplitude import AmplitudeClient
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
from amp_console.engage import ReadOptions
from amp_console.ledger import Ledger, open_ledger
from amp_console.sync.connection_options import client_for, read_options
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


@dataclass(frozen=True, slots=True)
class Workspace:
    """The connection that a command is about, with its ledger open."""

    connection: Connection
    ledger: Ledger

    def client(self, credentials: Credentials) -> AmplitudeClient:
        """Return a client for the connection's project."""
        return client_for(self.connection, credentials)

    def read_options(self, **more: object) -> ReadOptions:
        """Return how the connection's events are read. Raises `MappingError`."""
        return read_options(self.connection, **more)


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
