"""`amp-console listen` as a process."""

import hashlib
import hmac
import json
import random
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from amp_console.simulator import Simulator, World
from tests.cli.operator import Operator
from tests.cli.test_watch import is_in, wait_until
from tests.sync.workspace import event

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


def test_what_was_answered_is_kept_through_ten_kills(
    operator: Operator, simulator: Simulator
) -> None:
    """As Segment does, the sender sends again what was not answered with 200."""
    operator.limit(quiet_time=0)
    dice, port = random.Random(7), free_port()
    entered: set[str] = set()
    at = 0
    for _ in range(10):
        process = start(operator, port)
        for _ in range(dice.randint(1, 30)):
            user, is_member = f"u{dice.randrange(40)}", dice.random() < 0.7
            body = json.dumps(event(user, is_member, at)).encode()
            assert httpx.post(f"http://127.0.0.1:{port}/", content=body).status_code == 200
            (entered.add if is_member else entered.discard)(user)
            at += 1
        killed = json.dumps(event(f"late{at}", True, at)).encode()
        with suppress(httpx.TransportError), httpx.Client(timeout=5) as client:
            request = client.build_request("POST", f"http://127.0.0.1:{port}/", content=killed)
            threading.Timer(dice.random() / 100, process.kill).start()
            client.send(request)
        process.kill()
        process.communicate()
        process = start(operator, port)
        assert httpx.post(f"http://127.0.0.1:{port}/", content=killed).status_code == 200
        entered.add(f"late{at}")
        process.kill()
        process.communicate()
    process = start(operator, port)
    wait_until(process, is_in(simulator, *entered))
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
    assert "1 refused (1 missing signature)" in out.splitlines()[-1]
    (run,) = operator.run("runs", "--json").document
    (kept,) = run["refused"]
    assert (kept["status"], kept["count"]) == (401, 1)
    assert kept["words"] == "The signature (X-Signature) is missing."
    written = [out, err, *(_text(file) for file in operator.home.rglob("*") if file.is_file())]
    assert not any(SECRET in item for item in written)


def _text(file: Path) -> str:
    return file.read_bytes().decode("latin-1")


@pytest.mark.parametrize("command", ["listen", "watch"])
def test_files_and_webhooks_are_one_session(
    operator: Operator, simulator: Simulator, tmp_path: Path, command: str
) -> None:
    file, port = tmp_path / "live.ndjson", free_port()
    file.write_text(json.dumps(event("u1", True)) + "\n")
    both = {"listen": ["listen", "--watch", str(file)], "watch": ["watch", str(file), "--listen"]}
    more = ["--port", str(port), "--flush-seconds", "0.1", "--create", "--json"]
    process = operator.start(*both[command], *more)
    wait_until(process, lambda: is_there(port))
    assert httpx.post(f"http://127.0.0.1:{port}/", content=body_of("u2")).status_code == 200
    wait_until(process, is_in(simulator, "u1", "u2"))
    process.terminate()
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert json.loads(out.splitlines()[-1])["read"] == 2
    assert len(operator.run("runs", "--json").document) == 1


def test_a_receivers_options_need_a_receiver(operator: Operator, tmp_path: Path) -> None:
    ended = operator.run("watch", str(tmp_path), "--port", "9000")
    assert ended.status == 2
    assert "--port needs --listen" in ended.err


def test_single_events_refuses_arrays(operator: Operator) -> None:
    port = free_port()
    process = start(operator, port, "--single-events", "--json")
    url = f"http://127.0.0.1:{port}/"
    assert httpx.post(url, content=body_of("u1")).status_code == 400
    assert httpx.post(url, content=json.dumps(event("u2", True)).encode()).status_code == 200
    process.terminate()
    out, _ = process.communicate()
    (refused,) = json.loads(out.splitlines()[-1])["refused"]
    assert (refused["reason"], refused["count"]) == ("an array, with single events only", 1)


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
