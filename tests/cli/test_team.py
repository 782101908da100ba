"""Several processes of a team on one ledger."""

import pytest

from amp_console.simulator import Behavior, Simulator
from tests.cli.operator import Operator
from tests.cli.team import Team
from tests.ledgers import EmptyLedger, postgresql_only
from tests.ports import free_port
from tests.postgresql import PASSWORD


@pytest.fixture
def team(operator: Operator, simulator: Simulator, empty_ledger: EmptyLedger) -> Team:
    url = empty_ledger()
    simulator.behavior = Behavior(latency=0.02)
    operator.environment |= {"AMP_CONSOLE_LEDGER": url, "PGPASSWORD": PASSWORD}
    operator.limit(quiet_time=1, first_wait=0.05)
    return Team(operator, url, free_port(), seed=1)


@postgresql_only
def test_any_of_four_processes_may_be_killed_at_any_moment(team: Team) -> None:
    """`tests/benchmarks/team.py` does it a hundred times."""
    for _ in range(6):
        team.keep_running()
        team.feed(5)
        team.kill_one()
    team.finish()
    team.check()
