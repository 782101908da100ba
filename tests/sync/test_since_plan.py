"""A run with more or fewer users than its plan says why, from the recorded counts."""

import msgspec
import pytest

from amp_console.cli.delivering import report_lines
from amp_console.cli.documents import sync_document
from amp_console.ledger.rejected import RejectedFilter
from amp_console.ledger.run_log import run_reason
from amp_console.ledger.runs import RunStatus, all_runs
from amp_console.ledger.since_plan import SincePlan, since_plan_of
from amp_console.ledger.sources import ReadCounts
from amp_console.simulator import Answer, Call, Rule
from amp_console.sync.delivery.plan import Plan
from amp_console.sync.delivery.progress import AudienceProgress
from amp_console.sync.delivery.retry import retry
from amp_console.sync.delivery.run import RunReport, deliver
from amp_console.sync.formatting import since_plan_text
from tests.sync.workspace import Workspace, event

pytestmark = [pytest.mark.anyio, pytest.mark.both_engines]


async def _deliver(workspace: Workspace, plan: Plan) -> RunReport:
    async with workspace.opened() as context:
        return await deliver(plan, context)


async def _run_of_a_plan(workspace: Workspace) -> Plan:
    """Deliver two users, and plan two more."""
    workspace.enter("u1", "ghost-1")
    await workspace.sync()
    workspace.enter("u2", "u3", at=5)
    return workspace.plan()


async def test_changes_that_arrive_after_a_plan_are_counted_and_kept(workspace: Workspace) -> None:
    plan = await _run_of_a_plan(workspace)
    workspace.enter("u4", "u5", "u6", at=10)
    workspace.leave("u2", at=11)
    report = await _deliver(workspace, plan)
    assert report.since_plan == SincePlan(planned=2, changes=4, elsewhere=0)
    assert report.users == 4
    assert workspace.ledger.read(since_plan_of, report.run_id) == report.since_plan


async def test_the_end_of_a_sync_says_so(workspace: Workspace) -> None:
    plan = await _run_of_a_plan(workspace)
    workspace.enter("u4", at=10)
    report = await _deliver(workspace, plan)
    lines = report_lines(report, ReadCounts(), has_commands=False)
    assert lines[-1] == ("1 more change than planned: it arrived after the plan was made.")
    document = sync_document(report, plan, ReadCounts())
    assert (document.planned, document.since_plan) == (2, lines[-1])


async def test_users_that_another_run_delivers_after_a_plan_are_counted(
    workspace: Workspace,
) -> None:
    plan = await _run_of_a_plan(workspace)
    await workspace.sync()
    report = await _deliver(workspace, plan)
    assert report.since_plan == SincePlan(planned=2, changes=0, elsewhere=2)
    assert report.users == 0


async def test_new_members_of_long_ago_are_counted_too(workspace: Workspace) -> None:
    plan = await _run_of_a_plan(workspace)
    workspace.read([{**event("u9", True), "timestamp": "2019-02-01T08:00:00Z"}])
    report = await _deliver(workspace, plan)
    assert report.since_plan == SincePlan(planned=2, changes=1, elsewhere=0)


async def test_a_retry_after_a_plan_is_no_change_that_arrived(workspace: Workspace) -> None:
    plan = await _run_of_a_plan(workspace)
    retry(workspace.ledger, workspace.connection, RejectedFilter())
    report = await _deliver(workspace, plan)
    assert report.since_plan == SincePlan(planned=2, changes=0, elsewhere=0)
    assert report.users == 3


async def test_of_a_run_without_a_plan_nothing_is_kept(workspace: Workspace) -> None:
    workspace.enter("u1")
    await workspace.sync()
    await workspace.compare()
    assert workspace.ledger.read(since_plan_of, 1) == SincePlan(1, 0, 0)
    assert workspace.ledger.read(since_plan_of, 2) is None


@pytest.mark.parametrize(
    ("since", "users", "text"),
    [
        (SincePlan(5, 9, 3), 5, ""),
        (
            SincePlan(425, 5, 0),
            430,
            "5 more changes than planned: they arrived after the plan was made.",
        ),
        (
            SincePlan(5, 1, 0),
            4,
            "1 fewer change than planned: 1 change arrived after the plan was made.",
        ),
        (
            SincePlan(425, 9, 0),
            430,
            (
                "5 more changes than planned: 9 changes arrived after the plan was made, "
                "some of them for users who were already pending."
            ),
        ),
        (
            SincePlan(20, 0, 20),
            0,
            (
                "20 fewer changes than planned: another run delivered 20 users after the plan was "
                "made."
            ),
        ),
        (
            SincePlan(20, 27, 1),
            27,
            (
                "7 more changes than planned: 27 changes arrived and another run "
                "delivered 1 user after the plan was made."
            ),
        ),
        (
            SincePlan(2, 0, 0),
            3,
            "1 more change than planned: the log says what has changed since the plan was made.",
        ),
    ],
)
def test_the_difference_is_one_sentence(since: SincePlan, users: int, text: str) -> None:
    assert since_plan_text(since, users) == text


async def test_what_arrives_during_a_run_is_counted_at_once(workspace: Workspace) -> None:
    workspace.enter("u0", "u1")
    await workspace.sync()
    workspace.leave("u0", at=5)
    workspace.enter("u2", "u3", at=5)
    workspace.show_every_step()
    workspace.set_faults(Rule(Answer(429), frozenset({Call.MEMBERSHIP}), times=2))
    seen: list[AudienceProgress] = []
    workspace.on_sleep(lambda: workspace.leave("u1", at=6))
    await workspace.sync(observe=lambda now: seen.append(now.audiences[0]))
    assert {now.planned for now in seen} == {3}
    assert (seen[0].total, seen[-1].total) == (3, 4)
    waiting = [now for now in seen if now.retrying]
    assert {now.retrying for now in waiting} == {1, 2}
    assert {now.total - now.done - now.retrying for now in waiting[-1:]} == {2}


async def test_changes_that_arrive_after_the_last_request_are_said_and_change_no_outcome(
    workspace: Workspace,
) -> None:
    report = await _deliver(workspace, await _run_of_a_plan(workspace))
    audience = report.audiences[0]
    left = msgspec.structs.replace(audience.left, remove=1)
    later = msgspec.structs.replace(audience, left=left)
    lines = report_lines(msgspec.structs.replace(report, audiences=(later,)), ReadCounts())
    assert any("delivered, except 1 rejected user, 1 change pending since" in at for at in lines)
    (newest, _) = workspace.ledger.read(all_runs)
    assert newest.status is RunStatus.DELIVERED
    arrived = msgspec.structs.replace(newest, pending=1)
    assert run_reason(arrived) == "1 pending since, 1 rejected earlier"
