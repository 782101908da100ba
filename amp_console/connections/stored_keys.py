"""Where a connection's keys come from, and how they are kept, replaced and forgotten."""

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
    """Where keys came from: `THIS_RUN` is a front's memory, until it quits."""

    ENVIRONMENT = "environment"
    KEYRING = "keyring"
    THIS_RUN = "this run"


def find_keys(
    connection: Connection, environ: Mapping[str, str], keyring: Keyring
) -> tuple[Credentials, KeySource]:
    """Return a connection's keys, from the environment or else from the keyring.

    Raises KeysError: there are none (MISSING), or the keyring didn't give them.
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
    """Say whose keys they are; and in reading them, nothing was to be saved."""
    match error.problem:
        case KeysProblem.MISSING:
            words = (
                f"No keys are stored for “{connection.name}”. Store them with: "
                f"amp-console connect NAME …, or {SET_BOTH}."
            )
        case KeysProblem.NO_KEYRING:
            words = (
                f"This machine has no keyring now, so the keys of “{connection.name}” can't be "
                "read. Keys in a keyring are still there. Sign in to a desktop session, "
                f"or {SET_BOTH}."
            )
        case _:
            return error
    return KeysError(error.problem, error.backend_name, words=words)


def store_keys(
    store: ConnectionStore,
    keyring: Keyring,
    connection: Connection,
    credentials: Credentials,
    before: Connection | None = None,
) -> Connection:
    """Keep a connection and its keys; return the connection as it was saved.

    With what it was `before` it was changed, only what differs is saved.

    The new keys are stored and read back before the settings point to them, and the old ones are
    deleted last: at every moment the settings point to keys that work.

    Raises KeysError: the keyring didn't take the keys. The settings are unchanged. Raises
    SettingsError: the settings weren't saved. The new keys are removed from the keyring again.
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
    """Save a connection that points to new keyring items, and delete those it pointed to.

    `before` as for `ConnectionStore.save`.

    Raises SettingsError: the settings weren't saved. The new items are removed again.
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
    """Keep new passwords in the keyring, and save settings that point to them; return those.

    `passwords` are by the setting that names the item; None stays as it is. `put` saves the items
    by setting. `not_kept` says what to do without a keyring.
    Raises KeysError: the keyring didn't take one; nothing was saved. Raises SettingsError: the
    settings weren't saved; the passwords are removed from the keyring again.
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

    `secret` names it, `remedy` says in a sentence how to give it again.
    Raises KeysError: the keyring didn't give it.
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
    """Remove new keyring items again where the settings that would point to them aren't saved."""
    try:
        yield
    except BaseException as error:
        # What was raised by neither of them, as Ctrl+C, may come after they were saved.
        is_unsaved = isinstance(error, KeysError | SettingsError)
        with suppress(KeysError, SettingsError):
            used = frozenset() if is_unsaved else Settings(store.all()).items
            for item in {*items.values()} - used:
                with suppress(KeysError):
                    keyring.delete(item)
        raise


def forget_connection(store: ConnectionStore, keyring: Keyring, name: str) -> tuple[str, ...]:
    """Remove a connection and its keys; return the keyring items that still wait to be deleted.

    Raises SettingsError: the settings weren't changed; its UnknownConnection: there is none of this
    name.
    """
    store.remove(name)
    return retry_forgotten(store, keyring)


def retry_forgotten(store: ConnectionStore, keyring: Keyring) -> tuple[str, ...]:
    """Delete the keyring items that no connection uses any more; return those that still wait.

    It stops at a keyring that is locked, silent or absent: one prompt is enough.
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
