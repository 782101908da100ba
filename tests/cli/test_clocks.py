"""Machines whose clocks are hours apart share a ledger: the server's clock is used by all."""

import time
from datetime import timedelta

import pytest

from amp_console.ledger import Db, Ledger, open_ledger
from amp_console.simulator import Answer, Behavior, Call, Reset, Rule, Simulator
from amp_console.values import Secret, now_in_microseconds
from tests.cli.operator import Operator
from tests.cli.processes import Prepare
from tests.cli.team import REFUSED_AT_ONCE, check_end
from tests.ledgers import EmptyLedger, postgresql_only, tables
from tests.postgresql import PASSWORD
from tests.sync.workspace import lines

SYNCS = 3


class Shifted:
    """Makes a process believe that it is a different time."""

    def __init__(self, by: timedelta) -> None:
        self.by = by

    def __call__(self) -> None:
        time_ns, nanoseconds = time.time_ns, int(self.by.total_seconds()) * 10**9
        time.time_ns = lambda: time_ns() + nanoseconds


AHEAD, BEHIND = Shifted(timedelta(hours=5)), Shifted(timedelta(hours=-7))
CLOCKS: tuple[Prepare, ...] = (AHEAD, BEHIND)
MINUTE, DAY = 60_000_000, 86_400_000_000  # microseconds


@postgresql_only
def test_syncs_of_two_clocks_meet_nowhere_and_are_exact(
    operator: Operator, simulator: Simulator, empty_ledger: EmptyLedger
) -> None:
    operator.environment |= {"AMP_CONSOLE_LEDGER": empty_ledger(), "PGPASSWORD": PASSWORD}
    operator.limit(quiet_time=0, first_batch=5, largest_batch=5)
    simulator.behavior = Behavior(latency=0.05)
    users = []
    told = []
    for number in range(SYNCS):
        users += [f"u{number}-{n}" for n in range(20)]
        text = lines(*users, at=number).encode()
        both = [
            operator.start("sync", "--yes", "--wait", "0", "--from", "-", stdin=text, prepare=clock)
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


@pytest.mark.parametrize(("first", "second"), [(AHEAD, BEHIND), (BEHIND, AHEAD)])
@postgresql_only
def test_a_wait_that_amplitude_asked_one_machine_for_is_as_long_for_another(
    operator: Operator,
    simulator: Simulator,
    empty_ledger: EmptyLedger,
    first: Shifted,
    second: Shifted,
) -> None:
    operator.environment |= {"AMP_CONSOLE_LEDGER": empty_ledger(), "PGPASSWORD": PASSWORD}
    operator.limit(longest_wait=0)
    asks = Answer(429, retry_after="3600")
    simulator.faults.set([Rule(asks, frozenset({Call.MEMBERSHIP}), times=1)])
    text = lines("u1").encode()
    begun = operator.start("sync", "--yes", "--from", "-", stdin=text, prepare=first)
    assert begun.wait() == 4, begun.err
    sent = len(simulator.requests)
    waiting = operator.start("sync", "--yes", "--json", prepare=second)
    assert waiting.wait() == 4, waiting.err
    assert len(simulator.requests) == sent
    with opened(operator) as ledger:
        (until,) = ledger.read(lambda db: db.execute("SELECT until FROM hold").fetchone())
    assert abs(until - now_in_microseconds() - 60 * MINUTE) < 5 * MINUTE


@pytest.mark.parametrize("clock", CLOCKS)
@postgresql_only
def test_every_time_in_the_ledger_is_by_the_clock_of_its_server(
    operator: Operator, simulator: Simulator, empty_ledger: EmptyLedger, clock: Shifted
) -> None:
    operator.environment |= {"AMP_CONSOLE_LEDGER": empty_ledger(), "PGPASSWORD": PASSWORD}
    operator.limit(first_wait=0.01)
    lost = Reset(applied=True)
    simulator.faults.set([Rule(lost, frozenset({Call.MEMBERSHIP}), times=1)])
    commands = (
        ("sync", "--yes", "--from", "-"),
        ("audience", "shoppers", "--cohort-name", "Shoppers"),
        ("reconcile", "shoppers", "--apply", "both", "--yes"),
        ("forget", "u1", "--yes"),
        ("prune", "--older-than", "1d", "--yes"),
    )
    for command in commands:
        text = lines("u1", "u2", "u3", "ghost-1").encode()
        process = operator.start(*command, stdin=text, prepare=clock)
        process.wait()
        check_end(process)
    with opened(operator) as ledger:
        assert ledger.read(times_of_another_clock) == []


def opened(operator: Operator) -> Ledger:
    return open_ledger(
        operator.environment["AMP_CONSOLE_LEDGER"],
        password=Secret(operator.environment["PGPASSWORD"]),
    )


def times_of_another_clock(db: Db) -> list[tuple[str, int]]:
    """The columns with a time that is off by hours but not by days: events are months old."""
    now = now_in_microseconds()
    return [
        (f"{table}.{name}", value - now)
        for table in tables(db)
        for name, value in _numbers(db, table)
        if 60 * MINUTE < abs(value - now) < DAY
    ]


def _numbers(db: Db, table: str) -> list[tuple[str, int]]:
    names = db.execute(
        "SELECT attname::text FROM pg_attribute WHERE attrelid = ?::regclass AND attnum > 0 "
        "AND atttypid = 'bigint'::regtype",
        (table,),
    ).fetchall()
    return [
        (name, value)
        for (name,) in names
        for (value,) in db.execute(f'SELECT "{name}" FROM {table} WHERE "{name}" > 0').fetchall()
    ]
