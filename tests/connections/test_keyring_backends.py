"""Which keyring is used, and which are refused."""

import os
import sys
from pathlib import Path

import pytest

from amp_console.connections import Keyring, KeysError, KeysProblem, find_keys
from amp_console.connections.connection import Connection
from tests.connections import backends
from tests.secret_service import SecretService

PLAIN_TEXT = """
from tests.connections.backends import Memory

class PlaintextKeyring(Memory):
    priority = 20.0

class EncryptedKeyring(Memory):
    priority = 20.0
"""


@pytest.fixture
def _alternatives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`keyrings.alt`, as if it were installed."""
    package = tmp_path / "packages" / "keyrings" / "alt"
    package.mkdir(parents=True)
    (package / "file.py").write_text(PLAIN_TEXT)
    monkeypatch.syspath_prepend(str(package.parent.parent))


def problem_with(name: str) -> KeysError:
    with pytest.raises(KeysError) as raised:
        Keyring({"PYTHON_KEYRING_BACKEND": name}).backend_name()
    assert raised.value.problem is KeysProblem.NO_KEYRING
    return raised.value


@pytest.mark.usefixtures("_alternatives")
@pytest.mark.parametrize(
    "name",
    [
        "keyring.backends.null.Keyring",
        "keyrings.alt.file.PlaintextKeyring",
        "keyrings.alt.file.EncryptedKeyring",
        "tests.connections.backends.PlaintextKeyring",
    ],
)
def test_a_keyring_that_keeps_nothing_safely_is_refused(name: str) -> None:
    error = problem_with(name)

    assert name in str(error)
    assert "does not keep keys safely and is not used" in str(error)


def test_the_failing_keyring_is_no_keyring() -> None:
    assert str(problem_with("keyring.backends.fail.Keyring")) == (
        "This machine has no keyring now. To keep keys in one, sign in to a desktop session. "
        "Without one, set AMP_CONSOLE_API_KEY and AMP_CONSOLE_SECRET_KEY."
    )


@pytest.mark.parametrize(
    "name", ["no_such_package.Keyring", "keyring.backends.fail.NoSuch", "Keyring", "os.getcwd"]
)
def test_a_keyring_that_cannot_be_loaded_is_not_replaced_by_another(
    name: str, service: SecretService
) -> None:
    assert "PYTHON_KEYRING_BACKEND or keyringrc.cfg names can't be used" in str(problem_with(name))


def configure(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    file = folder / "python_keyring" / "keyringrc.cfg"
    file.parent.mkdir()
    file.write_text(f"[backend]\ndefault-keyring={name}\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))


@pytest.mark.skipif(sys.platform == "win32", reason="keyringrc.cfg has another place there")
def test_the_keyring_libraries_settings_are_honoured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(tmp_path, monkeypatch, "tests.connections.backends.Memory")

    assert Keyring({}).backend_name() == "backends Memory"


@pytest.mark.skipif(sys.platform == "win32", reason="keyringrc.cfg has another place there")
def test_the_keyring_libraries_settings_are_refused_like_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(tmp_path, monkeypatch, "keyring.backends.null.Keyring")

    with pytest.raises(KeysError, match=r"keyring\.backends\.null\.Keyring"):
        Keyring({}).backend_name()


@pytest.mark.parametrize("first", [backends.Memory, backends.PlaintextKeyring])
def test_a_chain_counts_as_the_keyring_it_writes_to(
    monkeypatch: pytest.MonkeyPatch, first: type[backends.Memory]
) -> None:
    from keyring.backends.chainer import ChainerBackend

    monkeypatch.setattr(ChainerBackend, "backends", [first()])
    keyring = Keyring({"PYTHON_KEYRING_BACKEND": "keyring.backends.chainer.ChainerBackend"})

    if first is backends.Memory:
        assert keyring.backend_name() == "backends Memory"
        return
    with pytest.raises(KeysError, match="does not keep keys safely"):
        keyring.backend_name()


@pytest.fixture
def _no_bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHON_KEYRING_BACKEND")
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={tmp_path / 'no-bus'}")


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems have a keyring")


@on_linux
@pytest.mark.usefixtures("_no_bus", "_alternatives")
def test_without_a_bus_there_is_no_keyring_and_no_plain_text_instead() -> None:
    with pytest.raises(KeysError, match="This machine has no keyring") as raised:
        Keyring(os.environ).backend_name()
    assert raised.value.problem is KeysProblem.NO_KEYRING


@on_linux
@pytest.mark.usefixtures("_no_bus")
def test_keys_that_cannot_be_read_now_are_said_to_be_kept(connection: Connection) -> None:
    stored = Connection(
        name="Shop", app_id=1, owner_email="owner@example.com", keyring_item="0123456789ab"
    )
    with pytest.raises(KeysError, match=r"keys of “Shop” can't be read.*still there"):
        find_keys(stored, {}, Keyring(os.environ))


@on_linux
@pytest.mark.usefixtures("_no_bus")
def test_a_keyring_that_starts_later_is_found(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring = Keyring(os.environ)
    with pytest.raises(KeysError):
        keyring.backend_name()

    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "tests.connections.backends.Memory")
    assert keyring.backend_name() == "backends Memory"


@pytest.mark.usefixtures("_alternatives")
def test_the_native_keyring_is_taken_before_a_plain_text_one(service: SecretService) -> None:
    assert Keyring(os.environ).backend_name() == "SecretService Keyring"
