"""Home: every audience with its cohort, and one of them in detail."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from amp_console.console import LaunchOptions
from amp_console.console.badges import badge_route
from amp_console.console.routes import MainScreen, OpenErrors, OpenLink, OpenReconcile, Visit
from amp_console.console.screens.audiences.detail import AudienceDetail
from amp_console.console.screens.audiences.list import AudiencesScreen, show_audiences
from amp_console.console.screens.audiences.rows import line_below, title
from amp_console.console.screens.base import BaseScreen
from amp_console.console.screens.errors.list import ErrorsScreen
from amp_console.console.screens.runs.list import RunsScreen
from amp_console.console.widgets.grid import Grid, Row
from amp_console.console.widgets.split import Split
from amp_console.ledger import runs
from amp_console.ledger.audiences import all_audiences, audience
from amp_console.ledger.cohorts import break_link
from amp_console.ledger.outcomes import STOPPED
from amp_console.ledger.sources import ReadCounts
from amp_console.simulator import Answer, Rule, Simulator
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.ingest.importer import Importer
from amp_console.sync.queries.status import Status, audience_summaries
from amp_console.sync.sources.registry import open_reader
from amp_console.values import IdType, now_in_microseconds
from tests.console.gate import blocked_reads, gate_sleeps, rate_limit, start_sync
from tests.console.harness import (
    NOW,
    ConsoleHarness,
    console,
    picture,
    services,
    until,
    until_gone,
    until_notified,
    until_on,
    until_shown,
)
from tests.console.sample_audiences import (
    FRESH,
    GHOSTS,
    LAPSED,
    SHOPPERS,
    connect_with_audiences,
    hostile_audience,
    select,
    sync,
)
from tests.sync.workspace import Workspace, event, ndjson

pytestmark = pytest.mark.anyio


def line_of(shown: str, text: str) -> str:
    return next(line for line in shown.splitlines() if text in line)


async def test_each_audience_is_a_row_with_its_numbers_and_its_status(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, SHOPPERS, "12", "◌ no cohort")
        shown = picture(pilot)
        assert "+3  −1" in line_of(shown, SHOPPERS)
        assert "◐ 4 pending" in line_of(shown, SHOPPERS)
        assert "◎ not compared" in line_of(shown, LAPSED)
        assert "▲ 2 rejected" in line_of(shown, GHOSTS)
        why = "1 with rejected users, 1 with no cohort"
        assert f"4 audiences · 2 need attention: {why} · 16 changes pending" in shown


async def test_what_is_open_of_disabled_audiences_is_counted_apart(
    harness: ConsoleHarness,
) -> None:
    def disable(workspace: Workspace) -> None:
        for name in (SHOPPERS, GHOSTS):
            workspace.change(SettingsChange(enabled=False), name)

    connect_with_audiences(harness, disable)
    async with harness.open(size=(200, 40)) as pilot:
        await until_shown(pilot, "· 12 changes", "4 changes pending and 2 rejected users in")


async def test_in_80_columns_names_and_states_are_words(harness: ConsoleHarness) -> None:
    def lose(workspace: Workspace) -> None:
        workspace.ledger.write(break_link, workspace.audience(SHOPPERS).id, "It is gone.")

    connect_with_audiences(harness, lose)
    async with harness.open(size=(80, 24)) as pilot:
        await until_shown(pilot, SHOPPERS, FRESH, "12")
        shown = picture(pilot)
        assert "✖ broken link" in line_of(shown, SHOPPERS)
        assert "◌ no cohort" in line_of(shown, FRESH)
        assert "◐  " not in shown
        assert "▲ 2 rejected" in line_of(shown, GHOSTS)


async def test_reasons_are_all_in_the_title_or_all_below(harness: ConsoleHarness) -> None:
    connection = connect_with_audiences(harness)
    with harness.workspace(connection) as workspace:
        found = workspace.ledger.read(audience_summaries, workspace.connection)
    async with harness.open() as pilot:
        await until_shown(pilot, SHOPPERS)
        known = services(pilot)
        above, below = title(known, found, 72, 4), title(known, found, 68, 4)
        why = "1 with rejected users, 1 with no cohort"
        assert above.line.plain == f"4 audiences · 2 need attention: {why}"
        assert (below.line.plain, ", ".join(below.reasons)) == (
            "4 audiences · 2 need attention · 16 changes pending",
            why,
        )
        narrow = title(known, found, 40, 4)
        assert narrow.line.plain == "4 audiences · 2 need attention"
        others = ["16 changes pending", "1 cohort not compared", "3 cohort sizes unknown (u)"]
        assert (narrow.reasons, narrow.others) == (below.reasons, others)
        lines = [line_below(known, narrow.reasons, others, room) for room in (64, 63, 43, 42, 25)]
        assert lines == [
            f"{why} · 16 changes pending · …",
            f"{why} · …",
            f"{why} · …",
            why,
            "1 with rejected users · …",
        ]


async def test_a_mark_leaves_the_reasons_in_place(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(80, 24)) as pilot:
        await until_shown(pilot, LAPSED)
        await pilot.press("space")
        await until_shown(pilot, "4 audiences, 1 marked · 2 need attention")
        assert "1 with rejected users, 1 with no cohort" in picture(pilot)


async def test_without_rows_what_to_do_is_said_in_the_middle(harness: ConsoleHarness) -> None:
    harness.connect()
    async with harness.open(size=(200, 50)) as pilot:
        await until_shown(pilot, "No audience yet.")
        lines = picture(pilot).splitlines()
        assert line_of(picture(pilot), "No audience yet.").index("No audience") > 50
        assert lines.index(line_of(picture(pilot), "No audience yet.")) > 12


async def test_an_audience_is_in_sync_only_once_its_cohort_was_compared(
    harness: ConsoleHarness,
) -> None:
    connection = harness.connect()
    with harness.workspace(connection) as workspace:
        workspace.read([event("u1", True, audience=LAPSED)])
        sync(workspace)
    async with harness.open() as pilot:
        await until_shown(pilot, "◎ not compared", "compared    not yet", "Press u to check the")
        with harness.workspace(connection) as workspace:
            await workspace.compare(LAPSED)
        await until_shown(pilot, "● in sync", ": same", "next        Nothing to do.")
        await until_shown(pilot, "1 by our ledger, 1 in Amplitude when compared")


async def test_counts_without_room_in_the_title_are_below_the_list(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(60, 24)) as pilot:
        await until_shown(pilot, "need attention", "no cohort")
        panel = pilot.app.screen.query_one("#audiences")
        title, below = str(panel.border_title), str(panel.border_subtitle)
        assert "no cohort" not in title
        assert "1 with no cohort" in below


async def test_what_needs_attention_comes_first(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, "12", LAPSED)
        grid = pilot.app.screen.query_one(Grid)
        assert order(grid) == [GHOSTS, FRESH, SHOPPERS, LAPSED]
        await until_shown(pilot, "Status ↑")


async def test_a_calm_sentence_says_that_everything_is_right(harness: ConsoleHarness) -> None:
    connection = harness.connect()
    with harness.workspace(connection) as workspace:
        workspace.read([event("u1", True, audience=LAPSED)])
        sync(workspace)
    after_the_last_run(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, "1 audience · nothing needs attention")
        with harness.workspace(connection) as workspace:
            await workspace.compare(LAPSED)
        await until_shown(pilot, "1 audience · everything is right")
        with harness.workspace(connection) as workspace:
            workspace.read([event("u2", True, audience=LAPSED)])
        await until_shown(pilot, "1 audience · nothing needs attention · 1 change pending")


@pytest.mark.parametrize("width", [80, 120])
async def test_a_number_is_never_cut(harness: ConsoleHarness, width: int) -> None:
    def many(workspace: Workspace) -> None:
        workspace.read(event(f"a{n}", True, audience="churned") for n in range(120))
        sync(workspace)
        workspace.read(event(f"a{n}", False, 90, audience="churned") for n in range(120))
        workspace.read(event(f"b{n}", True, audience="churned") for n in range(1_228))

    connect_with_audiences(harness, many)
    async with harness.open(size=(width, 36)) as pilot:
        await until_shown(pilot, "+1,228  −120")


async def test_the_row_under_the_cursor_is_shown_in_detail(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, f"key         {GHOSTS}", "3 by our ledger", "2 rejected")
        await until_shown(pilot, "next        Press x to see who was rejected and why.")
        await until_shown(pilot, "last error  Amplitude did not know this User ID")
        await pilot.press("j")
        await until_shown(
            pilot, f"key         {FRESH}", f"no cohort: the next sync creates {FRESH}"
        )
        await until_shown(pilot, "next        Press s to sync: it creates the cohort")
        await pilot.press("G")
        await until_shown(pilot, f"key         {LAPSED}")
        await until_shown(pilot, "7 by our ledger ")
        select(pilot, SHOPPERS)
        await until_shown(pilot, "= 19 delivered + 3 pending", "20 by our ledger, 1 to be removed")


async def test_an_audience_that_is_synced_says_so_and_offers_what_can_be_done_meanwhile(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    connect_with_audiences(harness)
    gate, refused = gate_sleeps(harness), "A sync is under way: press w to watch. Nothing"
    async with harness.open(size=(120, 40)) as pilot:
        rate_limit(simulator)
        await start_sync(pilot, "rate limited")
        services(pilot).navigate(Visit(MainScreen.AUDIENCES))
        await until_shown(pilot, SHOPPERS)
        select(pilot, SHOPPERS)
        await until_shown(
            pilot,
            "» sync 0%", "◐ 4 pending", "next        Press w to watch the sync.",
            "under way   sync 0%, 0 of 4 changes  run 2, in this console", "w Watch the sync",
        )  # fmt: skip
        keys = picture(pilot).splitlines()[-1]
        assert not [key for key in ("s Sync", "r Reconcile", "t Disable") if key in keys]
        for key in "srt":
            await pilot.press(key)
            await until_shown(pilot, refused)
            services(pilot).notifications.withdraw(f"{refused} was changed.")
            await until_gone(pilot, refused)
        gate.open()
        await until(pilot, lambda: not services(pilot).jobs.is_busy)
        await until_shown(pilot, "next        Nothing to send", "s Sync")
        assert "» sync" not in picture(pilot)


async def test_the_next_step_also_says_what_is_pending(harness: ConsoleHarness) -> None:
    def enter(workspace: Workspace) -> None:
        workspace.read([event("new", True, 300, audience=GHOSTS)])

    connect_with_audiences(harness, enter)
    async with harness.open() as pilot:
        await until_shown(pilot, SHOPPERS)
        select(pilot, GHOSTS)
        await until_shown(pilot, "Press x to see who was rejected and why. s sends 1 change.")


async def test_during_a_sync_the_next_step_names_only_keys_that_act(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    def enter(workspace: Workspace) -> None:
        workspace.read([event("new", True, 300, audience=GHOSTS)])

    connect_with_audiences(harness, enter)
    gate = gate_sleeps(harness)
    rate_limit(simulator)
    async with harness.open() as pilot:
        await start_sync(pilot, "rate limited")
        await pilot.press("1")
        await until_shown(pilot, SHOPPERS)
        select(pilot, GHOSTS)
        await until_shown(pilot, "who was rejected and why. Press w to watch the sync.")
        select(pilot, FRESH)
        await until_shown(pilot, "state       ◎ not compared", "next        Press w to watch")
        gate.open()


async def test_what_a_repair_checked_itself_is_not_older_than_the_repair(
    harness: ConsoleHarness,
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u1", "u2")
        await workspace.sync()
        workspace.remove_in_amplitude("u1")
        await workspace.apply(await workspace.compare())
    async with harness.open() as pilot:
        await until_shown(pilot, "run 3       repaired", "compared    by run 3: same")


async def test_members_move_as_a_line_and_day_by_day_in_a_table_where_there_is_room(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    first = {"timestamp": "2026-04-28T11:00:00Z"}  # the first of seven days, by the harness's clock
    yesterday = {"timestamp": "2026-05-03T11:00:00Z"}
    entered = [{**event(f"u{n}", True), **first} for n in range(40)]
    left = [{**event(f"u{n}", False), **yesterday} for n in range(10)]
    with harness.workspace(harness.connect()) as workspace:
        importer = Importer(
            workspace.ledger, open_reader, workspace.read_options(), now=lambda: NOW
        )
        for name, changes in (("entered", entered), ("left", left)):
            file = tmp_path / f"{name}.ndjson"
            file.write_text(ndjson(changes))
            importer.run([str(file)])
    async with harness.open() as pilot:
        await until_shown(pilot, "members     30  █████▇▇  +30 in 7 days (event time)")
        await until_shown(pilot, " yesterday       −10", " 2026-04-28 +40")
        await pilot.resize_terminal(170, 40)
        await until_shown(pilot, "day (UTC)      members  entered           left")
        lines = picture(pilot).splitlines()
        top = next(at for at, line in enumerate(lines) if "day (UTC)" in line)
        assert [line[80:].strip(" │") for line in lines[top + 1 : top + 8]] == [
            "2026-04-28          40  +40 ▇▇▇▇▇▇▇▇▇▇▇▇",
            "2026-04-29          40",
            "2026-04-30          40",
            "2026-05-01          40",
            "2026-05-02          40",
            "yesterday           30                    −10 ▇▇▇",
            "today               30",
        ]


async def test_members_without_an_identifier_are_no_part_of_the_trend_which_says_so(
    harness: ConsoleHarness,
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.map_amplitude_ids()
        workspace.enter("u1")
        workspace.read([event(None, True, traits={"amplitude_id": "77"})])
    async with harness.open() as pilot:
        await until_shown(pilot, ", not counting 1 member with no User ID")


async def test_events_dated_in_the_future_are_a_notice_in_the_detail(
    harness: ConsoleHarness,
) -> None:
    ahead = {**event("u-1", True, audience=SHOPPERS), "timestamp": "9999-01-01T00:00:00Z"}
    connect_with_audiences(harness, lambda workspace: workspace.read([ahead]))
    async with harness.open() as pilot:
        await until_shown(pilot, "12", LAPSED)
        select(pilot, SHOPPERS)
        await until_shown(pilot, "notice      1 person has an event dated in the future, up to")


async def test_list_and_detail_say_the_same_numbers_although_the_detail_is_read_later(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, "12", LAPSED)
        select(pilot, SHOPPERS)
        await until_shown(pilot, f"key         {SHOPPERS}", "◐ 4 pending")
        place, session = pilot.app.screen, services(pilot).session
        assert isinstance(place, AudiencesScreen)
        assert session is not None
        found = await session.read(audience_summaries, session.connection)
        left = found[0].left  # of the shoppers, by name
        found[0] = structs.replace(found[0], left=structs.replace(left, add=left.add + 5))
        with blocked_reads(pilot):
            show_audiences(place, found)
            await until(pilot, lambda: picture(pilot).count("◐ 9 pending") == 2)


async def test_members_and_pending_changes_are_always_of_one_moment(
    harness: ConsoleHarness,
) -> None:
    connection = connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, LAPSED, "not compared")
        grid, seen = pilot.app.screen.query_one("#list", Grid), set[tuple[str, str]]()
        show = grid.show

        def note(rows: Sequence[Row]) -> None:
            show(rows)
            row = next(row for row in rows if row.cells[0].text == LAPSED)
            seen.add((row.cells[3].text, row.cells[4].text))

        grid.show = note  # type: ignore[method-assign, assignment]
        with harness.workspace(connection) as workspace:
            workspace.files = 50
            workspace.read(event(f"new-{n}", True, 90, audience=LAPSED) for n in range(2))
            sync(workspace)
            workspace.read([event("new-3", True, 91, audience=LAPSED)])
        services(pilot).publish_ledger_change()
        await until(pilot, lambda: ("10", "+1") in seen)
        assert seen <= {("7", ""), ("9", "+2"), ("9", ""), ("10", "+1")}


async def test_without_audiences_it_says_how_to_bring_some_in(harness: ConsoleHarness) -> None:
    harness.connect()
    async with harness.open() as pilot:
        await until_shown(pilot, "No audience yet.", "Press i to import a file of events")
        await pilot.press("s")
        await until_shown(pilot, "There is no audience yet: press i")


async def test_esc_clears_the_filter_and_the_title_counts_what_is_shown(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, "4 audiences", LAPSED)
        await pilot.press("slash", *"laps", "enter")
        await until_shown(pilot, "1 of 4 audiences · nothing needs attention")
        assert "changes pending" not in picture(pilot)  # other processes' changes
        await until_gone(pilot, SHOPPERS)
        await pilot.press("slash", *"x", "enter")
        await until_shown(pilot, "─ 0 of 4 audiences ─")
        await pilot.press("escape")
        await until_shown(pilot, SHOPPERS)
        await until_gone(pilot, "1 of 4 audiences")


async def test_the_cursor_stays_on_the_row_that_a_filter_found(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, LAPSED)
        grid = pilot.app.screen.query_one(Grid)
        await pilot.press("slash", *"laps", "enter")
        await until_gone(pilot, SHOPPERS)
        found = grid.key
        await pilot.press("escape")
        await until_shown(pilot, SHOPPERS)
        assert grid.key == found


async def test_home_is_found_with_the_cursor_in_its_list(harness: ConsoleHarness) -> None:
    """With the focus still in the detail, some keys scrolled it, and others acted on a row."""
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, LAPSED)
        await pilot.press("tab")
        await until(pilot, lambda: isinstance(pilot.app.screen.focused, AudienceDetail))
        home = pilot.app.screen
        await pilot.press("question_mark")
        await until_shown(pilot, "Help ·")
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is home)
        assert isinstance(home.focused, AudienceDetail)
        await pilot.press("3")
        await until_on(pilot, RunsScreen)
        await pilot.press("1")
        await until(pilot, lambda: pilot.app.screen is home)
        await until(pilot, lambda: isinstance(home.focused, Grid))


async def test_a_filter_stays_until_it_is_emptied(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, LAPSED)
        await pilot.press("slash", *"LAPS", "enter")
        await until_gone(pilot, SHOPPERS)
        services(pilot).publish_ledger_change()
        await pilot.pause()
        assert LAPSED in picture(pilot)
        await until_gone(pilot, SHOPPERS)
        await pilot.press("slash", "escape")
        await until_shown(pilot, SHOPPERS)


def order(grid: Grid) -> list[str]:
    return [row.cells[0].text for row in map(grid.rows.get, range(4)) if row]


async def test_rows_are_sorted_by_any_column(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, "12", LAPSED)
        grid = pilot.app.screen.query_one(Grid)
        initial = order(grid)
        orders = {}
        for letter in "amrp":
            await pilot.press("o", letter)
            assert grid.rows.sort_column is not None
            orders[grid.columns[grid.rows.sort_column].label] = order(grid)
        assert orders["Audience"] == [SHOPPERS, FRESH, LAPSED, GHOSTS]
        assert orders["Members"] == [SHOPPERS, FRESH, LAPSED, GHOSTS]
        assert orders["Rejected"][0] == GHOSTS
        assert orders["Pending"][:2] == [FRESH, SHOPPERS]
        await pilot.press("o", "o")
        assert order(grid) == initial
        assert "Status ↑" in picture(pilot)


async def test_the_cursor_stays_on_its_row_when_others_come(harness: ConsoleHarness) -> None:
    connection = connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, LAPSED)
        grid = pilot.app.screen.query_one(Grid)
        await pilot.press("G")
        key = grid.key
        with harness.workspace(connection) as workspace:
            workspace.read([event("u1", True, audience="aaa_first")])
        await until_shown(pilot, "aaa_first")
        assert (grid.key, grid.cursor) == (key, 3)


async def test_marks_choose_several(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, LAPSED)
        place = pilot.app.screen
        assert isinstance(place, AudiencesScreen)
        await pilot.press("space", "space")
        assert {item.audience.key for item in place.chosen} == {GHOSTS, FRESH}
        await pilot.press("a")
        assert len(place.chosen) == 4
        await pilot.press("a")
        assert len(place.chosen) == 1


async def test_marks_are_counted_and_actions_name_what_they_act_on(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(160, 36)) as pilot:
        await until_shown(pilot, LAPSED, "s Sync  ")
        await pilot.press("space", "space")
        await until_shown(pilot, "4 audiences, 2 marked ·", "s Sync 2 marked")
        await until_shown(pilot, "r Reconcile 2 marked", "Disable 2 marked")
        await pilot.press("escape")
        await until_gone(pilot, "marked")
        assert "s Sync  " in picture(pilot)


async def test_marks_put_what_acts_on_them_before_the_link_of_the_row_under_the_cursor(
    harness: ConsoleHarness,
) -> None:
    def lose(workspace: Workspace) -> None:
        workspace.ledger.write(break_link, workspace.audience(SHOPPERS).id, "It is gone.")

    connect_with_audiences(harness, lose)
    async with harness.open(size=(160, 36)) as pilot:
        await until_shown(pilot, "broken link")
        select(pilot, SHOPPERS)
        await until_shown(pilot, "l Link  Enter Settings")
        await pilot.press("space")
        select(pilot, SHOPPERS)
        await until_shown(pilot, "s Sync 1 marked  Enter Settings", "l Link")


async def test_marks_go_once_a_sync_of_the_marked_audiences_has_begun(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        select(pilot, SHOPPERS)
        await pilot.press("space", "s")
        await until_shown(pilot, "Before you send")
        await pilot.press("escape")
        await until_shown(pilot, "1 marked")
        await pilot.press("s")
        await until_shown(pilot, "Before you send")
        await pilot.press("y")
        await until_shown(pilot, "● delivered")
        await pilot.press("1")
        await until_gone(pilot, "marked")
        await pilot.press("space")
        await until_shown(pilot, "1 marked")
        await pilot.press("t")
        await until_gone(pilot, "marked")


async def test_marks_set_before_the_list_is_read_again_stay(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        select(pilot, SHOPPERS)
        await pilot.press("s")
        await until_shown(pilot, "Before you send")
        await pilot.press("y")
        await until_shown(pilot, "● delivered")
        with blocked_reads(pilot):
            await pilot.press("1", "space")
            await until_shown(pilot, "1 marked")
        await until_shown(pilot, "just now", "1 marked")


async def test_enabling_an_audience_takes_back_that_it_is_disabled(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        select(pilot, SHOPPERS)
        await pilot.press("t")
        await until_shown(pilot, "is disabled: Sync all skips it")
        await pilot.press("t")
        await until_shown(pilot, "is enabled: Sync all and live sessions include it.")
        assert "more in the log" not in picture(pilot)


async def test_marks_of_rows_that_a_filter_hides_are_dropped(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, LAPSED)
        place = pilot.app.screen
        assert isinstance(place, AudiencesScreen)
        await pilot.press("a")
        await until_shown(pilot, "4 marked")
        await pilot.press("slash", *LAPSED[:6], "enter")
        await until_shown(pilot, "1 marked", "s Sync 1 marked")
        await pilot.press("escape", "escape")
        await until_gone(pilot, "marked")
        await until_shown(pilot, SHOPPERS)
        assert len(place.chosen) == 1


def after_the_last_run(harness: ConsoleHarness) -> None:
    """Set the console's clock: sizes older than the last run are ignored."""
    later = time.time_ns() // 1_000
    timing = replace(harness.environment.timing, now=lambda: later)
    harness.environment = replace(harness.environment, timing=timing)


@pytest.mark.parametrize("keys", [("u",), ("l", "escape")])
async def test_sizes_are_asked_for_with_the_list_and_a_drift_is_seen(
    harness: ConsoleHarness, keys: tuple[str, ...]
) -> None:
    connect_with_audiences(harness)
    world = harness.simulator.world
    cohort = world.cohort_named(LAPSED)
    world.replace(cohort.id, {world.add_user("stranger")})
    after_the_last_run(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, LAPSED)
        before = len(harness.simulator.requests)
        await pilot.press(keys[0])
        await until(pilot, lambda: harness.simulator.requests[before:])
        await until(pilot, lambda: services(pilot).figures.sizes)
        await pilot.press(*keys[1:])
        await until_shown(pilot, "▲ 6 fewer in Amplitude")
        select(pilot, LAPSED)
        await until_shown(pilot, "the cohort has 6 fewer users in Amplitude than")
        assert [seen.call for seen in harness.simulator.requests[before:]] == ["list"]


async def test_rows_are_sorted_once_sizes_were_asked_for_and_the_cursor_stays_with_its_audience(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    world = harness.simulator.world
    world.replace(world.cohort_named(LAPSED).id, {world.add_user("stranger")})
    after_the_last_run(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, LAPSED, "pending", "= ")
        grid = pilot.app.screen.query_one("#list", Grid)
        select(pilot, SHOPPERS)
        assert order(grid)[-1] == LAPSED
        await pilot.press("u")
        await until(pilot, lambda: order(grid)[0] == LAPSED)
        assert grid.row is not None
        assert grid.row.cells[0].text == SHOPPERS


@pytest.mark.parametrize(
    "ways", [[("1", AudiencesScreen)], [("3", RunsScreen), ("escape", AudiencesScreen)]]
)
async def test_rows_stay_under_the_cursor_until_one_comes_back_or_presses_1(
    harness: ConsoleHarness, ways: list[tuple[str, type[BaseScreen]]]
) -> None:
    connect_with_audiences(harness)
    world = harness.simulator.world
    world.replace(world.cohort_named(LAPSED).id, {world.add_user("stranger")})
    after_the_last_run(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, LAPSED, "pending", "= ")
        grid = pilot.app.screen.query_one("#list", Grid)
        before = order(grid)
        assert before[-1] == LAPSED
        services(pilot).run_in_background(services(pilot).figures.update_sizes())
        await until_shown(pilot, "▲ 6 fewer in Amplitude")
        assert order(grid) == before
        await pilot.press("question_mark")
        await until(pilot, lambda: pilot.app.screen.is_modal)
        await pilot.press("escape")
        await until_on(pilot, AudiencesScreen)
        await until(pilot, lambda: all(worker.is_finished for worker in pilot.app.workers))
        assert order(grid) == before

        for key, kind in ways:
            await pilot.press(key)
            await until_on(pilot, kind)
        await until(pilot, lambda: order(grid)[0] == LAPSED)


async def test_rows_do_not_move_once_keys_act_on_what_was_shown_on_the_way_back(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    world = harness.simulator.world
    world.replace(world.cohort_named(LAPSED).id, {world.add_user("stranger")})
    after_the_last_run(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, LAPSED, "pending", "= ")
        grid = pilot.app.screen.query_one("#list", Grid)
        before = order(grid)
        await pilot.press("3")
        await until_on(pilot, RunsScreen)
        await services(pilot).figures.update_sizes()
        with blocked_reads(pilot):
            await pilot.press("1")
            await until_on(pilot, AudiencesScreen)
            await pilot.press("down")
        await until_shown(pilot, "▲ 6 fewer in Amplitude")
        assert order(grid) == before


async def test_the_command_line_may_name_an_audience(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open(LaunchOptions(audience=LAPSED)) as pilot:
        await until_shown(pilot, f"key         {LAPSED}")


async def test_one_that_is_not_there_is_reported(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open(LaunchOptions(audience="nothing")) as pilot:
        await until_shown(pilot, "There is no audience 'nothing'")


async def test_read_only_is_seen_on_top(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open(LaunchOptions(read_only=True)) as pilot:
        await until_shown(pilot, "READ-ONLY", LAPSED)


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 50), (50, 14)])
async def test_hostile_names_break_nothing(harness: ConsoleHarness, size: tuple[int, int]) -> None:
    connect_with_audiences(harness, hostile_audience)
    async with harness.open(size=size) as pilot:
        await until_shown(pilot, "[re")
        await pilot.press("j", "j", "j", "j", "o", "slash", "[", "enter")
        await pilot.pause()
        shown = picture(pilot)
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        assert all(len(line) <= size[0] + 4 for line in shown.splitlines())


async def test_plain_ascii_draws_nothing_else(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open(LaunchOptions(ascii_only=True)) as pilot:
        await until_shown(pilot, LAPSED, "@ not compared", "? no cohort", "press u to check")
        assert picture(pilot).isascii()


async def test_help_tells_of_the_place_and_its_keys(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, LAPSED)
        await pilot.press("question_mark")
        await until_shown(pilot, "Help · Audiences", "Sync all", "Update sizes")
        await pilot.press("escape")
        assert isinstance(pilot.app.screen, AudiencesScreen)


async def test_the_palette_finds_every_action_by_name(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, LAPSED)
        await pilot.press("ctrl+p", *"field map")
        await until_shown(pilot, "Field mapping")
        await pilot.press("escape")


async def test_a_crash_prints_where_but_no_values(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, LAPSED)
        app = console(pilot)
        secret = "canary" + "-key"
        try:
            raise RuntimeError("it broke")
        except RuntimeError:
            app._fatal_error()
        said = str(app._exit_renderables[-1])
        assert "it broke" in said
        assert secret not in said
        app._exit_renderables.clear()


@pytest.mark.parametrize(
    ("size", "is_beside"),
    [((80, 24), False), ((112, 30), False), ((150, 40), False), ((200, 40), True)],
)
async def test_the_detail_is_beside_the_list_or_below_a_short_one(
    harness: ConsoleHarness, size: tuple[int, int], is_beside: bool
) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=size) as pilot:
        await until_shown(pilot, "12", LAPSED)
        detail, panel = (pilot.app.screen.query_one(name) for name in ("#detail", "#audiences"))
        if is_beside:
            await until(pilot, lambda: detail.region.x >= panel.region.right > 0)
        else:
            await until(pilot, lambda: detail.region.y >= panel.region.bottom > 0)
            assert panel.size.height < 10 < detail.size.height
        await until_shown(pilot, "next        Press x", "pending     ", "last error")


async def test_members_are_shown_since_the_day_they_were_counted_first(
    harness: ConsoleHarness,
) -> None:
    connection = connect_with_audiences(harness)
    with harness.workspace(connection) as workspace:
        two_days_ago = NOW - 2 * 86_400_000_000
        workspace.ledger.write(
            lambda db: db.execute("INSERT INTO membership_counted VALUES (?)", (two_days_ago,))
        )
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS, "since 2026-05-02")


async def test_a_long_list_has_all_the_room_of_a_small_window_until_its_detail_is_entered(
    harness: ConsoleHarness,
) -> None:
    connection = harness.connect()
    with harness.workspace(connection) as workspace:
        workspace.read(event("u", True, audience=f"audience_{n:03}") for n in range(12))
    async with harness.open(size=(80, 24)) as pilot:
        await until_shown(pilot, "audience_000", "audience_011")
        detail, panel = (pilot.app.screen.query_one(name) for name in ("#detail", "#audiences"))
        assert not detail.display
        await pilot.press("enter")
        await until_shown(pilot, "next        Press s")
        assert not panel.display
        await pilot.press("escape")
        await until_shown(pilot, "audience_011")
        assert panel.display


async def test_five_hundred_audiences_are_a_list_like_any_other(harness: ConsoleHarness) -> None:
    connection = harness.connect()
    with harness.workspace(connection) as workspace:
        workspace.read(event("u", True, audience=f"audience_{n:03}") for n in range(500))
    async with harness.open() as pilot:
        await until_shown(
            pilot, "500 audiences · 500 need attention: 500 with no cohort · 500 changes pending"
        )
        await pilot.press("G")
        await until_shown(pilot, "audience_499", "key         audience_499")


async def test_an_override_is_not_said_of_a_cohort_that_exists(harness: ConsoleHarness) -> None:
    def override(workspace: Workspace) -> None:
        for key in (LAPSED, FRESH):
            workspace.change(SettingsChange(owner_email="eve@acme.example"), key)

    connect_with_audiences(harness, override)
    async with harness.open(size=(120, 50)) as pilot:
        await until_shown(pilot, FRESH)
        select(pilot, FRESH)
        await until_shown(pilot, "owner       eve@acme.example (override)")
        select(pilot, LAPSED)
        await until_shown(pilot, "owner       eve@acme.example (for a new cohort)")


async def test_a_click_on_a_state_opens_what_it_is_about(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, "▲ 2 rejected", LAPSED)
        rows = picture(pilot).splitlines()
        line = next(at for at, row in enumerate(rows) if "▲ 2 rejected" in row)
        await pilot.click(offset=(rows[line].index("▲ 2 rejected") + 4, line))
        await until_on(pilot, ErrorsScreen)
        await until_shown(pilot, "ghost-1")


def test_states_lead_to_errors_the_comparison_or_the_link() -> None:
    assert badge_route(Status.REJECTED, 7) == OpenErrors(7)
    for status in (Status.DIFFERS, Status.SIZE_DIFFERS, Status.NOT_COMPARED):
        assert badge_route(status, 7) == OpenReconcile(7)
    assert badge_route(Status.BROKEN, 7) == OpenLink(7)
    assert badge_route(Status.IN_SYNC, 7) is None


async def test_the_detail_offers_to_check_the_size_of_a_cohort(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    after_the_last_run(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, LAPSED, "press u to check", "◎ not compared")
        select(pilot, LAPSED)
        await until_shown(pilot, "u Update sizes  r Reconcile")
        await pilot.press("u")
        await until_shown(pilot, "◎ same size, not compared", "in Amplitude, read")
        await until_shown(pilot, "press r to see who is in it")
        assert "in sync" not in picture(pilot)
        assert "everything is right" not in picture(pilot)


async def test_a_run_that_sent_nothing_leaves_the_size_of_a_cohort_known(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    moment = [now_in_microseconds()]
    timing = replace(harness.environment.timing, now=lambda: moment[0])
    harness.environment = replace(harness.environment, timing=timing)
    async with harness.open() as pilot:
        await until_shown(pilot, LAPSED)
        figures, session = services(pilot).figures, services(pilot).session
        assert session is not None
        await figures.update_sizes()

        async def size_after(requests: int) -> int | None:
            moment[0] += 60_000_000
            (lapsed,) = [item for item in await session.read(all_audiences) if item.name == LAPSED]
            with session.ledger.hold_run() as lock:
                write, now = session.ledger.write, moment[0] - 1
                run_id = write(runs.begin_run, ReadCounts(), now, lock)
                counts = runs.AudienceCounts(requests=requests, note=STOPPED)
                write(runs.record_audience, run_id, lapsed.id, counts, now)
                write(runs.end_run, run_id, runs.RunStatus.STOPPED, "", now)
            await figures.load(session)
            return figures.size_of(await session.read(audience, lapsed.id))

        assert await size_after(requests=0) is not None
        assert await size_after(requests=1) is None


async def test_home_s_footer_shows_how_to_disable_an_audience_and_the_field_mapping(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(144, 36)) as pilot:
        await until_shown(pilot, "pending", "S Sync all", "t Disable  m Mapping")
        select(pilot, GHOSTS)
        await until_shown(pilot, "x Errors", "u Update sizes  r Reconcile", "t Disable  m Mapping")
        await pilot.press("t")
        await until_shown(pilot, "t Enable  m Mapping")


async def test_the_last_run_is_that_of_the_audience_under_the_cursor(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(200, 50)) as pilot:
        await until_shown(pilot, LAPSED, "w Last run")
        select(pilot, FRESH)
        await pilot.press("w")
        await until_notified(pilot, f"“{FRESH}” has no run yet. All runs: press 3.")
        select(pilot, SHOPPERS)
        await pilot.press("s")
        await until_shown(pilot, "Adds 3 users")
        await pilot.press("y")
        await until(pilot, lambda: (job := services(pilot).jobs.sync) and job.is_over)
        await pilot.press("1")
        await until_shown(pilot, "w Last run")
        select(pilot, LAPSED)
        await pilot.press("w")
        await until_shown(pilot, "run 1")


async def test_a_broken_link_offers_another_cohort_first(harness: ConsoleHarness) -> None:
    def lose(workspace: Workspace) -> None:
        workspace.ledger.write(break_link, workspace.audience(SHOPPERS).id, "It is gone.")

    connect_with_audiences(harness, lose)
    async with harness.open() as pilot:
        await until_shown(pilot, "broken link")
        select(pilot, SHOPPERS)
        await until_shown(pilot, "Press l to link another cohort", "l Link  Enter Settings")
        assert "r Reconcile" not in picture(pilot)
        await pilot.press("r")
        await until_shown(pilot, "Amplitude no longer has this cohort: press l to link another.")
        await until_shown(pilot, "= 19 delivered to the cohort that is gone + 3 pending")
        await until_shown(pilot, "no longer in Amplitude; it had 20 members by")
        await pilot.press("u")
        await until_notified(pilot, "Sizes are up to date: 3 cohorts in Amplitude.")
        assert "press u to check" not in picture(pilot)


async def test_an_outcome_that_is_not_that_of_the_whole_run_says_so(
    harness: ConsoleHarness,
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        for at in (0, 5):
            workspace.read(event(f"u-{at}", True, at, audience=key) for key in ("a", "b"))
            if at:
                cohort_id = workspace.audience("b").cohort_id
                assert cohort_id is not None
                harness.simulator.world.drop_cohort(cohort_id)
            await workspace.sync()
    async with harness.open(size=(160, 40)) as pilot:
        await until_shown(pilot, "run 2", "broken link")
        await pilot.press("j")
        await until_shown(pilot, "run 2       delivered", "(the run as", "a whole: incomplete)")
        await until_shown(pilot, "run 1       delivered")


async def test_a_run_with_nothing_to_send_for_an_audience_delivered_nothing(
    harness: ConsoleHarness,
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u1")
        await workspace.sync()
        await workspace.sync()
    async with harness.open() as pilot:
        await until_shown(pilot, "run 2       nothing to send", "run 1       delivered")


LISTS = [
    ("1", "audience", ("s Sync", "e Settings", "next  ")),
    ("2", "user", ("U Retry", "R Retry", "E Export")),
    ("3", "run", ("w Whole run", "b Play back", "x Errors", "Audience status")),
    ("6", "entry", ("y Copy", "E Export")),
]
"""The key of a main screen, a text in its list, and actions that only make sense for a row."""


async def test_a_filter_without_a_match_says_so_and_offers_no_key_about_a_row(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(80, 24)) as pilot:
        await until_shown(pilot, SHOPPERS, "s Sync")
        for key, noun, absent in LISTS:
            await pilot.press(key, "slash", *"zzz", "enter")
            for size in ((80, 24), (150, 40)):
                await pilot.resize_terminal(*size)
                await until_shown(pilot, f"No {noun} matches “zzz”. Press Esc to show all.")
                for text in absent:
                    await until_gone(pilot, text)
            await pilot.press("escape")
            await until_gone(pilot, "matches “zzz”")


async def test_while_a_filter_hides_audiences_the_footer_says_how_many_a_sync_of_all_is_of(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, SHOPPERS, "S Sync all ")
        await until_gone(pilot, "S Sync all 4")
        await pilot.press("slash", *"shop", "enter")
        await until_shown(pilot, "1 of 4 audiences", "S Sync all 4")


async def test_keys_about_a_row_say_why_they_do_nothing_while_a_filter_has_no_match(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, SHOPPERS, "s Sync")
        await pilot.press("slash", *"zzz", "enter", "s")
        await until_notified(pilot, "The filter leaves no row: press Esc to show all.")
        assert isinstance(pilot.app.screen, AudiencesScreen)


async def test_enter_in_the_detail_opens_the_settings(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, SHOPPERS, "key   ")
        await pilot.press("tab")
        await until(pilot, lambda: isinstance(pilot.app.screen.focused, AudienceDetail))
        await pilot.press("enter")
        await until_shown(pilot, "Settings of")


async def test_refused_keys_need_attention_until_amplitude_accepts_them(
    harness: ConsoleHarness,
) -> None:
    def refuse(workspace: Workspace) -> None:
        workspace.set_faults(Rule(Answer(403, words="Invalid API Key")))
        sync(workspace)
        workspace.set_faults()

    connect_with_audiences(harness, refuse)
    async with harness.open(size=(160, 40)) as pilot:
        await until_shown(pilot, "3 need attention", "keys refused for 2", "✖ keys refused")
        select(pilot, SHOPPERS)
        await until_shown(pilot, "Press 5 for Connections, then T to test")
        await pilot.press("s")
        await until_shown(pilot, "▲ Amplitude refused the keys: press 5")
        await pilot.press("escape", "3")
        await until_shown(pilot, "run 2", "Press 5 for Connections, then T to test the keys.")
        await pilot.press("5")
        await until_shown(pilot, "✖ keys refused", "open now, keys refused by Amplitude")
        later = now_in_microseconds() + 60_000_000
        services(pilot).figures.note_accepted(later)
        await pilot.press("1")
        await until_shown(pilot, "2 need attention")
        await until_gone(pilot, "keys refused")


async def test_keys_that_are_refused_for_sizes_are_what_to_see_to_next(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    connect_with_audiences(harness)
    timing = replace(harness.environment.timing, now=now_in_microseconds)
    harness.environment = replace(harness.environment, timing=timing)
    async with harness.open(size=(160, 40)) as pilot:
        await until_shown(pilot, SHOPPERS)
        select(pilot, SHOPPERS)
        await until_shown(pilot, "Press s to send")
        simulator.faults.set([Rule(Answer(403, words="Invalid API Key"))])
        await pilot.press("u")
        await until_shown(pilot, "✖ keys refused", "Press 5 for Connections, then T to")
        simulator.faults.set([])
        await pilot.press("s")
        await until_shown(pilot, "▲ Amplitude refused the keys: press 5", "Adds 3 users")
        await pilot.press("y")
        await until(pilot, lambda: (job := services(pilot).jobs.sync) and job.is_over)
        await pilot.press("1")
        await until_gone(pilot, "keys refused")


async def test_who_would_be_removed_by_another_id_type_is_said_at_home(
    harness: ConsoleHarness,
) -> None:
    def switch(workspace: Workspace) -> None:
        workspace.change(SettingsChange(id_type=IdType.AMPLITUDE_ID), LAPSED)

    connect_with_audiences(harness, switch)
    async with harness.open(size=(160, 40)) as pilot:
        await until_shown(pilot, "▲ removes all 7 cohort members", "1 large removal")
        select(pilot, LAPSED)
        await until_shown(pilot, "removes all 7 cohort members", "delivered by User ID")
        await until_shown(pilot, "7 by our ledger, 7 to be removed")


async def test_a_wider_screen_never_shows_fewer_columns_nor_cuts_a_name(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(200, 40)) as pilot:
        await until_shown(pilot, SHOPPERS, "◌ no cohort", "12 pending")
        split = pilot.app.screen.query_one(Split)
        grid = pilot.app.screen.query_one("#list", Grid)
        shown: set[int] = set()
        for width in range(60, 210, 3):
            await pilot.resize_terminal(width, 40)
            await until(pilot, lambda: split.size.width == width)  # noqa: B023  # asked at once
            await pilot.pause()
            fitted = grid.fitting.fit(grid.scrollable_content_region.width)
            columns = {item.at for item in fitted}
            assert shown <= columns, width
            assert fitted[0].width >= len(SHOPPERS), width
            shown = columns
        assert len(shown) == len(grid.columns)
        assert split.is_beside


async def test_later_states_make_room_for_what_has_a_column_of_its_own(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(92, 36)) as pilot:
        await until_shown(pilot, SHOPPERS, "Cohort", "Rejected", "◌ no cohort")
        assert "◌ no cohort  ◐" not in line_of(picture(pilot), FRESH)


async def test_undoing_a_sort_leads_back_to_the_order_that_help_names(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, "12", LAPSED, "Status ↑")
        grid = pilot.app.screen.query_one("#list", Grid)
        first = order(grid)
        await pilot.press("o", "a")
        await until(pilot, lambda: order(grid) != first)
        await pilot.press("o")
        await until_shown(pilot, "Press a marked letter to sort by that column")
        await pilot.press("o")
        await until_shown(pilot, "Status ↑")
        assert order(grid) == first
        await pilot.press("1")
        await pilot.pause()
        assert order(grid) == first


async def test_the_palette_sorts_the_list(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, "12", LAPSED, "Status ↑")
        await pilot.press("ctrl+p", *"sort")
        await until_shown(pilot, "Sort by a column")
        await pilot.press("enter")
        await until_shown(pilot, "Press a marked letter to sort by that column")
        await pilot.press("m")
        await until_shown(pilot, "↓Members")


async def test_rows_are_sorted_on_the_way_back_also_if_they_were_being_read_before(
    harness: ConsoleHarness,
) -> None:
    connection = connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, "12", LAPSED, "Status ↑")
        grid = pilot.app.screen.query_one("#list", Grid)
        assert order(grid)[-1] == LAPSED
        with blocked_reads(pilot):
            services(pilot).publish_ledger_change()
            await until(pilot, lambda: any(worker.is_running for worker in pilot.app.workers))
            await pilot.press("3")
            await until_on(pilot, RunsScreen)
        await until_shown(pilot, "run 1")
        await until(pilot, lambda: all(worker.is_finished for worker in pilot.app.workers))
        with harness.workspace(connection) as workspace:
            lapsed = workspace.audience(LAPSED)
            workspace.ledger.write(break_link, lapsed.id, "Amplitude has no cohort x anymore.")
        await pilot.press("1")
        await until_shown(pilot, "broken link")
        await until(pilot, lambda: order(grid)[0] == LAPSED)
