"""A proxy in front of a ledger's server acknowledges every packet, but forwards nothing anymore.

No network timeout is reached: only someone who waits for an answer finds out.
"""

from collections.abc import Iterator

import pytest

from tests.cli.operator import Operator
from tests.cli.team import LIVE, check_end
from tests.cli.test_lost_packets import (
    BOUND,
    Group,
    append,
    behind,
    delivered_group,
    refused_while_lost,
)
from tests.cli.test_watch import is_in
from tests.ledgers import EmptyLedger, PostgresqlLedgers, postgresql_only
from tests.sync.relays import SwallowingRelay

pytestmark = postgresql_only


@pytest.fixture
def relay(server_ledgers: PostgresqlLedgers) -> Iterator[SwallowingRelay]:
    with SwallowingRelay(server_ledgers.server.port) as running:
        yield running


@pytest.fixture
def group(
    operator: Operator,
    relay: SwallowingRelay,
    server_ledgers: PostgresqlLedgers,
    empty_ledger: EmptyLedger,
) -> Group:
    return delivered_group(operator, behind(relay, server_ledgers, empty_ledger()))


def test_a_command_ends_in_a_sentence_and_is_exact_when_it_is_given_again(
    group: Group, relay: SwallowingRelay
) -> None:
    before = relay.passed
    assert group.operator.run(*group.work("sync --yes --from")).status == 0
    command = group.work("sync --yes --from")
    relay.lose_after(int((relay.passed - before) * 0.8))
    process = group.operator.start(*command)
    process.wait(BOUND)
    assert relay.is_lossy.is_set()
    check_end(process)
    assert process.status == 4, (process.status, process.err)
    assert process.err.splitlines()[-1].startswith(("The ledger ", "The connection "))
    relay.recover()
    group.until_done(*command)
    group.until_done("sync", "--yes")
    group.check()


@pytest.mark.parametrize("name", ["sync --yes --from", "reconcile"])
def test_a_process_is_in_no_one_s_way_although_the_proxy_keeps_its_connections(
    group: Group, relay: SwallowingRelay, name: str
) -> None:
    before = relay.passed
    assert group.operator.run(*group.work(name)).status == 0
    command = group.work(name)
    relay.takes_new = True
    relay.lose_after((relay.passed - before) // 2)
    process = group.operator.start(*command)
    process.wait(BOUND)
    assert relay.is_lossy.is_set()
    check_end(process)
    assert process.status in {0, 4}, (process.status, process.err)
    group.until_done(*command)
    group.until_done("sync", "--yes")
    group.check()


def test_watch_continues_although_the_proxy_keeps_its_connections(
    group: Group, relay: SwallowingRelay
) -> None:
    simulator = group.operator.simulator
    file = group.enter("live")
    process = group.operator.start("watch", file, *LIVE)
    process.wait_until(is_in(simulator, *group.members))
    relay.takes_new = True
    relay.lose()
    append(file, group, "a")
    process.wait_until(is_in(simulator, *group.members))
    assert process.end() == 0, process.err
    check_end(process)
    group.check()


def test_listen_accepts_nothing_that_it_cannot_keep(group: Group, relay: SwallowingRelay) -> None:
    assert {answer.status_code for answer in refused_while_lost(group, relay)} == {503}
