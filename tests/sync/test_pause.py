"""A run can be paused between two requests, resumed, and ended while it is paused."""

import asyncio

import pytest

from amp_console.ledger.runs import RunStatus
from amp_console.simulator import Answer, Call, Rule
from amp_console.sync.delivery.progress import RunSnapshot
from amp_console.sync.timing import Stop
from tests.sync.workspace import Workspace

pytestmark = pytest.mark.anyio


class Watcher:
    """Pauses a run at the first request for members, and records the snapshots."""

    def __init__(self) -> None:
        self.stop = Stop()
        self.seen: list[RunSnapshot] = []
        self.paused = asyncio.Event()

    def __call__(self, now: RunSnapshot) -> None:
        self.seen.append(now)
        state = now.audiences[0].state
        if state.startswith("adding") and len(self.seen) and not self.paused.is_set():
            self.stop.pause()
        if state == "paused":
            self.paused.set()


async def paused(workspace: Workspace) -> tuple[Watcher, "asyncio.Task[RunStatus]"]:
    workspace.limit(first_batch=5, largest_batch=5)
    workspace.show_every_step()
    workspace.enter("first")
    await workspace.sync()
    workspace.enter(*(f"u{n}" for n in range(40)))
    watcher = Watcher()

    async def run() -> RunStatus:
        return (await workspace.sync(stop=watcher.stop, observe=watcher)).status

    task = asyncio.create_task(run())
    await asyncio.wait_for(watcher.paused.wait(), 20)
    return watcher, task


def sent(workspace: Workspace) -> int:
    return sum(seen.call is Call.MEMBERSHIP for seen in workspace.simulator.requests)


async def test_nothing_is_sent_while_it_is_paused(workspace: Workspace) -> None:
    watcher, task = await paused(workspace)
    before = sent(workspace)
    await asyncio.wait([task], timeout=0.05)
    assert not task.done()
    assert sent(workspace) == before
    watcher.stop.resume()
    assert await task is RunStatus.DELIVERED
    assert len(workspace.cohort()) == 41


async def test_it_can_be_ended_while_it_is_paused(workspace: Workspace) -> None:
    watcher, task = await paused(workspace)
    watcher.stop.ask()
    assert await task is RunStatus.STOPPED
    left = workspace.plan().audiences[0].add
    assert left == 41 - len(workspace.cohort()) > 0
    assert (await workspace.sync()).status is RunStatus.DELIVERED


async def test_a_stopped_run_is_not_paused_any_more() -> None:
    stop = Stop()
    stop.ask()
    stop.pause()
    assert not stop.is_paused
    assert not await stop.wait_while_paused()


async def test_what_is_tried_again_is_shown(workspace: Workspace) -> None:
    watcher = Watcher()
    watcher.paused.set()
    workspace.show_every_step()
    workspace.enter(*(f"u{n}" for n in range(10)))
    await workspace.sync()
    workspace.enter("late", at=9)
    workspace.set_faults(Rule(Answer(500), frozenset({Call.MEMBERSHIP}), times=2))
    await workspace.sync(observe=watcher)
    assert [now.audiences[0].tries for now in watcher.seen if now.retrying == 1][-1] == 3
    assert {now.audiences[0].tries for now in watcher.seen} == {1, 2, 3}
    last = watcher.seen[-1]
    assert (last.retrying, last.is_over, last.counts.added, last.counts.retries) == (0, True, 1, 2)


async def test_a_run_that_is_cancelled_while_it_waits_says_so_and_has_sent_no_retry(
    workspace: Workspace,
) -> None:
    workspace.enter("u0")
    await workspace.sync()
    workspace.enter("u1", at=5)
    trouble = Answer(429, retry_after="600")
    workspace.set_faults(Rule(trouble, frozenset({Call.MEMBERSHIP}), times=1))
    stop = Stop()
    workspace.on_sleep(stop.ask)
    report = await workspace.sync(stop)
    counts = report.audiences[0].counts
    assert (counts.requests, counts.retries) == (1, 0)
    assert report.audiences[0].note.startswith("Stopped. Amplitude asked to wait until ")
