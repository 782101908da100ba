"""The keyring thread: silent keyrings, failures, and their aftermath."""

import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from keyring.errors import InitError, KeyringError, KeyringLocked, NoKeyringError, PasswordSetError

from amp_console.connections import (
    ConnectionStore,
    Keyring,
    KeysError,
    KeysProblem,
    checked_keys,
    retry_forgotten,
)
from amp_console.values import Credentials
from tests.connections import backends

MOMENT = 0.01  # seconds of patience with a keyring that never answers


@pytest.fixture(autouse=True)
def _fresh_rings() -> Iterator[None]:
    backends.Memory.clear()
    yield
    backends.Silent.answered.set()


def environ(backend: type[backends.Memory]) -> dict[str, str]:
    return {"PYTHON_KEYRING_BACKEND": f"{backend.__module__}.{backend.__name__}"}


def impatient(times: int) -> Keyring:
    """A silent keyring that is given up a number of times, and then waited for."""
    left = [None] * times

    def stop() -> None:
        assert backends.Silent.asked.wait(60)  # otherwise the next call would be the first to start
        if left:
            left.pop()
            keyring.stop_waiting()

    keyring = Keyring(environ(backends.Silent), say_after=MOMENT, on_waiting=stop)
    return keyring


def test_a_keyring_that_is_answered_in_time_gives_the_keys(keys: Credentials) -> None:
    item = Keyring(environ(backends.Memory)).write(keys)
    keyring = Keyring(
        environ(backends.Silent), say_after=MOMENT, on_waiting=backends.Silent.answered.set
    )

    assert keyring.read(item) == keys


def test_a_caller_that_stops_waiting_ends_no_wait_of_another(keys: Credentials) -> None:
    item = Keyring(environ(backends.Memory)).write(keys)
    waiting = threading.Semaphore(0)
    one = Keyring(environ(backends.Silent), say_after=MOMENT, on_waiting=waiting.release)
    other = one.with_own_waits()
    with ThreadPoolExecutor(2) as threads:
        stopped, answered = threads.submit(one.read, item), threads.submit(other.read, item)
        waiting.acquire()
        waiting.acquire()
        one.stop_waiting()
        with pytest.raises(KeysError) as raised:
            stopped.result()
        assert raised.value.problem is KeysProblem.WAITING
        backends.Silent.answered.set()
        assert answered.result() == keys


def test_waiting_is_said_once_for_each_call() -> None:
    said: list[str] = []
    keyring = Keyring(
        environ(backends.Silent),
        patience=MOMENT,
        say_after=0,
        on_waiting=lambda: said.append("wait"),
    )
    for count in (1, 2):
        with pytest.raises(KeysError):
            keyring.read("0123456789ab")
        assert len(said) == count


def test_nothing_is_said_while_the_keyring_answers(keys: Credentials) -> None:
    said: list[str] = []
    keyring = Keyring(environ(backends.Memory), on_waiting=lambda: said.append("wait"))

    keyring.read(keyring.write(keys))

    assert said == []


def test_a_keyring_that_never_answers_is_given_up() -> None:
    with pytest.raises(KeysError, match=r"did not answer in time.*try again") as raised:
        Keyring(environ(backends.Silent), patience=MOMENT).read("0123456789ab")
    assert raised.value.problem is KeysProblem.WAITING


def test_waiting_can_be_stopped() -> None:
    keyring = impatient(times=1)

    with pytest.raises(KeysError) as raised:
        keyring.read("0123456789ab")
    assert raised.value.problem is KeysProblem.WAITING
    assert raised.value.backend_name == "backends Silent"


def test_keys_that_are_stored_after_all_are_taken_back(keys: Credentials) -> None:
    keyring = impatient(times=1)
    with pytest.raises(KeysError):
        keyring.write(keys)

    backends.Silent.answered.set()
    keyring.backend_name()  # comes after all earlier calls

    assert len(backends.Memory.writes) == 1
    assert backends.Memory.items == {}


def test_a_call_without_a_waiter_is_not_started(keys: Credentials) -> None:
    keyring = impatient(times=2)
    with pytest.raises(KeysError):
        keyring.read("0123456789ab")
    with pytest.raises(KeysError):
        keyring.write(keys)

    backends.Silent.answered.set()
    keyring.backend_name()

    assert backends.Memory.writes == []


def test_all_calls_share_one_daemon_thread(keys: Credentials) -> None:
    keyring = Keyring(environ(backends.Memory))

    with ThreadPoolExecutor(8) as pool:
        items = list(pool.map(keyring.write, [keys] * 32))

    assert len(set(items)) == 32
    (thread,) = backends.Memory.threads
    assert thread.daemon


WAIT_FOR_EVER = """
import os, threading
from amp_console.connections import Keyring, checked_keys
asked = threading.Event()
keyring = Keyring(os.environ, say_after=0, on_waiting=asked.set)
write = keyring.write
threading.Thread(target=write, args=(checked_keys("a", "b"),), daemon=True).start()
asked.wait()
print("quitting")
"""


def test_a_silent_keyring_does_not_hold_up_quitting() -> None:
    run = subprocess.run(
        [sys.executable, "-c", WAIT_FOR_EVER],
        cwd=Path(__file__).parents[2],  # where `tests` can be imported from
        env={**os.environ, **environ(backends.Silent)},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert run.stdout == "quitting\n"
    assert run.stderr == ""


def test_something_else_read_back_is_refused_and_taken_back(keys: Credentials) -> None:
    keyring = Keyring(environ(backends.Forgetful))

    with pytest.raises(KeysError, match="returned something other") as raised:
        keyring.write(keys)
    keyring.backend_name()

    assert raised.value.problem is KeysProblem.DAMAGED
    assert backends.Memory.items == {}


def test_an_item_that_is_still_there_was_not_deleted(keys: Credentials) -> None:
    keyring = Keyring(environ(backends.Stubborn))
    item = keyring.write(keys)

    with pytest.raises(KeysError) as raised:
        keyring.delete(item)
    assert raised.value.problem is KeysProblem.REFUSED


@pytest.mark.parametrize(("length", "fits"), [(1280, True), (1281, False)])
def test_keys_must_fit_into_the_smallest_keyring(length: int, fits: bool) -> None:
    rest = len('{"api_key":"a","secret_key":"","version":1}')
    long_keys = checked_keys("a", "s" * (length - rest))
    keyring = Keyring(environ(backends.Memory))

    if fits:
        assert keyring.read(keyring.write(long_keys)) == long_keys
        return
    with pytest.raises(KeysError, match="nothing was saved") as raised:
        keyring.write(long_keys)
    assert raised.value.problem is KeysProblem.TOO_LONG
    assert backends.Memory.writes == []


MARKER = "marker-of-a-secret"


class WindowsError(Exception):
    """As pywin32's `error`: a code, a function, and here a text that quotes the secret."""

    def __init__(self, code: int) -> None:
        super().__init__(code, "CredWrite", f"The data is invalid: {MARKER}")


class PanicException(BaseException):
    """As a broken `cryptography` raises it."""


class PromptDismissedException(Exception):
    """As SecretStorage's."""


def caused_by(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


FAILURES = [
    (KeyringLocked(MARKER), KeysProblem.LOCKED),
    (NoKeyringError(MARKER), KeysProblem.NO_KEYRING),
    (PasswordSetError(MARKER), KeysProblem.REFUSED),
    (PermissionError(MARKER), KeysProblem.REFUSED),
    (caused_by(InitError(MARKER), PromptDismissedException(MARKER)), KeysProblem.REFUSED),
    (caused_by(KeyringError(MARKER), Exception(-25308, MARKER)), KeysProblem.LOCKED),
    (WindowsError(1312), KeysProblem.NO_KEYRING),
    (WindowsError(1783), KeysProblem.TOO_LONG),
    (WindowsError(13), KeysProblem.FAILED),
    (FileNotFoundError(2, MARKER), KeysProblem.FAILED),
    (ConnectionResetError(MARKER), KeysProblem.FAILED),
    (TimeoutError(MARKER), KeysProblem.FAILED),
    (ModuleNotFoundError(MARKER), KeysProblem.FAILED),
    (PanicException(MARKER), KeysProblem.FAILED),
]


@pytest.mark.parametrize(
    ("error", "problem"), FAILURES, ids=lambda value: getattr(value, "name", type(value).__name__)
)
def test_a_failure_is_reported_without_its_text(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, problem: KeysProblem
) -> None:
    monkeypatch.setattr(backends.Failing, "error", error)
    keyring = Keyring(environ(backends.Failing))

    for call in (
        lambda: keyring.read("0123456789ab"),
        lambda: keyring.write(checked_keys("a", MARKER)),
    ):
        with pytest.raises(KeysError) as raised:
            call()
        assert raised.value.problem is problem
        assert raised.value.backend_name == "backends Failing"
        assert MARKER not in "".join(traceback.format_exception(raised.value))
        assert MARKER not in repr(raised.value)
        assert raised.value.__context__ is None


def test_the_thread_survives_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends.Failing, "error", PanicException())
    keyring = Keyring(environ(backends.Failing))
    with pytest.raises(KeysError, match=r"failed \(PanicException\)"):
        keyring.read("0123456789ab")

    assert keyring.backend_name() == "backends Failing"


@pytest.fixture
def forgetting_book(tmp_path: Path) -> ConnectionStore:
    file = tmp_path / "config.toml"
    file.write_text('forgotten = ["first", "second"]\n')
    return ConnectionStore(file)


def test_a_silent_keyring_is_asked_once_about_what_is_forgotten(
    forgetting_book: ConnectionStore,
) -> None:
    said: list[str] = []
    keyring = Keyring(
        environ(backends.Silent),
        patience=MOMENT,
        say_after=0,
        on_waiting=lambda: said.append("wait"),
    )
    backends.Memory.items.update({"amp-console:first": "", "amp-console:second": ""})

    assert retry_forgotten(forgetting_book, keyring) == ("first", "second")
    assert said == ["wait"]


def test_an_item_that_stays_does_not_keep_the_next(forgetting_book: ConnectionStore) -> None:
    backends.Memory.items["amp-console:first"] = ""
    keyring = Keyring(environ(backends.Stubborn))

    assert retry_forgotten(forgetting_book, keyring) == ("first",)
