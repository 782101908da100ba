"""Keys kept, replaced and forgotten, with a real keyring."""

import gc
import os
from pathlib import Path

import pytest

from amp_console.connections import (
    Connection,
    ConnectionBook,
    KeysError,
    KeySource,
    KeysProblem,
    NameTaken,
    Vault,
    checked_keys,
    find_keys,
    forget_connection,
    retry_forgotten,
    store_keys,
)
from amp_console.values import Credentials
from tests.secret_service import SecretService

NEW_KEYS = checked_keys("example-new-api-key", "example-new-secret-key")


@pytest.fixture
def vault(keyring: SecretService) -> Vault:
    return Vault(os.environ)


def test_stored_keys_are_found_again(
    book: ConnectionBook, vault: Vault, connection: Connection, keys: Credentials
) -> None:
    stored = store_keys(book, vault, connection, keys)

    assert book.get("Shop") == stored
    assert find_keys(stored, {}, vault) == (keys, KeySource.KEYRING)


def test_the_settings_file_holds_no_key(
    book: ConnectionBook, vault: Vault, connection: Connection, keys: Credentials, tmp_path: Path
) -> None:
    store_keys(book, vault, connection, keys)

    for file in (tmp_path / "config").iterdir():
        assert b"example-api-key" not in file.read_bytes()
        assert b"example-secret-key" not in file.read_bytes()


def test_the_keyring_shows_its_name(vault: Vault) -> None:
    assert vault.backend_name() == "SecretService Keyring"


def test_one_item_holds_both_keys_with_a_version(
    book: ConnectionBook,
    vault: Vault,
    connection: Connection,
    keys: Credentials,
    keyring: SecretService,
) -> None:
    stored = store_keys(book, vault, connection, keys)

    assert keyring.items() == {
        f"amp-console:{stored.keyring_item}": '{"api_key":"example-api-key",'
        '"secret_key":"example-secret-key","version":1}'
    }


def test_replaced_keys_leave_no_old_item(
    book: ConnectionBook,
    vault: Vault,
    connection: Connection,
    keys: Credentials,
    keyring: SecretService,
) -> None:
    first = store_keys(book, vault, connection, keys)
    second = store_keys(book, vault, first, NEW_KEYS)

    assert list(keyring.items()) == [f"amp-console:{second.keyring_item}"]
    assert vault.read(second.keyring_item or "") == NEW_KEYS
    assert book.forgotten() == ()


def test_a_forgotten_connection_leaves_nothing(
    book: ConnectionBook,
    vault: Vault,
    connection: Connection,
    keys: Credentials,
    keyring: SecretService,
) -> None:
    store_keys(book, vault, connection, keys)

    assert forget_connection(book, vault, "Shop") == ()
    assert keyring.items() == {}
    assert book.all() == ()


def test_a_connection_that_cannot_be_saved_leaves_no_keys(
    book: ConnectionBook,
    vault: Vault,
    connection: Connection,
    keys: Credentials,
    keyring: SecretService,
) -> None:
    book.save(connection)
    namesake = Connection(name="Shop", app_id=2, owner_email="owner@example.com")

    with pytest.raises(NameTaken):
        store_keys(book, vault, namesake, keys)

    assert keyring.items() == {}
    assert book.all() == (connection,)


def test_keys_that_somebody_else_deleted_are_missing(
    book: ConnectionBook, vault: Vault, connection: Connection, keys: Credentials
) -> None:
    stored = store_keys(book, vault, connection, keys)
    vault.delete(stored.keyring_item or "")

    with pytest.raises(KeysError, match="No keys are stored for “Shop”") as raised:
        find_keys(stored, {}, vault)
    assert raised.value.problem is KeysProblem.MISSING


def test_deleting_what_is_not_there_is_no_error(vault: Vault) -> None:
    vault.delete("0123456789ab")


@pytest.mark.parametrize(
    "text",
    [
        "not JSON",
        "{}",
        '{"version":1,"api_key":"example-api-key"}',
        '{"version":1,"api_key":"","secret_key":"example-secret-key"}',
        '{"version":2,"api_key":"example-api-key","secret_key":"example-secret-key"}',
    ],
)
def test_a_damaged_item_says_so_and_stays(
    vault: Vault, keys: Credentials, keyring: SecretService, text: str
) -> None:
    item = vault.write(keys)
    keyring.overwrite(f"amp-console:{item}", text)

    with pytest.raises(KeysError, match="is not a pair of keys") as raised:
        vault.read(item)

    assert raised.value.problem is KeysProblem.DAMAGED
    assert raised.value.backend_name == "SecretService Keyring"
    assert keyring.items() == {f"amp-console:{item}": text}


# Each refusal leaves the library's connection open until it is collected.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_locked_keyring_says_so_and_opens_again(
    vault: Vault, keys: Credentials, keyring: SecretService
) -> None:
    item = vault.write(keys)
    keyring.lock()

    for call in (lambda: vault.read(item), lambda: vault.write(keys), lambda: vault.delete(item)):
        with pytest.raises(KeysError, match=r"^Your keyring is locked") as raised:
            call()
        assert raised.value.problem is KeysProblem.LOCKED

    keyring.unlock()
    assert vault.read(item) == keys
    assert len(keyring.items()) == 1
    gc.collect()


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_what_a_locked_keyring_keeps_is_deleted_later(
    book: ConnectionBook,
    vault: Vault,
    connection: Connection,
    keys: Credentials,
    keyring: SecretService,
) -> None:
    stored = store_keys(book, vault, connection, keys)
    keyring.lock()

    assert forget_connection(book, vault, "Shop") == (stored.keyring_item,)
    assert book.all() == ()

    keyring.unlock()
    assert retry_forgotten(book, vault) == ()
    assert keyring.items() == {}
    gc.collect()


def test_the_environment_comes_before_the_keyring(
    book: ConnectionBook, vault: Vault, connection: Connection, keys: Credentials
) -> None:
    stored = store_keys(book, vault, connection, keys)
    environ = {
        "AMP_CONSOLE_API_KEY": "example-new-api-key",
        "AMP_CONSOLE_SECRET_KEY": "example-new-secret-key",
    }

    assert find_keys(stored, environ, vault) == (NEW_KEYS, KeySource.ENVIRONMENT)
