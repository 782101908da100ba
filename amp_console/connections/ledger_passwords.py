"""The servers of ledgers: saved without their passwords, which the keyring keeps."""

import msgspec

from amp_console.connections.connection import Connection
from amp_console.connections.keyring import Keyring
from amp_console.connections.ledger_server import LedgerServer
from amp_console.connections.store import ConnectionStore
from amp_console.connections.stored_keys import find_password, save_passwords
from amp_console.values import Secret

NOT_KEPT = (
    "This machine has no keyring to store the password of the ledger in. Nothing was saved. Leave "
    "it out: PostgreSQL also reads passwords from ~/.pgpass, PGPASSWORD and service files."
)


def save_ledger(
    store: ConnectionStore,
    keyring: Keyring,
    connection: Connection,
    server: LedgerServer | None,
    password: Secret | None = None,
) -> Connection:
    """Set where a connection's ledger is, None for its file; store the password in the keyring.

    A new connection is saved. Without a new password, the one that the server points to stays.
    Raises KeysError if the keyring didn't store the password; nothing was saved then. Raises
    SettingsError if the settings weren't saved; the password is removed from the keyring again.
    """

    def put(items: dict[str, str]) -> Connection:
        new = None if server is None else msgspec.structs.replace(server, **items)
        if all(known.id != connection.id for known in store.all()):
            store.save(connection)
        return store.put_ledger(connection, new)

    return save_passwords(store, keyring, {"password_item": password}, put, not_kept=NOT_KEPT)


def find_ledger_password(server: LedgerServer, keyring: Keyring) -> Secret | None:
    """Return the password of a ledger's server from the keyring, None if none is stored.

    Raises KeysError if the keyring didn't return it.
    """
    secret = f"the password of the ledger {server.url}"
    remedy = "Set the ledger again, with its password."
    return find_password(server.password_item, keyring, secret, remedy)
