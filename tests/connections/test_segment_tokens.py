"""A connection's Segment space: in the settings without its tokens, which the keyring keeps."""

from pathlib import Path

import msgspec
import pytest

from amp_console.connections import (
    Connection,
    ConnectionStore,
    Keyring,
    KeysError,
    SegmentSpace,
    SettingsError,
    checked_token,
    find_profiles_token,
    find_public_token,
    forget_connection,
    remove_space,
    save_space,
)
from amp_console.values import Secret, SegmentRegion
from tests.connections import backends

pytestmark = pytest.mark.usefixtures("saved_connection")

TOKEN, PROFILES = Secret("canary-token"), Secret("canary-profiles")
SPACE = SegmentSpace(id="spa_1", region=SegmentRegion.EU)


def test_tokens_are_found_again_and_no_file_holds_them(
    store: ConnectionStore, keyring: Keyring, connection: Connection, tmp_path: Path
) -> None:
    saved = save_space(
        store, keyring, connection, SPACE, token=TOKEN, profiles_token=PROFILES
    ).segment
    assert store.get("Shop").segment == saved is not None
    assert (saved.id, saved.region) == ("spa_1", SegmentRegion.EU)
    assert find_public_token(saved, keyring) == TOKEN
    assert find_profiles_token(saved, keyring) == PROFILES
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or b"canary" not in file.read_bytes()


def test_a_new_token_replaces_the_old_one_and_leaves_the_other(
    store: ConnectionStore, keyring: Keyring, connection: Connection
) -> None:
    first = save_space(store, keyring, connection, SPACE, token=TOKEN, profiles_token=PROFILES)
    assert first.segment is not None
    again = save_space(store, keyring, first, first.segment, token=Secret("new"))
    assert again.segment is not None
    assert find_public_token(again.segment, keyring) == Secret("new")
    assert find_profiles_token(again.segment, keyring) == PROFILES
    assert len(backends.Memory.items) == 2


def test_what_is_saved_from_an_older_state_keeps_the_space(
    store: ConnectionStore, keyring: Keyring, connection: Connection
) -> None:
    save_space(store, keyring, connection, SPACE, token=TOKEN)
    store.save(msgspec.structs.replace(connection, read_only=True))
    space = store.get("Shop").segment
    assert space is not None
    assert find_public_token(space, keyring) == TOKEN


def test_removing_it_or_its_connection_deletes_the_tokens(
    store: ConnectionStore, keyring: Keyring, connection: Connection
) -> None:
    saved = save_space(store, keyring, connection, SPACE, token=TOKEN, profiles_token=PROFILES)
    assert remove_space(store, keyring, saved).segment is None
    assert (store.get("Shop").segment, backends.Memory.items) == (None, {})
    save_space(store, keyring, connection, SPACE, token=TOKEN, profiles_token=PROFILES)
    assert forget_connection(store, keyring, "Shop") == ()
    assert backends.Memory.items == {}


def test_without_a_keyring_nothing_is_saved(store: ConnectionStore, connection: Connection) -> None:
    none = Keyring({"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"})
    with pytest.raises(KeysError, match=r"no keyring to store the token in\. Nothing was"):
        save_space(store, none, connection, SPACE, token=TOKEN)
    assert store.get("Shop").segment is None


def test_settings_that_are_not_saved_leave_no_token_behind(
    store: ConnectionStore, keyring: Keyring, connection: Connection
) -> None:
    store.remove("Shop")
    with pytest.raises(SettingsError):
        save_space(store, keyring, connection, SPACE, token=TOKEN, profiles_token=PROFILES)
    assert backends.Memory.items == {}


def test_a_token_that_the_keyring_lost_is_to_be_given_again(
    store: ConnectionStore, keyring: Keyring, connection: Connection
) -> None:
    space = save_space(store, keyring, connection, SPACE, token=TOKEN).segment
    assert space is not None
    backends.Memory.items.clear()
    with pytest.raises(
        KeysError,
        match=r"no longer has the token of the Segment space\. Enter it again with `amp-console s",
    ):
        find_public_token(space, keyring)
    assert find_profiles_token(space, keyring) is None


def test_a_token_is_trimmed_and_never_quoted() -> None:
    assert checked_token(" \ufefftoken\n") == Secret("token")
    for text in ("", " \n", "canary token", "canäry"):
        with pytest.raises(ValueError, match="The token ") as refused:
            checked_token(text)
        assert "can" not in str(refused.value).partition("Copy")[0].replace("contains", "")


def test_an_id_that_could_change_an_address_is_refused() -> None:
    for text in ("", "a/b", "spa 1", "../x"):
        with pytest.raises(ValueError, match="the ID of a space"):
            SegmentSpace(id=text)
