"""The shared secret of a webhook destination: in the keyring, or nowhere."""

from pathlib import Path

import pytest

from amp_console.connections import (
    Connection,
    ConnectionStore,
    Keyring,
    KeysError,
    checked_secret,
    find_webhook_secret,
    forget_connection,
    store_keys,
    store_webhook_secret,
    without_keys,
)
from amp_console.values import Credentials, Secret

SECRET = Secret("not-a-secret")
OTHER = Secret("another-that-is-none")


def test_it_is_found_again_beside_the_keys(
    store: ConnectionStore, keyring: Keyring, connection: Connection, keys: Credentials
) -> None:
    stored = store_webhook_secret(
        store, keyring, store_keys(store, keyring, connection, keys), SECRET
    )
    assert store.get("Shop") == stored
    assert find_webhook_secret(stored, {}, keyring) == SECRET
    assert stored.keyring_item
    assert keyring.read(stored.keyring_item) == keys


def test_storing_it_changes_nothing_else_that_was_changed_meanwhile(
    store: ConnectionStore, keyring: Keyring, connection: Connection
) -> None:
    seen = store.save(connection)
    store.change(seen, read_only=True)
    assert store_webhook_secret(store, keyring, seen, SECRET).read_only


def test_the_environment_comes_first_and_without_either_there_is_none(
    store: ConnectionStore, keyring: Keyring, connection: Connection
) -> None:
    assert find_webhook_secret(connection, {}, keyring) is None
    stored = store_webhook_secret(store, keyring, store.save(connection), SECRET)
    environ = {"AMP_CONSOLE_WEBHOOK_SECRET": f" {OTHER.reveal()} "}
    assert find_webhook_secret(stored, environ, keyring) == OTHER
    assert without_keys(environ) == {}


def test_the_one_before_is_deleted_and_forgetting_the_connection_deletes_it(
    store: ConnectionStore, keyring: Keyring, connection: Connection
) -> None:
    first = store_webhook_secret(store, keyring, store.save(connection), SECRET)
    second = store_webhook_secret(store, keyring, first, OTHER)
    assert first.webhook_item
    assert second.webhook_item
    with pytest.raises(KeysError):
        keyring.read_secret(first.webhook_item)
    assert forget_connection(store, keyring, "Shop") == ()
    with pytest.raises(KeysError):
        keyring.read_secret(second.webhook_item)


def test_no_file_holds_it(
    store: ConnectionStore, keyring: Keyring, connection: Connection, tmp_path: Path
) -> None:
    store_webhook_secret(store, keyring, store.save(connection), SECRET)
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or SECRET.reveal().encode() not in file.read_bytes()


def test_keys_in_its_place_are_no_secret(keyring: Keyring, keys: Credentials) -> None:
    with pytest.raises(KeysError):
        keyring.read_secret(keyring.write(keys))


def test_an_empty_one_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        checked_secret(" \n")
