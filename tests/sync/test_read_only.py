"""Read-only is enforced below the front ends: nothing is sent, and nothing is set."""

import msgspec
import pytest

from amp_console.connections.read_only import ReadOnly
from amp_console.ledger.rejected import RejectedFilter
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.delivery.retry import retry, retry_these
from amp_console.values import IdType
from tests.sync.workspace import Workspace

pytestmark = pytest.mark.anyio


@pytest.fixture
async def closed(workspace: Workspace) -> Workspace:
    """One user is rejected and one pending; then the connection is made read-only."""
    workspace.enter("u1", "ghost-1")
    await workspace.sync()
    workspace.enter("u2", at=5)
    workspace.connection = msgspec.structs.replace(workspace.connection, read_only=True)
    return workspace


async def test_nothing_is_sent(closed: Workspace) -> None:
    before = len(closed.simulator.requests)
    with pytest.raises(ReadOnly, match="Nothing was sent"):
        await closed.sync()
    assert len(closed.simulator.requests) == before


async def test_nothing_is_set(closed: Workspace) -> None:
    before = closed.audience()
    with pytest.raises(ReadOnly, match="Nothing was changed"):
        closed.change(SettingsChange(enabled=False))
    assert closed.audience() == before


async def test_no_one_is_made_pending(closed: Workspace) -> None:
    audience_id = closed.audience().id
    with pytest.raises(ReadOnly):
        retry(closed.ledger, closed.connection, RejectedFilter())
    with pytest.raises(ReadOnly):
        retry_these(closed.ledger, closed.connection, [(audience_id, IdType.USER_ID, "ghost-1")])
    assert [item.id for item in closed.rejected()] == ["ghost-1"]


async def test_events_may_still_be_read(closed: Workspace) -> None:
    closed.enter("u3", at=6)
    assert closed.plan().audiences[0].add == 2
