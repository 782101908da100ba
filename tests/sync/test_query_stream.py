"""Following audiences by query: a live session refreshes them at an interval."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from amp_console.ledger.audience_queries import RefreshOutcome
from amp_console.ledger.event_log import LogFilter, LogKind, log_page
from amp_console.sync.audience_queries import set_query
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.live.progress import LiveReport
from amp_console.sync.live.session import LiveSession
from amp_console.sync.sources.protocols import EventStream, SourceStatus, StreamKind
from amp_console.sync.sources.warehouse import Engine
from amp_console.sync.sources.warehouse.stream import RefreshOptions, is_refreshed, open_queries
from tests.postgresql import PostgresqlServer
from tests.sync.test_change_queries import Changes
from tests.sync.test_live import is_in, until
from tests.sync.test_refresh import MEMBERS, Lake
from tests.sync.warehouses import postgresql_warehouse, sqlite_warehouse
from tests.sync.webhook_sender import LIVE_OPTIONS
from tests.sync.workspace import Workspace

pytestmark = pytest.mark.anyio


@pytest.fixture
def lake(workspace: Workspace, tmp_path: Path) -> Lake:
    """An audience of ten members by a query that was not run yet."""
    lake = Lake(workspace, sqlite_warehouse(tmp_path))
    lake.warehouse.members(*MEMBERS)
    return lake


class Interval:
    """The wait between two refreshes: it ends when the test says so."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._is_over = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self._is_over.clear()
        await self._is_over.wait()

    async def passes(self) -> None:
        """Wait until everything was refreshed once more."""
        before = len(self.seconds)
        self._is_over.set()
        await until(lambda: len(self.seconds) > before)


class Followed:
    """A session that refreshes audiences."""

    def __init__(self, source: EventStream, interval: Interval) -> None:
        self.source = source
        self.interval = interval
        self.live: LiveSession | None = None
        self.report: LiveReport | None = None

    @property
    def status(self) -> dict[str, SourceStatus]:
        return {item.name: item for item in self.source.status()}

    @property
    def added(self) -> int:
        """How many members the session has added so far: an upload is counted after its answer."""
        assert self.live is not None
        return self.live.snapshot().counts.added

    @property
    def trouble(self) -> str:
        """The notes of the source of the audience "vip"."""
        return self.status["lake: vip"].trouble


@asynccontextmanager
async def following(lake: Lake, *names: str) -> AsyncIterator[Followed]:
    """Follow these names; the first refresh is over when the block begins."""
    interval, workspace = Interval(), lake.workspace
    timing = dataclasses.replace(workspace.timing, sleep=interval.sleep, monotonic=lambda: 0.0)

    def opened(name: str) -> Engine:
        assert name == "lake"
        return lake.open_engine()

    source = open_queries(workspace.ledger, names, opened, RefreshOptions(), timing)
    followed = Followed(source, interval)
    async with workspace.client() as client:
        live = followed.live = LiveSession(workspace.context(client), LIVE_OPTIONS)
        task = asyncio.create_task(live.run(source))
        try:
            await until(lambda: interval.seconds or task.done())
            yield followed
        finally:
            live.end()
            followed.report = await task


async def test_a_source_is_refreshed_at_every_interval_and_the_cohort_follows(lake: Lake) -> None:
    async with following(lake, "lake") as followed:
        await until(lambda: followed.added == len(MEMBERS))
        assert lake.workspace.cohort("vip") == {*MEMBERS}
        assert followed.interval.seconds == [900.0]
        assert followed.status == {
            "lake: vip": SourceStatus("lake: vip", 10, 0.0, kind=StreamKind.QUERY)
        }
        lake.warehouse.members(*MEMBERS[1:], "new")
        await followed.interval.passes()
        await until(is_in(lake.workspace, *MEMBERS[1:], "new", key="vip"))
        await followed.interval.passes()  # nothing is new
        assert followed.status["lake: vip"].events == 12
    assert followed.report is not None
    assert (followed.report.last.tally.read, followed.report.last.tally.valid) == (12, 12)
    assert followed.report.last.counts.added == 11


async def test_what_has_to_be_confirmed_is_not_applied_and_is_tried_again(lake: Lake) -> None:
    async with following(lake, "vip") as followed:
        await until(is_in(lake.workspace, *MEMBERS, key="vip"))
        lake.warehouse.members("m-0")
        await followed.interval.passes()
        assert followed.trouble == (
            "The query lists 1 member. It removes 9 of the 10 members of “vip”. Nothing was "
            "changed, and the session keeps trying. To confirm it: amp-console refresh vip"
        )
        assert lake.last == (RefreshOutcome.DECLINED, 1)
        assert lake.wanted() == {*MEMBERS}
        lake.warehouse.members(*MEMBERS[:9])
        await followed.interval.passes()
        assert followed.trouble == ""
        await until(is_in(lake.workspace, *MEMBERS[:9], key="vip"))


async def test_a_query_that_fails_is_in_trouble_and_tried_again(lake: Lake) -> None:
    lake.warehouse.execute("ALTER TABLE vips RENAME TO elsewhere")
    async with following(lake, "lake") as followed:
        assert followed.trouble == (
            "SQLite refused the query: no such table: vips. Nothing was changed. Check the names "
            "in the query, and the path of the source. The session keeps trying."
        )
        lake.warehouse.execute("ALTER TABLE elsewhere RENAME TO vips")
        await followed.interval.passes()
        assert followed.trouble == ""
        await until(is_in(lake.workspace, *MEMBERS, key="vip"))


async def test_refused_rows_are_a_trouble_and_the_others_are_applied(lake: Lake) -> None:
    lake.warehouse.execute("INSERT INTO vips VALUES (NULL)")
    async with following(lake, "lake") as followed:
        await until(is_in(lake.workspace, *MEMBERS, key="vip"))
        assert "1 row was refused: no user_id in this row (1)." in followed.trouble
    assert followed.report is not None
    assert followed.report.last.tally.invalid == 0  # otherwise it would be counted at each refresh


async def test_changes_are_read_on_within_a_session_and_after_it(
    workspace: Workspace, tmp_path: Path
) -> None:
    lake = Changes(workspace, sqlite_warehouse(tmp_path))
    lake.add(("a", True, 0), ("b", True, 3600))
    async with following(lake, "lake") as followed:
        await until(is_in(workspace, "a", "b", key="vip"))
        lake.add(("c", True, 7200), ("a", True, 7200))
        await followed.interval.passes()
        await until(is_in(workspace, "a", "b", "c", key="vip"))
        assert lake.last == (RefreshOutcome.APPLIED, 3)
    async with following(lake, "lake"):
        assert lake.last == (RefreshOutcome.APPLIED, 2)


async def test_a_source_means_its_enabled_audiences_and_a_name_means_one(lake: Lake) -> None:
    workspace, connection = lake.workspace, lake.workspace.connection
    lake.warehouse.members("o-1", table="others")
    for key in ("other", "off"):
        set_query(lake.ledger, connection, key, "lake", "SELECT user_id FROM others")
    workspace.change(SettingsChange(enabled=False), "off")
    async with following(lake, "lake", "vip") as followed:
        assert set(followed.status) == {"lake: vip", "lake: other"}
        set_query(lake.ledger, connection, "later", "lake", "SELECT user_id FROM others")
        await followed.interval.passes()
        assert set(followed.status) == {"lake: vip", "lake: other", "lake: later"}
    async with following(lake, "vip", "off") as followed:
        assert set(followed.status) == {"lake: vip", "lake: off"}
    known = [name for name in ("lake", "vip", "off", "x") if lake.ledger.read(is_refreshed, name)]
    assert known == ["lake", "vip", "off"]


async def test_the_log_tells_each_outcome_once_until_something_changes(lake: Lake) -> None:
    def logged() -> list[str]:
        found = lake.ledger.read(log_page, LogFilter(kinds=(LogKind.IMPORT,)))
        return [entry.text.partition("lake: ")[2].partition(".")[0] for entry in found][::-1]

    async with following(lake, "lake") as followed:
        for _ in range(2):
            await followed.interval.passes()
        assert logged() == ["applied"]
        lake.warehouse.members("m-0")
        for _ in range(2):
            await followed.interval.passes()
        assert logged() == ["applied", "not confirmed"]
        lake.warehouse.members(*MEMBERS, "new")
        await followed.interval.passes()
        lake.warehouse.members(*MEMBERS)
        await followed.interval.passes()
        assert logged() == ["applied", "not confirmed", "applied", "applied"]


@pytest.fixture
def endless(workspace: Workspace, server: PostgresqlServer) -> tuple[Lake, Callable[[], bool]]:
    """An audience whose query never ends, and whether it runs on the server."""
    lake = Lake(workspace, postgresql_warehouse(server))
    lake.ask("SELECT pg_sleep(3600)::text AS user_id")
    running = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE state = 'active' AND application_name = 'amp-console'"
    )
    return lake, lambda: server.rows(running) == [(1,)]


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_the_end_of_a_session_cancels_its_query_on_the_server(
    endless: tuple[Lake, Callable[[], bool]], *, is_cancelled: bool
) -> None:
    lake, is_running = endless
    source = open_queries(lake.ledger, ["vip"], lambda _: lake.open_engine(), RefreshOptions())
    async with lake.workspace.client() as client:
        live = LiveSession(lake.workspace.context(client), LIVE_OPTIONS)
        task = asyncio.create_task(live.run(source))
        await until(is_running)
        if is_cancelled:
            task.cancel()
        else:
            live.end()
        await asyncio.wait([task])
        assert task.cancelled() is is_cancelled
    assert not is_running()
    assert lake.last == (RefreshOutcome.CANCELLED, 0)
    assert lake.wanted() == set()
