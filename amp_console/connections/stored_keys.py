"""Finding, storing, replacing and deleting a connection's keys."""

import enum
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress

from amp_console.connections.connection import Connection
from amp_console.connections.key_errors import (
    KEYS_NOT_KEPT,
    SET_BOTH,
    KeysError,
    KeysProblem,
    not_read,
    without_keyring,
)
from amp_console.connections.keyring import Keyring
from amp_console.connections.keys import keys_from_environment
from amp_console.connections.settings import Settings
from amp_console.connections.settings_errors import SettingsError
from amp_console.connections.store import ConnectionStore
from amp_console.values import Credentials, Secret

_WHOLE_RING = {KeysProblem.LOCKED, KeysProblem.WAITING, KeysProblem.NO_KEYRING}


class KeySource(enum.Enum):
    """Where keys came from: `THIS_RUN` is the memory of a front end, until it quits."""

    ENVIRONMENT = "environment"
    KEYRING = "keyring"
    THIS_RUN = "this run"


def find_keys(
    connection: Connection, environ: Mapping[str, str], keyring: Keyring
) -> tuple[Credentials, KeySource]:
    """Return a connection's keys from the environment, or otherwise from the keyring.

    Raises KeysError if there are none (MISSING), or the keyring didn't return them.
    """
    if credentials := keys_from_environment(environ):
        return credentials, KeySource.ENVIRONMENT
    try:
        if connection.keyring_item is None:
            raise KeysError(KeysProblem.MISSING)
        return keyring.read(connection.keyring_item), KeySource.KEYRING
    except KeysError as error:
        raise _about(connection, error) from None


def _about(connection: Connection, error: KeysError) -> KeysError:
    """Return an error that names the connection, and does not mention saving."""
    match error.problem:
        case KeysProblem.MISSING:
            message = (
                f"No keys are stored for “{connection.name}”. Store them with: "
                f"amp-console connect NAME …, or {SET_BOTH}."
            )
        case KeysProblem.NO_KEYRING:
            message = (
                f"This machine has no keyring now, so the keys of “{connection.name}” can't be "
                "read. Keys in a keyring are still there. Sign in to a desktop session, "
                f"or {SET_BOTH}."
            )
        case _:
            return error
    return KeysError(error.problem, error.backend_name, message=message)


def store_keys(
    store: ConnectionStore,
    keyring: Keyring,
    connection: Connection,
    credentials: Credentials,
    before: Connection | None = None,
) -> Connection:
    """Save a connection and its keys; return the connection as saved.

    With its state `before` the change, only the differences are saved.

    The new keys are stored and read back before the settings point to them, and the old ones are
    deleted last, so the settings point to working keys at every moment.

    Raises KeysError if the keyring didn't store the keys; the settings are unchanged then. Raises
    SettingsError if the settings weren't saved; the new keys are removed from the keyring again.
    """
    store.check_writable()
    with without_keyring(KEYS_NOT_KEPT):
        item = keyring.write(credentials)
    return point_to(store, keyring, connection, before, keyring_item=item)


def point_to(
    store: ConnectionStore,
    keyring: Keyring,
    connection: Connection,
    before: Connection | None,
    **items: str,
) -> Connection:
    """Save a connection that points to new keyring items, and delete the old ones.

    See `ConnectionStore.save` for `before`. Raises SettingsError if the settings weren't saved; the
    new items are removed again.
    """
    with deleted_unless_saved(store, keyring, items):
        stored = store.save(connection, before, **items)
    retry_forgotten(store, keyring)
    return stored


def save_passwords(
    store: ConnectionStore,
    keyring: Keyring,
    passwords: Mapping[str, Secret | None],
    put: Callable[[dict[str, str]], Connection],
    *,
    not_kept: str,
) -> Connection:
    """Store new passwords in the keyring; return the connection that points to them, as saved.

    `passwords` are keyed by the setting that names the item; None keeps the current one. `put`
    saves the items by setting. `not_kept` says what to do without a keyring. Raises KeysError if
    the keyring didn't store one; nothing was saved then. Raises SettingsError if the settings
    weren't saved; the passwords are removed from the keyring again.
    """
    store.check_writable()
    items: dict[str, str] = {}
    with deleted_unless_saved(store, keyring, items), without_keyring(not_kept):
        for field, password in passwords.items():
            if password is not None:
                items[field] = keyring.write_password(password)
        saved = put(items)
    retry_forgotten(store, keyring)
    return saved


def find_password(item: str | None, keyring: Keyring, secret: str, remedy: str) -> Secret | None:
    """Return a password or a token from the keyring, None without an item.

    `secret` names it; `remedy` is a sentence on how to enter it again. Raises KeysError if the
    keyring didn't return it.
    """
    if item is None:
        return None
    try:
        return keyring.read_password(item)
    except KeysError as error:
        raise not_read(error, secret, remedy) from None


@contextmanager
def deleted_unless_saved(
    store: ConnectionStore, keyring: Keyring, items: Mapping[str, str]
) -> Generator[None, None, None]:
    """Remove new keyring items again if the settings that would point to them aren't saved."""
    try:
        yield
    except BaseException as error:
        # Anything else, such as Ctrl-C, may come after they were saved.
        is_unsaved = isinstance(error, KeysError | SettingsError)
        with suppress(KeysError, SettingsError):
            used = frozenset() if is_unsaved else Settings(store.all()).items
            for item in {*items.values()} - used:
                with suppress(KeysError):
                    keyring.delete(item)
        raise


def forget_connection(store: ConnectionStore, keyring: Keyring, name: str) -> tuple[str, ...]:
    """Remove a connection and its keys; return the keyring items still to be deleted.

    Raises SettingsError if the settings weren't changed, UnknownConnection if none has this name.
    """
    store.remove(name)
    return retry_forgotten(store, keyring)


def retry_forgotten(store: ConnectionStore, keyring: Keyring) -> tuple[str, ...]:
    """Delete the keyring items that no connection uses anymore; return those still to be deleted.

    It stops if the keyring is locked, silent or missing: one prompt is enough.
    """
    store.check_writable()
    for item in store.forgotten():
        try:
            keyring.delete(item)
        except KeysError as error:
            if error.problem in _WHOLE_RING:
                break
        else:
            store.mark_deleted(item)
    return store.forgotten()
