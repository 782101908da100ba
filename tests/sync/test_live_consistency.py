"""No number of a live session contradicts another, from its first event to its place in history."""

import asyncio
import dataclasses
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from amp_console.amplitude import MembersChanged
from amp_console.amplitude.client import AmplitudeClient
from amp_console.engage import read_stream
from amp_console.ledger.counts import outstanding
from amp_console.ledger.outcomes import NO_COHORT, runs_of_audience
from amp_console.ledger.runs import (
    RunKind,
    RunStatus,
    all_runs,
    begin_run,
    live_audiences,
    run_audiences,
)
from amp_console.ledger.sources import ReadCounts, read_before_sync
from amp_console.simulator import RefuseIds, Rule
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.ingest.stream import StreamIngestor
from amp_console.sync.live.options import LiveOptions
from amp_console.sync.live.progress import LivePhase, LiveSnapshot, WaitReason, pending_by_audience
from amp_console.sync.live.session import LiveSession
from amp_console.sync.sources.protocols import Sink, SourceStatus
from amp_console.values import IdType, Operation
from tests.sync.test_live import Session, all_of, is_in, until, with_windows
from tests.sync.workspace import Workspace, event, lines, ndjson

pytestmark = pytest.mark.anyio

NO_NEW_COHORTS = LiveOptions(flush_seconds=0.05)


def agrees(now: LiveSnapshot) -> None:
    """Every figure of a session as a whole is the sum of its audiences' figures."""
    rows = now.audiences
    assert now.queue + now.waiting == sum(row.queue for row in rows)
    assert now.waiting == sum(row.queue for row in rows if row.phase is LivePhase.WAITING)
    assert now.live == {row.audience_id for row in rows if row.phase is LivePhase.LIVE}
    assert now.counts.added == sum(row.counts.added for row in rows)
    assert now.counts.rejected == sum(row.counts.rejected for row in rows)
    assert all(not row.state for row in rows if row.phase is LivePhase.LIVE)
    counts = now.counts
    done = counts.added + counts.removed + counts.rejected
    pending = now.queue + now.waiting
    assert now.pending_before + now.arrived == done + pending + now.dropped
    assert all(row.state for row in rows if row.phase in {LivePhase.WAITING, LivePhase.DELAYED})


async def test_head_and_rows_agree_from_arrival_to_end(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.enter("u0")
    await workspace.sync()
    workspace.simulator.faults.set([Rule(RefuseIds(frozenset({"u-bad"}), named=True))])
    async with Session(workspace, tmp_path, NO_NEW_COHORTS) as session:
        live = session.live
        assert live is not None
        session.write(lines("u1", "u2"))
        await until(is_in(workspace, "u0", "u1", "u2"))
        await until(lambda: session.now().queue == 0)
        live.pause(workspace.audience().id)
        session.write(lines("u3", "u-bad"))
        await until(lambda: session.now().waiting == 2)
        assert (session.now().lag, session.now().live) == (0.0, frozenset())
        session.write(lines("w1", "w2", "w3", key="waiters"))
        await until(lambda: session.now().waiting == 5)
        live.resume(workspace.audience().id)
        await until(lambda: session.now().counts.rejected == 1)
        await until(lambda: session.now().waiting == 3 and session.now().queue == 0)
        agrees(session.now())
        report = await session.end()
    for snapshot in [*session.seen, report.last]:
        agrees(snapshot)
    last = report.last
    sums = [(seen.arrived, seen.dropped) for seen in [*session.seen, last]]
    assert sums == sorted(sums)
    assert (last.pending_before, last.arrived) == (0, 7)
    assert last.is_over
    assert {audience.phase for audience in last.audiences} == {LivePhase.ENDED, LivePhase.WAITING}
    assert {audience.key: audience.state for audience in last.audiences if audience.queue} == {
        "waiters": NO_COHORT
    }
    left = [workspace.ledger.read(outstanding, known) for known in all_of(workspace)]
    assert last.queue + last.waiting == sum(audience.pending for audience in left) == 3
    assert report.pending == 0


async def test_a_session_follows_every_audience_and_its_run_names_them(
    workspace: Workspace, tmp_path: Path
) -> None:
    for key in ("calm", "shoppers"):
        workspace.read([event("u0", True, audience=key)])
    await workspace.sync()
    workspace.read([event("u0", True, audience="off")])
    workspace.change(SettingsChange(enabled=False), "off")
    ids = {key: workspace.audience(key).id for key in ("calm", "shoppers", "off")}
    async with Session(workspace, tmp_path, NO_NEW_COHORTS) as session:
        live, ledger = session.live, workspace.ledger
        assert live is not None
        assert session.now().live == {ids["calm"], ids["shoppers"]}
        assert ledger.read(live_audiences).keys() == session.now().live
        session.write(lines("u1"))
        await until(is_in(workspace, "u0", "u1"))
        await until(lambda: session.now().queue == 0)
        workspace.change(SettingsChange(enabled=False), "calm")
        live.recheck(ids["calm"])
        await until(lambda: session.now().live == {ids["shoppers"]})
        assert ledger.read(live_audiences).keys() == session.now().live
        agrees(session.now())
        report = await session.end()
    phases = {audience.key: audience.phase for audience in report.last.audiences}
    assert phases["calm"] is LivePhase.ENDED
    run = workspace.ledger.read(all_runs)[0]
    recorded = {item.key for item in workspace.ledger.read(run_audiences, run.id)}
    assert recorded == {"shoppers", "off", "calm"}


async def test_a_sync_does_not_count_again_what_a_session_has_read(
    workspace: Workspace, tmp_path: Path
) -> None:
    read = workspace.ledger.read
    workspace.enter("u0", "u1")
    assert read(read_before_sync).read == 2
    await workspace.sync()
    assert read(read_before_sync).read == 0
    workspace.enter("u2")
    async with Session(workspace, tmp_path, NO_NEW_COHORTS) as session:
        session.write(lines("u3", "u4"))
        await until(is_in(workspace, "u0", "u1", "u2", "u3", "u4"))
        assert read(read_before_sync).read == 0  # the session under way delivers it
    assert read(all_runs)[0].tally.read == 2
    assert read(read_before_sync).read == 0
    workspace.enter("u5", "u6", "u7")
    await workspace.compare()
    assert read(read_before_sync).read == 3  # a comparison delivers nothing


async def test_what_is_read_after_a_session_that_died_counts(workspace: Workspace) -> None:
    ledger = workspace.ledger
    with ledger.hold_run() as lock:
        run_id = ledger.write(begin_run, ReadCounts(), workspace.timing.now(), lock, RunKind.LIVE)
    workspace.enter("u0")
    assert ledger.dead_runs() == {run_id}
    assert ledger.read(read_before_sync, ledger.dead_runs()).read == 1


async def test_events_that_repeat_what_is_delivered_do_not_wait(
    workspace: Workspace, tmp_path: Path
) -> None:
    """Files that are read again carry many events, and hardly anything is pending."""
    async with Session(workspace, tmp_path, NO_NEW_COHORTS) as session:
        for at in range(4):
            session.write(lines("w1", "w2", at=at))
        await until(lambda: [audience.state for audience in session.now().audiences] == [NO_COHORT])
        await until(lambda: session.now().waiting == 2)


async def test_a_session_keeps_every_audience_that_it_followed(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.enter("u0")
    workspace.read([event(user, True, audience="others") for user in ("v1", "ghost-1")])
    await workspace.sync()
    async with Session(workspace, tmp_path, NO_NEW_COHORTS) as session:
        session.write(lines("u1"))
        await until(lambda: session.now().tally.read == 1)
    run = workspace.ledger.read(all_runs)[0]
    assert [item.key for item in workspace.ledger.read(run_audiences, run.id)] == [
        "others",
        "shoppers",
    ]
    assert (run.status, run.rejected_earlier, run.pending) == (RunStatus.DELIVERED, 1, 0)


@pytest.mark.parametrize(
    ("events", "status", "pending"),
    [
        ([event("u1", True)], RunStatus.DELIVERED, 0),
        ([event("ghost-1", True)], RunStatus.PARTIAL, 0),
        ([event("u1", True), {"type": "identify"}, 17], RunStatus.PARTIAL, 0),
        ([event("u1", True), event("w1", True, audience="waiters")], RunStatus.STOPPED, 1),
    ],
    ids=["delivered", "rejected", "invalid", "waiting for a cohort"],
)
async def test_the_history_says_how_a_session_ended_as_for_a_sync(
    workspace: Workspace, tmp_path: Path, events: list[object], status: RunStatus, pending: int
) -> None:
    workspace.enter("u0")
    await workspace.sync()
    async with Session(workspace, tmp_path, NO_NEW_COHORTS) as session:
        session.write(ndjson(events))
        await until(lambda: session.now().tally.read == len(events))
    run = workspace.ledger.read(all_runs)[0]
    assert run.status is status
    kept = workspace.ledger.read(run_audiences, run.id)
    assert sum(audience.pending or 0 for audience in kept) == pending
    assert {audience.counts.note for audience in kept if audience.pending} == (
        {NO_COHORT} if pending else set()
    )
    if pending:  # nothing was sent for it: it was in no run
        waiting = workspace.audience("waiters")
        assert waiting.last_sync_at is None
        assert workspace.ledger.read(runs_of_audience, waiting.id, 1) == []


async def test_a_broken_link_is_not_lag_and_is_forgotten_once_it_is_fixed(
    workspace: Workspace, tmp_path: Path
) -> None:
    async with Session(workspace, tmp_path) as session:
        session.write(lines("u1"))
        await until(is_in(workspace, "u1"))
        await until(lambda: session.now().queue == 0)
        world = workspace.simulator.world
        world.drop_cohort(world.cohort_named("shoppers").id)
        session.write(lines("u2", at=1))
        await until(lambda: [e.phase for e in session.now().audiences] == [LivePhase.WAITING])
        assert session.now().lag == 0.0
        workspace.change(SettingsChange(unlink=True))
        assert session.live is not None
        session.live.recheck(workspace.audience().id)
        await until(is_in(workspace, "u1", "u2"))
        await until(lambda: [e.phase for e in session.now().audiences] == [LivePhase.LIVE])
        assert not session.now().audiences[0].counts.is_stuck


async def test_a_broken_link_is_never_lag_while_it_is_tried_again(
    workspace: Workspace, tmp_path: Path
) -> None:
    """During each try, nothing is known to be wrong."""
    workspace.enter("u0")
    await workspace.sync()
    workspace.simulator.world.drop_cohort(workspace.simulator.world.cohort_named("shoppers").id)
    async with Session(workspace, tmp_path) as session:
        session.write(lines("u1", at=1))
        await until(lambda: [e.phase for e in session.now().audiences] == [LivePhase.WAITING])
        for _ in range(2_000):
            await asyncio.sleep(0)
            now = session.now()
            assert [item.waits_for for item in now.audiences] == [WaitReason.BROKEN]
            assert (now.lag, now.queue, now.waiting) == (0.0, 0, 1)
        report = await session.end()
    assert (report.status, report.pending, report.last.waiting) == (RunStatus.STOPPED, 0, 1)
    assert pending_by_audience(report.last.audiences) == ["“shoppers” 1 (broken link)"]


class HeldSource:
    """Hands the session what it has ingested only once it is released."""

    def __init__(self, ingestor: StreamIngestor, text: str) -> None:
        self._ingestor, self._text = ingestor, text
        self.is_ingested = asyncio.Event()
        self.is_released = asyncio.Event()

    def status(self) -> tuple[SourceStatus, ...]:
        return ()

    async def follow(self, sink: Sink) -> None:
        source_id = self._ingestor.begin("held")
        stream = io.BytesIO(self._text.encode())
        batches = read_stream(stream, "held", self._ingestor.options)
        result = self._ingestor.ingest(source_id, batches)
        self.is_ingested.set()
        await self.is_released.wait()
        await sink.arrived(result)
        await sink.ending.wait()


async def test_a_count_between_an_arrival_and_the_news_of_it_counts_nothing_twice(
    workspace: Workspace,
) -> None:
    workspace.enter("u1", "u2")  # pending before the session
    ingestor = StreamIngestor(workspace.ledger, workspace.read_options())
    source = HeldSource(ingestor, lines("u2", "u3", at=1))
    options = LiveOptions(flush_seconds=0.05, snapshot_seconds=0.01)
    async with workspace.client() as client:
        live = LiveSession(workspace.context(client), options)
        task = asyncio.create_task(live.run(source))
        await source.is_ingested.wait()
        live.catch_up_soon()
        await until(lambda: live.snapshot().waiting == 3)  # the one that has not been told of, too
        source.is_released.set()
        await until(lambda: live.snapshot().tally.read == 2)
        for _ in range(50):
            await asyncio.sleep(0)
            assert live.snapshot().waiting == 3
        live.end()
        await task


class ImportingClient(AmplitudeClient):
    """Another process imports while the first change is under way."""

    imports: Callable[[], object] | None = None

    async def change_members(
        self,
        cohort_id: str,
        id_type: IdType,
        operation: Operation,
        ids: msgspec.Raw | Sequence[str],
    ) -> MembersChanged:
        call, self.imports = self.imports, None
        if call is not None:
            call()
        return await super().change_members(cohort_id, id_type, operation, ids)


async def test_what_others_import_during_the_last_delivery_is_delivered_too(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.enter("u0")
    await workspace.sync()
    with_windows(workspace)
    client = ImportingClient(workspace.simulator.base_url, workspace.simulator.credentials)
    options = LiveOptions(flush_seconds=3_600)
    async with Session(workspace, tmp_path, options, client) as session:
        session.write(lines("u1", at=1))
        await until(lambda: session.now().queue == 1)
        client.imports = lambda: workspace.enter("u2")
        report = await session.end()
    assert (report.status, report.pending) == (RunStatus.DELIVERED, 0)
    assert workspace.cohort() == {"u0", "u1", "u2"}


async def test_time_spent_waiting_for_the_operator_is_no_lag(
    workspace: Workspace, tmp_path: Path
) -> None:
    """An hour's pause must not raise an alarm once it ends."""
    workspace.enter("u0")
    await workspace.sync()
    with_windows(workspace)
    clock = [0.0]
    workspace.timing = dataclasses.replace(workspace.timing, monotonic=lambda: clock[0])
    async with Session(workspace, tmp_path, LiveOptions(flush_seconds=1.0)) as session:
        assert session.live is not None
        session.live.pause()
        session.write(lines("u1", at=1))
        await until(lambda: session.now().tally.read == 1)
        clock[0] = 3_600.0
        session.live.resume()
        assert session.now().lag == 0.0
