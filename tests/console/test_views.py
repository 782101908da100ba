"""Views of home: filter, order and columns, saved under a name and back at the next start."""

import re

import pytest
from textual.pilot import Pilot

from amp_console.connections import SavedView, keep_views, read_preferences
from amp_console.console import LaunchOptions
from amp_console.console.widgets.grid import Grid
from tests.console.harness import (
    ConsoleHarness,
    picture,
    services,
    until,
    until_gone,
    until_notified,
    until_picture,
    until_shown,
)
from tests.console.sample_audiences import FRESH, LAPSED, SHOPPERS, connect_with_audiences

pytestmark = pytest.mark.anyio


def labels(pilot: Pilot[None]) -> list[str]:
    return [column.label for column in pilot.app.screen.query_one("#list", Grid).columns]


def kept(harness: ConsoleHarness) -> tuple[list[str], str]:
    """The names of the views in the settings, and of the one in use."""
    found = read_preferences(harness.environment.folders.config_file)
    return [*found.views], found.view


async def test_a_view_is_saved_and_comes_back_at_the_next_start(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, "12", LAPSED)
        await pilot.press("slash", *"laps", "enter", "o", "m", "v")
        await until_shown(pilot, "Views", "All audiences", "Save what is shown")
        await pilot.press("n")
        await until_shown(pilot, "Save view")
        await pilot.press(*"Mine", "enter")
        await until(pilot, lambda: kept(harness) == (["Mine"], "Mine"))
        await until_shown(pilot, "filter “laps” · by Members ↓")
    async with harness.open() as pilot:
        await until_shown(pilot, LAPSED, "↓Members", "view: Mine")
        await until_gone(pilot, FRESH)
        await pilot.press("v")
        await until_shown(pilot, "All audiences")
        await pilot.press("g", "enter")
        await until_shown(pilot, FRESH, SHOPPERS, "Status ↑")
        await until(pilot, lambda: kept(harness) == (["Mine"], ""))


async def test_a_list_that_was_changed_is_not_called_by_the_name_of_its_view(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    views = {"Mine": SavedView(filter="laps")}
    keep_views(harness.environment.folders.config_file, lambda _: views, "Mine")
    async with harness.open() as pilot:
        await until_shown(pilot, LAPSED, "view: Mine ")
        await pilot.press("v")
        await until_shown(pilot, "✓  Mine")
        await pilot.press("escape", "escape")
        await until_shown(pilot, FRESH, "view: Mine, changed")
        await pilot.press("v")
        await until_shown(pilot, "Mine", "All audiences")
        assert "✓" not in picture(pilot)
        await pilot.press("enter")
        await until_shown(pilot, LAPSED, "view: Mine ")
        await pilot.press("o", "m")
        await until_shown(pilot, "view: Mine, changed")


async def test_views_are_renamed_and_deleted(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    file = harness.environment.folders.config_file
    keep_views(file, lambda views: {"One": SavedView(sort="Members"), "Two": SavedView()}, "")
    async with harness.open() as pilot:
        await until_shown(pilot, "12", LAPSED)
        await pilot.press("v")
        await until_shown(pilot, "One", "Two")
        assert "r Rename" not in picture(pilot), "the list as it comes has no name of its own"
        await pilot.press("j")
        await until_shown(pilot, "r Rename", "d Delete")
        await pilot.press("r")
        await until_shown(pilot, "Rename view")
        await pilot.press(*"Other", "enter")
        await until(pilot, lambda: kept(harness) == (["Other", "Two"], ""))
        await until_shown(pilot, "Other", "All audiences")
        await pilot.press("G", "d")
        await until(pilot, lambda: kept(harness) == (["Other"], ""))


async def test_columns_are_hidden_and_moved(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(200, 50)) as pilot:
        await until_shown(pilot, "12", LAPSED)
        everything = labels(pilot)
        await pilot.press("v", "c")
        await until_shown(pilot, "Show or hide")
        await pilot.press("space")
        await until_notified(pilot, "Audience is always shown, and always first.")
        await pilot.press("j", "space", "j", "J", "enter")
        await until_gone(pilot, "Show or hide")
        assert everything[:4] == ["Audience", "Cohort", "ID type", "Members"]
        assert labels(pilot) == ["Audience", "Members", "ID type", *everything[4:]]
        await until_shown(pilot, "Status ↑")
        await pilot.press("o", "m")
        await until_shown(pilot, "↓Members")
        services(pilot).publish_ledger_change()
        await pilot.pause()
        assert labels(pilot) == ["Audience", "Members", "ID type", *everything[4:]]


async def test_the_cursor_stays_on_its_audience_when_the_view_or_the_columns_change(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    views = {"Short": SavedView(sort="Members", columns=("Audience", "Members"))}
    keep_views(harness.environment.folders.config_file, lambda _: views, "Short")
    async with harness.open(size=(100, 30)) as pilot:
        await until_shown(pilot, LAPSED, "view: Short")
        grid = pilot.app.screen.query_one("#list", Grid)
        await pilot.press("j")
        audience = grid.key
        await pilot.press("v", "up", "enter")
        await until_shown(pilot, "Status ↑")
        assert grid.key == audience
        await pilot.press("G")
        audience = grid.key
        await pilot.press("v", "c")
        await until_shown(pilot, "Show or hide")
        await pilot.press("down", "space", "enter")
        await until_gone(pilot, "Show or hide")
        assert "Cohort" not in labels(pilot)
        assert grid.key == audience


async def test_a_chosen_column_that_has_no_room_is_marked_so(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(80, 36)) as pilot:
        await until_shown(pilot, "12", LAPSED)
        await pilot.press("v", "c")
        has_no_room = re.compile("ID type +no room in this window")
        await until_picture(pilot, has_no_room.search)
        await pilot.press("j", "space")
        await until_gone(pilot, "no room in this window")


async def test_a_view_of_columns_that_do_not_exist_breaks_nothing(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    odd = SavedView("", "Nonsense", True, ("Nonsense", "Status", "Status", "\x1b[2J"))
    keep_views(harness.environment.folders.config_file, lambda views: {"[red]odd": odd}, "[red]odd")
    async with harness.open() as pilot:
        await until_shown(pilot, LAPSED, "Status")
        assert labels(pilot) == ["Audience", "Status"]
        await pilot.press("v")
        await until_shown(pilot, "[red]odd")
        assert "\x1b" not in picture(pilot)


async def test_a_read_only_console_keeps_views_for_the_session(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open(LaunchOptions(read_only=True)) as pilot:
        await until_shown(pilot, "12", LAPSED)
        services(pilot).views.save("Mine", SavedView(sort="Members"))
        await until_notified(pilot, "The views apply to this session.")
        assert kept(harness) == ([], "")
