"""The shared secret of a webhook destination: in the keyring, or nowhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from amp_console.connections import (
    Connection,
    ConnectionBook,
    KeysError,
    Vault,
    checked_secret,
    find_webhook_secret,
    forget_connection,
    store_keys,
    store_webhook_secret,
    without_keys,
)
from amp_console.values import Credentials, Secret
from tests.connections import rings

SECRET = Secret("not-a-secret")
OTHER = Secret("another-that-is-none")


@pytest.fixture(autouse=True)
def _fresh_rings() -> Iterator[None]:
    rings.Memory.clear()
    yield
    rings.Memory.clear()


@pytest.fixture
def vault() -> Vault:
    return Vault({"PYTHON_KEYRING_BACKEND": f"{rings.Memory.__module__}.Memory"})


def test_it_is_found_again_beside_the_keys(
    book: ConnectionBook, vault: Vault, connection: Connection, keys: Credentials
) -> None:
    stored = store_webhook_secret(book, vault, store_keys(book, vault, connection, keys), SECRET)
    assert book.get("Shop") == stored
    assert find_webhook_secret(stored, {}, vault) == SECRET
    assert stored.keyring_item
    assert vault.read(stored.keyring_item) == keys


def test_the_environment_comes_first_and_without_either_there_is_none(
    book: ConnectionBook, vault: Vault, connection: Connection
) -> None:
    assert find_webhook_secret(connection, {}, vault) is None
    stored = store_webhook_secret(book, vault, connection, SECRET)
    environ = {"AMP_CONSOLE_WEBHOOK_SECRET": f" {OTHER.reveal()} "}
    assert find_webhook_secret(stored, environ, vault) == OTHER
    assert without_keys(environ) == {}


def test_the_one_before_is_deleted_and_forgetting_the_connection_deletes_it(
    book: ConnectionBook, vault: Vault, connection: Connection
) -> None:
    first = store_webhook_secret(book, vault, connection, SECRET)
    second = store_webhook_secret(book, vault, first, OTHER)
    assert first.webhook_item
    assert second.webhook_item
    with pytest.raises(KeysError):
        vault.read_secret(first.webhook_item)
    assert forget_connection(book, vault, "Shop") == ()
    with pytest.raises(KeysError):
        vault.read_secret(second.webhook_item)


def test_no_file_holds_it(
    book: ConnectionBook, vault: Vault, connection: Connection, tmp_path: Path
) -> None:
    store_webhook_secret(book, vault, connection, SECRET)
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or SECRET.reveal().encode() not in file.read_bytes()


def test_keys_in_its_place_are_no_secret(vault: Vault, keys: Credentials) -> None:
    with pytest.raises(KeysError):
        vault.read_secret(vault.write(keys))


def test_an_empty_one_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        checked_secret(" \n")
