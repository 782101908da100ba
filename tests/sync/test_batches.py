"""The next batch is opened while a request is under way, and withdrawn if that fails."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import pytest

from amp_console.amplitude import MembersChanged
from amp_console.amplitude.client import AmplitudeClient
from amp_console.ledger import Db
from amp_console.ledger.requests import RequestRecord, RequestState, requests_page
from amp_console.ledger.runs import RunStatus
from amp_console.simulator import Answer, Call, RefuseIds, Reset, Rule
from amp_console.sync.delivery.run import RunReport, deliver
from amp_console.sync.timing import Stop
from amp_console.values import IdType, Operation
from tests.sync.workspace import Workspace

pytestmark = [pytest.mark.anyio, pytest.mark.both_engines]

USERS = [f"u{n:02}" for n in range(12)]
BATCH = 4
PATIENCE = 20  # seconds; a batch that is not opened for so long fails the test


def open_requests(db: Db) -> int:
    row = db.execute("SELECT count(*) FROM request WHERE state = 'open'").fetchone()
    return int(row[0])


def states(db: Db) -> list[tuple[object, ...]]:
    """What the ledger knows of each member: where it is, and by which request."""
    rows = db.execute("SELECT id, delivered, request_id FROM member ORDER BY id").fetchall()
    return [tuple(row) for row in rows]


class ClientThatWaits(AmplitudeClient):
    """Sends a request only once the ledger has the batch after it, which then calls `after`."""

    def __init__(self, workspace: Workspace, ahead: Sequence[bool]) -> None:
        simulator = workspace.simulator
        super().__init__(simulator.base_url, simulator.credentials)
        self.after: Callable[[], Awaitable[object]] | None = None
        self._ledger = workspace.ledger
        self._ahead = iter(ahead)

    async def change_members(
        self,
        cohort_id: str,
        id_type: IdType,
        operation: Operation,
        ids: msgspec.Raw | Sequence[str],
    ) -> MembersChanged:
        if next(self._ahead, False):
            async with asyncio.timeout(PATIENCE):
                while await self._ledger.aread(open_requests) < 2:
                    pass
        if self.after is not None:
            await self.after()
        return await super().change_members(cohort_id, id_type, operation, ids)


async def prepare(workspace: Workspace) -> None:
    """Link a cohort; then make the additions of `USERS` pending, in batches."""
    workspace.enter("first")
    await workspace.sync()
    workspace.limit(first_batch=BATCH, largest_batch=BATCH)
    workspace.enter(*USERS, at=1)


async def sync(
    client: AmplitudeClient, workspace: Workspace, stop: Stop | None = None
) -> RunReport:
    async with client:
        return await deliver(workspace.plan(), workspace.context(client, stop))


def requests(workspace: Workspace, report: RunReport) -> list[RequestRecord]:
    return workspace.ledger.read(requests_page, report.run_id, 0, 100)[::-1]


async def test_the_next_batch_is_opened_while_a_request_is_under_way(workspace: Workspace) -> None:
    await prepare(workspace)
    report = await sync(ClientThatWaits(workspace, [True, True]), workspace)
    assert report.status is RunStatus.DELIVERED
    assert workspace.cohort() == {"first", *USERS}
    assert [found.size for found in requests(workspace, report)] == [BATCH] * 3


async def test_a_request_is_dated_when_it_is_sent_and_not_when_it_is_opened(
    workspace: Workspace,
) -> None:
    await prepare(workspace)
    found = requests(workspace, await sync(ClientThatWaits(workspace, [True, True]), workspace))
    for before, after in itertools.pairwise(found):
        assert before.settled_at is not None
        assert before.sent_at <= before.settled_at <= after.sent_at


@pytest.mark.parametrize(
    "trouble", [Answer(429), Reset(), Reset(applied=True), RefuseIds(frozenset({"u01"}))]
)
async def test_where_a_request_fails_the_next_batch_is_withdrawn_before_any_wait(
    workspace: Workspace, trouble: Answer | Reset | RefuseIds
) -> None:
    await prepare(workspace)
    before = {row[0]: row for row in workspace.ledger.read(states)}
    waiting: list[tuple[int, list[tuple[object, ...]]]] = []

    def note() -> None:
        waiting.append((workspace.ledger.read(open_requests), workspace.ledger.read(states)))

    workspace.on_sleep(note)
    times = None if isinstance(trouble, RefuseIds) else 1
    workspace.set_faults(Rule(trouble, calls=frozenset({Call.MEMBERSHIP}), times=times))
    report = await sync(ClientThatWaits(workspace, [True]), workspace)
    if isinstance(trouble, RefuseIds):
        assert report.status is RunStatus.PARTIAL
        assert workspace.cohort() == {"first", *USERS} - {"u01"}
        return
    assert report.status is RunStatus.DELIVERED
    assert workspace.cohort() == {"first", *USERS}
    (opened, known), *_ = waiting
    assert opened == 0
    assert [row for row in known if row[0] in USERS[BATCH:]] == [
        before[user] for user in USERS[BATCH:]
    ]


async def test_a_run_that_is_stopped_leaves_no_request_open(workspace: Workspace) -> None:
    await prepare(workspace)
    stop, client = Stop(), ClientThatWaits(workspace, [True])

    async def end() -> None:
        stop.ask()

    client.after = end
    report = await sync(client, workspace, stop)
    assert report.status is RunStatus.STOPPED
    assert workspace.ledger.read(open_requests) == 0
    assert [found.state for found in requests(workspace, report)] == [RequestState.CONFIRMED]
    assert report.audiences[0].left.add == len(USERS) - BATCH


async def test_refused_keys_leave_no_request_open(workspace: Workspace) -> None:
    await prepare(workspace)
    workspace.set_faults(Rule(Answer(403), calls=frozenset({Call.MEMBERSHIP})))
    report = await sync(ClientThatWaits(workspace, [True]), workspace)
    assert report.keys_refused
    assert workspace.ledger.read(open_requests) == 0
    assert report.audiences[0].left.add == len(USERS)


async def test_a_run_that_is_cancelled_leaves_its_users_to_the_next_one(
    workspace: Workspace,
) -> None:
    await prepare(workspace)
    client, reached = ClientThatWaits(workspace, [True]), asyncio.Event()

    async def hang() -> None:
        reached.set()
        await asyncio.Event().wait()

    client.after = hang
    dying = asyncio.create_task(sync(client, workspace))
    await asyncio.wait_for(reached.wait(), PATIENCE)
    assert workspace.ledger.read(open_requests) == 2
    dying.cancel()
    await asyncio.wait([dying])
    assert workspace.ledger.read(open_requests) == 1  # what may have been sent
    assert (await workspace.sync()).status is RunStatus.DELIVERED
    assert workspace.cohort() == {"first", *USERS}


async def test_who_leaves_after_the_batch_was_opened_is_removed(workspace: Workspace) -> None:
    await prepare(workspace)
    client = ClientThatWaits(workspace, [True])

    async def leave() -> None:
        client.after = None
        workspace.leave(USERS[BATCH], at=2)

    client.after = leave
    report = await sync(client, workspace)
    assert report.status is RunStatus.DELIVERED
    assert workspace.cohort() == {"first", *USERS} - {USERS[BATCH]}
