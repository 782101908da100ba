"""What a run left pending: whether it is settled now, and what keeps the next sync from it."""

import pytest

from amp_console.ledger.cohorts import COHORT_GONE
from amp_console.ledger.runs import RunAudience
from amp_console.simulator import Answer, Call, Simulator
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.queries.run_details import run_details
from tests.sync.workspace import Workspace

pytestmark = [pytest.mark.anyio, pytest.mark.both_engines]


def left_by(workspace: Workspace, run_id: int) -> RunAudience:
    """What a run left of its only audience."""
    details = workspace.ledger.read(run_details, run_id)
    assert details is not None
    (left,) = details.audiences
    assert left.pending
    return left


@pytest.fixture
async def failed(workspace: Workspace, simulator: Simulator) -> int:
    """A run that left a user pending, because Amplitude failed."""
    workspace.enter("u-1")
    await workspace.sync()
    workspace.enter("u-2", at=5)
    simulator.faults.add(Answer(500), Call.MEMBERSHIP)
    report = await workspace.sync()
    workspace.set_faults()
    return report.run_id


async def test_it_is_settled_once_a_later_run_left_nothing(
    workspace: Workspace, failed: int
) -> None:
    assert not left_by(workspace, failed).is_settled
    await workspace.sync()
    assert left_by(workspace, failed).is_settled
    workspace.enter("u-3", at=6)
    assert left_by(workspace, failed).is_settled


async def test_it_is_settled_if_nothing_is_pending_any_more(
    workspace: Workspace, simulator: Simulator
) -> None:
    workspace.enter("u-1")
    await workspace.sync()
    simulator.world.drop_cohort(str(workspace.audience().cohort_id))
    workspace.enter("u-2", at=5)
    run_id = (await workspace.sync()).run_id
    assert not left_by(workspace, run_id).is_settled
    workspace.leave("u-2", at=6)
    assert left_by(workspace, run_id).is_settled


async def test_a_comparison_settles_nothing(workspace: Workspace, failed: int) -> None:
    await workspace.compare()
    left = left_by(workspace, failed)
    assert (left.is_settled, left.obstacle) == (False, "")


async def test_a_later_run_that_could_not_send_it_says_what_is_in_the_way(
    workspace: Workspace, simulator: Simulator, failed: int
) -> None:
    simulator.world.drop_cohort(str(workspace.audience().cohort_id))
    runs = [failed, *[(await workspace.sync()).run_id for _ in range(2)]]
    for run_id in runs:
        left = left_by(workspace, run_id)
        assert not left.is_settled
        assert left.obstacle.startswith(COHORT_GONE)
    workspace.change(SettingsChange(unlink=True))
    for run_id in runs:
        left = left_by(workspace, run_id)
        assert (left.is_settled, left.obstacle) == (False, "")
    await workspace.sync()
    assert all(left_by(workspace, run_id).is_settled for run_id in runs)
