"""Machines whose clocks are hours apart share a ledger: who holds what is the server's matter."""

import time
from datetime import timedelta

from amp_console.simulator import Behaviour, Call, Simulator
from tests.cli.operator import Operator
from tests.cli.processes import Prepare
from tests.cli.team import REFUSED_AT_ONCE, check_end
from tests.cli.test_watch import lines
from tests.ledgers import EmptyLedger, postgresql_only
from tests.postgresql import PASSWORD

SYNCS = 3


class Shifted:
    """Lets a process believe that it is another time."""

    def __init__(self, by: timedelta) -> None:
        self.by = by

    def __call__(self) -> None:
        time_ns, nanoseconds = time.time_ns, int(self.by.total_seconds()) * 10**9
        time.time_ns = lambda: time_ns() + nanoseconds


CLOCKS: tuple[Prepare, ...] = (Shifted(timedelta(hours=5)), Shifted(timedelta(hours=-7)))


@postgresql_only
def test_syncs_of_two_clocks_meet_nowhere_and_are_exact(
    operator: Operator, simulator: Simulator, empty_ledger: EmptyLedger
) -> None:
    operator.environment |= {"AMP_CONSOLE_LEDGER": empty_ledger(), "PGPASSWORD": PASSWORD}
    operator.limit(quiet_time=0, first_batch=5, largest_batch=5)
    simulator.behaviour = Behaviour(latency=0.05)
    users = []
    told = []
    for number in range(SYNCS):
        users += [f"u{number}-{n}" for n in range(20)]
        text = lines(*users, at=number).encode()
        both = [
            operator.start("sync", "--yes", "--from", "-", stdin=text, prepare=clock)
            for clock in CLOCKS
        ]
        for process in both:
            process.wait()
            check_end(process)
        told += [process.err + process.out for process in both]
    last = operator.run("sync", "--yes")
    assert last.status == 0, last
    assert operator.cohort("shoppers") == set(users)
    sent = [item for item in simulator.requests if item.call is Call.MEMBERSHIP]
    assert all(item.status != REFUSED_AT_ONCE for item in sent)
    assert sum(item.count for item in sent) == len(users)
    assert any("is syncing this audience" in words for words in told)
