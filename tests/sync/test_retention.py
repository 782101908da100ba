"""The history is kept as long as the connection says; what runs changed is kept as counts."""

from pathlib import Path

import msgspec
import pytest

from amp_console.ledger.comparisons import Comparison
from amp_console.ledger.event_log import LogEntry, LogFilter, LogKind, add_log_entry, log_page
from amp_console.ledger.pruning import EarlierRuns, Pruned, earlier_runs
from amp_console.ledger.rejected import rejected_users, retry_users
from amp_console.ledger.runs import all_runs
from amp_console.sync.delivery.plan import plan_sync
from amp_console.sync.delivery.retention import prune_history
from amp_console.sync.delivery.run import deliver
from amp_console.sync.live.options import LiveOptions
from amp_console.sync.queries.person import explain_person
from amp_console.values import IdType
from tests.ledgers import sqlite_only
from tests.sync.test_live import Session, until
from tests.sync.workspace import Clock, Workspace, event

pytestmark = [pytest.mark.anyio, pytest.mark.both_engines]

DAY = 86_400.0


def count(workspace: Workspace, table: str) -> int:
    return int(
        workspace.ledger.read(lambda db: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    )


def ids(workspace: Workspace, table: str, column: str = "id") -> set[int]:
    rows = workspace.ledger.read(lambda db: db.execute(f"SELECT {column} FROM {table}").fetchall())
    return {int(id_) for (id_,) in rows}


def request_of(workspace: Workspace, user: str) -> int:
    query = "SELECT request_id FROM member WHERE id = ?"
    return int(workspace.ledger.read(lambda db: db.execute(query, (user,)).fetchone()[0]))


async def prune(workspace: Workspace, days: int = 90) -> Pruned:
    return await prune_history(workspace.ledger, days, workspace.timing.now())


async def test_old_runs_go_and_what_they_changed_stays_as_counts(
    workspace: Workspace, clock: Clock
) -> None:
    workspace.enter("u1", "u2", "u3")
    await workspace.sync()
    workspace.leave("u3", at=1)
    await workspace.sync()
    workspace.enter("u3", at=2)
    await workspace.sync()
    clock.advance(100 * DAY)
    workspace.leave("u1", "u2", "u3", at=3)
    await workspace.sync()
    before = workspace.plan()
    pruned = await prune(workspace)
    assert pruned.runs == 3
    assert [run.id for run in workspace.ledger.read(all_runs)] == [4]
    earlier = workspace.ledger.read(earlier_runs)
    assert isinstance(earlier, EarlierRuns)
    assert (earlier.added, earlier.removed) == (4, 1)
    assert workspace.plan() == before
    assert count(workspace, "run_audience") == 1


async def test_what_explains_someone_is_kept_however_old_it_is(
    workspace: Workspace, clock: Clock
) -> None:
    workspace.enter("u1", "ghost-1")
    await workspace.sync()
    for at in range(1, 4):
        (workspace.leave if at % 2 else workspace.enter)("u2", at=at)
        await workspace.sync()
    said = [workspace.ledger.read(explain_person, id_) for id_ in ("u1", "u2", "ghost-1")]
    rejected = workspace.ledger.read(rejected_users)
    clock.advance(100 * DAY)
    await prune(workspace)
    assert [workspace.ledger.read(explain_person, id_) for id_ in ("u1", "u2", "ghost-1")] == said
    assert workspace.ledger.read(rejected_users) == rejected


async def test_old_comparisons_go_with_the_people_in_them(
    workspace: Workspace, clock: Clock
) -> None:
    workspace.enter("u1")
    await workspace.sync()
    workspace.simulator.world.add_user("stranger")
    workspace.add_in_amplitude("stranger")
    assert isinstance(await workspace.compare(), Comparison)
    clock.advance(100 * DAY)
    assert (await prune(workspace)).comparisons == 1
    assert count(workspace, "difference") == 0


@sqlite_only
async def test_old_log_entries_and_backups_go_and_the_newest_backup_stays(
    workspace: Workspace, clock: Clock
) -> None:
    workspace.enter("u1")
    await workspace.sync()
    backups = workspace.ledger.backups
    assert backups is not None
    for _ in range(3):
        backups.make("daily", clock.now)
        clock.advance(2 * DAY)
    clock.advance(100 * DAY)
    assert (await prune(workspace)).backups == 2
    assert len(backups.all()) == 1
    (entry,) = workspace.ledger.read(
        log_page, LogFilter(since=0, kinds=(LogKind.PRUNE, LogKind.SYNC))
    )
    assert entry.kind is LogKind.PRUNE


async def test_a_run_prunes_once_a_day_where_the_connection_says_so(
    workspace: Workspace, clock: Clock
) -> None:
    async def sync_twice() -> None:
        for at in (1, 2):
            now = round(clock.now / 1_000_000) % 1_000
            (workspace.enter if at == 1 else workspace.leave)("u1", at=now * 3 + at)
            await workspace.sync()
            clock.advance(1)

    await sync_twice()
    clock.advance(100 * DAY)
    await sync_twice()
    assert len(workspace.ledger.read(all_runs)) == 4
    workspace.connection = msgspec.structs.replace(workspace.connection, keep_history=90)
    await workspace.sync()
    kept = [run.id for run in workspace.ledger.read(all_runs)]
    assert 1 not in kept
    assert {4, 5} <= {*kept}
    old = LogEntry(1, LogKind.MESSAGE, "An old entry.")
    workspace.ledger.write(add_log_entry, old)
    messages = LogFilter(kinds=(LogKind.MESSAGE,))
    await workspace.sync()
    assert len(workspace.ledger.read(log_page, messages)) == 1
    clock.advance(DAY)
    await workspace.sync()
    assert workspace.ledger.read(log_page, messages) == []


async def test_the_newest_run_of_an_audience_is_kept_although_it_sent_nothing(
    workspace: Workspace, clock: Clock
) -> None:
    workspace.enter("u1")
    workspace.read([event("u2", True, audience="buyers")])
    await workspace.sync()
    await workspace.sync()
    shoppers = [workspace.audience()]
    plan = workspace.ledger.read(plan_sync, workspace.connection, shoppers, clock.now)
    async with workspace.opened() as context:
        await deliver(plan, context)
    clock.advance(100 * DAY)
    assert (await prune(workspace)).runs == 0
    assert [run.id for run in workspace.ledger.read(all_runs)] == [3, 2, 1]


async def test_the_request_that_rejected_someone_is_kept_when_its_own_users_were_sent_again(
    workspace: Workspace, clock: Clock
) -> None:
    """If Amplitude knows no one, the last upload also rejects the users of the others."""
    ghosts = [f"ghost-{number}" for number in range(30)]
    workspace.enter(*ghosts)
    await workspace.sync()
    (cause,) = {user.request_id for user in workspace.rejected()}
    last = [id_ for id_ in ghosts if request_of(workspace, id_) == cause]
    assert 0 < len(last) < len(ghosts)
    audience_id = workspace.audience().id
    workspace.ledger.write(retry_users, [(audience_id, IdType.USER_ID, id_) for id_ in last])
    await workspace.sync()
    assert cause not in {request_of(workspace, id_) for id_ in ghosts}
    clock.advance(100 * DAY)
    await prune(workspace)
    causes = {user.request_id for user in workspace.rejected()}
    assert cause in causes
    assert causes <= ids(workspace, "request")


async def test_the_newest_run_of_a_kind_is_kept_although_it_was_for_no_audience(
    workspace: Workspace, clock: Clock
) -> None:
    plan = workspace.ledger.read(plan_sync, workspace.connection, [], clock.now)
    async with workspace.opened() as context:
        await deliver(plan, context)
        await deliver(plan, context)
    clock.advance(100 * DAY)
    await prune(workspace)
    assert ids(workspace, "run") == {2}


async def test_the_checked_size_goes_with_its_repair(workspace: Workspace, clock: Clock) -> None:
    workspace.enter("u1", "u2")
    await workspace.sync()
    workspace.remove_in_amplitude("u1")
    await workspace.apply(await workspace.compare(), verify=False)
    workspace.leave("u1", at=2)
    for at in (3, 4):
        await workspace.apply(await workspace.compare(), verify=False)
        workspace.enter("u1", at=at)
        await workspace.sync()
        workspace.remove_in_amplitude("u1")
        clock.advance(DAY)
    assert count(workspace, "size_check") == 3
    clock.advance(100 * DAY)
    await prune(workspace)
    assert ids(workspace, "size_check", "run_id") <= ids(workspace, "run")


async def test_a_run_under_way_is_kept_with_its_requests(
    workspace: Workspace, clock: Clock
) -> None:
    workspace.enter("u1")
    await workspace.sync()
    workspace.ledger.write(
        lambda db: db.execute("UPDATE run SET status = 'running', ended_at = NULL, started_at = 1")
    )
    clock.advance(100 * DAY)
    assert (await prune(workspace)).requests == 0
    assert len(workspace.ledger.read(all_runs)) == 1


async def test_a_live_session_of_weeks_prunes_the_history_of_others(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.ledger.write(add_log_entry, LogEntry(1, LogKind.MESSAGE, "An old entry."))
    workspace.connection = msgspec.structs.replace(workspace.connection, keep_history=90)
    options = LiveOptions(flush_seconds=0.05, snapshot_seconds=0.01, forget_every=1)
    messages = LogFilter(kinds=(LogKind.MESSAGE,))
    async with Session(workspace, tmp_path, options):
        await until(lambda: not workspace.ledger.read(log_page, messages))
