"""The demo gives the console all it needs, and leaves nothing behind, whatever happens."""

import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from amp_console.connections import KeysError, KeySource, find_keys
from amp_console.demo import SimulatedSession
from amp_console.ledger import LedgerError, open_ledger
from amp_console.ledger.database import revision

THREADS_BEFORE: set[threading.Thread] = set()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the demos of this test create their homes."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    THREADS_BEFORE.clear()
    THREADS_BEFORE.update(threading.enumerate())
    return folder


def wait_until(condition: Callable[[], object]) -> None:
    """Check every two milliseconds: without pauses, a test takes CPU time from the demo."""
    pause = threading.Event()
    while not condition():
        pause.wait(0.002)


def assert_nothing_is_left(folder: Path, session: SimulatedSession) -> None:
    assert list(folder.iterdir()) == []
    assert set(threading.enumerate()) <= THREADS_BEFORE
    port = int(str(session.connection.base_url).rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        pass


def test_the_home_is_the_owners_alone_and_holds_one_connection(folder: Path) -> None:
    with SimulatedSession() as session:
        (home,) = folder.iterdir()
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        assert session.environment.connections.all() == (session.connection,)
        assert session.environment.folders.config_file.is_relative_to(home)
        assert session.environment.folders.data.is_relative_to(home)
        assert (session.connection.name, session.connection.owner_email) == (
            "Demo",
            "ana@acme.example",
        )


def test_the_keys_come_with_it_and_nothing_else_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AMP_CONSOLE_API_KEY", "a-real-key")
    monkeypatch.setenv("AMP_CONSOLE_SECRET_KEY", "a-real-secret")
    with SimulatedSession() as session:
        environment = session.environment
        keys, source = find_keys(session.connection, environment.environ, environment.keyring)
    assert set(environment.environ) == {"AMP_CONSOLE_API_KEY", "AMP_CONSOLE_SECRET_KEY"}
    assert source is KeySource.ENVIRONMENT
    assert keys.api_key.reveal() == "simulated-api-key"


def test_no_keyring_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "a.keyring.that.must.not.be.Loaded")
    with SimulatedSession() as session, pytest.raises(KeysError):
        find_keys(session.connection, {}, session.environment.keyring)


def test_nothing_is_left_of_a_demo_that_was_never_opened(folder: Path) -> None:
    with SimulatedSession() as session:
        pass
    assert_nothing_is_left(folder, session)


@pytest.mark.parametrize("progress", [0.0, 0.1, 0.5, 0.9])
def test_nothing_is_left_although_seeding_was_under_way(folder: Path, progress: float) -> None:
    with SimulatedSession() as session:
        session.open()
        wait_until(lambda: session.progress() >= progress)
    assert_nothing_is_left(folder, session)


def test_nothing_is_left_after_an_error(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError), SimulatedSession() as session:  # noqa: PT012
        session.open()
        _ = 1 / 0
    assert_nothing_is_left(folder, session)


def test_nothing_is_left_although_people_come_and_go(folder: Path) -> None:
    with SimulatedSession(fast=True) as session:
        session.open()
        session.wait()
        live_folder = Path(session.environment.live_folder)
        wait_until(lambda: list(live_folder.iterdir()))  # Live has something to follow
        with open_ledger(session.environment.folders.ledger(session.connection.id)) as ledger:
            before = ledger.read(revision)
            wait_until(lambda: ledger.read(revision) != before)
    assert_nothing_is_left(folder, session)


def test_an_error_during_seeding_is_raised(folder: Path) -> None:
    with pytest.raises(LedgerError), SimulatedSession() as session:  # noqa: PT012
        session.environment.folders.ledger(session.connection.id).write_bytes(b"no ledger" * 1_000)
        session.open()
        with pytest.raises(LedgerError):
            session.wait()
    assert_nothing_is_left(folder, session)


def test_nothing_is_left_where_it_cannot_begin(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"), SimulatedSession(port=port):
            pass
    assert list(folder.iterdir()) == []


def test_a_home_that_is_there_already_is_left_alone(tmp_path: Path) -> None:
    home = tmp_path / "mine"
    home.mkdir()
    with pytest.raises(FileExistsError), SimulatedSession(home=home):
        pass
    assert home.exists()


def test_a_home_that_was_asked_for_is_thrown_away_too(tmp_path: Path) -> None:
    home = tmp_path / "demo"
    with SimulatedSession(home=home):
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert not home.exists()


def test_opening_it_twice_starts_it_once() -> None:
    with SimulatedSession() as session:
        session.open()
        session.open()
        assert [item.name for item in threading.enumerate() if item not in THREADS_BEFORE].count(
            "demo"
        ) == 1
