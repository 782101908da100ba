"""Fixtures of the tests of connections: a store, keys, and a real keyring."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from amp_console.connections import Connection, ConnectionStore, Keyring, checked_keys
from amp_console.values import Credentials
from tests.connections import backends
from tests.secret_service import SecretService, secret_service


@pytest.fixture
def store(tmp_path: Path) -> ConnectionStore:
    return ConnectionStore(tmp_path / "config" / "config.toml")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where settings are kept, in a folder that is there."""
    (tmp_path / "config").mkdir()
    return tmp_path / "config" / "config.toml"


@pytest.fixture
def connection() -> Connection:
    return Connection(name="Shop", app_id=123456, owner_email="owner@example.com")


@pytest.fixture
def saved_connection(store: ConnectionStore, connection: Connection) -> None:
    """The connection is already in the settings."""
    store.save(connection)


@pytest.fixture
def keyring() -> Iterator[Keyring]:
    """A keyring in memory, empty at first."""
    backends.Memory.clear()
    yield Keyring({"PYTHON_KEYRING_BACKEND": f"{backends.Memory.__module__}.Memory"})
    backends.Memory.clear()


@pytest.fixture
def keys() -> Credentials:
    return checked_keys("example-api-key", "example-secret-key")


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretService]:
    with secret_service() as running:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", running.address)
        monkeypatch.delenv("PYTHON_KEYRING_BACKEND")
        yield running
