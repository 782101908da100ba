"""A request changes a cohort or creates one; every number of requests counts the same ones."""

from collections.abc import Awaitable, Callable

import pytest

from amp_console.ledger import runs
from amp_console.ledger.requests import count_requests
from amp_console.simulator import Answer, Call, RefuseIds, Reset, Rule
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.delivery.progress import RunSnapshot
from amp_console.sync.delivery.run import RunReport
from amp_console.sync.reconcile.plan import plan_reconcile
from amp_console.sync.reconcile.repair import reconcile
from amp_console.values import IdType
from tests.sync.office import BOTH, Office, event

pytestmark = pytest.mark.anyio

Prepare = Callable[[Office], Awaitable[None]]
CHANGES = frozenset({Call.MEMBERSHIP, Call.UPLOAD})


def users(first: int, last: int) -> list[str]:
    return [f"u{number}" for number in range(first, last)]


def counts_of(office: Office, report: RunReport, last: RunSnapshot) -> set[int]:
    """Every count of the requests of a run: one number, where none contradicts another."""
    run = office.ledger.read(runs.run, report.run_id)
    assert run is not None
    by_audience = office.ledger.read(runs.run_audiences, report.run_id)
    for item in by_audience:
        sent = office.ledger.read(count_requests, report.run_id, item.audience_id)
        assert item.counts.requests == sent
    return {
        last.counts.requests,
        sum(audience.counts.requests for audience in report.audiences),
        sum(item.counts.requests for item in by_audience),
        run.requests,
        office.ledger.read(count_requests, report.run_id),
    }


def served(office: Office) -> int:
    return sum(seen.call in CHANGES for seen in office.simulator.requests)


async def sync(office: Office) -> tuple[int, set[int]]:
    """Sync; return the plan's requests, and every count of the requests that were sent."""
    plan, before, seen = office.plan(), served(office), list[RunSnapshot]()
    report = await office.sync(observe=seen.append)
    answered = [audience.counts.added + audience.counts.rejected for audience in report.audiences]
    assert answered == [audience.add for audience in plan.audiences]
    return plan.requests, counts_of(office, report, seen[-1]) | {served(office) - before}


async def a_new_cohort(office: Office) -> None:
    office.enter(*users(0, 25))


async def two_new_cohorts(office: Office) -> None:
    office.enter(*users(0, 3))
    office.read(event(user, True, audience="buyers") for user in users(0, 30))


async def additions_after_removals(office: Office) -> None:
    office.enter(*users(0, 11))
    await office.sync()
    office.leave(*users(0, 5))
    office.enter(*users(20, 27))


async def removals_alone(office: Office) -> None:
    office.enter(*users(0, 11))
    await office.sync()
    office.leave(*users(0, 11))


async def nothing_pending(office: Office) -> None:
    office.enter(*users(0, 3))
    await office.sync()


async def an_empty_audience(office: Office) -> None:
    office.leave("u1")


async def an_empty_audience_by_amplitude_id(office: Office) -> None:
    office.leave("u1")
    office.change(SettingsChange(id_type=IdType.AMPLITUDE_ID))


async def only_rejected_members(office: Office) -> None:
    office.enter("ghost-1", "ghost-2")
    await office.sync()
    assert office.audience().cohort_id is None


async def another_id_type(office: Office) -> None:
    office.map_amplitude_ids()
    office.read(
        event(user, True, traits={"amplitude_id": str(1000 + at)})
        for at, user in enumerate(users(0, 9))
    )
    await office.sync()
    office.change(SettingsChange(id_type=IdType.AMPLITUDE_ID))


async def members_by_both_id_types(office: Office) -> None:
    """There and back in a cohort that others filled: who is in it by the other ID type?"""
    office.map_amplitude_ids()
    office.enter("u0")
    await office.sync()
    cohort_id = office.audience().cohort_id
    office.change(SettingsChange(unlink=True))
    office.change(SettingsChange(cohort_id=cohort_id))
    office.read(
        event(user, True, traits={"amplitude_id": str(1000 + at)})
        for at, user in enumerate(users(1, 9))
    )
    await office.sync()
    office.change(SettingsChange(id_type=IdType.AMPLITUDE_ID))
    office.change(SettingsChange(id_type=IdType.USER_ID))


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
    office: Office, prepare: Prepare
) -> None:
    office.limit(first_batch=2, largest_batch=8)
    await prepare(office)
    planned, counted = await sync(office)
    assert counted == {planned}


async def differences(office: Office) -> None:
    office.enter(*users(0, 30))
    await office.sync()
    office.put_in(*(f"other-{at}" for at in range(7)))
    office.take_out(*users(0, 5))


async def differences_by_both_id_types(office: Office) -> None:
    await another_id_type(office)
    office.put_in(*(f"other-{at}" for at in range(7)))


@pytest.mark.parametrize("prepare", [differences, differences_by_both_id_types])
@pytest.mark.parametrize(("replace", "verify"), [(False, False), (False, True), (True, True)])
async def test_a_repair_sends_the_requests_its_plan_counts_and_a_comparison_none(
    office: Office, prepare: Prepare, replace: bool, verify: bool
) -> None:
    office.limit(first_batch=2, largest_batch=8)
    await prepare(office)
    compared = await office.compare_report()
    assert sum(audience.counts.requests for audience in compared.run.audiences) == 0
    assert office.ledger.read(count_requests, compared.run.run_id) == 0
    (comparison,) = compared.comparisons.values()
    plan = office.ledger.write(plan_reconcile, office.connection, comparison, BOTH, replace=replace)
    before, seen = served(office), list[RunSnapshot]()
    async with office.means(observe=seen.append) as means:
        done = await reconcile([plan], means, verify=verify)
    counted = counts_of(office, done.run, seen[-1]) | {served(office) - before}
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
    office: Office, trouble: Rule
) -> None:
    office.limit(first_batch=2, largest_batch=8)
    office.enter(*users(0, 30))
    office.trouble(trouble)
    _, counted = await sync(office)
    assert len(counted) == 1
