"""Keys stored, replaced and deleted, with a real keyring."""

import gc
import os
from pathlib import Path

import pytest

from amp_console.connections import (
    Connection,
    ConnectionStore,
    Keyring,
    KeysError,
    KeySource,
    KeysProblem,
    NameTaken,
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
def keyring(service: SecretService) -> Keyring:
    return Keyring(os.environ)


def test_stored_keys_are_found_again(
    store: ConnectionStore, keyring: Keyring, connection: Connection, keys: Credentials
) -> None:
    stored = store_keys(store, keyring, connection, keys)

    assert store.get("Shop") == stored
    assert find_keys(stored, {}, keyring) == (keys, KeySource.KEYRING)


def test_the_settings_file_holds_no_key(
    store: ConnectionStore,
    keyring: Keyring,
    connection: Connection,
    keys: Credentials,
    tmp_path: Path,
) -> None:
    store_keys(store, keyring, connection, keys)

    for file in (tmp_path / "config").iterdir():
        assert b"example-api-key" not in file.read_bytes()
        assert b"example-secret-key" not in file.read_bytes()


def test_the_keyring_shows_its_name(keyring: Keyring) -> None:
    assert keyring.backend_name() == "SecretService Keyring"


def test_one_item_holds_both_keys_with_a_version(
    store: ConnectionStore,
    keyring: Keyring,
    connection: Connection,
    keys: Credentials,
    service: SecretService,
) -> None:
    stored = store_keys(store, keyring, connection, keys)

    assert service.items() == {
        f"amp-console:{stored.keyring_item}": '{"api_key":"example-api-key",'
        '"secret_key":"example-secret-key","version":1}'
    }


def test_replaced_keys_leave_no_old_item(
    store: ConnectionStore,
    keyring: Keyring,
    connection: Connection,
    keys: Credentials,
    service: SecretService,
) -> None:
    first = store_keys(store, keyring, connection, keys)
    second = store_keys(store, keyring, first, NEW_KEYS)

    assert list(service.items()) == [f"amp-console:{second.keyring_item}"]
    assert keyring.read(second.keyring_item or "") == NEW_KEYS
    assert store.forgotten() == ()


def test_a_forgotten_connection_leaves_nothing(
    store: ConnectionStore,
    keyring: Keyring,
    connection: Connection,
    keys: Credentials,
    service: SecretService,
) -> None:
    store_keys(store, keyring, connection, keys)

    assert forget_connection(store, keyring, "Shop") == ()
    assert service.items() == {}
    assert store.all() == ()


def test_a_connection_that_cannot_be_saved_leaves_no_keys(
    store: ConnectionStore,
    keyring: Keyring,
    connection: Connection,
    keys: Credentials,
    service: SecretService,
) -> None:
    store.save(connection)
    namesake = Connection(name="Shop", app_id=2, owner_email="owner@example.com")

    with pytest.raises(NameTaken):
        store_keys(store, keyring, namesake, keys)

    assert service.items() == {}
    assert store.all() == (connection,)


class Interrupted(ConnectionStore):
    """A store that Ctrl-C interrupts, before or after saving."""

    is_saving = False

    def save(
        self, connection: Connection, before: Connection | None = None, **items: str
    ) -> Connection:
        if self.is_saving:
            super().save(connection, before, **items)
        raise KeyboardInterrupt


@pytest.mark.parametrize("is_saved", [False, True])
def test_an_interrupted_command_leaves_only_keys_that_the_settings_point_to(
    store: ConnectionStore,
    keyring: Keyring,
    connection: Connection,
    keys: Credentials,
    service: SecretService,
    tmp_path: Path,
    is_saved: bool,
) -> None:
    interrupted = Interrupted(tmp_path / "config" / "config.toml")
    interrupted.is_saving = is_saved

    with pytest.raises(KeyboardInterrupt):
        store_keys(interrupted, keyring, connection, keys)

    pointed_to = [f"amp-console:{item.keyring_item}" for item in store.all()]
    assert list(service.items()) == pointed_to
    assert len(pointed_to) == is_saved


def test_keys_that_another_program_deleted_are_missing(
    store: ConnectionStore, keyring: Keyring, connection: Connection, keys: Credentials
) -> None:
    stored = store_keys(store, keyring, connection, keys)
    keyring.delete(stored.keyring_item or "")

    with pytest.raises(KeysError, match="No keys are stored for “Shop”") as raised:
        find_keys(stored, {}, keyring)
    assert raised.value.problem is KeysProblem.MISSING


def test_deleting_what_is_not_there_is_no_error(keyring: Keyring) -> None:
    keyring.delete("0123456789ab")


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
    keyring: Keyring, keys: Credentials, service: SecretService, text: str
) -> None:
    item = keyring.write(keys)
    service.overwrite(f"amp-console:{item}", text)

    with pytest.raises(KeysError, match="is not a pair of keys") as raised:
        keyring.read(item)

    assert raised.value.problem is KeysProblem.DAMAGED
    assert raised.value.backend_name == "SecretService Keyring"
    assert service.items() == {f"amp-console:{item}": text}


# Each refusal leaves the library's connection open until it is collected.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_locked_keyring_says_so_and_opens_again(
    keyring: Keyring, keys: Credentials, service: SecretService
) -> None:
    item = keyring.write(keys)
    service.lock()

    for call in (
        lambda: keyring.read(item),
        lambda: keyring.write(keys),
        lambda: keyring.delete(item),
    ):
        with pytest.raises(KeysError, match=r"^Your keyring is locked") as raised:
            call()
        assert raised.value.problem is KeysProblem.LOCKED

    service.unlock()
    assert keyring.read(item) == keys
    assert len(service.items()) == 1
    gc.collect()


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_what_a_locked_keyring_keeps_is_deleted_later(
    store: ConnectionStore,
    keyring: Keyring,
    connection: Connection,
    keys: Credentials,
    service: SecretService,
) -> None:
    stored = store_keys(store, keyring, connection, keys)
    service.lock()

    assert forget_connection(store, keyring, "Shop") == (stored.keyring_item,)
    assert store.all() == ()

    service.unlock()
    assert retry_forgotten(store, keyring) == ()
    assert service.items() == {}
    gc.collect()


def test_the_environment_comes_before_the_keyring(
    store: ConnectionStore, keyring: Keyring, connection: Connection, keys: Credentials
) -> None:
    stored = store_keys(store, keyring, connection, keys)
    environ = {
        "AMP_CONSOLE_API_KEY": "example-new-api-key",
        "AMP_CONSOLE_SECRET_KEY": "example-new-secret-key",
    }

    assert find_keys(stored, environ, keyring) == (NEW_KEYS, KeySource.ENVIRONMENT)
