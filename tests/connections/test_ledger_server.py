"""The server of a ledger: in the settings without its password, which the keyring keeps."""

import msgspec
import pytest

from amp_console.connections import (
    Connection,
    ConnectionStore,
    Keyring,
    KeysError,
    LedgerServer,
    SettingsError,
    entered_ledger,
    find_ledger_password,
    forget_connection,
    save_ledger,
)
from amp_console.values import Secret
from tests.connections import backends

pytestmark = pytest.mark.usefixtures("saved_connection")

PASSWORD = Secret("canary-pw")
URL = "postgresql://console@db.acme.example/amp?sslmode=verify-full"


def test_an_address_is_entered_with_or_without_a_password() -> None:
    assert entered_ledger(f" {URL} ") == (LedgerServer(url=URL), None)
    entered = URL.replace("console@", "console:canary%2Dpw@")
    assert entered_ledger(entered) == (LedgerServer(url=URL), PASSWORD)
    assert entered_ledger("file") == (None, None)


@pytest.mark.parametrize(
    "text", ["", "mysql://root:canary-pw@db/x", "/var/ledger.db", "postgresql://a:canary@pw@db/x#y"]
)
def test_what_is_no_address_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="postgresql://USER@HOST") as refused:
        entered_ledger(text)
    assert "canary" not in str(refused.value)


def test_its_password_is_in_the_keyring_and_not_in_the_settings(
    store: ConnectionStore, keyring: Keyring, connection: Connection
) -> None:
    saved = save_ledger(store, keyring, connection, LedgerServer(url=URL), PASSWORD)
    assert saved.ledger is not None
    assert saved == store.get(connection.name)
    assert find_ledger_password(saved.ledger, keyring) == PASSWORD
    assert "canary" not in repr(store.all())
    moved = msgspec.structs.replace(saved.ledger, url=f"{URL}&schema=eu")
    saved = save_ledger(store, keyring, saved, moved)
    assert saved.ledger is not None
    assert find_ledger_password(saved.ledger, keyring) == PASSWORD


@pytest.mark.parametrize("does", ["replaced", "taken back", "disconnected"])
def test_a_password_that_is_no_longer_used_leaves_the_keyring(
    store: ConnectionStore, keyring: Keyring, connection: Connection, does: str
) -> None:
    saved = save_ledger(store, keyring, connection, LedgerServer(url=URL), PASSWORD)
    assert saved.ledger is not None
    if does == "replaced":
        save_ledger(store, keyring, saved, LedgerServer(url=URL), Secret("another"))
    elif does == "taken back":
        assert save_ledger(store, keyring, saved, None).ledger is None
    else:
        forget_connection(store, keyring, connection.name)
    with pytest.raises(KeysError):
        find_ledger_password(saved.ledger, keyring)
    assert len(backends.Memory.items) == (1 if does == "replaced" else 0)
    assert store.forgotten() == ()


def test_saving_other_settings_leaves_the_ledger_where_it_is(
    store: ConnectionStore, keyring: Keyring, connection: Connection
) -> None:
    save_ledger(store, keyring, connection, LedgerServer(url=URL))
    store.save(msgspec.structs.replace(connection, prefix=True))
    saved = store.get(connection.name)
    assert saved.prefix
    assert saved.ledger == LedgerServer(url=URL)


def test_without_a_keyring_nothing_is_saved(store: ConnectionStore, connection: Connection) -> None:
    ring = Keyring({"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"})
    with pytest.raises(KeysError, match=r"~/\.pgpass"):
        save_ledger(store, ring, connection, LedgerServer(url=URL), PASSWORD)
    assert store.get(connection.name) == connection


def test_a_password_that_someone_wrote_into_the_settings_is_refused(
    store: ConnectionStore, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.raises(ValueError, match="contains a password"):
        LedgerServer(url="postgresql://console:canary-pw@db/amp")
    del store
    file = tmp_path_factory.mktemp("settings") / "config.toml"
    file.write_text(
        '[connections.abc]\nname = "Acme"\napp_id = 1\nowner_email = "a@b.example"\n'
        '[connections.abc.ledger]\nurl = "postgresql://console:canary-pw@db/amp"\n'
    )
    with pytest.raises(SettingsError, match="contains a password") as refused:
        ConnectionStore(file).all()
    assert "canary" not in str(refused.value)
