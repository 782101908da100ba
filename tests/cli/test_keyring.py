"""Keys in a real keyring, as an operator at a desktop uses them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.operator import Operator
from tests.secret_service import SecretService, secret_service
from tests.sync.workspace import event

KEYS = ("AMP_CONSOLE_API_KEY", "AMP_CONSOLE_SECRET_KEY")


@pytest.fixture
def keyring() -> Iterator[SecretService]:
    with secret_service() as service:
        yield service


@pytest.fixture
def at_desktop(fresh: Operator, keyring: SecretService) -> Operator:
    """An operator whose session has a keyring, and no keys in the environment."""
    del fresh.environment["PYTHON_KEYRING_BACKEND"]
    for name in KEYS:
        del fresh.environment[name]
    fresh.environment["DBUS_SESSION_BUS_ADDRESS"] = keyring.address
    return fresh


def give_keys(operator: Operator, secret: str | None = None) -> tuple[int, str]:
    """Connect with the two keys on stdin."""
    keys = operator.simulator.credentials
    lines = f"{keys.api_key.reveal()}\n{secret or keys.secret_key.reveal()}\n"
    app_id = str(operator.simulator.world.app_id)
    where = ("--base-url", operator.simulator.base_url, "--keys-stdin")
    basics = ("--app-id", app_id, "--owner-email", "ana@acme.example")
    ended = operator.run_apart("connect", "acme", *basics, *where, stdin=lines.encode())
    return ended.status, ended.out + ended.err


def test_keys_are_kept_used_and_forgotten(
    at_desktop: Operator, keyring: SecretService, tmp_path: Path
) -> None:
    status, said = give_keys(at_desktop)
    assert status == 0, said
    assert "The keys are in your keyring" in said
    (service,) = keyring.items()
    assert service.startswith("amp-console:")

    events = tmp_path / "events.ndjson"
    events.write_text(json.dumps(event("u1", True)))
    assert at_desktop.run_apart("sync", "--from", events, "--yes").status == 0
    assert at_desktop.cohort("shoppers") == {"u1"}

    files = [path.read_bytes() for path in (at_desktop.home).rglob("*") if path.is_file()]
    assert not any(b"simulated-secret-key" in content for content in files)

    assert at_desktop.run_apart("disconnect", "acme", "--yes").status == 0
    assert keyring.items() == {}


def test_connecting_again_replaces_the_keys(at_desktop: Operator, keyring: SecretService) -> None:
    give_keys(at_desktop)
    (before,) = keyring.items()
    give_keys(at_desktop)
    (after,) = keyring.items()
    assert before != after


def test_refused_keys_are_not_kept(at_desktop: Operator, keyring: SecretService) -> None:
    status, said = give_keys(at_desktop, "wrong-secret")
    assert status == 3
    assert "wrong-secret" not in said
    assert keyring.items() == {}


def test_a_locked_keyring_is_reported(at_desktop: Operator, keyring: SecretService) -> None:
    give_keys(at_desktop)
    keyring.lock()
    ended = at_desktop.run_apart("sync", "--yes")
    assert ended.status == 3
    assert "Your keyring is locked" in ended.err
