"""The query editor: a query is tried without changing members, and saved for an audience."""

from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from amp_console.connections import NamedSource
from amp_console.console import LaunchOptions
from amp_console.console.screens.audiences.list import AudiencesScreen
from amp_console.console.screens.sources.query import QueryScreen
from amp_console.console.screens.sources.query_kinds import QueryKind
from amp_console.console.widgets.fields import Choice
from amp_console.console.widgets.sql_area import SqlArea
from amp_console.ledger.audience_queries import AudienceQuery, audience_queries
from amp_console.ledger.audiences import all_audiences
from amp_console.sync.audience_queries import set_query
from tests.console.harness import (
    ConsoleHarness,
    enter,
    services,
    until,
    until_gone,
    until_notified,
    until_on,
    until_shown,
)
from tests.console.test_sources import (
    ENDLESS,
    MEMBERS,
    SIZES,
    choose,
    go,
    vip,
    wanted,
    warehouse,
)
from tests.sync.warehouses import Warehouse, sqlite_warehouse

pytestmark = pytest.mark.anyio
__all__ = ["vip", "warehouse"]


async def begin(pilot: Pilot[None]) -> None:
    """Open the editor for a new audience, from home."""
    await until(pilot, lambda: services(pilot).session)
    await until_shown(pilot, "No audience yet.")
    await pilot.press("n")
    await until_on(pilot, QueryScreen)
    await until_shown(pilot, "New audience by query", "● lake", "FROM vips")


def write(pilot: Pilot[None], sql: str) -> None:
    pilot.app.screen.query_one(SqlArea).load_text(sql)


def queries(pilot: Pilot[None]) -> dict[int, AudienceQuery]:
    session = services(pilot).session
    assert session is not None
    return session.screen_ledger.read(audience_queries)


@pytest.mark.parametrize("size", SIZES)
async def test_a_query_is_tried_and_no_members_change(
    harness: ConsoleHarness, warehouse: Warehouse, size: tuple[int, int]
) -> None:
    warehouse.members(*MEMBERS, "m-0", " ", "")
    async with harness.open(size=size) as pilot:
        await begin(pilot)
        write(pilot, "SELECT user_id, 'x' AS city FROM vips ORDER BY user_id")
        await pilot.press("f5")
        await until_shown(
            pilot, "13 rows", "10 people", "1 duplicate", "2 refused", "no user_id in this row (2)"
        )
        await until_shown(pilot, "Columns not used: city.", "(blank)", "the first 10 rows")
        assert wanted(harness) == set()
        assert queries(pilot) == {}


async def test_a_query_that_fails_says_why(harness: ConsoleHarness, warehouse: Warehouse) -> None:
    async with harness.open() as pilot:
        await begin(pilot)
        for sql, sentence in (
            ("SELECT user_id FROM gone", "no such table: gone"),
            ("DELETE FROM vips", "it may only read"),
            ("SELECT 1 AS x", "The query returns no column called user_id or amplitude_id, but x."),
            (" ", "The query is empty."),
        ):
            write(pilot, sql)
            await pilot.press("f5")
            await until_shown(pilot, sentence)


async def test_a_query_that_takes_long_is_cancelled(
    harness: ConsoleHarness, warehouse: Warehouse
) -> None:
    async with harness.open() as pilot:
        await begin(pilot)
        write(pilot, ENDLESS)
        await pilot.press("f5")
        await until_shown(pilot, "Running: 10,000 rows", "F6 Cancel the query")
        await pilot.press("f6")
        await until_shown(pilot, "The query was cancelled in the warehouse.", "F5 Try")


async def test_a_new_audience_is_saved_with_its_query(
    harness: ConsoleHarness, warehouse: Warehouse
) -> None:
    async with harness.open() as pilot:
        await begin(pilot)
        await pilot.press("f2")
        await until_shown(pilot, "Enter a key.")
        await pilot.press(*"vip", "tab", *"VIP", "f2")
        await until_on(pilot, AudiencesScreen)
        await until_notified(pilot, "Saved the query of “VIP”.", "press u under Sources")
        (query,) = queries(pilot).values()
        assert (query.source, query.sql.split()[:4]) == (
            "lake",
            ["SELECT", "user_id", "FROM", "vips"],
        )
        await until_shown(pilot, "VIP")
        await go(pilot, "VIP", "not read yet")


async def test_the_key_of_an_audience_that_exists_gives_the_query_to_it(
    harness: ConsoleHarness, vip: Warehouse
) -> None:
    async with harness.open() as pilot:
        await go(pilot, "VIP shoppers")
        await pilot.press("n")
        await until_shown(pilot, "New audience by query", "● lake")
        await pilot.press(*"vip")
        await until_shown(pilot, "“VIP shoppers” has a query, which this one replaces.")
        await pilot.press("x")
        await until_gone(pilot, "which this one replaces")


async def test_a_query_is_edited_and_leaving_it_asks(
    harness: ConsoleHarness, vip: Warehouse
) -> None:
    async with harness.open() as pilot:
        await go(pilot, "VIP shoppers")
        await choose(pilot, "VIP shoppers")
        await pilot.press("e")
        await until_shown(pilot, "Query of VIP shoppers", "SELECT user_id FROM vips")
        assert not pilot.app.screen.query_one("#key", Input).region
        await pilot.press("f2")
        await until_notified(pilot, "Nothing was changed.")
        write(pilot, "SELECT user_id FROM vips LIMIT 3")
        await pilot.press("escape")
        await until_shown(pilot, "Discard changes?")
        await pilot.press("escape", "f2")
        await until_shown(pilot, "LIMIT 3", "▸7 Sources", "not read yet")
        (query,) = queries(pilot).values()
        assert query.sql == "SELECT user_id FROM vips LIMIT 3"
        assert len(_audiences(pilot)) == 1


def _audiences(pilot: Pilot[None]) -> list[str]:
    session = services(pilot).session
    assert session is not None
    return [item.name for item in session.screen_ledger.read(all_audiences)]


async def test_a_query_of_changes_stays_one(harness: ConsoleHarness, warehouse: Warehouse) -> None:
    warehouse.execute(
        "CREATE TABLE moves (user_id TEXT, is_member INTEGER, changed_at TEXT)",
        "INSERT INTO moves VALUES ('a', 1, '2026-05-03 10:00:00'), "
        "('a', 0, '2026-05-03 11:00:00'), ('b', 1, '2026-05-03 10:30:00')",
    )
    sql = "SELECT * FROM moves WHERE changed_at >= :cursor"
    connection = harness.environment.connections.pick(None)
    with harness.workspace(connection) as workspace:
        set_query(workspace.ledger, connection, "vip", "lake", sql, is_changes=True, overlap=60.0)
    async with harness.open() as pilot:
        await go(pilot, "vip")
        await choose(pilot, "vip")
        await pilot.press("u")
        await until_shown(pilot, "lists 3 changes", "+1 enters the audience")
        await pilot.press("y")
        await until_shown(pilot, "● ok", "changes until 2026-05-03 11:00:00 UTC")
        await pilot.press("e")
        await until_shown(pilot, "Query of vip", "from :cursor on.")
        await pilot.press("f5")
        await until_shown(pilot, "1 row", "1 person")  # what the overlap reads again
        write(pilot, f"{sql} AND user_id <> 'x'")
        await pilot.press("f2")
        await until_notified(pilot, "Saved the query of “vip”.")
        (query,) = queries(pilot).values()
        assert (query.is_changes, query.overlap) == (True, 60.0)


MOVES = (
    "CREATE TABLE vip_changes (user_id TEXT, is_member INTEGER, changed_at TEXT)",
    "INSERT INTO vip_changes VALUES ('a', 1, '2026-05-03 10:00:00')",
    "INSERT INTO vip_changes VALUES ('b', 1, '2026-05-03 10:30:00')",
    "INSERT INTO vip_changes VALUES ('a', 0, '2026-05-03 11:00:00')",
)


def pick(pilot: Pilot[None], kind: QueryKind) -> None:
    pilot.app.screen.query_one("#kind", Choice).value = kind


@pytest.mark.parametrize("size", SIZES)
async def test_a_new_query_of_changes_is_tried_and_saved(
    harness: ConsoleHarness, warehouse: Warehouse, size: tuple[int, int]
) -> None:
    warehouse.execute(*MOVES)
    async with harness.open(size=size) as pilot:
        await begin(pilot)
        pick(pilot, QueryKind.CHANGES)
        await until_shown(pilot, "● Changes", "Overlap", "10m", "changed_at >= :cursor")
        enter(pilot, key="vip", overlap="never")
        for key in ("f5", "f2"):
            await pilot.press(key)
            await until_shown(pilot, "'never' is not a time from 1s to 24h, such as 90s or 15m.")
            enter(pilot, overlap="9")
            await until_gone(pilot, "is not a time")
            enter(pilot, overlap="never")
        enter(pilot, overlap="2h")
        await pilot.press("f5")
        await until_shown(pilot, "3 rows", "2 people")
        await pilot.press("f2")
        await until_notified(pilot, "Saved the query of “vip”.")
        (query,) = queries(pilot).values()
        assert (query.is_changes, query.overlap) == (True, 7_200.0)


async def test_a_query_of_members_becomes_one_of_changes(
    harness: ConsoleHarness, vip: Warehouse
) -> None:
    vip.execute(*MOVES)
    async with harness.open() as pilot:
        await go(pilot, "VIP shoppers")
        await choose(pilot, "VIP shoppers")
        await pilot.press("e")
        await until_shown(pilot, "Query of VIP shoppers", "SELECT user_id FROM vips")
        pick(pilot, QueryKind.CHANGES)
        await until_shown(pilot, "Overlap", "SELECT user_id FROM vips")  # the written query stays
        write(pilot, "SELECT * FROM vip_changes")
        await pilot.press("f2")
        await until_notified(pilot, "Saved the query of “VIP shoppers”.")
        (query,) = queries(pilot).values()
        assert (query.is_changes, query.overlap) == (True, 600.0)


async def test_the_tables_of_profiles_sync_have_a_template(
    harness: ConsoleHarness, warehouse: Warehouse
) -> None:
    warehouse.execute(
        "CREATE TABLE user_traits (canonical_segment_id TEXT, name TEXT, value TEXT)",
        "CREATE TABLE user_identifiers (canonical_segment_id TEXT, type TEXT, value TEXT)",
        "INSERT INTO user_traits VALUES ('s1', 'o''neil', 'true'), ('s2', 'o''neil', 'false')",
        "INSERT INTO user_identifiers VALUES ('s1', 'user_id', 'u-1'), ('s2', 'user_id', 'u-2'), "
        "('s1', 'email', 'ana@acme.example')",
    )
    async with harness.open() as pilot:
        await begin(pilot)
        pick(pilot, QueryKind.SEGMENT)
        await until_shown(pilot, "Schema", "SCHEMA.user_traits", "AUDIENCE_KEY")
        enter(pilot, key="o'neil")
        await until_shown(pilot, "t.name = 'o''neil'")
        await pilot.press("f2")
        await until_shown(pilot, "Enter the schema of the space")
        assert queries(pilot) == {}
        enter(pilot, schema="main")
        await until_shown(pilot, "FROM main.user_traits AS t", "main.user_identifiers")
        await pilot.press("f5")
        await until_shown(pilot, "1 row", "1 person", "u-1")
        write(pilot, "SELECT 'mine' AS user_id")
        enter(pilot, schema="other")
        await pilot.pause()
        await pilot.press("f2")
        await until_notified(pilot, "Saved the query of “o'neil”.")
        (query,) = queries(pilot).values()
        assert (query.is_changes, query.sql) == (False, "SELECT 'mine' AS user_id")


async def test_read_only_tries_and_does_not_save(harness: ConsoleHarness, vip: Warehouse) -> None:
    async with harness.open(LaunchOptions(read_only=True)) as pilot:
        await go(pilot, "VIP shoppers")
        await choose(pilot, "VIP shoppers")
        await pilot.press("e")
        await until_shown(pilot, "Query of VIP shoppers", "SELECT user_id")
        await pilot.press("f5")
        await until_shown(pilot, "10 people")
        await pilot.press("f2")
        await until_notified(pilot, "started with --read-only")


async def test_without_a_warehouse_it_says_how_to_add_one(harness: ConsoleHarness) -> None:
    harness.connect()
    async with harness.open(size=(80, 24)) as pilot:
        await until_shown(pilot, "No audience yet.")
        await pilot.press("n")
        await until_shown(pilot, "New audience by query", "Add a warehouse first")
        await pilot.press("f5")
        await until_notified(pilot, "Add a warehouse first")


async def test_sql_is_colored(harness: ConsoleHarness, warehouse: Warehouse) -> None:
    async with harness.open() as pilot:
        await begin(pilot)
        area = pilot.app.screen.query_one(SqlArea)
        write(pilot, "SELECT 'é /* x', 42 -- all of them\n/* two\nlines */ FROM t")
        colored: dict[str, str] = {}
        for line in map(area.get_line, range(3)):
            for span in line.spans:
                style = str(span.style)
                colored[style] = colored.get(style, "") + line.plain[span.start : span.end]
        keywords, text, number, comments = colored.values()
        assert (keywords, text, number) == ("SELECTFROM", "'é /* x'", "42")
        assert comments == "-- all of them/* twolines */"


async def test_a_warehouse_that_a_shell_added_can_be_chosen(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    connection = harness.connect()
    async with harness.open() as pilot:
        await until_shown(pilot, "No audience yet.")
        url = sqlite_warehouse(tmp_path).url
        harness.environment.connections.put_source(connection, NamedSource(name="shed", url=url))
        await pilot.press("n")
        await until_shown(pilot, "● shed")
        write(pilot, "SELECT 'u-1' AS user_id")
        await pilot.press(*"vip", "f2")
        await until_notified(pilot, "Saved the query of “vip”.")
        await until_shown(pilot, "vip")


async def test_a_query_that_another_has_replaced_is_asked_about(
    harness: ConsoleHarness, vip: Warehouse
) -> None:
    connection = harness.environment.connections.pick(None)
    async with harness.open() as pilot:
        await go(pilot, "VIP shoppers")
        await choose(pilot, "VIP shoppers")
        await pilot.press("e")
        await until_shown(pilot, "Query of VIP shoppers", "SELECT user_id")
        bens = msgspec.structs.replace(connection, operator="Ben")
        with harness.environment.ledgers.open(bens) as his:
            set_query(his, bens, "vip", "lake", "SELECT user_id FROM vips LIMIT 5")
        write(pilot, "SELECT user_id FROM vips LIMIT 3")
        await pilot.press("f2")
        await until_shown(pilot, "Ben has changed them in the meantime:", "LIMIT 5")
        await pilot.press("n")
        await until_gone(pilot, "Ben has changed")
        (query,) = queries(pilot).values()
        assert query.sql.endswith("LIMIT 5")
        await pilot.press("f2")
        await until_shown(pilot, "Ben has changed them in the meantime:")
        await pilot.press("y")
        await until_notified(pilot, "Saved the query of “VIP shoppers”.")
        (query,) = queries(pilot).values()
        assert query.sql.endswith("LIMIT 3")
