"""What commands work with: the connection, its ledger, its keys."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from amp_console.cli.options import common
from amp_console.cli.output import say
from amp_console.connections import (
    Connection,
    ConnectionStore,
    Folders,
    Keyring,
    find_keys,
    restricted,
)
from amp_console.ledger import Ledger
from amp_console.sync.ledgers import Ledgers
from amp_console.values import Credentials

if TYPE_CHECKING:
    from amp_console.sync.sources.warehouse import Engine


def folders() -> Folders:
    """Return this user's folders; create them if they do not exist."""
    found = Folders.locate(os.environ)
    found.prepare()
    return found


def connection_store() -> ConnectionStore:
    """Return the store of connections; with --read-only it can't be changed."""
    return ConnectionStore(folders().config_file, read_only=common().read_only)


def to_change(name: str | None) -> tuple[ConnectionStore, Connection]:
    """Return a connection with the book to change it in. Raises `SettingsError`."""
    store = connection_store()
    store.check_writable()
    return store, store.pick(name)


def keyring() -> Keyring:
    """Return the keyring. A notice appears while it keeps the command waiting."""
    waiting = "Waiting for your keyring. It is asking for your password in another window."
    return Keyring(os.environ, on_waiting=lambda: say(waiting, err=True))


def ledgers() -> Ledgers:
    """Return the factory of ledgers for any connection."""
    return Ledgers(folders(), os.environ, keyring())


def keys_of(connection: Connection) -> Credentials:
    """Find a connection's keys: in the environment, else in the keyring. Raises `KeysError`."""
    credentials, _ = find_keys(connection, os.environ, keyring())
    return credentials


@contextmanager
def open_connection(name: str | None) -> Iterator[tuple[Connection, Ledger]]:
    """Open the ledger of the connection `name`, or of the only one. Raises `SettingsError`."""
    connection = connection_store().pick(name)
    if common().read_only:
        connection = restricted(connection)
    with ledgers().open(connection) as ledger:
        for notice in ledger.notices:
            say(notice, err=True)
        yield connection, ledger


def open_warehouse(connection: Connection, name: str) -> "Engine":
    """Open a source by its name. Raises WarehouseError, KeysError and SettingsError."""
    from amp_console.connections import find_source_password, named_source
    from amp_console.sync.sources.warehouse import open_engine

    source = named_source(connection, name)
    return open_engine(source.url, find_source_password(source, keyring()))
