"""`errors --retry` in two processes at once, which share a ledger."""

import pytest

from amp_console.simulator import Behavior, Call, Simulator
from tests.cli.operator import Operator
from tests.cli.team import REFUSED_AT_ONCE, check_end
from tests.ledgers import EmptyLedger, postgresql_only
from tests.postgresql import PASSWORD
from tests.sync.workspace import lines

USERS = 20
ROUNDS = 4
SYNCING = "shoppers: Another amp-console (process "
PENDING = "shoppers: 20 changes pending. To deliver"  # the first one is about to take the lease


@pytest.fixture
def sharing(operator: Operator, empty_ledger: EmptyLedger) -> Operator:
    """An operator whose ledger others use, too."""
    operator.environment |= {"AMP_CONSOLE_LEDGER": empty_ledger(), "PGPASSWORD": PASSWORD}
    operator.limit(quiet_time=0, first_batch=5, largest_batch=5)
    assert operator.run("sync", "--yes", "--from", "-", stdin=lines("u1").encode()).status == 0
    return operator


def test_a_plan_that_has_to_be_confirmed_says_how(operator: Operator) -> None:
    assert operator.run("sync", "--yes", "--from", "-", stdin=lines("ghost-1").encode()).status == 1
    ended = operator.run("errors", "--retry")
    assert ended.status == 2
    assert "To confirm in advance, run amp-console sync --yes." in ended.err
    again = operator.run("errors", "--retry")
    assert "There are no rejected users to retry." in again.err
    assert "shoppers: 1 change pending. To deliver what is pending: amp-console sync" in again.err
    assert operator.run("sync", "--yes").status == 1


@postgresql_only
def test_the_same_users_are_retried_by_two_and_delivered_once(
    sharing: Operator, simulator: Simulator
) -> None:
    """The second one is told that they are pending, or who is delivering them."""
    told = 0
    for number in range(ROUNDS):
        users = [f"ghost-{number}-{n}" for n in range(USERS)]
        text = lines(*users, at=number)
        simulator.behavior = Behavior()
        assert sharing.run("sync", "--yes", "--from", "-", stdin=text.encode()).status == 1
        simulator.world.add_users(users)
        simulator.behavior = Behavior(latency=0.1)
        before = len(simulator.requests)
        both = [sharing.start("errors", "--retry") for _ in range(2)]
        for process in both:
            process.wait()
            check_end(process)
        told += sum(SYNCING in process.err or PENDING in process.err for process in both)
        statuses = sorted(process.status or 0 for process in both)
        assert statuses in ([0, 0], [0, 4]), [process.err for process in both]
        added = [item for item in simulator.requests[before:] if item.call is Call.MEMBERSHIP]
        assert sum(item.count for item in added) == USERS
        assert all(item.status != REFUSED_AT_ONCE for item in added)
        assert set(users) <= sharing.cohort("shoppers")
    assert told == ROUNDS
