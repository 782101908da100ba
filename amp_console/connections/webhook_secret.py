"""The shared secret of a connection's webhook destination, stored like the keys."""

from collections.abc import Mapping

from amp_console.connections.connection import Connection
from amp_console.connections.key_errors import (
    SECRET_NOT_KEPT,
    WEBHOOK_VARIABLE,
    KeysError,
    KeysProblem,
    without_keyring,
)
from amp_console.connections.keyring import Keyring
from amp_console.connections.store import ConnectionStore
from amp_console.connections.stored_keys import point_to
from amp_console.values import Secret


def checked_secret(text: str) -> Secret:
    """Return a shared secret without spaces at its ends. Raises ValueError if it is empty."""
    if not text.strip():
        raise ValueError("The shared secret is empty.")
    return Secret(text.strip())


def find_webhook_secret(
    connection: Connection, environ: Mapping[str, str], keyring: Keyring
) -> Secret | None:
    """Return it from AMP_CONSOLE_WEBHOOK_SECRET, otherwise from the keyring; None if there is none.

    Raises KeysError if the keyring didn't return it.
    """
    if text := environ.get(WEBHOOK_VARIABLE, "").strip():
        return Secret(text)
    if connection.webhook_item is None:
        return None
    try:
        return keyring.read_secret(connection.webhook_item)
    except KeysError as error:
        raise _about(connection, error) from None


def _about(connection: Connection, error: KeysError) -> KeysError:
    """Return an error that names the shared secret and the connection."""
    match error.problem:
        case KeysProblem.MISSING | KeysProblem.DAMAGED:
            why = "The keyring does not contain the shared secret"
        case KeysProblem.NO_KEYRING:
            why = "This machine has no keyring now, so there is no way to read the shared secret"
        case _:
            return error
    message = (
        f"{why} of “{connection.name}”. Store it again with: "
        f"amp-console listen --save-secret, or set {WEBHOOK_VARIABLE}."
    )
    return KeysError(error.problem, error.backend_name, message=message)


def store_webhook_secret(
    store: ConnectionStore, keyring: Keyring, connection: Connection, secret: Secret
) -> Connection:
    """Store the secret, and delete the earlier one. Raises as `store_keys` does."""
    store.check_writable()
    with without_keyring(SECRET_NOT_KEPT):
        item = keyring.write_secret(secret)
    return point_to(store, keyring, connection, connection, webhook_item=item)
