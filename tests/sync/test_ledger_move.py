"""A ledger with a full history moves to the other engine and back, and work continues there."""

from pathlib import Path

import pytest

from amp_console.ledger import Ledger, open_ledger
from amp_console.ledger.checkpoints import Checkpoint, keep_checkpoint
from amp_console.ledger.copying import TableSum, sums_of
from amp_console.ledger.moving import move_ledger
from amp_console.ledger.opening import database_at
from amp_console.ledger.overview import problems
from amp_console.simulator import Call, Late, Rule, Simulator
from amp_console.sync.forget import forget, plan_forget
from amp_console.values import now_in_microseconds
from tests.ledgers import PostgresqlLedgers
from tests.postgresql import PASSWORD
from tests.sync.workspace import Workspace, event

pytestmark = [pytest.mark.anyio, pytest.mark.both_engines]

USERS = ("u1", "u2", "ghost-1", "o'neill", "tab\there", "back\\slash", "\\N", "é😀", '"quoted"')
EXPECTED = {
    *("audience", "source", "member", "run", "run_audience", "request", "rejection", "comparison"),
    *("difference", "invalid_event", "invalid_reason", "filtered", "checkpoint", "log_entry"),
    *("download", "erasure", "forgotten", "forgotten_key", "late_effect", "erasure_identifier"),
}


@pytest.fixture
def elsewhere(
    engine: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """An empty place on the other engine."""
    if engine == "postgresql":
        return str(tmp_path / "elsewhere.db")
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    ledgers: PostgresqlLedgers = request.getfixturevalue("server_ledgers")
    return ledgers.empty(7)


async def make_history(workspace: Workspace) -> None:
    """Deliver, reject, compare, repair and forget; leave a request without an answer."""
    workspace.read(
        [
            *(event(user, True) for user in USERS),
            event("u2", True, audience="other"),
            {"type": "track", "event": "Order Completed", "userId": "u1"},
            event("a\0b", True),
        ]
    )
    await workspace.sync()
    workspace.remove_in_amplitude("u1")
    workspace.add_in_amplitude("stranger")
    compared = await workspace.compare()
    await workspace.apply(compared)
    workspace.remove_in_amplitude("u2")
    await workspace.compare()
    unanswered = Rule(Late(504), frozenset({Call.MEMBERSHIP}))
    for person, faults in (("u1", ()), ("o'neill", (unanswered,))):
        workspace.set_faults(*faults)
        async with workspace.opened() as context:
            plan = workspace.ledger.read(plan_forget, [person])
            await forget(plan, workspace.connection, workspace.ledger, context)
    workspace.set_faults()
    checkpoint = Checkpoint("file:/events/é.ndjson", '{"offset": 9007199254740993}')
    workspace.ledger.write(keep_checkpoint, checkpoint)
    workspace.leave("u2", at=5)


def move(ledger: Ledger, url: str) -> list[TableSum]:
    return move_ledger(
        ledger, lambda: database_at(url), now_in_microseconds(), lambda _: None
    ).tables


async def test_a_whole_history_is_the_same_there_and_back(
    workspace: Workspace, elsewhere: str
) -> None:
    await make_history(workspace)
    old = workspace.ledger
    before = old.read(sums_of)
    assert EXPECTED - {item.table for item in before if item.rows} == set()
    assert move(old, elsewhere) == before
    with open_ledger(elsewhere) as there:
        assert there.read(sums_of) == before
        assert there.read(problems) == []
        assert move(there, old.url) == before
    with open_ledger(old.url) as back:
        assert back.read(sums_of) == before


async def test_what_is_pending_is_delivered_from_there(
    workspace: Workspace, elsewhere: str, simulator: Simulator
) -> None:
    await make_history(workspace)
    planned = workspace.plan()
    move(workspace.ledger, elsewhere)
    with open_ledger(elsewhere) as there:
        workspace.ledger = there
        assert workspace.plan() == planned
        workspace.enter("afterwards", at=9)
        await workspace.sync()
        assert "afterwards" in workspace.cohort()
        assert "u2" not in workspace.cohort()
        assert there.read(problems) == []
