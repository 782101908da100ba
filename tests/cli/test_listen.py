"""`amp-console listen` as a process."""

import hashlib
import hmac
import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from amp_console.simulator import Simulator, World
from tests.cli.operator import Operator
from tests.cli.test_watch import is_in, wait_until
from tests.sync.office import event

SECRET = "not-a-secret"  # obviously false


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(World()) as running:
        yield running


@pytest.fixture
def operator(tmp_path: Path, simulator: Simulator) -> Iterator[Operator]:
    operator = Operator(tmp_path, simulator)
    operator.connect()
    yield operator
    operator.end()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def start(operator: Operator, port: int, *more: str) -> subprocess.Popen[str]:
    """Start a receiver, and wait until it listens."""
    arguments = ("listen", "--port", str(port), "--flush-seconds", "0.1", "--create", *more)
    process = operator.start(*arguments)
    wait_until(process, lambda: is_there(port))
    return process


def is_there(port: int) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
    return False


def body_of(*users: str) -> bytes:
    return json.dumps([event(user, True) for user in users]).encode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_delivers_what_is_pending_and_ends_with_0(
    operator: Operator, simulator: Simulator, number: signal.Signals
) -> None:
    port = free_port()
    process = start(operator, port, "--json")
    assert httpx.post(f"http://127.0.0.1:{port}/", content=body_of("u1", "u2")).status_code == 200
    process.send_signal(number)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert is_in(simulator, "u1", "u2")()
    assert json.loads(out.splitlines()[-1])["read"] == 2


def test_what_was_answered_is_kept_through_a_kill(operator: Operator, simulator: Simulator) -> None:
    """Each kill comes right after an answer: before it may have been delivered."""
    port = free_port()
    users = [f"u{n}" for n in range(6)]
    for user in users:
        process = start(operator, port)
        assert httpx.post(f"http://127.0.0.1:{port}/", content=body_of(user)).status_code == 200
        process.kill()
        process.communicate()
    process = start(operator, port)
    wait_until(process, is_in(simulator, *users))
    process.terminate()
    process.communicate()
    assert process.returncode == 0


def test_the_secret_comes_from_the_environment_and_is_shown_nowhere(
    operator: Operator, simulator: Simulator
) -> None:
    operator.environment["AMP_CONSOLE_WEBHOOK_SECRET"] = SECRET
    port = free_port()
    process = start(operator, port)
    text = json.dumps(event("u1", True)).encode()
    url = f"http://127.0.0.1:{port}/"
    assert httpx.post(url, content=text).status_code == 401
    signature = hmac.new(SECRET.encode(), text, hashlib.sha1).hexdigest()
    headers = {"X-Signature": signature}
    assert httpx.post(url, content=text, headers=headers).status_code == 200
    wait_until(process, is_in(simulator, "u1"))
    process.terminate()
    out, err = process.communicate()
    written = [out, err, *(_text(file) for file in operator.home.rglob("*") if file.is_file())]
    assert not any(SECRET in each for each in written)


def _text(file: Path) -> str:
    return file.read_bytes().decode("latin-1")


def test_without_a_secret_it_opens_to_nobody_else(operator: Operator) -> None:
    ended = operator.run("listen", "--host", "0.0.0.0")  # noqa: S104
    assert ended.status == 2
    assert "AMP_CONSOLE_WEBHOOK_SECRET" in ended.err


def test_a_port_in_use_ends_with_2(operator: Operator) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = operator.run("listen", "--port", str(taken.getsockname()[1]))
    assert ended.status == 2
    assert "Nothing can listen on" in ended.err
