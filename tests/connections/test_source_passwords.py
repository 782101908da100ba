"""Named sources: in the settings without their passwords, which the keyring keeps."""

from pathlib import Path

import msgspec
import pytest

from amp_console.connections import (
    Connection,
    ConnectionStore,
    Keyring,
    KeysError,
    NamedSource,
    SettingsError,
    UnknownSource,
    find_source_password,
    forget_connection,
    is_same_login,
    named_source,
    remove_source,
    save_source,
    split_password,
    store_keys,
)
from amp_console.values import Credentials, Secret
from tests.connections import backends

pytestmark = pytest.mark.usefixtures("saved_connection")

PASSWORD = Secret("canary-pw")
URL = "postgresql://console@db.acme.example/analytics"


def source(name: str = "warehouse", url: str = URL) -> NamedSource:
    return NamedSource(name=name, url=url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://ana:canary-pw@db/x", "postgresql://ana@db/x"),
        ("postgresql://ana:canary%2Dpw@db:5432/x?sslmode=require", None),
        ("postgresql://:canary-pw@[::1]:5432/x", "postgresql://@[::1]:5432/x"),
        ("postgresql://ana:canary-pw@one:1,two:2/x", "postgresql://ana@one:1,two:2/x"),
        ("postgresql://ana@db/x?password=canary-pw&sslmode=require", None),
        ("postgresql:///x?sslmode=require&PassWord=canary%2dpw", None),
        ("postgresql:///x?user=ana&pass%77ord=canary-pw", "postgresql:///x?user=ana"),
    ],
)
def test_a_url_is_split_from_its_password(url: str, expected: str | None) -> None:
    clean, found = split_password(url)
    assert found == PASSWORD
    assert "canary" not in clean
    assert expected in (None, clean)
    assert split_password(clean) == (clean, None)


@pytest.mark.parametrize("password", ["p@ss:word", "p%", "ü ", "100%25"])
def test_a_password_may_hold_what_does_not_end_the_host(password: str) -> None:
    _, found = split_password(f"postgresql://ana:{password.replace('%', '%25')}@db/x")
    assert found == Secret(password)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ana:canary/pw@db/x",
        "postgresql://ana:canary#pw@db/x",
        "postgresql://ana:canary?pw@db/x",
        "postgresql://ana:12/canary@db/x",
        "postgresql://ana:12?canary@db/x",
        "postgresql://ana:12#canary@db/x",
        "postgresql://ana:12?a=canary@db/x",
        "postgresql://[ana:canary@db/x",
        "postgresql://db/x?canary",
        "postgresql://db/x?sslpassword=canary",
        "postgresql://db/x?OAuth_client_secret=canary",
        "postgresql:host=db password=canary",
        "adbc:postgresql://ana:canary@db/x",
        "adbc:uri=canary",
    ],
)
def test_where_a_part_of_it_could_stay_nothing_is_taken_and_nothing_quoted(url: str) -> None:
    with pytest.raises(ValueError, match=r"Nothing was saved\.") as refused:
        split_password(url)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    "url", [URL, "sqlite:///a:b@c/d?e#f.db", "duckdb:C:/x.db", "sqlite:x", "adbc:x"]
)
def test_a_url_without_one_stays_as_it_is(url: str) -> None:
    assert split_password(url) == (url, None)


def test_it_is_found_again_and_no_file_holds_it(
    store: ConnectionStore, keyring: Keyring, connection: Connection, tmp_path: Path
) -> None:
    saved = save_source(store, keyring, connection, source(), PASSWORD)
    assert store.get("Shop") == saved
    assert find_source_password(named_source(saved, "warehouse"), keyring) == PASSWORD
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or b"canary" not in file.read_bytes()


def test_one_of_the_same_name_is_replaced_and_its_password_deleted(
    store: ConnectionStore, keyring: Keyring, connection: Connection
) -> None:
    first = save_source(store, keyring, connection, source(), PASSWORD)
    first = save_source(store, keyring, first, source("other", "sqlite:///x.db"), None)
    second = save_source(store, keyring, first, source(url=f"{URL}2"), None)
    assert {item.name: item.url for item in store.get("Shop").sources} == {
        "warehouse": f"{URL}2",
        "other": "sqlite:///x.db",
    }
    assert find_source_password(named_source(second, "warehouse"), keyring) is None
    assert backends.Memory.items == {}


def test_what_is_saved_from_an_older_state_keeps_the_sources_added_since(
    store: ConnectionStore, keyring: Keyring, connection: Connection, keys: Credentials
) -> None:
    save_source(store, keyring, connection, source(), PASSWORD)
    save_source(store, keyring, connection, source("other"), None)
    store.save(msgspec.structs.replace(connection, read_only=True))
    store_keys(store, keyring, connection, keys)
    after = store.get("Shop")
    assert [item.name for item in after.sources] == ["warehouse", "other"]
    assert find_source_password(named_source(after, "warehouse"), keyring) == PASSWORD


def test_removing_it_or_its_connection_deletes_the_password(
    store: ConnectionStore, keyring: Keyring, connection: Connection
) -> None:
    saved = save_source(store, keyring, connection, source(), PASSWORD)
    saved = remove_source(store, keyring, saved, "warehouse")
    assert (store.get("Shop").sources, backends.Memory.items) == ((), {})
    save_source(store, keyring, saved, source(), PASSWORD)
    assert forget_connection(store, keyring, "Shop") == ()
    assert backends.Memory.items == {}


def test_an_unknown_one_is_reported_with_those_there_are(
    store: ConnectionStore, keyring: Keyring, connection: Connection
) -> None:
    with pytest.raises(UnknownSource, match=r"no source called “x”. Add one with"):
        named_source(connection, "x")
    saved = save_source(store, keyring, connection, source(), None)
    with pytest.raises(UnknownSource, match="Known sources: warehouse"):
        remove_source(store, keyring, saved, "x")


def test_without_a_keyring_nothing_is_saved(store: ConnectionStore, connection: Connection) -> None:
    none = Keyring({"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"})
    with pytest.raises(KeysError, match=r"Nothing was saved\. Leave it out: "):
        save_source(store, none, connection, source(), PASSWORD)
    assert store.get("Shop").sources == ()


def test_a_password_that_the_keyring_lost_is_to_be_given_again(
    store: ConnectionStore, keyring: Keyring, connection: Connection
) -> None:
    saved = save_source(store, keyring, connection, source(), PASSWORD)
    backends.Memory.items.clear()
    with pytest.raises(KeysError, match="no longer has the password of the source “warehouse”"):
        find_source_password(named_source(saved, "warehouse"), keyring)


def test_settings_by_hand_hold_no_password_either(
    store: ConnectionStore, connection: Connection, tmp_path: Path
) -> None:
    config_file = tmp_path / "config" / "config.toml"
    text = config_file.read_text()
    entry = '\nsources = [{ name = "w", url = "postgresql://ana:canary@db/x" }]\n'
    config_file.write_text(text.rstrip() + entry)
    with pytest.raises(SettingsError, match="“w” contains a password; remove it") as refused:
        store.all()
    assert "canary" not in str(refused.value)


def test_comments_around_them_stay(
    store: ConnectionStore, keyring: Keyring, connection: Connection, tmp_path: Path
) -> None:
    config_file = tmp_path / "config" / "config.toml"
    config_file.write_text(
        config_file.read_text().replace("app_id", "# which project\napp_id")
        + "\n# a note at the end\n"
    )
    saved = save_source(store, keyring, connection, source(), None)
    saved = save_source(store, keyring, saved, source("other"), None)
    text = config_file.read_text()
    assert "# which project" in text
    assert "# a note at the end" in text
    assert f'{{name = "warehouse", url = "{URL}"}}' in text
    for name in ("warehouse", "other"):
        saved = remove_source(store, keyring, saved, name)
    assert "sources" not in config_file.read_text()
    assert "# a note at the end" in config_file.read_text()


@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        ("postgres://ana@db:5432/other?application_name=x", True),
        ("postgresql://ben@db:5432/shop", False),
        ("postgresql://ana@db:5433/shop", False),
        ("postgresql://ana@db:5432/shop?hostaddr=10.0.0.7", False),
        ("postgresql:///shop?service=db", False),
        ("sqlite:///shop.db", False),
    ],
)
def test_a_password_is_good_for_one_user_of_one_server(other: str, is_same: bool) -> None:
    assert is_same_login("postgresql://ana@db:5432/shop", other) == is_same
