"""`amp-console listen` as a process."""

import hashlib
import hmac
import json
import random
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from amp_console.ledger import open_ledger
from amp_console.simulator import Simulator
from tests.cli.operator import Operator
from tests.cli.processes import Process
from tests.cli.test_watch import is_in
from tests.ledgers import EmptyLedger, fail, fail_no_more, postgresql_only
from tests.ports import free_port
from tests.postgresql import PASSWORD
from tests.sync.test_received import events_read
from tests.sync.webhook_sender import body_of
from tests.sync.workspace import event

SECRET = "not-a-secret"  # obviously fake


@pytest.fixture
def sender() -> Iterator[httpx.Client]:
    with sender_to(free_port()) as client:
        yield client


def sender_to(port: int) -> httpx.Client:
    """Posts events to a receiver, on a new connection each time."""
    return httpx.Client(
        base_url=f"http://127.0.0.1:{port}",
        verify=False,
        limits=httpx.Limits(max_keepalive_connections=0),
    )


def start(operator: Operator, sender: httpx.Client, *more: str) -> Process:
    """Start a receiver, and wait until it listens."""
    port = str(sender.base_url.port)
    arguments = ("listen", "--port", port, "--flush-seconds", "0.1", "--create", *more)
    process = operator.start(*arguments)
    process.wait_until(lambda: is_there(sender))
    return process


def is_there(sender: httpx.Client) -> bool:
    with suppress(httpx.TransportError):
        return sender.get("/healthz").status_code == 200
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_delivers_what_is_pending_and_ends_with_0(
    operator: Operator, simulator: Simulator, sender: httpx.Client, number: signal.Signals
) -> None:
    process = start(operator, sender, "--json")
    assert sender.post("/", content=body_of("u1", "u2")).status_code == 200
    assert process.end(number) == 0, process.err
    assert is_in(simulator, "u1", "u2")()
    assert process.documents[-1]["read"] == 2


def test_what_was_answered_is_kept_through_ten_kills(
    operator: Operator, simulator: Simulator, sender: httpx.Client
) -> None:
    """Like Segment, the sender repeats requests that were not answered with 200."""
    operator.limit(quiet_time=0)
    dice = random.Random(7)
    entered: set[str] = set()
    unanswered: bytes | None = None
    at = 0
    for killed in range(10):
        process = start(operator, sender)
        if unanswered:
            assert sender.post("/", content=unanswered).status_code == 200
        for _ in range(killed * 3 % 10):
            user, is_member = f"u{dice.randrange(40)}", dice.random() < 0.7
            body = json.dumps(event(user, is_member, at)).encode()
            assert sender.post("/", content=body).status_code == 200
            (entered.add if is_member else entered.discard)(user)
            at += 1
        unanswered = json.dumps(event(f"late{at}", True, at)).encode()
        entered.add(f"late{at}")
        at += 1
        threading.Timer(killed / 1000, process.send, [signal.SIGKILL]).start()
        with suppress(httpx.TransportError):
            sender.post("/", content=unanswered)
        process.wait()
    process = start(operator, sender)
    assert unanswered
    assert sender.post("/", content=unanswered).status_code == 200
    process.wait_until(is_in(simulator, *entered))
    assert process.end() == 0


@postgresql_only
def test_two_receivers_of_one_ledger_count_each_event_once_although_they_are_killed(
    operator: Operator, simulator: Simulator, empty_ledger: EmptyLedger
) -> None:
    url = empty_ledger()
    operator.environment |= {"AMP_CONSOLE_LEDGER": url, "PGPASSWORD": PASSWORD}
    operator.limit(quiet_time=0)
    with ExitStack() as stack:
        senders = [stack.enter_context(sender_to(free_port())) for _ in range(2)]
        processes = [start(operator, sender) for sender in senders]
        users: list[str] = []
        for number in range(12):
            for sender in senders:
                users.append(f"u{len(users)}")
                assert sender.post("/", content=body_of(users[-1])).status_code == 200
            if number % 3 == 0:
                victim = number // 3 % 2
                processes[victim].kill()
                processes[victim] = start(operator, senders[victim])
        first, last = processes
        if first.end():  # the other one has merged events after its last delivery
            assert first.status == 4, first.err
            assert "imported after the last delivery" in first.out + first.err
        assert last.end() == 0, last.err
    assert operator.run("sync", "--yes").status == 0
    assert is_in(simulator, *users)()
    with open_ledger(url) as ledger:
        assert events_read(ledger) == len(users)


def test_what_was_answered_is_delivered_by_the_next_sync_after_a_kill(
    operator: Operator, simulator: Simulator, sender: httpx.Client
) -> None:
    process = start(operator, sender)
    (path,) = operator.home.rglob("*.db")
    with open_ledger(path) as ledger:
        ledger.write(fail, "INSERT", "member")  # so that nothing is merged before the kill
        assert sender.post("/", content=body_of("u1", "u2")).status_code == 200
        assert sender.post("/", content=body_of("u3")).status_code == 200
        process.kill()
        ledger.write(fail_no_more, "member")
    ended = operator.run("sync", "--yes", "--json")
    assert ended.status == 0, ended.err
    assert is_in(simulator, "u1", "u2", "u3")()
    with open_ledger(path) as ledger:
        assert events_read(ledger) == 3


def test_the_secret_comes_from_the_environment_and_is_shown_nowhere(
    operator: Operator, simulator: Simulator, sender: httpx.Client
) -> None:
    operator.environment["AMP_CONSOLE_WEBHOOK_SECRET"] = SECRET
    process = start(operator, sender)
    text = json.dumps(event("u1", True)).encode()
    assert sender.post("/", content=text).status_code == 401
    signature = hmac.new(SECRET.encode(), text, hashlib.sha1).hexdigest()
    headers = {"X-Signature": signature}
    assert sender.post("/", content=text, headers=headers).status_code == 200
    process.wait_until(is_in(simulator, "u1"))
    process.end()
    assert "1 refused (1 missing signature)" in process.out.splitlines()[-1]
    (run,) = operator.run("runs", "--json").document
    (kept,) = run["refused"]
    assert (kept["status"], kept["count"]) == (401, 1)
    assert kept["words"] == "The signature (X-Signature) is missing."
    written = [
        process.out,
        process.err,
        *(_text(file) for file in operator.home.rglob("*") if file.is_file()),
    ]
    assert not any(SECRET in item for item in written)


def _text(file: Path) -> str:
    return file.read_bytes().decode("latin-1")


@pytest.mark.parametrize("command", ["listen", "watch"])
def test_files_and_webhooks_are_one_session(
    operator: Operator, simulator: Simulator, sender: httpx.Client, tmp_path: Path, command: str
) -> None:
    file, port = tmp_path / "live.ndjson", sender.base_url.port
    file.write_text(json.dumps(event("u1", True)) + "\n")
    both = {"listen": ["listen", "--watch", str(file)], "watch": ["watch", str(file), "--listen"]}
    more = ["--port", str(port), "--flush-seconds", "0.1", "--create", "--json"]
    process = operator.start(*both[command], *more)
    process.wait_until(lambda: is_there(sender))
    assert sender.post("/", content=body_of("u2")).status_code == 200
    process.wait_until(is_in(simulator, "u1", "u2"))
    assert process.end() == 0, process.err
    assert process.documents[-1]["read"] == 2
    assert len(operator.run("runs", "--json").document) == 1


def test_a_receivers_options_need_a_receiver(operator: Operator, tmp_path: Path) -> None:
    ended = operator.run("watch", str(tmp_path), "--port", "9000")
    assert ended.status == 2
    assert "--port needs --listen" in ended.err


def test_single_events_refuses_arrays(operator: Operator, sender: httpx.Client) -> None:
    process = start(operator, sender, "--single-events", "--json")
    assert sender.post("/", content=body_of("u1")).status_code == 400
    assert sender.post("/", content=json.dumps(event("u2", True)).encode()).status_code == 200
    process.end()
    (refused,) = process.documents[-1]["refused"]
    assert (refused["reason"], refused["count"]) == ("an array, with single events only", 1)


def test_without_a_secret_only_this_machine_can_connect(operator: Operator) -> None:
    ended = operator.run("listen", "--host", "0.0.0.0")  # noqa: S104
    assert ended.status == 2
    assert "AMP_CONSOLE_WEBHOOK_SECRET" in ended.err


def test_a_port_in_use_ends_with_2(operator: Operator) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = operator.run("listen", "--port", str(taken.getsockname()[1]))
    assert ended.status == 2
    assert "Can't listen on" in ended.err
