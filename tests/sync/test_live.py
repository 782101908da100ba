"""A live session over the simulated Amplitude: cohorts follow, whatever the network does."""

import asyncio
import dataclasses
import gzip
import io
import json
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from time import monotonic

import msgspec
import pytest

from amp_console.amplitude import MembersChanged
from amp_console.amplitude.client import AmplitudeClient
from amp_console.connections.read_only import ReadOnly
from amp_console.engage import EventBatch
from amp_console.engage.lines import BOM, LINE_LIMIT
from amp_console.ledger.audiences import Audience, all_audiences
from amp_console.ledger.checkpoints import Checkpoint
from amp_console.ledger.counts import outstanding
from amp_console.ledger.outcomes import LARGE_REMOVAL, NO_COHORT, PAUSED, waits_for
from amp_console.ledger.requests import count_requests
from amp_console.ledger.runs import RunKind, RunStatus, all_runs, run_audiences
from amp_console.simulator import Answer, Behavior, Body, Call, Reset, Rule, Simulator
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.ingest.stream import IngestResult, StreamIngestor
from amp_console.sync.live.options import LiveOptions
from amp_console.sync.live.progress import (
    LivePhase,
    LiveReport,
    LiveSnapshot,
    WaitReason,
    pending_by_audience,
)
from amp_console.sync.live.session import LiveSession
from amp_console.sync.sources.protocols import EventStream, Sink
from amp_console.sync.sources.streams import FollowOptions, PathStream, PipeStream
from amp_console.sync.sources.watcher import PathWatcher
from amp_console.sync.timing import Timing
from amp_console.values import IdType, Operation
from tests.ledgers import fail, fail_no_more
from tests.sync.workspace import Workspace, event, lines

pytestmark = pytest.mark.anyio

USERS = [f"u{n:02}" for n in range(20)]
QUICK = LiveOptions(flush_seconds=0.05, create=True)
IMPATIENT = FollowOptions(poll_interval=0.02, folder_interval=0.2, retry_interval=0.01)
PATIENCE = 20.0  # seconds; a condition that is not met by then never will be


async def until(condition: Callable[[], object]) -> None:
    begun = monotonic()
    while not condition():
        assert monotonic() - begun < PATIENCE, "it never came about"
        await asyncio.sleep(0.005)


class StartedSource(PathStream):
    """Paths that are followed; `started` is set when that begins."""

    def __init__(self, watching: PathWatcher, started: asyncio.Event) -> None:
        super().__init__(watching, IMPATIENT)
        self._started = started

    async def follow(self, sink: Sink) -> None:
        self._started.set()
        await super().follow(sink)


class Session:
    """A live session that follows one file."""

    def __init__(
        self,
        workspace: Workspace,
        folder: Path,
        options: LiveOptions = QUICK,
        client: AmplitudeClient | None = None,
    ) -> None:
        self.workspace = workspace
        self.client = client or workspace.client()
        self.file = folder / "live.ndjson"
        self.seen: list[LiveSnapshot] = []
        self.options = options
        self.live: LiveSession | None = None
        self._task: asyncio.Task[LiveReport] | None = None

    def write(self, text: str) -> None:
        with self.file.open("a") as file:
            file.write(text)

    async def __aenter__(self) -> "Session":
        self.file.touch()
        started = asyncio.Event()
        self._task = asyncio.create_task(self._run(started))
        await started.wait()
        return self

    async def _run(self, started: asyncio.Event) -> LiveReport:
        workspace = self.workspace
        ingestor = StreamIngestor(workspace.ledger, workspace.read_options())
        watching = PathWatcher(ingestor, [self.file])

        async with self.client as client:
            self.live = LiveSession(workspace.context(client), self.options, self.seen.append)
            try:
                return await self.live.run(StartedSource(watching, started))
            finally:
                started.set()

    async def end(self) -> LiveReport:
        assert self._task is not None
        if self.live is not None:
            self.live.end()
        return await self._task

    async def ended(self) -> LiveReport:
        """Wait until the session ends without being asked to."""
        assert self._task is not None
        return await asyncio.wait_for(self._task, PATIENCE)

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None and not self._task.done():
            await self.end()

    def now(self) -> LiveSnapshot:
        assert self.live is not None
        return self.live.snapshot()


def is_in(workspace: Workspace, *users: str, key: str = "shoppers") -> Callable[[], bool]:
    def check() -> bool:
        world = workspace.simulator.world
        cohorts = [cohort for cohort in world.cohorts() if cohort.name == key]
        return bool(cohorts) and world.members(cohorts[0].id) == set(users)

    return check


async def test_people_enter_and_leave_during_a_session(
    workspace: Workspace, tmp_path: Path
) -> None:
    async with Session(workspace, tmp_path) as session:
        session.write(lines("u1", "u2"))
        # The upload alone makes them members; only what follows it counts them as added.
        await until(lambda: session.now().counts.added == 2)
        session.write(lines("u3") + lines("u1", is_member=False, at=1))
        await until(is_in(workspace, "u2", "u3"))
        await until(lambda: session.now().queue == 0)
        report = await session.end()
    assert (report.pending, report.last.tally.read) == (0, 4)
    assert report.last.lag_95 > 0
    run = workspace.ledger.read(all_runs)[0]
    assert (run.kind, run.status, run.tally.read) == (RunKind.LIVE, RunStatus.DELIVERED, 4)
    (target,) = workspace.ledger.read(run_audiences, run.id)
    assert (target.counts.added, target.counts.removed) == (3, 1)


async def test_a_session_is_one_run_however_often_it_delivers(
    workspace: Workspace, tmp_path: Path
) -> None:
    async with Session(workspace, tmp_path) as session:
        for n in range(5):
            session.write(lines(f"u{n}"))
            await until(is_in(workspace, *(f"u{m}" for m in range(n + 1))))
    assert len(workspace.ledger.read(all_runs)) == 1


def with_windows(workspace: Workspace) -> None:
    """Let windows stay open as long as they should; waits after failures are still short."""
    workspace.timing = dataclasses.replace(workspace.timing, sleep=asyncio.sleep)


async def test_changes_that_come_all_the_time_are_delivered_window_by_window(
    workspace: Workspace, tmp_path: Path
) -> None:
    """Slow requests must not become an endless series of small ones."""
    with_windows(workspace)
    workspace.enter("u0")
    await workspace.sync()
    workspace.simulator.behavior = Behavior(latency=0.4)
    before = len(workspace.simulator.requests)
    async with Session(workspace, tmp_path, LiveOptions(flush_seconds=0.5)) as session:
        written, began = 1, monotonic()
        while session.now().lag_95 == 0 or written < 100:
            assert monotonic() - began < PATIENCE, "no window was ever delivered"
            session.write(lines(f"u{written}", at=written % 3_000))
            written += 1
            await asyncio.sleep(0.01)
        lasted = monotonic() - began
        requests = len(workspace.simulator.requests) - before
    assert requests <= 2 + lasted / 0.5
    assert workspace.cohort() == {f"u{n}" for n in range(written)}


class CountingClient(AmplitudeClient):
    """Counts how many changes of members are under way, and the most there ever were."""

    under_way = 0
    most = 0

    async def change_members(
        self,
        cohort_id: str,
        id_type: IdType,
        operation: Operation,
        ids: msgspec.Raw | Sequence[str],
    ) -> MembersChanged:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            return await super().change_members(cohort_id, id_type, operation, ids)
        finally:
            self.under_way -= 1


async def test_no_more_requests_are_under_way_than_the_connection_allows(
    workspace: Workspace, tmp_path: Path
) -> None:
    simulator = workspace.simulator
    client = CountingClient(simulator.base_url, simulator.credentials)
    workspace.limit(parallel_cohorts=2)
    workspace.simulator.behavior = Behavior(latency=0.05)
    keys = [f"audience_{n}" for n in range(8)]
    async with Session(workspace, tmp_path, client=client) as session:
        for at in range(3):
            session.write("".join(lines(f"u{at}", key=key, at=at) for key in keys))
        for key in keys:
            await until(is_in(workspace, "u0", "u1", "u2", key=key))
    assert client.most == 2


async def test_flips_within_a_window_cost_nothing(workspace: Workspace, tmp_path: Path) -> None:
    workspace.enter("u1")
    await workspace.sync()
    with_windows(workspace)
    before = len(workspace.simulator.requests)
    async with Session(workspace, tmp_path, LiveOptions(flush_seconds=3600)) as session:
        for n in range(10):
            session.write(lines("u2", is_member=n % 2 == 0, at=n + 1))
            await until(lambda: session.now().tally.read == n + 1)  # noqa: B023
    assert len(workspace.simulator.requests) == before
    assert workspace.cohort() == {"u1"}


async def test_what_others_import_is_noticed_within_a_window(
    workspace: Workspace, tmp_path: Path
) -> None:
    options = LiveOptions()
    assert options.catch_up_every * options.snapshot_seconds <= options.flush_seconds
    quick = msgspec.structs.replace(QUICK, snapshot_seconds=0.02)
    async with Session(workspace, tmp_path, quick) as session:
        session.write(lines("u1"))
        await until(is_in(workspace, "u1"))
        workspace.enter("u2")
        await until(is_in(workspace, "u1", "u2"))
        await until(lambda: session.now().queue == 0)


async def test_a_full_window_closes_at_once(workspace: Workspace, tmp_path: Path) -> None:
    with_windows(workspace)
    options = LiveOptions(flush_seconds=3600, flush_changes=10, create=True)
    async with Session(workspace, tmp_path, options) as session:
        session.write(lines(*USERS[:12]))
        await until(is_in(workspace, *USERS[:12]))


async def test_the_end_delivers_what_is_pending(workspace: Workspace, tmp_path: Path) -> None:
    with_windows(workspace)
    async with Session(
        workspace, tmp_path, LiveOptions(flush_seconds=3600, create=True)
    ) as session:
        session.write(lines(*USERS))
        await until(lambda: session.now().queue == 20)
        report = await session.end()
    assert report.pending == 0
    assert workspace.cohort() == set(USERS)


async def test_what_was_pending_before_is_delivered_too(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.enter(*USERS)
    async with Session(workspace, tmp_path):
        await until(is_in(workspace, *USERS))


async def test_audiences_without_a_cohort_wait_unless_they_may_have_one(
    workspace: Workspace, tmp_path: Path
) -> None:
    async with Session(workspace, tmp_path, LiveOptions(flush_seconds=0.05)) as session:
        session.write(lines("u1"))
        await until(lambda: [audience.state for audience in session.now().audiences] == [NO_COHORT])
        report = await session.end()
    assert workspace.simulator.world.cohorts() == []
    assert report.pending == 0
    assert not workspace.plan().audiences[0].is_idle


@pytest.mark.parametrize(
    "trouble",
    [
        Rule(Answer(429), frozenset({Call.MEMBERSHIP}), times=5),
        Rule(Answer(503), frozenset({Call.MEMBERSHIP}), times=12),
        Rule(Reset(applied=True), frozenset({Call.MEMBERSHIP}), every=2, times=6),
        Rule(Reset(), frozenset({Call.MEMBERSHIP, Call.UPLOAD}), times=6),
    ],
)
async def test_trouble_passes_and_no_one_is_lost(
    workspace: Workspace, tmp_path: Path, trouble: Rule
) -> None:
    workspace.set_faults(trouble)
    async with Session(workspace, tmp_path) as session:
        for n, user in enumerate(USERS):
            session.write(lines(user, at=n))
            if n % 5 == 0:
                await asyncio.sleep(0)
        session.write(lines(*USERS[:3], is_member=False, at=60))
        await until(is_in(workspace, *USERS[3:]))


async def test_an_outage_longer_than_the_retry_budget_is_survived(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.limit(tries=2)
    workspace.set_faults(Rule(Answer(503), frozenset({Call.MEMBERSHIP, Call.UPLOAD, Call.LIST})))
    async with Session(workspace, tmp_path) as session:
        session.write(lines(*USERS))
        await until(lambda: any(audience.state for audience in session.now().audiences))
        workspace.set_faults()
        await until(is_in(workspace, *USERS))
        await until(lambda: session.now().queue == 0)
        assert [audience.state for audience in session.now().audiences] == [""]


class GatedClient(AmplitudeClient):
    """Sends each change of members only after another call of `allow`."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace.simulator.base_url, workspace.simulator.credentials)
        self._allowed = asyncio.Semaphore(0)

    def allow(self, requests: int = 1) -> None:
        for _ in range(requests):
            self._allowed.release()

    async def change_members(
        self,
        cohort_id: str,
        id_type: IdType,
        operation: Operation,
        ids: msgspec.Raw | Sequence[str],
    ) -> MembersChanged:
        await self._allowed.acquire()
        return await super().change_members(cohort_id, id_type, operation, ids)


async def test_a_trouble_is_over_with_the_first_request_that_succeeds(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.enter("u0")
    await workspace.sync()
    workspace.limit(tries=2, first_batch=10, largest_batch=10)
    workspace.set_faults(Rule(Answer(503), frozenset({Call.MEMBERSHIP}), times=2))
    client = GatedClient(workspace)
    async with Session(workspace, tmp_path, client=client) as session:
        session.write(lines(*USERS))
        client.allow(2)
        await until(lambda: "Gave up" in session.now().audiences[0].state)
        client.allow()
        await until(lambda: session.now().counts.added)
        (audience,) = session.now().audiences
        assert (audience.state, audience.phase) == ("", LivePhase.LIVE)
        assert audience.queue > 0
        client.allow(len(USERS))


FASTER = 60  # a minute of the session is a second of the test


def speed_up(workspace: Workspace) -> None:
    """Let the session's clock and its waits run faster than real time."""

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds / FASTER)

    workspace.timing = dataclasses.replace(
        workspace.timing, sleep=sleep, monotonic=lambda: monotonic() * FASTER
    )


async def write_for(session: Session, seconds: float) -> set[str]:
    """Write a user every few seconds for so long on the session's clock; return them."""
    timing, written = session.workspace.timing, set[str]()
    begun = timing.monotonic()
    while timing.monotonic() - begun < seconds:
        user = f"user-{len(written)}"
        session.write(lines(user, at=len(written)))
        written.add(user)
        await timing.sleep(3)
    return written


async def test_amplitude_down_for_two_minutes_loses_no_one(
    workspace: Workspace, tmp_path: Path
) -> None:
    """With a retry budget of a minute, which is used up before Amplitude is back."""
    speed_up(workspace)
    workspace.limit(longest_wait=60.0)
    async with Session(workspace, tmp_path, LiveOptions(flush_seconds=5, create=True)) as session:
        session.write(lines("first"))
        await until(is_in(workspace, "first"))
        workspace.set_faults(Rule(Reset()))
        written = await write_for(session, 120)
        assert session.now().lag > 60
        assert session.now().queue >= 20
        assert workspace.cohort() == {"first"}
        workspace.set_faults()
        await until(is_in(workspace, "first", *written))
        await until(lambda: session.now().queue == 0)
        await until(lambda: [audience.state for audience in session.now().audiences] == [""])
        report = await session.end()
    assert report.pending == 0


async def test_rate_limited_for_a_minute_loses_no_one(workspace: Workspace, tmp_path: Path) -> None:
    """There are fewer requests in the meantime, and all users are in the cohort soon after."""
    speed_up(workspace)
    async with Session(workspace, tmp_path, LiveOptions(flush_seconds=5, create=True)) as session:
        session.write(lines("first"))
        await until(is_in(workspace, "first"))
        workspace.set_faults(Rule(Answer(429), frozenset({Call.MEMBERSHIP})))
        before = len(workspace.simulator.requests)
        session.write(lines("early"))
        await until(lambda: any("rate limited" in e.state for e in session.now().audiences))
        written = await write_for(session, 60)
        assert workspace.cohort() == {"first"}
        assert len(workspace.simulator.requests) - before <= 12  # windows alone would make as many
        workspace.set_faults()
        await until(is_in(workspace, "first", "early", *written))


async def test_an_audience_waits_for_hours_while_the_others_are_delivered(
    workspace: Workspace, tmp_path: Path
) -> None:
    """It says until when; Amplitude is not asked in the meantime, and the session can still end."""
    speed_up(workspace)
    options = msgspec.structs.replace(QUICK, grace=600.0)
    async with Session(workspace, tmp_path, options) as session:
        session.write(lines("u1") + lines("u1", key="buyers"))
        await until(is_in(workspace, "u1"))
        await until(is_in(workspace, "u1", key="buyers"))
        await until(lambda: session.now().queue == 0)
        wait = Rule(Answer(429, retry_after="10800"), frozenset({Call.MEMBERSHIP}), times=1)
        workspace.set_faults(wait)
        session.write(lines("u2"))
        await until(
            lambda: any(
                "asked to wait until" in audience.state for audience in session.now().audiences
            )
        )
        asked = len(workspace.simulator.requests)
        session.write(lines("u2", key="buyers"))
        session.write(lines("u3"))
        await until(is_in(workspace, "u1", "u2", key="buyers"))
        assert len(workspace.simulator.requests) == asked + 1
        assert workspace.cohort() == {"u1"}
        report = await session.end()
    assert report.pending == 2


async def test_what_cannot_be_sent_when_it_ends_is_kept(
    workspace: Workspace, tmp_path: Path
) -> None:
    """Amplitude is unreachable: the end does not wait for it forever."""
    workspace.timing = dataclasses.replace(workspace.timing, sleep=asyncio.sleep)
    workspace.enter("u1")
    options = LiveOptions(flush_seconds=0.05, create=True, grace=0.2)
    workspace.set_faults(Rule(Reset()))
    async with Session(workspace, tmp_path, options) as session:
        session.write(lines("u2", at=1))
        await until(lambda: session.now().queue == 2)
        report = await asyncio.wait_for(session.end(), PATIENCE)
    assert report.pending == 2
    assert workspace.ledger.read(all_runs)[0].status is RunStatus.STOPPED
    workspace.set_faults()
    await workspace.sync()
    assert workspace.cohort() == {"u1", "u2"}


async def test_a_spell_of_refusals_by_a_proxy_rejects_no_one(
    workspace: Workspace, tmp_path: Path
) -> None:
    page = Body("<html><h1>Blocked by policy</h1></html>", 400, "text/html")
    async with Session(workspace, tmp_path) as session:
        session.write(lines(*USERS[:12]))
        await until(is_in(workspace, *USERS[:12]))
        workspace.set_faults(Rule(page, frozenset({Call.MEMBERSHIP})))
        session.write(lines(*USERS[:6], is_member=False, at=2) + lines(*USERS[12:], at=2))
        await until(lambda: len([r for r in workspace.simulator.requests if r.status == 400]) > 20)
        await until(lambda: "Blocked by policy" in session.now().audiences[0].counts.note)
        assert workspace.rejected() == []
        workspace.set_faults()
        await until(is_in(workspace, *USERS[6:]))
        assert (await session.end()).pending == 0
    assert workspace.rejected() == []
    assert workspace.audience().broken is None


async def test_a_ledger_that_takes_nothing_in_for_a_while_loses_nothing(
    workspace: Workspace, tmp_path: Path
) -> None:
    async with Session(workspace, tmp_path) as session:
        session.write(lines("u1"))
        await until(is_in(workspace, "u1"))
        workspace.ledger.write(lambda db: db.execute("ALTER TABLE member RENAME TO elsewhere"))
        session.write(lines("u2"))
        await until(lambda: session.now().sources[0].name == "ledger")
        workspace.ledger.write(lambda db: db.execute("ALTER TABLE elsewhere RENAME TO member"))
        await until(is_in(workspace, "u1", "u2"))
        await until(lambda: not any(source.trouble for source in session.now().sources))


async def test_what_was_read_before_the_ledger_failed_is_delivered_too(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.ledger.write(fail, "INSERT", "member", "NEW.id = 'u2'")
    (tmp_path / "a.ndjson").write_text(lines("u1"))
    (tmp_path / "b.ndjson").write_text(lines("u2", key="buyers"))
    ingestor = StreamIngestor(workspace.ledger, workspace.read_options())
    source = PathStream(PathWatcher(ingestor, [tmp_path]), IMPATIENT)
    async with workspace.client() as client:
        live = LiveSession(workspace.context(client), QUICK)
        task = asyncio.create_task(live.run(source))
        await until(lambda: source.status() and source.status()[0].name == "ledger")
        workspace.ledger.write(fail_no_more, "member")
        await until(is_in(workspace, "u2", key="buyers"))
        await until(is_in(workspace, "u1"))
        live.end()
        report = await task
    assert (report.last.tally.read, report.pending) == (2, 0)


async def test_another_id_type_is_delivered_though_nothing_arrives(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.map_amplitude_ids()
    async with Session(workspace, tmp_path) as session:
        session.write(json.dumps(event("u1", True, traits={"amplitude_id": "11"})) + "\n")
        await until(is_in(workspace, "u1"))
        await until(lambda: session.now().queue == 0)
        workspace.change(SettingsChange(id_type=IdType.AMPLITUDE_ID))
        known = workspace.audience()
        assert workspace.ledger.read(outstanding, known).pending > 0
        assert session.live is not None
        session.live.recheck(known.id)
        await until(lambda: session.now().audiences[0].state == LARGE_REMOVAL)
        assert (
            session.now().audiences[0].would_remove == "the only cohort member delivered by User ID"
        )
        session.live.go_live(known.id, WaitReason.REMOVAL)
        await until(lambda: workspace.ledger.read(outstanding, known).pending == 0)


async def test_a_large_removal_pending_before_waits_until_it_is_confirmed(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.enter("u1", "u2", "u3")
    workspace.read([event("b1", True, audience="buyers")])
    await workspace.sync()
    workspace.leave("u1", "u2")
    workspace.read([event("b2", True, 1, audience="buyers")])
    assert workspace.plan().concerns
    async with Session(workspace, tmp_path) as session:
        await until(is_in(workspace, "b1", "b2", key="buyers"))
        await until(lambda: session.now().waiting == 2)
        (waiting,) = [item for item in session.now().audiences if item.waits]
        assert (waiting.name, waiting.waits_for) == ("shoppers", WaitReason.REMOVAL)
        assert waiting.would_remove == "2 of 3 cohort members"
        assert waiting.needs_operator
        session.write(lines("u4", at=2))
        await until(lambda: session.now().waiting == 3)
        assert is_in(workspace, "u1", "u2", "u3")()
        assert session.live is not None
        session.live.go_live(waiting.audience_id, WaitReason.REMOVAL)
        await until(is_in(workspace, "u3", "u4"))
        await until(lambda: all(item.is_live for item in session.now().audiences))


async def test_a_large_removal_that_is_left_waiting_stays_pending(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.enter("u1")
    await workspace.sync()
    workspace.leave("u1")
    async with Session(workspace, tmp_path) as session:
        await until(lambda: session.now().waiting == 1)
        report = await session.end()
    assert (report.status, report.last.waiting) == (RunStatus.STOPPED, 1)
    assert workspace.cohort() == {"u1"}
    (own,) = workspace.ledger.read(run_audiences, report.run_id)
    assert waits_for(own) == "large removal"


async def test_a_large_removal_is_sent_where_that_is_allowed(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.enter("u1")
    await workspace.sync()
    workspace.leave("u1")
    allowed = msgspec.structs.replace(QUICK, remove=True)
    async with Session(workspace, tmp_path, allowed):
        await until(is_in(workspace))


async def test_a_removal_during_a_session_waits_if_it_is_large(
    workspace: Workspace, tmp_path: Path
) -> None:
    options = msgspec.structs.replace(QUICK, large_removal=10)
    async with Session(workspace, tmp_path, options) as session:
        session.write(lines(*USERS))
        await until(is_in(workspace, *USERS))
        session.write(lines(*USERS[:10], is_member=False, at=1))  # no more than half
        await until(is_in(workspace, *USERS[10:]))
        session.write(lines(*USERS[10:19], is_member=False, at=2))  # fewer than ten
        await until(is_in(workspace, USERS[19]))
        session.write(lines(*USERS, at=3))
        await until(is_in(workspace, *USERS))
        await until(lambda: session.now().queue == 0)
        session.write(lines(*USERS[:11], is_member=False, at=4))
        await until(lambda: session.now().waiting == 11)
        assert session.now().audiences[0].would_remove == "11 of 20 cohort members"
        session.write(lines(*USERS[:3], at=5))  # they have come back: most stay
        await until(is_in(workspace, *USERS[:3], *USERS[11:]))


async def test_another_process_may_send_a_large_removal_that_waits(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.enter("u1")
    await workspace.sync()
    workspace.leave("u1")
    with_windows(workspace)
    options = LiveOptions(flush_seconds=0.05, retry_after=0.05)
    async with Session(workspace, tmp_path, options) as session:
        await until(lambda: session.now().waiting == 1)
        await workspace.sync()
        await until(lambda: session.now().audiences[0].is_live)
        assert workspace.cohort() == set()


async def test_a_cohort_that_is_deleted_meanwhile_rejects_no_one(
    workspace: Workspace, tmp_path: Path
) -> None:
    """Whatever text Amplitude refuses it with, as in a separate sync."""
    async with Session(workspace, tmp_path) as session:
        session.write(lines("u1", "u2"))
        await until(is_in(workspace, "u1", "u2"))
        await until(lambda: session.now().queue == 0)
        world = workspace.simulator.world
        world.drop_cohort(world.cohort_named("shoppers").id)
        refused = Answer(400, words="Invalid request")
        workspace.simulator.faults.set([Rule(refused, frozenset({Call.MEMBERSHIP}))])
        session.write(lines(*USERS, at=2))
        await until(lambda: any(audience.counts.note for audience in session.now().audiences))
        await session.end()
    assert workspace.rejected() == []
    assert workspace.audience().broken


async def test_a_ledger_that_takes_nothing_in_for_a_while_loses_nothing_of_a_stream(
    workspace: Workspace,
) -> None:
    ingestor = StreamIngestor(workspace.ledger, workspace.read_options())
    stream = io.BytesIO(lines(*USERS).encode())
    source = PipeStream(ingestor, stream, "stdin", options=IMPATIENT)
    workspace.ledger.write(lambda db: db.execute("ALTER TABLE member RENAME TO elsewhere"))
    async with workspace.client() as client:
        live = LiveSession(workspace.context(client), QUICK)
        task = asyncio.create_task(live.run(source))
        await until(lambda: source.status()[0].trouble)
        workspace.ledger.write(lambda db: db.execute("ALTER TABLE elsewhere RENAME TO member"))
        await task
    assert workspace.cohort() == set(USERS)
    assert source.status()[0].events == 20


async def test_a_stream_keeps_its_position_while_the_ledger_takes_nothing_in(
    workspace: Workspace,
) -> None:
    reading, writing = os.pipe()
    first = lines("u1").encode()
    ingestor = StreamIngestor(workspace.ledger, workspace.read_options())
    with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb", buffering=0) as sender:
        source = PipeStream(ingestor, stream, "stdin", options=IMPATIENT)
        async with workspace.client() as client:
            live = LiveSession(workspace.context(client), QUICK)
            task = asyncio.create_task(live.run(source))
            sender.write(first)
            await until(lambda: source.status()[0].events == 1)
            workspace.ledger.write(lambda db: db.execute("ALTER TABLE member RENAME TO elsewhere"))
            sender.write(lines("u2").encode())
            await until(lambda: source.status()[0].trouble)
            assert source.status()[0].position == len(first)
            workspace.ledger.write(lambda db: db.execute("ALTER TABLE elsewhere RENAME TO member"))
            sender.close()
            await task
    assert workspace.cohort() == {"u1", "u2"}


async def test_a_line_that_is_too_long_loses_no_other_line_of_a_stream(
    workspace: Workspace,
) -> None:
    long = b"x" * (LINE_LIMIT + 10) + b"\n"
    stream = io.BytesIO(lines("u1").encode() + long + lines("u2", "u3").encode() + long[:-1])
    ingestor = StreamIngestor(workspace.ledger, workspace.read_options())
    report = await run(workspace, PipeStream(ingestor, stream, "stdin"))
    assert (report.last.tally.read, report.last.tally.invalid) == (5, 2)
    assert workspace.cohort() == {"u1", "u2", "u3"}


async def test_one_audience_is_paused_and_the_others_are_delivered(
    workspace: Workspace, tmp_path: Path
) -> None:
    async with Session(workspace, tmp_path) as session:
        session.write(lines("u1") + lines("u1", key="buyers"))
        await until(lambda: is_in(workspace, "u1")() and is_in(workspace, "u1", key="buyers")())
        await until(lambda: session.now().queue == 0)
        live, shoppers = session.live, workspace.audience().id
        assert live is not None
        live.pause(shoppers)
        session.write(lines("u2", at=1) + lines("u2", key="buyers", at=1))
        await until(is_in(workspace, "u1", "u2", key="buyers"))
        await until(lambda: session.now().queue == 0)
        (paused,) = (audience for audience in session.now().audiences if audience.is_paused)
        assert (paused.key, paused.state, paused.queue) == ("shoppers", PAUSED, 1)
        assert (session.now().lag, live.is_paused) == (0.0, False)
        assert workspace.cohort() == {"u1"}
        live.resume(shoppers)
        await until(is_in(workspace, "u1", "u2"))


async def test_what_waits_for_its_turn_when_it_is_paused_is_not_sent(
    workspace: Workspace, tmp_path: Path
) -> None:
    """Requests wait for each other if only one may be under way."""
    for key in ("shoppers", "buyers"):
        workspace.read([event("u1", True, audience=key)])
    await workspace.sync()
    answering = threading.Event()

    async def sleep(_: float) -> None:
        while not answering.is_set():
            await asyncio.sleep(0.005)

    slow = Simulator(workspace.simulator.world, behavior=Behavior(latency=1.0), sleep=sleep)
    with slow as simulator:
        workspace = Workspace(simulator, workspace.ledger, tmp_path)
        workspace.limit(parallel_cohorts=1)
        key_of = {known.cohort_id: known.key for known in all_of(workspace)}
        async with Session(workspace, tmp_path) as session:
            live = session.live
            assert live is not None
            session.write("".join(lines("u2", key=key, at=1) for key in ("shoppers", "buyers")))
            await until(lambda: sum(item.counts.requests for item in session.now().audiences) == 1)
            await until(lambda: open_requests(workspace) == 2)
            live.pause()
            answering.set()
            await until(lambda: open_requests(workspace) == 0)
            (sent,) = simulator.requests
            other = ({"shoppers", "buyers"} - {key_of[sent.cohort_id]}).pop()
            assert workspace.cohort(other) == {"u1"}
            live.resume()
            await until(is_in(workspace, "u1", "u2", key=other))


def all_of(workspace: Workspace) -> list[Audience]:
    return workspace.ledger.read(all_audiences)


def open_requests(workspace: Workspace) -> int:
    query = "SELECT count(*) FROM request WHERE state = 'open'"
    return int(workspace.ledger.read(lambda db: db.execute(query).fetchone())[0])


async def test_what_is_paused_when_it_ends_is_kept_and_not_sent(
    workspace: Workspace, tmp_path: Path
) -> None:
    async with Session(workspace, tmp_path) as session:
        session.write(lines("u1"))
        await until(lambda: is_in(workspace, "u1")() and session.now().queue == 0)
        assert session.live is not None
        session.live.pause()
        session.write(lines("u2", at=1) + lines("u2", key="buyers"))
        await until(lambda: session.now().tally.read == 3)
        assert all(audience.is_paused for audience in session.now().audiences)
        report = await session.end()
    assert (report.pending, report.last.waiting) == (0, 2)
    assert pending_by_audience(report.last.audiences) == [
        "“shoppers” 1 (paused)",
        "“buyers” 1 (paused)",
    ]
    assert workspace.cohort() == {"u1"}
    assert len(workspace.simulator.world.cohorts()) == 1


async def test_an_audience_that_waits_is_let_go_live_alone(
    workspace: Workspace, tmp_path: Path
) -> None:
    with_windows(workspace)
    options = LiveOptions(flush_seconds=0.05, retry_after=0.2)
    async with Session(workspace, tmp_path, options) as session:
        session.write(lines("u1") + lines("u1", key="buyers"))
        await until(lambda: [e.state for e in session.now().audiences] == [NO_COHORT] * 2)
        await until(lambda: session.now().omits_waits)
        assert session.live is not None
        session.live.go_live(workspace.audience().id, WaitReason.NO_COHORT)
        await until(is_in(workspace, "u1"))
        assert len(workspace.simulator.world.cohorts()) == 1


async def test_what_arrives_for_an_audience_that_waits_for_days_takes_no_room(
    workspace: Workspace, tmp_path: Path
) -> None:
    """The ledger says how many users are pending, however often events repeat it."""
    async with Session(workspace, tmp_path, LiveOptions(flush_seconds=0.05)) as session:
        session.write(lines("u0"))
        await until(lambda: session.now().waiting == 1)
        assert session.live is not None
        repeated = IngestResult(entered=Counter({workspace.audience().id: 2}))
        for _ in range(3_000):
            await session.live.arrived(repeated)
        assert session.now().waiting == 1
        await session.end()


async def test_events_that_the_ledger_knew_are_read_and_are_no_last_changes(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.enter("u1", "u2")
    async with Session(workspace, tmp_path) as session:
        session.write(lines("u1", "u2", at=-1))
        await until(lambda: session.now().tally.read == 2)
        session.write(lines("u1", "u2", at=1))  # newer, and nothing new
        await until(lambda: session.now().tally.read == 4)
        now = session.now()
        assert (now.updated, now.latest, now.sources[0].is_known) == (0, (), True)
        session.write(lines("u2", at=2) + lines("u3") + lines("u3", is_member=False, at=1))
        await until(lambda: session.now().tally.read == 7)
        now = session.now()
        assert (now.updated, now.sources[0].is_known) == (1, False)
        assert [(item.id, item.is_member) for item in now.latest] == [("u3", False), ("u3", True)]


async def test_the_last_changes_and_the_minutes_are_shown(
    workspace: Workspace, tmp_path: Path
) -> None:
    async with Session(workspace, tmp_path) as session:
        session.write(lines("u1", "u2") + lines("u1", is_member=False, at=1))
        await until(is_in(workspace, "u2"))
        now = session.now()
        assert [(item.audience, item.id, item.is_member) for item in now.latest] == [
            ("shoppers", "u1", False),
            ("shoppers", "u2", True),
            ("shoppers", "u1", True),
        ]
        (audience,) = now.audiences
        assert (sum(audience.entered), sum(audience.left)) == (2, 1)
        (source,) = now.sources
        assert (source.name, source.events) == (str(session.file), 3)


async def test_what_was_read_is_in_the_history_during_a_session(
    workspace: Workspace, tmp_path: Path
) -> None:
    """Otherwise, a killed session would seem to have read nothing."""
    options = LiveOptions(flush_seconds=0.05, create=True, snapshot_seconds=0.01)
    async with Session(workspace, tmp_path, options) as session:
        session.write(lines("u1", "u2"))
        await until(lambda: workspace.ledger.read(all_runs)[0].tally.read == 2)


async def test_requests_of_long_ago_are_forgotten_during_a_session(
    workspace: Workspace, tmp_path: Path
) -> None:
    """A session of days sends a million; requests that explain no user would fill the disk."""
    options = LiveOptions(
        flush_seconds=0.05, create=True, snapshot_seconds=0.01, forget_every=1, keep_requests=-1.0
    )
    async with Session(workspace, tmp_path, options) as session:
        for at in range(6):
            is_member = at % 2 == 0
            session.write(lines("u1", is_member=is_member, at=at))
            await until(is_in(workspace, *(["u1"] if is_member else [])))
        await until(lambda: workspace.ledger.read(count_requests, 1) == 1)
        session.write(lines("u1", "u2", at=9))
        await until(is_in(workspace, "u1", "u2"))


async def test_folders_and_single_files_are_followed_together(
    workspace: Workspace, tmp_path: Path
) -> None:
    folder, file = tmp_path / "folder", tmp_path / "alone.ndjson"
    folder.mkdir()
    watching = PathWatcher(
        StreamIngestor(workspace.ledger, workspace.read_options()), [folder, file]
    )
    async with workspace.client() as client:
        live = LiveSession(workspace.context(client), QUICK)
        task = asyncio.create_task(live.run(PathStream(watching)))
        (folder / "a.ndjson").write_text(lines("u1"))
        await until(is_in(workspace, "u1"))
        file.write_text(lines("u2"))
        await until(is_in(workspace, "u1", "u2"))
        (folder / "b.json").write_text(json.dumps([event("u3", True)]))
        await until(is_in(workspace, "u1", "u2", "u3"))
        live.end()
        await task


async def test_a_ledger_that_fails_for_a_while_is_tried_again(
    workspace: Workspace, tmp_path: Path
) -> None:
    """A missing table simulates a full disk."""
    workspace.enter("u1")
    await workspace.sync()
    async with Session(workspace, tmp_path) as session:
        workspace.ledger.write(lambda db: db.execute("ALTER TABLE request RENAME TO elsewhere"))
        session.write(lines("u2", at=1))
        await until(lambda: any("failed" in audience.state for audience in session.now().audiences))
        workspace.ledger.write(lambda db: db.execute("ALTER TABLE elsewhere RENAME TO request"))
        await until(is_in(workspace, "u1", "u2"))


class BrokenDice(random.Random):
    """A defect in the first retry with a random wait."""

    def random(self) -> float:
        return 1 // 0


async def test_a_defect_ends_the_session_and_is_raised(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.timing = dataclasses.replace(workspace.timing, rng=BrokenDice())
    workspace.set_faults(Rule(Answer(503)))
    async with Session(workspace, tmp_path) as session:
        session.write(lines("u1"))
        with pytest.raises(ZeroDivisionError):
            await session.ended()
    assert workspace.ledger.read(all_runs)[0].note == "ZeroDivisionError"


async def test_refused_keys_end_it_with_everything_kept(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.set_faults(Rule(Answer(403, words="Invalid API Key")))
    async with Session(workspace, tmp_path) as session:
        session.write(lines(*USERS))
        report = await session.ended()
    assert report.keys_refused
    assert report.pending == 20


async def test_refused_keys_are_not_tried_for_every_audience(
    workspace: Workspace, tmp_path: Path
) -> None:
    keys = [f"audience_{n}" for n in range(5)]
    workspace.read(event("u1", True, audience=key) for key in keys)
    await workspace.sync()
    workspace.limit(parallel_cohorts=1)
    workspace.set_faults(Rule(Answer(403, words="Invalid API Key")))
    before = len(workspace.simulator.requests)
    async with Session(workspace, tmp_path) as session:
        session.write("".join(lines("u2", key=key, at=1) for key in keys))
        report = await session.ended()
    assert len(workspace.simulator.requests) - before == 1
    assert report.pending == 5


BUSY = LiveOptions(flush_seconds=0.05, retry_after=600, retry_busy=0.04)


def is_busy(session: Session) -> bool:
    """Whether another process is at an audience of the session."""
    return any("is delivering this" in audience.state for audience in session.now().audiences)


async def test_another_process_at_an_audience_is_waited_for(
    workspace: Workspace, tmp_path: Path
) -> None:
    """For a second, not for as long as after a failure."""
    workspace.enter("u1")
    await workspace.sync()
    async with Session(workspace, tmp_path, BUSY) as session:
        with workspace.ledger.lease(workspace.audience().id):
            session.write(lines("u2", at=1))
            await until(lambda: is_busy(session))
            (waiting,) = session.now().audiences
            assert waiting.state.endswith("It goes live when that has finished.")
        await until(is_in(workspace, "u1", "u2"))


async def test_a_session_that_ends_waits_for_another_process_at_an_audience(
    workspace: Workspace, tmp_path: Path
) -> None:
    def tries() -> int:
        return workspace.waits.seconds.count(BUSY.retry_busy)

    workspace.enter("u1")
    await workspace.sync()
    async with Session(workspace, tmp_path, BUSY) as session:
        with workspace.ledger.lease(workspace.audience().id):
            session.write(lines("u2", at=1))
            await until(lambda: is_busy(session))
            ending = asyncio.create_task(session.end())
            await until(lambda: session.live is not None and session.live.ending.is_set())
            before = tries()
            await until(lambda: ending.done() or tries() > before + 1)
        report = await ending
    assert (report.status, report.pending) == (RunStatus.DELIVERED, 0)
    assert is_in(workspace, "u1", "u2")()


async def test_it_waits_no_longer_than_for_its_last_deliveries(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.enter("u1")
    await workspace.sync()
    options = msgspec.structs.replace(BUSY, grace=0.1)
    async with Session(workspace, tmp_path, options) as session:
        with workspace.ledger.lease(workspace.audience().id):
            session.write(lines("u2", at=1))
            await until(lambda: is_busy(session))
            report = await session.end()
    assert (report.status, report.pending) == (RunStatus.STOPPED, 1)


async def test_two_sessions_on_one_ledger_send_no_one_twice(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    async with (
        Session(workspace, tmp_path / "one") as one,
        Session(workspace, tmp_path / "two") as two,
    ):
        one.write(lines(*USERS[:10]))
        two.write(lines(*USERS[10:]))
        await until(is_in(workspace, *USERS))
    sent = [seen.count for seen in workspace.simulator.requests if seen.call is Call.MEMBERSHIP]
    assert sum(sent) <= 20
    assert not any(seen.status == 429 for seen in workspace.simulator.requests)


async def test_a_clock_that_jumps_changes_nothing(workspace: Workspace, tmp_path: Path) -> None:
    moments = iter([10**15, 5, 10**16, 7] * 1_000)
    workspace.timing = dataclasses.replace(workspace.timing, now=lambda: next(moments))
    async with Session(workspace, tmp_path) as session:
        session.write(lines(*USERS))
        await until(is_in(workspace, *USERS))


async def test_a_switched_off_audience_waits(workspace: Workspace, tmp_path: Path) -> None:
    workspace.enter("u1")
    await workspace.sync()
    workspace.change(SettingsChange(enabled=False))
    async with Session(workspace, tmp_path) as session:
        session.write(lines("u2", at=1))
        await until(lambda: any("disabled" in e.state for e in session.now().audiences))
        workspace.change(SettingsChange(enabled=True))
        await until(is_in(workspace, "u1", "u2"))


async def test_read_only_follows_nothing(workspace: Workspace, tmp_path: Path) -> None:
    workspace.connection = msgspec.structs.replace(workspace.connection, read_only=True)
    session = Session(workspace, tmp_path)
    with pytest.raises(ReadOnly):
        async with session:
            await session.end()


@pytest.mark.parametrize("begins", [b"", BOM])
@pytest.mark.parametrize("ends", ["\n", ""])
async def test_a_stream_is_followed_to_its_end(
    workspace: Workspace, begins: bytes, ends: str
) -> None:
    ingestor = StreamIngestor(workspace.ledger, workspace.read_options())
    stream = io.BytesIO(begins + (lines(*USERS).rstrip("\n") + ends).encode())
    report = await run(workspace, PipeStream(ingestor, stream, "stdin"))
    assert (report.last.tally.read, report.pending) == (20, 0)
    assert workspace.cohort() == set(USERS)


class Pipe:
    """The standard input as a pipe whose other end stays open."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        self.stream = os.fdopen(self._reading, "rb")

    def write(self, text: str) -> None:
        os.write(self._writing, text.encode())

    def left(self) -> str:
        """What no one has read."""
        os.close(self._writing)
        with self.stream:
            return self.stream.read().decode()


@pytest.mark.parametrize("ends", ["\n", ""])
async def test_events_of_an_open_pipe_are_read_as_they_come(
    workspace: Workspace, ends: str
) -> None:
    pipe = Pipe()
    source = PipeStream(
        StreamIngestor(workspace.ledger, workspace.read_options()), pipe.stream, "stdin"
    )
    async with workspace.client() as client:
        live = LiveSession(workspace.context(client), QUICK)
        task = asyncio.create_task(live.run(source))
        for at in range(3):
            pipe.write(lines(f"u{at}", at=at).rstrip("\n") + ends)
            await until(is_in(workspace, *(f"u{n}" for n in range(at + 1))))
        live.end()
        report = await task
    assert (report.last.tally.read, report.last.tally.invalid, pipe.left()) == (3, 0, "")


async def test_a_defect_beside_the_deliveries_ends_the_session(
    workspace: Workspace, tmp_path: Path
) -> None:
    """Otherwise, it would continue without figures, and without what others import."""

    def observe(_: LiveSnapshot) -> None:
        raise ZeroDivisionError

    file = tmp_path / "live.ndjson"
    file.write_text(lines("u1"))
    watcher = PathWatcher(StreamIngestor(workspace.ledger, workspace.read_options()), [file])
    async with workspace.client() as client:
        options = msgspec.structs.replace(QUICK, snapshot_seconds=0.02)
        live = LiveSession(workspace.context(client), options, observe)
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(live.run(PathStream(watcher, IMPATIENT)), PATIENCE)
    assert workspace.cohort() == {"u1"}
    (run,) = workspace.ledger.read(all_runs)
    assert (run.status, run.note) == (RunStatus.STOPPED, "ZeroDivisionError")


class BreakingIngestor(StreamIngestor):
    """An ingestor whose ledger fails as soon as the first events are in it."""

    def ingest(
        self, source_id: int, batches: Iterable[EventBatch], checkpoint: Checkpoint | None = None
    ) -> IngestResult:
        result = super().ingest(source_id, batches, checkpoint)
        if not self.is_broken:
            self.is_broken = True
            self.ledger.write(lambda db: db.execute("ALTER TABLE audience RENAME TO elsewhere"))
        return result

    is_broken = False


@pytest.mark.parametrize("kind", ["pipe", "file"])
async def test_what_arrives_while_the_ledger_fails_is_counted_once_it_works(
    workspace: Workspace, tmp_path: Path, kind: str
) -> None:
    ledger, content = workspace.ledger, lines("u1", "u2") + "broken\n"
    ingestor = BreakingIngestor(ledger, workspace.read_options())
    pipe, file = Pipe(), tmp_path / "live.ndjson"
    source: EventStream = PipeStream(ingestor, pipe.stream, "stdin", IMPATIENT)
    if kind == "file":
        source = PathStream(PathWatcher(ingestor, [file]), IMPATIENT)
    async with workspace.client() as client:
        options = msgspec.structs.replace(QUICK, snapshot_seconds=0.02)
        live = LiveSession(workspace.context(client), options)
        task = asyncio.create_task(live.run(source))
        pipe.write(content)
        file.write_text(content)
        await until(lambda: ingestor.is_broken)
        await until(lambda: task.done() or source.status()[0].events == 3)
        assert live.snapshot().tally.read == 0
        ledger.write(lambda db: db.execute("ALTER TABLE elsewhere RENAME TO audience"))
        await until(lambda: live.snapshot().tally.read == 3)
        await until(is_in(workspace, "u1", "u2"))
        if kind == "pipe":
            pipe.write(lines("u3"))
            await until(is_in(workspace, "u1", "u2", "u3"))
        live.end()
        report = await task
    assert (report.last.tally.invalid, report.pending) == (1, 0)
    assert sum(report.last.audiences[0].entered) == 2 + (kind == "pipe")
    assert pipe.left() == ("" if kind == "pipe" else content)


async def test_what_was_read_from_a_pipe_is_kept_when_the_session_ends(
    workspace: Workspace,
) -> None:
    """The line under way, too; the rest stays in the pipe."""
    pipe = Pipe()
    source = PipeStream(
        StreamIngestor(workspace.ledger, workspace.read_options()), pipe.stream, "stdin"
    )
    async with workspace.client() as client:
        live = LiveSession(workspace.context(client), QUICK)
        task = asyncio.create_task(live.run(source))
        pipe.write(lines("u1") + lines("u2")[:50])
        await until(lambda: source._source is not None and source._source.unfinished == 50)
        live.ending.set()
        pipe.write(lines("u2")[50:] + lines("u3"))
        report = await task
    in_pipe = pipe.left()
    taken = report.last.tally.read
    assert report.last.tally.invalid == 0
    assert workspace.cohort() == {f"u{n + 1}" for n in range(taken)}
    assert in_pipe == lines(*(f"u{n + 1}" for n in range(taken, 3)))
    assert taken >= 2


@pytest.mark.parametrize("kind", ["array", "gzip", "pretty", "noise before"])
async def test_a_stream_is_read_in_any_format(workspace: Workspace, kind: str) -> None:
    events = [event(user, True) for user in USERS]
    content = {
        "array": json.dumps(events).encode(),
        "gzip": gzip.compress(lines(*USERS).encode()),
        "pretty": "\n".join(json.dumps(sent, indent=1) for sent in events).encode(),
        "noise before": b"starting...\nready\n" + lines(*USERS).encode(),
    }[kind]
    ingestor = StreamIngestor(workspace.ledger, workspace.read_options())
    await run(workspace, PipeStream(ingestor, io.BytesIO(content), "stdin"))
    assert workspace.cohort() == set(USERS)


async def test_a_line_that_waits_for_its_rest_is_shown(workspace: Workspace) -> None:
    pipe, clock = Pipe(), [0.0]
    timing = Timing(monotonic=lambda: clock[0])
    ingestor = StreamIngestor(workspace.ledger, workspace.read_options(), timing)
    source = PipeStream(ingestor, pipe.stream, "stdin")
    async with workspace.client() as client:
        live = LiveSession(workspace.context(client), QUICK)
        task = asyncio.create_task(live.run(source))
        pipe.write(lines("u1") + lines("u2")[:50])
        await until(lambda: source._source is not None and source._source.unfinished == 50)
        assert not source.status()[0].trouble
        clock[0] = 61.0
        assert source.status()[0].trouble.startswith("Its last line is incomplete: 50 bytes")
        live.end()
        report = await task
    assert (report.last.tally.read, report.last.tally.invalid) == (2, 1)
    pipe.left()


def test_a_quiet_pipe_lets_the_interpreter_end() -> None:
    """A thread that waits in a buffered reader would make it abort."""
    script = """
import sys, threading
from amp_console.sync.sources.pipe import EndableStream
stream = EndableStream(sys.stdin.buffer)
began = threading.Event()
def read():
    began.set()
    stream.read(100)
thread = threading.Thread(target=read, daemon=True)
thread.start()
began.wait()
if sys.argv[1] == "end":
    stream.end()
    thread.join()
"""
    reading, writing = os.pipe()
    for how in ("end", "leave"):
        command = [sys.executable, "-c", script, how]
        assert subprocess.run(command, stdin=reading, check=False).returncode == 0
    os.close(reading)
    os.close(writing)


async def run(workspace: Workspace, source: EventStream) -> LiveReport:
    async with workspace.client() as client:
        return await LiveSession(workspace.context(client), QUICK).run(source)
