"""A live session over the simulated Amplitude: cohorts follow, whatever the network does."""

import asyncio
import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import msgspec
import pytest

from amp_console.ledger.leases import lease
from amp_console.ledger.runs import RunKind, RunStatus, all_runs, run_audiences
from amp_console.simulator import Answer, Call, Reset, Rule
from amp_console.sync.feed import Feed
from amp_console.sync.live import NO_COHORT, Live, LiveReport, LiveWish, Source
from amp_console.sync.live_progress import Lags, LiveSnapshot
from amp_console.sync.live_sources import follow_paths, follow_stream
from amp_console.sync.read_only import ReadOnly
from amp_console.sync.settings import SettingsChange
from amp_console.sync.watching import Watching
from tests.sync.office import Office, event

pytestmark = pytest.mark.anyio

USERS = [f"u{n:02}" for n in range(20)]
QUICK = LiveWish(flush_seconds=0.05, create=True)
PATIENCE = 20.0  # seconds; a condition that is not met by then never is


def lines(*users: str, is_member: bool = True, at: int = 0, key: str = "shoppers") -> str:
    return "".join(json.dumps(event(user, is_member, at, audience=key)) + "\n" for user in users)


async def until(condition: Callable[[], object]) -> None:
    begun = monotonic()
    while not condition():
        assert monotonic() - begun < PATIENCE, "it never came about"
        await asyncio.sleep(0.005)


class Session:
    """A session of an office that follows one file."""

    def __init__(self, office: Office, folder: Path, wish: LiveWish = QUICK) -> None:
        self.office = office
        self.file = folder / "live.ndjson"
        self.seen: list[LiveSnapshot] = []
        self.wish = wish
        self.live: Live | None = None
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
        office = self.office
        feed = Feed(office.ledger, office.read_options())
        watching = Watching(feed, [self.file])

        async def source(live: Live) -> None:
            started.set()
            await follow_paths(live, watching)

        async with office.client() as client:
            self.live = Live(office.means_with(client), self.wish, self.seen.append)
            try:
                return await self.live.run(source)
            finally:
                started.set()

    async def end(self) -> LiveReport:
        assert self._task is not None
        if self.live is not None:
            self.live.end()
        return await self._task

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None and not self._task.done():
            await self.end()

    def now(self) -> LiveSnapshot:
        assert self.live is not None
        return self.live.snapshot()


def is_in(office: Office, *users: str, key: str = "shoppers") -> Callable[[], bool]:
    def check() -> bool:
        world = office.simulator.world
        cohorts = [each for each in world.cohorts() if each.name == key]
        return bool(cohorts) and world.members(cohorts[0].id) == set(users)

    return check


async def test_people_enter_and_leave_while_it_goes_on(office: Office, tmp_path: Path) -> None:
    async with Session(office, tmp_path) as session:
        session.write(lines("u1", "u2"))
        await until(is_in(office, "u1", "u2"))
        session.write(lines("u3") + lines("u1", is_member=False, at=1))
        await until(is_in(office, "u2", "u3"))
        await until(lambda: session.now().queue == 0)
        report = await session.end()
    assert (report.pending, report.last.tally.read) == (0, 4)
    assert report.last.lag_95 > 0
    run = office.ledger.read(all_runs)[0]
    assert (run.kind, run.status, run.tally.read) == (RunKind.LIVE, RunStatus.DELIVERED, 4)
    (of,) = office.ledger.read(run_audiences, run.id)
    assert (of.counts.added, of.counts.removed) == (3, 1)


async def test_a_session_is_one_run_however_often_it_delivers(
    office: Office, tmp_path: Path
) -> None:
    async with Session(office, tmp_path) as session:
        for n in range(5):
            session.write(lines(f"u{n}"))
            await until(is_in(office, *(f"u{m}" for m in range(n + 1))))
    assert len(office.ledger.read(all_runs)) == 1


def with_windows(office: Office) -> None:
    """Let windows stay open for as long as they should; waits for trouble are short at any rate."""
    office.timing = dataclasses.replace(office.timing, sleep=asyncio.sleep)


async def test_flips_within_a_window_cost_nothing(office: Office, tmp_path: Path) -> None:
    office.enter("u1")
    await office.sync()
    with_windows(office)
    before = len(office.simulator.requests)
    async with Session(office, tmp_path, LiveWish(flush_seconds=3600)) as session:
        for n in range(10):
            session.write(lines("u2", is_member=n % 2 == 0, at=n + 1))
            await until(lambda: session.now().tally.read == n + 1)  # noqa: B023
    assert len(office.simulator.requests) == before
    assert office.cohort() == {"u1"}


async def test_a_full_window_closes_at_once(office: Office, tmp_path: Path) -> None:
    with_windows(office)
    wish = LiveWish(flush_seconds=3600, flush_changes=10, create=True)
    async with Session(office, tmp_path, wish) as session:
        session.write(lines(*USERS[:12]))
        await until(is_in(office, *USERS[:12]))


async def test_the_end_delivers_what_is_pending(office: Office, tmp_path: Path) -> None:
    with_windows(office)
    async with Session(office, tmp_path, LiveWish(flush_seconds=3600, create=True)) as session:
        session.write(lines(*USERS))
        await until(lambda: session.now().queue == 20)
        report = await session.end()
    assert report.pending == 0
    assert office.cohort() == set(USERS)


async def test_what_was_pending_before_is_delivered_too(office: Office, tmp_path: Path) -> None:
    office.enter(*USERS)
    async with Session(office, tmp_path):
        await until(is_in(office, *USERS))


async def test_audiences_without_a_cohort_wait_unless_they_may_have_one(
    office: Office, tmp_path: Path
) -> None:
    async with Session(office, tmp_path, LiveWish(flush_seconds=0.05)) as session:
        session.write(lines("u1"))
        await until(lambda: [each.state for each in session.now().audiences] == [NO_COHORT])
        report = await session.end()
    assert office.simulator.world.cohorts() == []
    assert report.pending == 0
    assert not office.plan().audiences[0].is_idle


@pytest.mark.parametrize(
    "trouble",
    [
        Rule(Answer(429), frozenset({Call.MEMBERSHIP}), times=5),
        Rule(Answer(503), frozenset({Call.MEMBERSHIP}), times=12),
        Rule(Reset(applied=True), frozenset({Call.MEMBERSHIP}), every=2, times=6),
        Rule(Reset(), frozenset({Call.MEMBERSHIP, Call.UPLOAD}), times=6),
    ],
)
async def test_trouble_passes_and_nobody_is_lost(
    office: Office, tmp_path: Path, trouble: Rule
) -> None:
    office.trouble(trouble)
    async with Session(office, tmp_path) as session:
        for n, user in enumerate(USERS):
            session.write(lines(user, at=n))
            if n % 5 == 0:
                await asyncio.sleep(0)
        session.write(lines(*USERS[:3], is_member=False, at=60))
        await until(is_in(office, *USERS[3:]))


async def test_an_outage_longer_than_the_patience_is_outlived(
    office: Office, tmp_path: Path
) -> None:
    office.limit(tries=2)
    office.trouble(Rule(Answer(503), frozenset({Call.MEMBERSHIP, Call.UPLOAD, Call.LIST})))
    async with Session(office, tmp_path) as session:
        session.write(lines(*USERS))
        await until(lambda: any(each.state for each in session.now().audiences))
        office.trouble()
        await until(is_in(office, *USERS))
        await until(lambda: session.now().queue == 0)
        assert [each.state for each in session.now().audiences] == [""]


async def test_a_ledger_that_fails_for_a_while_is_tried_again(
    office: Office, tmp_path: Path
) -> None:
    """A table that is not there stands in for a disk that is full."""
    office.enter("u1")
    await office.sync()
    async with Session(office, tmp_path) as session:
        office.ledger.write(lambda db: db.execute("ALTER TABLE request RENAME TO elsewhere"))
        session.write(lines("u2", at=1))
        await until(lambda: any("failed" in each.state for each in session.now().audiences))
        office.ledger.write(lambda db: db.execute("ALTER TABLE elsewhere RENAME TO request"))
        await until(is_in(office, "u1", "u2"))


async def test_a_defect_ends_the_session_and_is_raised(office: Office, tmp_path: Path) -> None:
    def fail(_: object) -> str:
        raise ZeroDivisionError

    async with Session(office, tmp_path) as session:
        assert session.live is not None
        session.live._why_not = fail  # type: ignore[assignment, method-assign]
        session.write(lines("u1"))
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(session._task, PATIENCE)  # type: ignore[arg-type]
    assert office.ledger.read(all_runs)[0].note == "ZeroDivisionError"


async def test_refused_keys_end_it_with_everything_kept(office: Office, tmp_path: Path) -> None:
    office.trouble(Rule(Answer(403, words="Invalid API Key")))
    async with Session(office, tmp_path) as session:
        session.write(lines(*USERS))
        report = await asyncio.wait_for(session._task, PATIENCE)  # type: ignore[arg-type]
    assert report.keys_refused
    assert report.pending == 20


async def test_another_process_at_an_audience_is_waited_for(office: Office, tmp_path: Path) -> None:
    office.enter("u1")
    await office.sync()
    async with Session(office, tmp_path) as session:
        with lease(office.ledger.path, office.audience().id):
            session.write(lines("u2", at=1))
            await until(lambda: any("Another" in each.state for each in session.now().audiences))
        await until(is_in(office, "u1", "u2"))


async def test_two_sessions_on_one_ledger_send_nobody_twice(office: Office, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    async with (
        Session(office, tmp_path / "one") as one,
        Session(office, tmp_path / "two") as two,
    ):
        one.write(lines(*USERS[:10]))
        two.write(lines(*USERS[10:]))
        await until(is_in(office, *USERS))
    sent = [seen.count for seen in office.simulator.requests if seen.call is Call.MEMBERSHIP]
    assert sum(sent) <= 20
    assert not any(seen.status == 429 for seen in office.simulator.requests)


async def test_a_clock_that_jumps_changes_nothing(office: Office, tmp_path: Path) -> None:
    moments = iter([10**15, 5, 10**16, 7] * 1_000)
    office.timing = dataclasses.replace(office.timing, now=lambda: next(moments))
    async with Session(office, tmp_path) as session:
        session.write(lines(*USERS))
        await until(is_in(office, *USERS))


async def test_a_switched_off_audience_waits(office: Office, tmp_path: Path) -> None:
    office.enter("u1")
    await office.sync()
    office.change(SettingsChange(enabled=False))
    async with Session(office, tmp_path) as session:
        session.write(lines("u2", at=1))
        await until(lambda: any("switched off" in e.state for e in session.now().audiences))
        office.change(SettingsChange(enabled=True))
        await until(is_in(office, "u1", "u2"))


async def test_read_only_follows_nothing(office: Office, tmp_path: Path) -> None:
    office.connection = msgspec.structs.replace(office.connection, read_only=True)
    session = Session(office, tmp_path)
    with pytest.raises(ReadOnly):
        async with session:
            await session.end()


@pytest.mark.parametrize("ends", ["\n", ""])
async def test_a_stream_is_followed_to_its_end(office: Office, tmp_path: Path, ends: str) -> None:
    feed = Feed(office.ledger, office.read_options())
    stream = io.BytesIO((lines(*USERS).rstrip("\n") + ends).encode())

    async def source(live: Live) -> None:
        await follow_stream(live, feed, stream, "stdin")

    report = await run(office, source)
    assert (report.last.tally.read, report.pending) == (20, 0)
    assert office.cohort() == set(USERS)


async def run(office: Office, source: Source) -> LiveReport:
    async with office.client() as client:
        return await Live(office.means_with(client), QUICK).run(source)


def test_the_95th_percentile_counts_changes_and_not_deliveries() -> None:
    lags = Lags()
    assert lags.percentile(0.95) == 0.0
    lags.add(1.0, 94)
    lags.add(5.0, 5)
    lags.add(60.0, 1)
    assert (lags.percentile(0.5), lags.percentile(0.95), lags.percentile(1.0)) == (1.0, 5.0, 60.0)
