"""The overall promise: 100,000 messy events end as exactly the truth, whatever happens.

A tenth of the events are quick flips, a hundredth come twice, some are late, some are broken; the
commands run as processes against the simulated Amplitude.
"""

import random
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from amp_console.simulator import (
    Answer,
    Audience,
    Call,
    Cut,
    Reset,
    Rule,
    Scenario,
    Simulator,
    Truth,
    write_file,
)
from tests.cli.operator import Operator

AUDIENCES = (Audience.named("High value shoppers"), Audience.named("Newsletter"))
LARGE = Scenario(
    seed=7, events=100_000, users=40_000, audiences=AUDIENCES, ghosts=0.0005, broken=0.001
)
SMALL = Scenario(
    seed=7, events=20_000, users=8_000, audiences=AUDIENCES, ghosts=0.0025, broken=0.001
)


class Stream(NamedTuple):
    """A file of events, their truth, and batches that make a hundred requests or more.

    Fewer would show little if every 19th fails, or leave no work after ten kills.
    """

    file: Path
    truth: Truth
    first_batch: int
    largest_batch: int


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Stream:
    file = tmp_path_factory.mktemp("stream") / "events.ndjson"
    return Stream(file, write_file(file, LARGE), first_batch=400, largest_batch=1200)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Stream:
    file = tmp_path_factory.mktemp("stream") / "events.ndjson"
    return Stream(file, write_file(file, SMALL), first_batch=40, largest_batch=80)


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    with Simulator() as simulator:
        operator = Operator(tmp_path, simulator)
        assert operator.connect().status == 0
        yield operator
        operator.end()


def sync(operator: Operator, stream: Stream, rules: Sequence[Rule] = ()) -> None:
    """Sync with these faults, and check everything."""
    set_limits(operator, stream)
    operator.simulator.faults.set(rules)
    ended = operator.run("sync", "--from", stream.file, "--yes", "--json")
    assert ended.status == 1, ended.err
    events = ended.document["events"]
    truth = stream.truth
    assert events["valid"] == truth.changes
    assert events["filtered"] + events["invalid"] == truth.filtered + truth.invalid
    assert events["read"] == truth.changes + truth.filtered + truth.invalid
    assert (ended.document["retries"] > 0) == bool(rules)
    check(operator, stream)


def set_limits(operator: Operator, stream: Stream) -> None:
    operator.limit(
        first_batch=stream.first_batch,
        largest_batch=stream.largest_batch,
        first_wait=0.001,
        quiet_time=0,
    )


def check(operator: Operator, stream: Stream) -> None:
    """Every cohort is the truth, every other user is listed, and no one else was ever in."""
    rejected = operator.run("errors", "--json").document["rejected"]
    ghosts = set()
    world = operator.simulator.world
    assert len(world.cohorts()) == len(AUDIENCES)
    for audience in AUDIENCES:
        told = stream.truth.members[audience.key]
        unknown = {user for user in told if user.startswith("ghost-")}
        ghosts |= {(audience.key, user) for user in unknown}
        cohort = world.cohort_named(audience.key)
        assert world.members(cohort.id) == told - unknown
    assert {(user["audience"], user["id"]) for user in rejected} == ghosts
    assert ghosts
    for audience in operator.run("audiences", "--json").document:
        assert (audience["pending_add"], audience["pending_remove"]) == (0, 0)


def flaky(*, applied: bool) -> list[Rule]:
    """5xx, and connections that break before or after the change was applied."""
    return [
        Rule(Answer(500), every=11),
        Rule(Answer(502, html=True), every=17),
        Rule(Reset(applied=applied), every=13),
        Rule(Cut(), every=23),
    ]


def test_the_cohorts_end_as_the_truth(operator: Operator, large: Stream) -> None:
    sync(operator, large, flaky(applied=True))


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param([], id="a calm network"),
        pytest.param([Rule(Answer(429), every=19)], id="429 on every 19th request"),
        pytest.param(flaky(applied=False), id="5xx and resets before"),
    ],
)
def test_fewer_events_end_as_the_truth(
    operator: Operator, small: Stream, rules: list[Rule]
) -> None:
    sync(operator, small, rules)


def test_killed_at_ten_random_moments_and_run_again(operator: Operator, small: Stream) -> None:
    """Kills are timed by requests, so that a fast machine is killed as often as a slow one."""
    dice = random.Random(3)
    set_limits(operator, small)
    operator.simulator.faults.set(flaky(applied=True))
    served = []
    for moment in range(10):
        before = len(operator.simulator.requests)
        process = operator.start("sync", "--from", small.file, "--yes")
        if moment % 5 == 0:
            # While it starts or reads, or at its first request.
            process.kill_after_requests(operator.simulator, before + 1, dice.uniform(0.01, 0.4))
        else:
            process.kill_after_requests(operator.simulator, before + dice.randint(1, 8))
        served.append(len(operator.simulator.requests) - before)
        assert process.status == -signal.SIGKILL
    assert sum(map(bool, served)) >= 8
    operator.simulator.faults.clear()
    assert operator.run("sync", "--from", small.file, "--yes").status == 1
    check(operator, small)


def test_two_at_once_do_no_harm(operator: Operator, small: Stream) -> None:
    set_limits(operator, small)
    processes = [operator.start("sync", "--from", small.file, "--yes") for _ in range(2)]
    for process in processes:
        process.wait()
    assert operator.run("sync").status == 1
    check(operator, small)
    busy = [seen for seen in operator.simulator.requests if seen.status == 429]
    assert busy == []
    sent = sum(s.count for s in operator.simulator.requests if s.call is Call.MEMBERSHIP)
    wanted = sum(len(members) for members in small.truth.members.values())
    assert sent <= wanted * 1.2  # except for those who flipped in between
