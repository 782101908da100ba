"""The Sources screen: what feeds the audiences, refreshing with a plan, testing, removing."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from textual.pilot import Pilot

from amp_console.connections import NamedSource
from amp_console.console import LaunchOptions
from amp_console.console.refreshes import engine_of
from amp_console.console.screens.sources.form import SourceForm
from amp_console.console.widgets.grid import Grid, Row
from amp_console.ledger import Ledger
from amp_console.ledger.audience_queries import query_of
from amp_console.ledger.audiences import set_name
from amp_console.ledger.sources import begin_source
from amp_console.ledger.unread_sources import UnreadSource, keep_unread
from amp_console.sync.audience_queries import set_query
from amp_console.sync.sources.warehouse.refresh import AudienceRefresh
from tests.console.harness import (
    ConsoleHarness,
    picture,
    services,
    until,
    until_gone,
    until_notified,
    until_on,
    until_said,
    until_shown,
)
from tests.console.test_live import follow
from tests.sync.bucket_server import BucketServer, bucket_server
from tests.sync.warehouses import Warehouse, sqlite_warehouse
from tests.sync.workspace import lines

pytestmark = pytest.mark.anyio
MEMBERS = tuple(f"m-{number}" for number in range(10))
SIZES = [(80, 24), (120, 36), (200, 50)]


@pytest.fixture
def warehouse(harness: ConsoleHarness, tmp_path: Path) -> Warehouse:
    """A warehouse of the connection, with a table of ten members."""
    warehouse = sqlite_warehouse(tmp_path)
    warehouse.members(*MEMBERS)
    harness.connect(sources=(NamedSource(name="lake", url=warehouse.url),))
    return warehouse


@pytest.fixture
def vip(harness: ConsoleHarness, warehouse: Warehouse) -> Warehouse:
    """The audience "vip" has a query in the warehouse."""
    ask(harness, "SELECT user_id FROM vips")
    return warehouse


def ask(harness: ConsoleHarness, sql: str) -> None:
    """Give the audience "vip" this query."""
    connection = harness.environment.connections.pick(None)
    with harness.workspace(connection) as workspace:
        set_query(workspace.ledger, connection, "vip", "lake", sql, new_name="VIP shoppers")


def wanted(harness: ConsoleHarness) -> set[str]:
    """The users who are wanted in any audience."""
    path = harness.environment.folders.ledger(harness.environment.connections.pick(None).id)
    with closing(sqlite3.connect(path)) as db:
        return {id_ for (id_,) in db.execute("SELECT id FROM member WHERE wanted = 1")}


async def go(pilot: Pilot[None], *shown: str) -> None:
    await until(pilot, lambda: services(pilot).session)
    await pilot.press("7")
    await until_shown(pilot, "▸7 S", *shown)


async def choose(pilot: Pilot[None], text: str, column: int = 0) -> None:
    """Move the cursor to the source with this text in a column, and wait for its detail."""
    grid = pilot.app.screen.query_one("#list", Grid)

    def matching() -> list[Row]:
        rows = (grid.rows.get(at) for at in range(len(grid.rows)))
        return [row for row in rows if row and row.cells[column].text.strip() == text]

    await until(pilot, matching)
    (chosen, *_) = matching()
    assert grid.go_to(chosen.key)
    name = chosen.cells[0].text.strip()
    await until(pilot, lambda: pilot.app.screen.query_one("#detail").border_title == name)


async def test_without_any_it_says_how_to_add_one(harness: ConsoleHarness) -> None:
    harness.connect()
    async with harness.open(size=(80, 24)) as pilot:
        await go(pilot, "No source yet.", "press A and add its warehouse")
        await pilot.press("n")
        await until_notified(pilot, "Add a warehouse first")


@pytest.mark.parametrize("size", SIZES)
async def test_a_refresh_shows_its_plan_before_anything_becomes_wanted(
    harness: ConsoleHarness, vip: Warehouse, size: tuple[int, int]
) -> None:
    async with harness.open(size=size) as pilot:
        await go(pilot, "lake", "SQLite", "VIP shoppers", "not read yet")
        await choose(pilot, "VIP shoppers")
        await pilot.press("u")
        await until_shown(pilot, "Refresh plan for", "+10 enter the audience", "lists 10 people")
        assert wanted(harness) == set()
        await pilot.press("y")
        await until_shown(pilot, "10 listed, 10 entering, 0 leaving", "● ok", "10 rows")
        assert wanted(harness) == {*MEMBERS}
        entries = services(pilot).notifications.entries
        assert not any("has a plan to confirm" in item.text for item in entries)


async def test_an_audience_whose_query_never_ran_is_not_to_be_synced_yet(
    harness: ConsoleHarness, vip: Warehouse
) -> None:
    assert vip.url
    async with harness.open() as pilot:
        await until_shown(pilot, "next        Press 7 to run its query under Sources")
        await go(pilot, "u Refresh")  # the cursor is on the query, not on the warehouse before it
        assert pilot.app.screen.query_one("#list", Grid).cursor > 0
        await pilot.press("escape")
        await until_shown(pilot, "next        Press 7 to run its query under Sources")
        await pilot.press("s")
        await until_shown(
            pilot, "from a seed user, who is removed again:", "it has no members yet."
        )


async def test_a_plan_that_is_left_changes_nothing(harness: ConsoleHarness, vip: Warehouse) -> None:
    async with harness.open() as pilot:
        await go(pilot, "VIP shoppers")
        await choose(pilot, "VIP shoppers")
        await pilot.press("u")
        await until_shown(pilot, "+10 enter the audience")
        await pilot.press("escape")
        await until_shown(pilot, "◐ not confirmed", "Press u to run the query again.")
        assert wanted(harness) == set()


async def test_a_plan_shows_its_warnings(harness: ConsoleHarness, vip: Warehouse) -> None:
    async with harness.open() as pilot:
        await go(pilot, "VIP shoppers")
        await choose(pilot, "VIP shoppers")
        await pilot.press("u")
        await until_shown(pilot, "+10 enter the audience")
        await pilot.press("y")
        await until_shown(pilot, "● ok")
        vip.members()
        await pilot.press("u")
        await until_shown(pilot, "−10 leave the audience", "It lists no one.")
        await pilot.press("enter")  # leaving has the focus
        await until_shown(pilot, "◐ not confirmed")
        vip.members(*MEMBERS, "m-0", " ")
        await pilot.press("u")
        await until_notified(pilot, "Refreshed “VIP shoppers” in part")
        await until_shown(pilot, "▲ incomplete", "1 row refused")
        vip.members(*MEMBERS, "new", "new", " ")
        await pilot.press("u")
        await until_shown(
            pilot, "+1 enters the audience", "1 row repeats someone", "1 row was refused"
        )
        await pilot.press("y")
        await until_gone(pilot, "Refresh plan for")
        await until(pilot, lambda: wanted(harness) == {*MEMBERS, "new"})
        await until_shown(pilot, "before", "10 listed, 10 entering, 0 leaving.")
        await pilot.press("1")
        await until_shown(pilot, "query in lake, read just now, incomplete")


async def test_a_plan_says_that_a_column_has_changed_its_type(
    harness: ConsoleHarness, vip: Warehouse
) -> None:
    vip.members("1", "2")
    async with harness.open() as pilot:
        await go(pilot, "VIP shoppers")
        await choose(pilot, "VIP shoppers")
        await pilot.press("u")
        await until_shown(pilot, "+2 enter the audience")
        await pilot.press("y")
        await until_shown(pilot, "● ok")
        vip.execute("DROP TABLE vips", "CREATE TABLE vips (user_id INTEGER)")
        for rows, change in (
            ("(1), (2)", "0 enter the audience"),
            ("(1), (2), (3)", "+1 enters the audience"),
        ):
            vip.execute("DELETE FROM vips", f"INSERT INTO vips VALUES {rows}")
            await pilot.press("u")
            await until_shown(pilot, change, "The column user_id has changed its type")
            await pilot.press("escape")
            await until_gone(pilot, "Refresh plan for")
        assert wanted(harness) == {"1", "2"}


async def test_the_refreshes_of_an_audience_are_its_own_whatever_it_was_called(
    harness: ConsoleHarness, warehouse: Warehouse
) -> None:
    connection = harness.environment.connections.pick(None)
    open_lake = engine_of(connection.sources[0], harness.environment.keyring)

    def refresh(ledger: Ledger, key: str, name: str, limit: int) -> None:
        sql = f"SELECT user_id FROM vips LIMIT {limit}"
        found = set_query(ledger, connection, key, "lake", sql, new_name=name)
        query = ledger.read(query_of, found.id)
        assert query is not None
        assert AudienceRefresh(ledger, found, query, open_lake).run().entering

    with harness.workspace(connection) as workspace:
        refresh(workspace.ledger, "vip", "VIP: shoppers", 6)
        refresh(workspace.ledger, "vip", "VIP: shoppers", 7)
        refresh(workspace.ledger, "gold", "VIP: shoppers", 3)
    async with harness.open(size=(200, 50)) as pilot:
        await go(pilot, "7 rows", "3 rows")
        await choose(pilot, "7 rows", column=3)
        await until_shown(pilot, "applied. 7 listed, 1 entering", "applied. 6 listed, 6 entering")
        assert "3 listed" not in picture(pilot)
        await choose(pilot, "3 rows", column=3)
        await until_shown(pilot, "applied. 3 listed, 3 entering")
        assert "7 listed" not in picture(pilot)
        with harness.workspace(connection) as workspace:
            workspace.ledger.write(set_name, workspace.audience("vip").id, "Renamed")
        services(pilot).publish_ledger_change()
        await until_shown(pilot, "Renamed")
        await choose(pilot, "Renamed")
        await until_shown(pilot, "applied. 7 listed, 1 entering", "applied. 6 listed, 6 entering")


ENDLESS = """
WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers)
SELECT i AS user_id FROM numbers WHERE i <= 15000"""
"""Returns some rows, and then no more until it is cancelled."""


async def test_a_query_under_way_shows_its_rows_and_is_cancelled(
    harness: ConsoleHarness, warehouse: Warehouse
) -> None:
    ask(harness, ENDLESS)
    async with harness.open() as pilot:
        await go(pilot, "VIP shoppers")
        await choose(pilot, "VIP shoppers")
        await pilot.press("u")
        await until_shown(pilot, "» refreshing", "10,000 rows so far", "c Cancel")
        await pilot.press("u")
        await until_notified(pilot, "A query is running.")
        await pilot.press("1")
        await until_shown(pilot, "» refreshing  ")
        await pilot.press("q")
        await until_shown(pilot, "A query is running: 10,000 rows read.")
        await pilot.press("escape", "7")
        await until_shown(pilot, "» refreshing", "c Cancel")
        await pilot.press("c")
        await until_shown(pilot, "○ cancelled", "The query was cancelled in the warehouse.")
        assert wanted(harness) == set()


async def test_a_plan_that_comes_elsewhere_waits_here(
    harness: ConsoleHarness, vip: Warehouse, tmp_path: Path
) -> None:
    async with harness.open() as pilot:
        writer = sqlite3.connect(tmp_path / "warehouse.db", isolation_level=None)
        writer.execute("BEGIN EXCLUSIVE")  # the query waits for it
        await go(pilot, "VIP shoppers")
        await choose(pilot, "VIP shoppers")
        await pilot.press("u", "3")
        await until_shown(pilot, "▸3 Runs")
        writer.close()
        await until_notified(pilot, "The refresh of “VIP shoppers” has a plan to confirm: press 7.")
        await pilot.press("7")
        await until_shown(pilot, "Refresh plan for", "+10 enter the audience")
        await pilot.press("y")
        await until(pilot, lambda: wanted(harness) == {*MEMBERS})


async def test_trouble_is_reported_in_full_with_what_to_do(
    harness: ConsoleHarness, vip: Warehouse
) -> None:
    vip.execute("DROP TABLE vips")
    async with harness.open(size=(200, 50)) as pilot:
        await go(pilot, "VIP shoppers")
        await choose(pilot, "VIP shoppers")
        await pilot.press("u")
        await until_shown(pilot, "✖ trouble", "no such table: vips", "e edits the query")
        assert picture(pilot).count("✖ trouble") >= 2  # the warehouse, too
        await until_notified(pilot, "“VIP shoppers” was not refreshed. SQLite refused the query")


async def test_a_warehouse_is_tested(
    harness: ConsoleHarness, warehouse: Warehouse, tmp_path: Path
) -> None:
    async with harness.open() as pilot:
        await go(pilot, "lake", "no audience yet")
        await pilot.press("T")
        await until_shown(pilot, f"It can be read: SQLite {sqlite3.sqlite_version}.")
        (tmp_path / "warehouse.db").unlink()
        await pilot.press("T")
        await until_said(pilot, "does not exist.")  # a long path breaks anywhere
        await pilot.press("u")
        await until_notified(pilot, "Only the query of an audience can be refreshed")
        await until_shown(pilot, "Enter Edit")
        await pilot.press("enter")
        await until_on(pilot, SourceForm)


async def test_why_a_source_is_not_refreshed_is_said_of_that_source_alone(
    harness: ConsoleHarness, vip: Warehouse
) -> None:
    async with harness.open() as pilot:
        await go(pilot, "VIP shoppers", "lake")
        await choose(pilot, "lake")
        await pilot.press("u")
        await until_shown(pilot, "Only the query of an audience can be refreshed")
        await choose(pilot, "VIP shoppers")
        await until_gone(pilot, "Only the query of an audience can be refreshed")


async def test_a_warehouse_and_a_query_are_removed_once_that_is_confirmed(
    harness: ConsoleHarness, vip: Warehouse
) -> None:
    async with harness.open() as pilot:
        await go(pilot, "VIP shoppers", "lake")
        await choose(pilot, "lake")
        await pilot.press("D")
        await until_shown(pilot, "Remove the source “lake”?", "can't be refreshed: VIP shoppers")
        await pilot.press("y")
        await until_shown(pilot, "no source called “lake”", "✖ trouble")
        assert harness.environment.connections.pick(None).sources == ()
        await pilot.press("u")
        await until_notified(pilot, "Give the query another one.")
        await pilot.press("D")
        await until_shown(pilot, "Remove the query of “VIP shoppers”?", "Its members stay")
        await pilot.press("y")
        await until_shown(pilot, "No source yet.")


async def test_a_source_that_a_shell_adds_is_there(
    harness: ConsoleHarness, warehouse: Warehouse
) -> None:
    async with harness.open() as pilot:
        await go(pilot, "lake")
        connection = harness.environment.connections.pick(None)
        shed = NamedSource(name="shed", url=warehouse.url)
        harness.environment.connections.put_source(connection, shed)
        await pilot.press("1")
        await until_shown(pilot, "No audience yet.")
        await go(pilot, "shed")
        session = services(pilot).session
        assert session is not None
        assert [item.name for item in session.connection.sources] == ["lake", "shed"]


async def test_read_only_refreshes_and_tests_and_changes_no_setting(
    harness: ConsoleHarness, vip: Warehouse
) -> None:
    async with harness.open(LaunchOptions(read_only=True)) as pilot:
        await go(pilot, "VIP shoppers", "READ-ONLY")
        for key in ("n", "D"):
            services(pilot).notifications.entries.clear()
            await pilot.press(key)
            await until_notified(pilot, "started with --read-only")
        await choose(pilot, "VIP shoppers")
        services(pilot).notifications.entries.clear()
        await pilot.press("D")
        await until_notified(pilot, "started with --read-only")
        await pilot.press("u")
        await until_shown(pilot, "+10 enter the audience")
        await pilot.press("y")
        await until(pilot, lambda: wanted(harness) == {*MEMBERS})


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BucketServer]:
    with bucket_server(tmp_path / "buckets", monkeypatch) as server:
        server.put("in/1.json", lines("u1"))
        server.put("in/2.json", lines("u2") + "nonsense\n")
        yield server


async def test_a_bucket_counts_its_objects_while_it_is_followed_and_later(
    harness: ConsoleHarness, bucket: BucketServer
) -> None:
    harness.connect()
    async with harness.open(size=(200, 50)) as pilot:
        await follow(pilot, bucket.address("in"))
        await until(pilot, lambda: wanted(harness) == {"u1", "u2"})
        await pilot.press("7")
        await until_shown(
            pilot, "s3://events", "» live", "2 objects", "3 events: 2 valid", "1 invalid"
        )
        live = services(pilot).jobs.live
        assert live is not None
        live.cancel()
        await until(pilot, lambda: live.is_over)
        services(pilot).publish_ledger_change()
        await until_shown(pilot, "● ok", "Press i to read what is new")
        await pilot.press("D")
        await until_notified(pilot, "it is listed because it was read, and has no settings")
        assert "Enter" not in picture(pilot), "there is no more to show"
        await pilot.press("i")
        await until_shown(pilot, "Import events")


async def test_an_object_that_could_not_be_read_is_listed_with_its_reason(
    harness: ConsoleHarness,
) -> None:
    connection = harness.connect()
    unread = UnreadSource("s3:x/in/2.json", "s3://x/in/2.json", "Grant s3:GetObject.", 1)
    with harness.workspace(connection) as workspace:
        workspace.ledger.write(keep_unread, unread)
    async with harness.open(size=(200, 50)) as pilot:
        await go(pilot, "not read", "✖ trouble", "Grant s3:GetObject.", "until it is read")
        for key, reason in (
            ("D", "listed until it is read"),
            ("e", "Only warehouses and queries can be edited"),
            ("T", "Only a warehouse can be tested"),
            ("u", "Only the query of an audience can be refreshed"),
        ):
            await pilot.press(key)
            await until_notified(pilot, reason)


async def test_a_bucket_in_trouble_says_why(harness: ConsoleHarness, bucket: BucketServer) -> None:
    connection = harness.connect()
    with harness.workspace(connection) as workspace:
        workspace.ledger.write(
            begin_source, "s3://events/in/1.json", bucket.address("in/1.json"), 1
        )
    bucket.fault = lambda request: request.refuse(403, "AccessDenied")
    async with harness.open(size=(200, 50)) as pilot:
        await follow(pilot, bucket.address("in"))
        await until_shown(pilot, "It can't be listed.")
        await pilot.press("7")
        await until_shown(pilot, "✖ trouble", "It can't be listed.", "the live session")
