"""Adding, testing and removing the warehouses of a connection."""

from collections.abc import Callable
from contextlib import closing

from amp_console.connections import (
    Connection,
    ConnectionStore,
    Keyring,
    NamedSource,
    named_source,
    remove_source,
    save_source,
    split_password,
)
from amp_console.sync.connection_log import log_connection_saved
from amp_console.sync.ledgers import Ledgers
from amp_console.sync.sources.warehouse import open_engine, whole_url
from amp_console.values import Secret, now_in_microseconds

STILL_IN_KEYRING = (
    "Its password is still in your keyring, which failed to delete it. Whenever passwords change "
    "there, amp-console tries again."
)


def entered_url(url: str) -> tuple[str, Secret | None]:
    """Return the URL to save from the one that was entered, and the password in it.

    Raises ValueError for a URL that can't be right, and WarehouseError for one of no kind of
    warehouse that is known.
    """
    address, password = split_password(url)
    return whole_url(address), password


def warehouse_version(source: NamedSource, password: Secret | None) -> str:
    """Open a warehouse; return its product and version. It may block. Raises WarehouseError."""
    with closing(open_engine(source.url, password)) as engine:
        return engine.version()


def keep_warehouse(
    store: ConnectionStore,
    keyring: Keyring,
    ledgers: Ledgers,
    connection: Connection,
    source: NamedSource,
    password: Secret | None,
    *,
    now: Callable[[], int] = now_in_microseconds,
) -> Connection:
    """Save a source as `save_source` does, which says what it raises, and log that."""
    saved = save_source(store, keyring, connection, source, password)
    log_connection_saved(ledgers, connection, saved, now=now)
    return saved


def drop_warehouse(
    store: ConnectionStore,
    keyring: Keyring,
    ledgers: Ledgers,
    connection: Connection,
    name: str,
    *,
    now: Callable[[], int] = now_in_microseconds,
) -> tuple[Connection, bool]:
    """Remove a source, and log that; also return whether the keyring kept its password.

    Raises SettingsError; its `UnknownSource`: no source has this name.
    """
    item = named_source(connection, name).password_item
    saved = remove_source(store, keyring, connection, name)
    log_connection_saved(ledgers, connection, saved, now=now)
    return saved, item is not None and item in store.forgotten()
