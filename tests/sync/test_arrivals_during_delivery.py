"""Changes that arrive during a delivery wait for the next one, in either direction."""

import random
from collections.abc import Callable, Iterator, Sequence

import msgspec
import pytest

from amp_console.amplitude import MembersChanged
from amp_console.amplitude.client import AmplitudeClient
from amp_console.ledger.counts import outstanding
from amp_console.ledger.runs import RunKind, RunStatus
from amp_console.sync.delivery.pending import deliver_window
from amp_console.sync.delivery.progress import AudienceProgress
from amp_console.sync.delivery.run import deliver, open_run, take_turn
from amp_console.sync.delivery.worker import AudienceWorker
from amp_console.values import IdType, Operation
from tests.sync.workspace import Workspace

pytestmark = pytest.mark.anyio

MEMBERS = [f"u{n:02}" for n in range(30)]
NEW = [f"n{n:02}" for n in range(6)]
BATCH = 2


class BusyClient(AmplitudeClient):
    """Calls `arrive` during each request that changes members, and records what is sent."""

    def __init__(self, workspace: Workspace, arrive: Callable[[], object]) -> None:
        simulator = workspace.simulator
        super().__init__(simulator.base_url, simulator.credentials)
        self.sent: list[Operation] = []
        self._arrive = arrive

    async def change_members(
        self,
        cohort_id: str,
        id_type: IdType,
        operation: Operation,
        ids: msgspec.Raw | Sequence[str],
    ) -> MembersChanged:
        self.sent.append(operation)
        self._arrive()
        return await super().change_members(cohort_id, id_type, operation, ids)


async def prepare(workspace: Workspace) -> None:
    """Deliver `MEMBERS`; then make four removals and the additions of `NEW` pending."""
    workspace.enter(*MEMBERS)
    await workspace.sync()
    workspace.limit(first_batch=BATCH, largest_batch=BATCH)
    workspace.leave(*MEMBERS[:4], at=1)
    workspace.enter(*NEW, at=1)


def leavers(workspace: Workspace) -> Callable[[], None]:
    """Return a function that lets a batch of members leave, until ten members are left."""
    left = iter(range(4, 20, BATCH))

    def leave() -> None:
        for n in left:
            workspace.leave(*MEMBERS[n : n + BATCH], at=2)
            return

    return leave


async def test_removals_that_keep_arriving_do_not_hold_up_the_additions(
    workspace: Workspace,
) -> None:
    await prepare(workspace)
    client = BusyClient(workspace, leavers(workspace))
    async with client:
        report = await deliver(workspace.plan(), workspace.context(client))
    assert client.sent[:5] == [Operation.REMOVE] * 2 + [Operation.ADD] * 3
    assert report.status is RunStatus.DELIVERED
    assert workspace.cohort() == {*MEMBERS[20:], *NEW}


async def test_a_window_sends_what_was_pending_when_it_began(workspace: Workspace) -> None:
    await prepare(workspace)
    client = BusyClient(workspace, leavers(workspace))
    async with client, open_run(RunKind.LIVE, workspace.context(client)) as run:
        known = workspace.audience()
        run.progress.add(AudienceProgress(known.id, known.handle, known.name, 0))
        worker = AudienceWorker(run, known)
        await take_turn(worker, _window)
    assert client.sent == [Operation.REMOVE] * 2 + [Operation.ADD] * 3
    left = workspace.ledger.read(outstanding, workspace.audience())
    assert (left.add, left.remove) == (0, 5 * BATCH)


async def _window(worker: AudienceWorker) -> None:
    await deliver_window(worker)


@pytest.mark.parametrize("seed", range(6))
async def test_a_sync_ends_exact_whatever_arrives_meanwhile(
    workspace: Workspace, seed: int
) -> None:
    rng = random.Random(seed)
    await prepare(workspace)
    wanted = {*MEMBERS[4:], *NEW}

    def arrivals() -> Iterator[None]:
        for at in range(2, 12):
            for user in rng.sample([*MEMBERS, *NEW], 3):
                if rng.random() < 0.5:
                    workspace.enter(user, at=at)
                    wanted.add(user)
                else:
                    workspace.leave(user, at=at)
                    wanted.discard(user)
            yield

    arriving = arrivals()
    client = BusyClient(workspace, lambda: next(arriving, None))
    async with client:
        report = await deliver(workspace.plan(), workspace.context(client))
    assert report.status is RunStatus.DELIVERED
    assert workspace.cohort() == wanted


@pytest.mark.both_engines
async def test_who_is_skipped_and_has_left_meanwhile_is_neither_added_nor_rejected(
    workspace: Workspace,
) -> None:
    workspace.enter("first")
    await workspace.sync()
    workspace.enter("u1", "u2", "ghost-1", "ghost-2")
    client = BusyClient(workspace, lambda: workspace.leave("ghost-1"))
    async with client:
        report = await deliver(workspace.plan(), workspace.context(client))
    (counts,) = (audience.counts for audience in report.audiences)
    assert (counts.added, counts.rejected) == (2, 1)
