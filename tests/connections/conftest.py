"""What the tests of connections share: a book, keys, and a real keyring."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from amp_console.connections import Connection, ConnectionBook, checked_keys
from amp_console.values import Credentials
from tests.secret_service import SecretService, secret_service


@pytest.fixture
def book(tmp_path: Path) -> ConnectionBook:
    return ConnectionBook(tmp_path / "config" / "config.toml")


@pytest.fixture
def connection() -> Connection:
    return Connection(name="Shop", app_id=123456, owner_email="owner@example.com")


@pytest.fixture
def keys() -> Credentials:
    return checked_keys("example-api-key", "example-secret-key")


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretService]:
    with secret_service() as service:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", service.address)
        monkeypatch.delenv("PYTHON_KEYRING_BACKEND")
        yield service
