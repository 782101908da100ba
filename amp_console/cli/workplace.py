"""What a command works with: a connection, its ledger, its keys."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click

from amp_console.amplitude import AmplitudeClient, checked_base_url, region_url
from amp_console.connections import Connection, ConnectionBook, Folders, Vault, find_keys
from amp_console.engage import FieldMapping, ReadOptions
from amp_console.ledger import Ledger
from amp_console.values import Credentials


@dataclass(frozen=True, slots=True)
class Workplace:
    """One connection with its ledger open."""

    connection: Connection
    ledger: Ledger

    def client(self, credentials: Credentials) -> AmplitudeClient:
        """Return a client for this connection's project."""
        return client_for(self.connection, credentials)

    def read_options(self, **more: object) -> ReadOptions:
        """How this connection's events are read. Raises `MappingError`."""
        paths = self.connection.user_id_path, self.connection.amplitude_id_path
        return ReadOptions(mapping=FieldMapping.parse(*paths), **more)  # type: ignore[arg-type]


def client_for(connection: Connection, credentials: Credentials) -> AmplitudeClient:
    """Return a client for a connection's project."""
    base_url = connection.base_url
    url = checked_base_url(base_url) if base_url else region_url(connection.region)
    return AmplitudeClient(url, credentials, timeout=connection.limits.timeout)


def folders() -> Folders:
    """Return the folders of this user, made where they are not there."""
    found = Folders.locate(os.environ)
    found.prepare()
    return found


def book() -> ConnectionBook:
    """Return the book of connections."""
    return ConnectionBook(folders().config_file)


def vault() -> Vault:
    """Return the keyring, which says so when it makes us wait."""
    waiting = "Waiting for your keyring… it is asking for your password in another window."
    return Vault(os.environ, on_waiting=lambda: click.echo(waiting, err=True))


def keys_of(connection: Connection) -> Credentials:
    """Find a connection's keys: in the environment, else in the keyring. Raises `KeysError`."""
    credentials, _ = find_keys(connection, os.environ, vault())
    return credentials


@contextmanager
def workplace(name: str | None) -> Iterator[Workplace]:
    """Open the connection called `name`, or the only one there is. Raises `SettingsError`."""
    connection = book().pick(name)
    with Ledger(folders().ledger(connection.id)) as ledger:
        yield Workplace(connection, ledger)
