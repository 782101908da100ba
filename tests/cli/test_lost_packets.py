"""A network loses every packet between a command and the server of its ledger.

No connection is closed: each side has to find out on its own. The options of the ledger's address
determine how long that takes.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import httpx
import pytest

from amp_console.simulator import Behavior, Call, Simulator
from amp_console.values import Operation
from tests.cli.inside import Ended
from tests.cli.operator import Operator
from tests.cli.processes import PATIENCE, Process
from tests.cli.team import LIVE, check_end
from tests.cli.test_listen import is_there
from tests.cli.test_reconcile import drift
from tests.cli.test_server_restart import Sender
from tests.cli.test_watch import is_in
from tests.ledgers import EmptyLedger, PostgresqlLedgers, postgresql_only
from tests.ports import free_port
from tests.postgresql import PASSWORD
from tests.sync.relays import SOON, LossyRelay
from tests.sync.workspace import lines

pytestmark = postgresql_only

BOUND = 30.0  # seconds; each attempt to connect takes at most two
BATCH = 5  # users per request
FIRST = [f"first-{n}" for n in range(4 * BATCH)]


class Remote(NamedTuple):
    """An operator whose ledger is behind a relay, at `url`."""

    operator: Operator
    relay: LossyRelay
    url: str


@pytest.fixture
def remotes(
    tmp_path: Path, server_ledgers: PostgresqlLedgers, empty_ledger: EmptyLedger
) -> Iterator[Iterator[Remote]]:
    """Several operators, each with a separate project, ledger and relay.

    Their commands wait in parallel: a lost packet costs seconds.
    """
    with ExitStack() as ending:

        def make(number: int) -> Remote:
            simulator = ending.enter_context(Simulator(behavior=Behavior(job_polls=0)))
            relay = ending.enter_context(LossyRelay(server_ledgers.server.port))
            operator = Operator(tmp_path / f"remote-{number}", simulator)
            ending.callback(operator.end)
            operator.environment["PGPASSWORD"] = PASSWORD
            assert operator.connect().status == 0
            return Remote(operator, relay, behind(relay, server_ledgers, empty_ledger(number)))

        yield map(make, count())


def behind(relay: LossyRelay, ledgers: PostgresqlLedgers, url: str) -> str:
    """The address of a ledger through the relay."""
    return f"{url}&{SOON}".replace(f":{ledgers.server.port}/", f":{relay.port}/")


BUSY = (
    "is syncing this audience",
    "A request about them has no answer yet.",
    "busy. Everything before is kept",  # its transaction is still open on the server
)


def is_refused(ended: Ended) -> bool:
    """Whether a command did nothing because of the process that lost its server."""
    return any(reason in f"{ended.out}{ended.err}" for reason in BUSY)


class Group:
    """The users of one audience, an operator who syncs them, and commands with something to do."""

    def __init__(self, operator: Operator) -> None:
        self.operator = operator
        self.members: set[str] = set()
        self.to_add = 0  # users, if no one is added twice

    def enter(self, *users: str) -> Path:
        """A file of events by which users enter."""
        self.members.update(users)
        self.to_add += len(users)
        file = self.operator.home / f"events-{self.to_add}.ndjson"
        file.write_text(lines(*users))
        return file

    def work(self, name: str) -> tuple[str | Path, ...]:
        """A command with its arguments; by now it has something to do."""
        if name == "reconcile":
            drift(self.operator.simulator, out=tuple(FIRST[:BATCH]))
            self.to_add += BATCH
            return ("reconcile", "shoppers", "--apply", "both", "--yes")
        if name == "forget":
            return ("forget", self.members.pop(), "--yes")
        if name in {"import", "sync --yes --from"}:
            new = f"u{len(self.members)}"
            return (*name.split(), self.enter(*(f"{new}-{n}" for n in range(4 * BATCH))))
        return tuple(name.split())

    def until_done(self, *command: str | Path) -> None:
        """Repeat a command until the server has noticed that the former process is gone.

        Until then, that process may still be working, or its request may still be answered.
        """
        begun = monotonic()
        while (ended := self.operator.run(*command)).status:
            assert is_refused(ended), ended
            assert monotonic() - begun < PATIENCE

    def check(self) -> None:
        """The cohort is exact; at most the request that was not confirmed was sent again."""
        assert self.operator.cohort("shoppers") == self.members
        seen = [item for item in self.operator.simulator.requests if item.call is Call.MEMBERSHIP]
        assert {item.status for item in seen} == {200}, "two met"
        added = sum(item.count for item in seen if item.operation is Operation.ADD)
        assert added <= self.to_add + BATCH


def delivered_group(operator: Operator, url: str) -> Group:
    """A group whose first users are in the cohort."""
    operator.environment |= {"AMP_CONSOLE_LEDGER": url, "PGPASSWORD": PASSWORD}
    operator.limit(quiet_time=0, first_wait=0.05, first_batch=BATCH, largest_batch=BATCH)
    group = Group(operator)
    assert operator.run("sync", "--yes", "--from", group.enter(*FIRST)).status == 0
    return group


LOST = [
    ("import", 0.6),
    ("sync --yes --from", 0.5),
    ("sync --yes --from", 0.8),
    ("reconcile", 0.8),
    ("forget", 0.5),
    ("audiences", 0.5),
    ("ledger check", 0.8),
]
"""Commands, and the part of their traffic after which the rest is lost."""


def test_a_command_ends_in_a_sentence_and_is_exact_when_it_is_given_again(
    remotes: Iterator[Remote],
) -> None:
    started = []
    for (name, moment), (operator, relay, url) in zip(LOST, remotes, strict=False):
        group = delivered_group(operator, url)
        before = relay.passed
        assert operator.run(*group.work(name)).status == 0
        passed = relay.passed - before
        command = group.work(name)
        relay.lose_after(int(passed * moment))
        started.append((group, relay, command, operator.start(*command)))
    for _, relay, command, process in started:
        process.wait(BOUND)
        assert relay.is_lossy.is_set(), command
        relay.recover()
    for group, _, command, process in started:
        check_end(process)
        assert process.status == 4, (command, process.status, process.err)
        sentence = process.err.splitlines()[-1]
        assert sentence.startswith(("The ledger ", "The connection ")), (command, process.err)
        assert "Nothing was changed" not in sentence, (command, process.err)
        group.until_done(*command)
        group.until_done("sync", "--yes")
        group.check()


def test_watch_continues_once_the_network_is_back(remotes: Iterator[Remote]) -> None:
    started = []
    for moment, (operator, relay, url) in zip((0.3, 0.7), remotes, strict=False):
        group = delivered_group(operator, url)
        file = group.enter("live")
        process = operator.start("watch", file, *LIVE)
        process.wait_until(is_in(operator.simulator, *group.members))
        before = relay.passed
        append(file, group, "a")
        process.wait_until(is_in(operator.simulator, *group.members))
        relay.lose_after(int((relay.passed - before) * moment))
        append(file, group, "b")
        process.wait_until(relay.is_lossy.is_set)
        append(file, group, "c")
        started.append((group, relay, process))
    for _, relay, process in started:
        process.wait_until(partial(has_said, process, "ledger postgres on 127.0.0.1"))
        relay.recover()
    for group, _, process in started:
        process.wait_until(is_in(group.operator.simulator, *group.members))
        assert process.end() == 0, process.err
        check_end(process)
        group.check()


def has_said(process: Process, text: str) -> bool:
    return text in process.out + process.err


def append(file: Path, group: Group, name: str) -> None:
    users = [f"{name}-{n}" for n in range(4 * BATCH)]
    group.members.update(users)
    group.to_add += len(users)
    with file.open("a") as more:
        more.write(lines(*users))


def refused_while_lost(group: Group, relay: LossyRelay) -> list[httpx.Response]:
    """Post users to `listen` until all are in; meanwhile the server is lost for a time."""
    port = free_port()
    process = group.operator.start("listen", "--port", str(port), *LIVE)
    users = [f"posted-{n}" for n in range(30)]
    sender = Sender(port, users)
    process.wait_until(lambda: is_there(sender.client))
    relay.lose_after(len(users))  # each user takes at least a statement and its answer
    sender.start()
    process.wait_until(lambda: sender.refused)
    relay.recover()
    sender.join(PATIENCE)
    group.members.update(users)
    group.to_add += len(users)
    process.wait_until(is_in(group.operator.simulator, *group.members))
    assert process.end() == 0, process.err
    check_end(process)
    group.check()
    return sender.refused


def test_listen_accepts_nothing_that_it_cannot_keep(remotes: Iterator[Remote]) -> None:
    operator, relay, url = next(remotes)
    for answer in refused_while_lost(delivered_group(operator, url), relay):
        assert answer.status_code == 503
        assert "Nothing was saved: The" in answer.json()["error"]


def test_no_one_takes_over_before_the_former_process_has_stopped_sending(
    remotes: Iterator[Remote], server_ledgers: PostgresqlLedgers, tmp_path: Path
) -> None:
    operator, relay, url = next(remotes)
    group, simulator = delivered_group(operator, url), operator.simulator
    colleague = Operator(tmp_path / "colleague", simulator)
    port = server_ledgers.server.port
    colleague.environment |= {
        "AMP_CONSOLE_LEDGER": url.replace(f":{relay.port}/", f":{port}/"),
        "PGPASSWORD": PASSWORD,
    }
    assert colleague.connect().status == 0
    simulator.behavior = Behavior(latency=0.3)
    before = len(simulator.requests)
    process = operator.start(*group.work("sync --yes --from"))
    process.wait_until(lambda: len(simulator.requests) > before)
    relay.lose()
    while process.status is None:
        tried = colleague.run("sync", "--yes", "--wait", "0")
        assert is_refused(tried), tried
    assert process.status == 4, process.err
    relay.recover()
    group.until_done("sync", "--yes")
    group.check()


def test_a_move_that_loses_the_server_leaves_the_ledger_where_it_is(
    remotes: Iterator[Remote],
) -> None:
    started = []
    for moment, (operator, relay, url) in zip((0.3, 0.6), remotes, strict=False):
        text = lines(*FIRST).encode()
        assert operator.run("sync", "--yes", "--from", "-", stdin=text).status == 0
        before = relay.passed
        assert operator.run("ledger", "move", url, "--yes").status == 0
        assert operator.run("ledger", "move", "file", "--yes").status == 0
        passed = relay.passed - before
        relay.lose_after(int(passed / 2 * moment))
        process = operator.start("ledger", "move", url, "--yes")
        started.append((operator, relay, url, process))
    for operator, relay, _, process in started:
        process.wait(BOUND)
        assert relay.is_lossy.is_set()
        check_end(process)
        assert process.status == 4, process.err
        assert operator.run("sync", "--yes").status == 0
        relay.recover()
    for operator, _, url, _ in started:
        begun = monotonic()
        while (moved := operator.run("ledger", "move", url, "--yes")).status:
            assert "Another amp-console kept the ledger" in moved.err, moved
            assert monotonic() - begun < PATIENCE
        assert url in operator.run("ledger", "show").out
        assert operator.run("sync", "--yes").status == 0
        assert operator.cohort("shoppers") == set(FIRST)
