"""A request changes a cohort or creates one; every number of requests counts the same ones."""

from collections.abc import Awaitable, Callable

import pytest

from amp_console.ledger import runs
from amp_console.ledger.requests import count_requests
from amp_console.simulator import Answer, Call, RefuseIds, Reset, Rule
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.delivery.progress import RunSnapshot
from amp_console.sync.delivery.run import RunReport
from amp_console.sync.reconcile.plan import plan_repair
from amp_console.sync.reconcile.repair import repair
from amp_console.values import IdType
from tests.sync.workspace import BOTH, Workspace, event

pytestmark = pytest.mark.anyio

Prepare = Callable[[Workspace], Awaitable[None]]
CHANGES = frozenset({Call.MEMBERSHIP, Call.UPLOAD})


def users(first: int, last: int) -> list[str]:
    return [f"u{number}" for number in range(first, last)]


def counts_of(workspace: Workspace, report: RunReport, last: RunSnapshot) -> set[int]:
    """Every count of the requests of a run: one number, where none contradicts another."""
    run = workspace.ledger.read(runs.run, report.run_id)
    assert run is not None
    by_audience = workspace.ledger.read(runs.run_audiences, report.run_id)
    for audience in by_audience:
        sent = workspace.ledger.read(count_requests, report.run_id, audience.audience_id)
        assert audience.counts.requests == sent
    return {
        last.counts.requests,
        sum(audience.counts.requests for audience in report.audiences),
        sum(audience.counts.requests for audience in by_audience),
        run.requests,
        workspace.ledger.read(count_requests, report.run_id),
    }


def served(workspace: Workspace) -> int:
    return sum(seen.call in CHANGES for seen in workspace.simulator.requests)


async def sync(workspace: Workspace) -> tuple[int, set[int]]:
    """Sync; return the plan's requests, and every count of the requests that were sent."""
    plan, before, seen = workspace.plan(), served(workspace), list[RunSnapshot]()
    report = await workspace.sync(observe=seen.append)
    answered = [audience.counts.added + audience.counts.rejected for audience in report.audiences]
    assert answered == [audience.add for audience in plan.audiences]
    return plan.requests, counts_of(workspace, report, seen[-1]) | {served(workspace) - before}


async def a_new_cohort(workspace: Workspace) -> None:
    workspace.enter(*users(0, 25))


async def two_new_cohorts(workspace: Workspace) -> None:
    workspace.enter(*users(0, 3))
    workspace.read(event(user, True, audience="buyers") for user in users(0, 30))


async def additions_after_removals(workspace: Workspace) -> None:
    workspace.enter(*users(0, 11))
    await workspace.sync()
    workspace.leave(*users(0, 5))
    workspace.enter(*users(20, 27))


async def removals_alone(workspace: Workspace) -> None:
    workspace.enter(*users(0, 11))
    await workspace.sync()
    workspace.leave(*users(0, 11))


async def nothing_pending(workspace: Workspace) -> None:
    workspace.enter(*users(0, 3))
    await workspace.sync()


async def an_empty_audience(workspace: Workspace) -> None:
    workspace.leave("u1")


async def an_empty_audience_by_amplitude_id(workspace: Workspace) -> None:
    workspace.leave("u1")
    workspace.change(SettingsChange(id_type=IdType.AMPLITUDE_ID))


async def only_rejected_members(workspace: Workspace) -> None:
    workspace.enter("ghost-1", "ghost-2")
    await workspace.sync()
    assert workspace.audience().cohort_id is None


async def another_id_type(workspace: Workspace) -> None:
    workspace.map_amplitude_ids()
    workspace.read(
        event(user, True, traits={"amplitude_id": str(1000 + at)})
        for at, user in enumerate(users(0, 9))
    )
    await workspace.sync()
    workspace.change(SettingsChange(id_type=IdType.AMPLITUDE_ID))


async def members_by_both_id_types(workspace: Workspace) -> None:
    """Back and forth in a cohort that others filled: who is in it by the other ID type?"""
    workspace.map_amplitude_ids()
    workspace.enter("u0")
    await workspace.sync()
    cohort_id = workspace.audience().cohort_id
    workspace.change(SettingsChange(unlink=True))
    workspace.change(SettingsChange(cohort_id=cohort_id))
    workspace.read(
        event(user, True, traits={"amplitude_id": str(1000 + at)})
        for at, user in enumerate(users(1, 9))
    )
    await workspace.sync()
    workspace.change(SettingsChange(id_type=IdType.AMPLITUDE_ID))
    workspace.change(SettingsChange(id_type=IdType.USER_ID))


PLANS = [
    a_new_cohort,
    two_new_cohorts,
    additions_after_removals,
    removals_alone,
    nothing_pending,
    an_empty_audience,
    an_empty_audience_by_amplitude_id,
    only_rejected_members,
    another_id_type,
    members_by_both_id_types,
]


@pytest.mark.parametrize("prepare", PLANS)
async def test_a_plan_counts_the_requests_that_the_run_sends_and_shows(
    workspace: Workspace, prepare: Prepare
) -> None:
    workspace.limit(first_batch=2, largest_batch=8)
    await prepare(workspace)
    planned, counted = await sync(workspace)
    assert counted == {planned}


async def differences(workspace: Workspace) -> None:
    workspace.enter(*users(0, 30))
    await workspace.sync()
    workspace.add_in_amplitude(*(f"other-{at}" for at in range(7)))
    workspace.remove_in_amplitude(*users(0, 5))


async def differences_by_both_id_types(workspace: Workspace) -> None:
    await another_id_type(workspace)
    workspace.add_in_amplitude(*(f"other-{at}" for at in range(7)))


@pytest.mark.parametrize("prepare", [differences, differences_by_both_id_types])
@pytest.mark.parametrize(("replace", "verify"), [(False, False), (False, True), (True, True)])
async def test_a_repair_sends_the_requests_its_plan_counts_and_a_comparison_none(
    workspace: Workspace, prepare: Prepare, replace: bool, verify: bool
) -> None:
    workspace.limit(first_batch=2, largest_batch=8)
    await prepare(workspace)
    compared = await workspace.compare_report()
    assert sum(audience.counts.requests for audience in compared.run.audiences) == 0
    assert workspace.ledger.read(count_requests, compared.run.run_id) == 0
    (comparison,) = compared.comparisons.values()
    plan = workspace.ledger.read(
        plan_repair, workspace.connection, comparison, BOTH, replace=replace
    )
    before, seen = served(workspace), list[RunSnapshot]()
    async with workspace.opened(observe=seen.append) as context:
        done = await repair([plan], context, verify=verify)
    counted = counts_of(workspace, done.run, seen[-1]) | {served(workspace) - before}
    assert plan.replace is replace
    assert counted == {plan.requests}


@pytest.mark.parametrize(
    "trouble",
    [
        Rule(RefuseIds(frozenset({"u3", "u9"})), CHANGES),
        Rule(RefuseIds(frozenset({"u3", "u9"}), named=True), CHANGES),
        Rule(Answer(500), CHANGES, every=3),
        Rule(Reset(), CHANGES, every=4),
    ],
)
async def test_whatever_goes_wrong_all_counts_are_those_of_the_requests_sent(
    workspace: Workspace, trouble: Rule
) -> None:
    workspace.limit(first_batch=2, largest_batch=8)
    workspace.enter(*users(0, 30))
    workspace.set_faults(trouble)
    _, counted = await sync(workspace)
    assert len(counted) == 1
