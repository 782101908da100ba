"""A run ends in one way for each audience, and as a whole as the worst of them."""

import pytest

from amp_console.ledger.counts import headcount, in_cohort
from amp_console.ledger.outcomes import audience_outcome, runs_of_audience, worst
from amp_console.ledger.run_log import run_reason
from amp_console.ledger.runs import AudienceCounts, RunKind, RunStatus, all_runs
from amp_console.simulator import RefuseIds, Rule
from tests.sync.workspace import Workspace, event

pytestmark = pytest.mark.anyio


def test_an_outcome_follows_from_what_is_left() -> None:
    none, stuck = AudienceCounts(), AudienceCounts(note="Link another cohort.", is_stuck=True)
    sync, live = RunKind.SYNC, RunKind.LIVE
    assert audience_outcome(sync, none) is RunStatus.DELIVERED
    assert audience_outcome(sync, none, rejected=3) is RunStatus.PARTIAL
    assert audience_outcome(sync, none, pending=1, rejected=3) is RunStatus.STOPPED
    assert audience_outcome(sync, stuck, pending=1) is RunStatus.STOPPED
    assert audience_outcome(live, stuck, pending=1) is RunStatus.PARTIAL
    assert audience_outcome(RunKind.COMPARE, none, pending=9, rejected=9) is RunStatus.DELIVERED
    assert audience_outcome(RunKind.COMPARE, none, differs=True) is RunStatus.PARTIAL


def test_the_worst_outcome_is_that_of_the_run() -> None:
    assert worst([]) is RunStatus.DELIVERED
    assert worst([], invalid=1) is RunStatus.PARTIAL
    assert worst([RunStatus.STOPPED, RunStatus.DELIVERED], invalid=1) is RunStatus.STOPPED


async def test_users_rejected_before_a_run_count_in_its_outcome_for_their_audience(
    workspace: Workspace,
) -> None:
    workspace.enter("u1", "ghost-1")
    workspace.read([event("v1", True, audience="others")])
    await workspace.sync()
    workspace.enter("u2")
    workspace.read([event("v2", True, audience="others")])
    await workspace.sync()
    newest = workspace.ledger.read(all_runs)[0]
    assert (newest.status, newest.rejected, newest.rejected_after) == (RunStatus.PARTIAL, 0, 1)
    assert run_reason(newest) == "1 rejected before it"
    assert [_newest(workspace, key) for key in ("shoppers", "others")] == [
        RunStatus.PARTIAL,
        RunStatus.DELIVERED,
    ]


async def test_a_comparison_that_explains_all_differences_is_the_same_everywhere(
    workspace: Workspace,
) -> None:
    workspace.enter("u1", "ghost-1")
    await workspace.sync()
    workspace.enter("u2")
    await workspace.compare()
    assert workspace.ledger.read(all_runs)[0].status is RunStatus.DELIVERED
    assert _newest(workspace, "shoppers") is RunStatus.DELIVERED


async def test_users_that_amplitude_refused_are_not_in_the_cohort(workspace: Workspace) -> None:
    workspace.enter("u1")
    await workspace.sync()
    workspace.set_faults(Rule(RefuseIds(frozenset({"u-bad"}), named=True)))
    workspace.enter("u2", "u-bad")
    await workspace.sync()
    known = workspace.audience()
    counted = workspace.ledger.read(headcount, known, 2**62)
    assert workspace.ledger.read(in_cohort, known) == counted.delivered == 2


def _newest(workspace: Workspace, key: str) -> RunStatus:
    return workspace.ledger.read(runs_of_audience, workspace.audience(key).id, 1)[0].status
