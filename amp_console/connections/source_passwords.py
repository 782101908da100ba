"""The named sources of a connection: saved without their passwords, which are in the keyring."""

import msgspec

from amp_console.connections.connection import Connection
from amp_console.connections.keyring import Keyring
from amp_console.connections.named_source import NamedSource
from amp_console.connections.settings_errors import UnknownSource
from amp_console.connections.store import ConnectionStore
from amp_console.connections.stored_keys import (
    find_password,
    retry_forgotten,
    save_passwords,
)
from amp_console.values import Secret

NOT_KEPT = (
    "This machine has no keyring to store the password of the source in. Nothing was saved. Leave "
    "it out: PostgreSQL also reads passwords from ~/.pgpass, PGPASSWORD and service files."
)


def named_source(connection: Connection, name: str) -> NamedSource:
    """Return the source with this name. Raises `UnknownSource`, which lists the known ones."""
    for source in connection.sources:
        if source.name == name:
            return source
    raise UnknownSource(name, (source.name for source in connection.sources))


def save_source(
    store: ConnectionStore,
    keyring: Keyring,
    connection: Connection,
    source: NamedSource,
    password: Secret | None,
) -> Connection:
    """Add a source, or replace the one with its name, and store its password in the keyring.

    Without a new password, the one that the source points to stays. Raises KeysError if the keyring
    didn't store the password; nothing was saved then. Raises SettingsError if the settings weren't
    saved; the password is removed from the keyring again.
    """

    def put(items: dict[str, str]) -> Connection:
        return store.put_source(connection, msgspec.structs.replace(source, **items))

    return save_passwords(store, keyring, {"password_item": password}, put, not_kept=NOT_KEPT)


def remove_source(
    store: ConnectionStore, keyring: Keyring, connection: Connection, name: str
) -> Connection:
    """Remove a source, and its password from the keyring. Raises `UnknownSource`."""
    gone = named_source(connection, name)
    saved = store.drop_source(connection, name)
    if gone.password_item:
        retry_forgotten(store, keyring)
    return saved


def find_source_password(source: NamedSource, keyring: Keyring) -> Secret | None:
    """Return the password of a source from the keyring, None if none is stored.

    Raises KeysError if the keyring didn't return it.
    """
    secret = f"the password of the source “{source.name}”"
    remedy = "Add the source again, with its password."
    return find_password(source.password_item, keyring, secret, remedy)
