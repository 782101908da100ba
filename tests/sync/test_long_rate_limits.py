"""A wait of hours that Amplitude asks for is respected, by later runs too, but not forever."""

import dataclasses
from datetime import UTC, datetime

import pytest

from amp_console.ledger.rate_limits import forget_limits
from amp_console.ledger.runs import RunStatus
from amp_console.simulator import Answer, Call, Rule
from amp_console.sync.delivery.run import RunReport
from tests.sync.workspace import Workspace, event

pytestmark = pytest.mark.anyio

HOUR = 3_600_000_000
START = int(datetime(2026, 5, 3, 9, 15, tzinfo=UTC).timestamp()) * 1_000_000


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock(workspace: Workspace) -> Clock:
    clock = Clock()
    workspace.timing = dataclasses.replace(workspace.timing, now=clock)
    return clock


async def asked_to_wait(
    workspace: Workspace, seconds: str, call: Call = Call.MEMBERSHIP
) -> RunReport:
    """A run that meets a 429 for one call, once."""
    workspace.enter("u1")
    workspace.read([event("u1", True, audience="buyers")])
    workspace.set_faults(Rule(Answer(429, retry_after=seconds), frozenset({call}), times=1))
    return await workspace.sync()


def notes(report: RunReport) -> dict[str, str]:
    return {audience.audience.key: audience.note for audience in report.audiences if audience.note}


async def test_the_audience_says_until_when_and_the_others_are_delivered(
    workspace: Workspace, clock: Clock
) -> None:
    report = await asked_to_wait(workspace, "10800")
    assert report.status is RunStatus.STOPPED
    (note,) = notes(report).values()
    assert note == (
        "Amplitude asked to wait until 12:15:00 UTC. "
        "Nothing is sent until then; pending users stay pending."
    )
    assert sum(audience.left.pending for audience in report.audiences) == 1


async def test_the_next_run_asks_nothing_before_that_time(
    workspace: Workspace, clock: Clock
) -> None:
    held = notes(await asked_to_wait(workspace, "10800"))
    asked = len(workspace.simulator.requests)
    clock.now += 3 * HOUR - 1
    again = await workspace.sync()
    assert notes(again) == held
    assert len(workspace.simulator.requests) == asked
    clock.now += 1
    assert (await workspace.sync()).status is RunStatus.DELIVERED


async def test_an_operator_can_send_before_that_time(workspace: Workspace, clock: Clock) -> None:
    report = await asked_to_wait(workspace, "10800")
    workspace.ledger.write(forget_limits, [audience.audience.id for audience in report.audiences])
    assert (await workspace.sync()).status is RunStatus.DELIVERED


async def test_a_short_wait_that_was_waited_holds_nothing(
    workspace: Workspace, clock: Clock
) -> None:
    assert (await asked_to_wait(workspace, "30")).status is RunStatus.DELIVERED
    assert workspace.waits.seconds == [30.0]
    workspace.enter("u2", at=9)
    assert (await workspace.sync()).status is RunStatus.DELIVERED


async def test_a_wait_that_concerns_no_cohort_holds_every_audience(
    workspace: Workspace, clock: Clock
) -> None:
    workspace.limit(parallel_cohorts=1)
    report = await asked_to_wait(workspace, "10800", Call.UPLOAD)
    assert set(notes(report)) == {"shoppers", "buyers"}
    asked = len(workspace.simulator.requests)
    await workspace.sync()
    assert len(workspace.simulator.requests) == asked


async def test_a_wait_of_years_lasts_a_day(workspace: Workspace, clock: Clock) -> None:
    (note,) = notes(await asked_to_wait(workspace, "99999999")).values()
    assert "until 2026-05-04 09:15:00 UTC. It asked for longer, but no wait exceeds a day." in note
    clock.now += 24 * HOUR
    assert (await workspace.sync()).status is RunStatus.DELIVERED


@pytest.mark.parametrize("jump", [-365 * 24 * HOUR, -10 * HOUR, 365 * 24 * HOUR])
async def test_a_clock_that_jumps_locks_no_audience(
    workspace: Workspace, clock: Clock, jump: int
) -> None:
    await asked_to_wait(workspace, "10800")
    clock.now += jump
    assert (await workspace.sync()).status is RunStatus.DELIVERED


async def test_a_clock_that_is_corrected_ends_no_wait(workspace: Workspace, clock: Clock) -> None:
    held = notes(await asked_to_wait(workspace, "10800"))
    clock.now -= HOUR // 120
    assert notes(await workspace.sync()) == held


async def test_the_limits_on_downloads_hold_no_delivery(workspace: Workspace, clock: Clock) -> None:
    workspace.enter("u1")
    await workspace.sync()
    workspace.set_faults(Rule(Answer(429, retry_after="10800"), frozenset({Call.DOWNLOAD_START})))
    report = await workspace.compare_report()
    assert report.run.audiences[0].note
    workspace.enter("u2", at=9)
    assert (await workspace.sync()).status is RunStatus.DELIVERED


async def test_a_held_audience_is_compared_all_the_same(workspace: Workspace, clock: Clock) -> None:
    workspace.enter("u1")
    await workspace.sync()
    workspace.enter("u2", at=9)
    workspace.set_faults(Rule(Answer(429, retry_after="10800"), frozenset({Call.MEMBERSHIP})))
    await workspace.sync()
    workspace.set_faults()
    assert (await workspace.compare()).is_equal is not None
