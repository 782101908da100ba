"""The server of a ledger is restarted, or connections to it break, in the middle of everything."""

import threading
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import httpx
import pytest

from amp_console.simulator import Behavior, Simulator
from tests.cli.operator import Operator
from tests.cli.team import LIVE, check_end
from tests.cli.test_listen import is_there
from tests.cli.test_watch import is_in
from tests.ports import free_port
from tests.postgresql import KEEPS_COMMITS, PASSWORD, PostgresqlServer, postgresql_server
from tests.sync.relays import ForgetfulRelay
from tests.sync.workspace import lines

USERS = [f"u{n}" for n in range(40)]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresqlServer]:
    with postgresql_server(KEEPS_COMMITS) as running:
        yield running


numbers = count(1)


@pytest.fixture
def operator(fresh: Operator, server: PostgresqlServer) -> Operator:
    """An operator whose ledger is on a separate server, which may be restarted."""
    url = f"{server.url()}?schema=ledger_{next(numbers)}"
    fresh.environment |= {"AMP_CONSOLE_LEDGER": url, "PGPASSWORD": PASSWORD}
    assert fresh.connect().status == 0
    fresh.limit(quiet_time=0)
    return fresh


class Sender(threading.Thread):
    """Posts users one by one, repeating each until it is answered with 200."""

    def __init__(self, port: int, users: list[str]) -> None:
        super().__init__()
        self._users = users
        self.refused: list[httpx.Response] = []
        self.answered = 0
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            verify=False,
            timeout=60,
        )

    def run(self) -> None:
        with closing(self.client):
            self._send()

    def _send(self) -> None:
        for user in self._users:
            while (answer := self.client.post("/", content=lines(user))).status_code != 200:
                self.refused.append(answer)
            self.answered += 1


def test_live_sessions_continue_after_a_restart(
    operator: Operator, simulator: Simulator, server: PostgresqlServer, tmp_path: Path
) -> None:
    """Everything answered with 200 is in the ledger, and so is the content of the file."""
    file = tmp_path / "live.ndjson"
    file.write_text(lines(*USERS[:5]))
    watching = operator.start("watch", file, *LIVE)
    watching.wait_until(is_in(simulator, *USERS[:5]))
    port = free_port()
    listening = operator.start("listen", "--port", str(port), *LIVE)
    sender = Sender(port, USERS[5:35])
    listening.wait_until(lambda: is_there(sender.client))
    sender.start()
    listening.wait_until(lambda: sender.answered > 5)
    server.restart()
    with file.open("a") as more:
        more.write(lines(*USERS[35:]))
    sender.join(60)
    listening.wait_until(is_in(simulator, *USERS))
    for answer in sender.refused:
        assert answer.status_code == 503
        assert "Nothing was saved: " in answer.json()["error"]
    watching.wait_until(lambda: states(operator) == ["running", "running"])
    for process in (watching, listening):
        assert process.end() == 0, process.err
        check_end(process)
    assert states(operator) == ["delivered", "delivered"]


def states(operator: Operator) -> list[str]:
    """The statuses of the runs, the newest first."""
    return [run["status"] for run in operator.run("runs", "--json").document]


@pytest.mark.parametrize(
    "command",
    [
        ("import",),
        ("sync", "--yes", "--from"),
        ("reconcile", "shoppers", "--apply", "both", "--yes"),
    ],
)
def test_a_command_that_loses_the_server_ends_in_a_sentence(
    operator: Operator,
    simulator: Simulator,
    server: PostgresqlServer,
    tmp_path: Path,
    command: tuple[str, ...],
) -> None:
    file = tmp_path / "events.ndjson"
    file.write_text(lines(*USERS))
    assert operator.run("sync", "--yes", "--from", file).status == 0
    more = [f"more-{n}" for n in range(20_000)]
    file.write_text(lines(*USERS, *more))
    is_import = command[0] == "import"
    is_reconcile = command[0] == "reconcile"
    simulator.behavior = Behavior(latency=0.05)
    before = len(simulator.requests)
    process = operator.start(*command, *(() if is_reconcile else (file,)))
    if is_import:
        process.wait(0.2)
    else:
        process.wait_until(lambda: len(simulator.requests) > before)
    server.restart()
    process.wait()
    check_end(process)
    if process.status:
        assert "Traceback" not in process.err
        assert "ledger" in process.err
    ended = operator.run("sync", "--yes", "--from", file)
    assert ended.status == 0, ended.err
    assert is_in(simulator, *USERS, *more)()


def test_a_live_session_continues_once_the_server_has_noticed_a_cut_connection(
    operator: Operator, simulator: Simulator, server: PostgresqlServer, tmp_path: Path
) -> None:
    """Until then its own former session holds the audience, and nothing is sent."""
    file = tmp_path / "live.ndjson"
    file.write_text(lines("u1"))
    with ForgetfulRelay(server.port) as relay:
        url = operator.environment["AMP_CONSOLE_LEDGER"]
        through = url.replace(str(server.port), str(relay.port))
        operator.environment["AMP_CONSOLE_LEDGER"] = through
        process = operator.start("watch", file, *LIVE)
        process.wait_until(is_in(simulator, "u1"))
        simulator.behavior = Behavior(latency=0.3)
        with file.open("a") as more:
            more.write(lines("u2"))
        process.wait_until(lambda: simulator.in_work)  # under the lease
        relay.forget()
        with file.open("a") as more:
            more.write(lines("u3"))
        process.wait_until(lambda: "is delivering this audience" in process.out)
        assert "u3" not in operator.cohort("shoppers")
        relay.end_forgotten()
        process.wait_until(is_in(simulator, "u1", "u2", "u3"))
        process.wait_until(lambda: states(operator) == ["running"])
        assert process.end() == 0, process.err
        check_end(process)
