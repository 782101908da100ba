"""The promise as a whole: 100,000 messy events end as exactly the truth, whatever happens.

A tenth of the events are quick flips, a hundredth come twice, some are late, some are broken; the
commands run as processes against the simulated Amplitude.
"""

import random
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
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

SCENARIO = Scenario(
    seed=7,
    events=100_000,
    users=40_000,
    audiences=(Audience.named("High value shoppers"), Audience.named("Newsletter")),
    ghosts=0.0005,
    broken=0.001,
)
LIMITS = "limits = { first_batch = 400, largest_batch = 1200, quiet_time = 0 }\n"
"""Small batches: about a hundred requests, so that every 19th says something."""
SMALLER_LIMITS = "limits = { first_batch = 100, largest_batch = 200, quiet_time = 0 }\n"
"""Hundreds of requests, so that there is work left after ten kills."""


class Stream(NamedTuple):
    file: Path
    truth: Truth


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Stream:
    file = tmp_path_factory.mktemp("stream") / "events.ndjson"
    return Stream(file, write_file(file, SCENARIO))


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    with Simulator() as simulator:
        operator = Operator(tmp_path, simulator)
        assert operator.connect().status == 0
        settings = tmp_path / "amp-console/config/config.toml"
        settings.write_text(settings.read_text() + LIMITS)
        yield operator


def check(operator: Operator, stream: Stream) -> None:
    """Every cohort is the truth, everybody else is listed, and nobody else was ever in."""
    rejected = operator.run("errors", "--json").document["rejected"]
    ghosts = set()
    world = operator.simulator.world
    assert len(world.cohorts()) == len(SCENARIO.audiences)
    for audience in SCENARIO.audiences:
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


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param([], id="a calm network"),
        pytest.param([Rule(Answer(429), every=19)], id="429 on every 19th request"),
        pytest.param(flaky(applied=False), id="5xx and resets before"),
        pytest.param(flaky(applied=True), id="5xx and resets after"),
    ],
)
def test_the_cohorts_end_as_the_truth(
    operator: Operator, stream: Stream, rules: list[Rule]
) -> None:
    operator.simulator.faults.set(rules)
    ended = operator.run("sync", "--from", stream.file, "--yes", "--json")
    assert ended.status == 1, ended.err
    events = ended.document["events"]
    truth = stream.truth
    assert events["read"] == SCENARIO.events
    assert events["changes"] == truth.changes
    assert events["filtered"] + events["invalid"] == truth.filtered + truth.invalid
    assert (ended.document["retries"] > 0) == bool(rules)
    check(operator, stream)


def test_killed_at_ten_random_moments_and_run_again(operator: Operator, stream: Stream) -> None:
    """Moments are counted in requests, so that a quick machine is killed as often as a slow one."""
    dice = random.Random(3)
    settings = operator.home / "amp-console/config/config.toml"
    settings.write_text(settings.read_text().replace(LIMITS, SMALLER_LIMITS))
    operator.simulator.faults.set(flaky(applied=True))
    served = []
    for moment in range(10):
        before = len(operator.simulator.requests)
        process = operator.start("sync", "--from", stream.file, "--yes")
        if moment % 5 == 0:
            kill_after_seconds(process, dice.uniform(0.1, 0.6))  # while it starts or reads
        else:
            kill_after_requests(process, operator.simulator, before + dice.randint(1, 8))
        served.append(len(operator.simulator.requests) - before)
        assert process.returncode == -signal.SIGKILL
    assert sum(map(bool, served)) >= 8
    operator.simulator.faults.clear()
    assert operator.run("sync", "--from", stream.file, "--yes").status == 1
    check(operator, stream)


def kill_after_seconds(process: subprocess.Popen[str], seconds: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.kill()
    process.communicate()


def kill_after_requests(
    process: subprocess.Popen[str], simulator: Simulator, requests: int
) -> None:
    """Kill a process once the simulator has served so many requests in all."""
    while process.poll() is None and len(simulator.requests) < requests:
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.002)
    process.kill()
    process.communicate()


def test_two_at_once_do_no_harm(operator: Operator, stream: Stream) -> None:
    processes = [operator.start("sync", "--from", stream.file, "--yes") for _ in range(2)]
    for process in processes:
        process.communicate()
    assert operator.run("sync").status == 1
    check(operator, stream)
    busy = [seen for seen in operator.simulator.requests if seen.status == 429]
    assert busy == []
    sent = sum(s.count for s in operator.simulator.requests if s.call is Call.MEMBERSHIP)
    wanted = sum(len(members) for members in stream.truth.members.values())
    assert sent <= wanted * 1.2  # but for those who flipped between two looks
