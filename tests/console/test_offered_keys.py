"""The keys that a list offers also work."""

from functools import partial

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from amp_console.console.commands import screen_commands
from amp_console.console.screens.base import BaseScreen
from amp_console.console.widgets.grid import Cell, Column, Grid, Row, rows_or_pages
from amp_console.console.widgets.grid.rows import MAX_SORTED
from tests.console.harness import ConsoleHarness, services, until, until_gone, until_shown
from tests.console.sample_audiences import GHOSTS, connect_with_audiences

pytestmark = pytest.mark.anyio
LIST_KEYS = {"sort": "o", "reverse": "O", "mark": "space", "mark_all": "a"}


def cells(grid: Grid) -> list[Row]:
    """The loaded rows of a grid, in order."""
    found = (grid.rows.get(index) for index in range(len(grid.rows)))
    return [row for row in found if row is not None]


def is_sorted_by(grid: Grid, column: int) -> bool:
    return grid.rows.sort_column == column


async def try_keys_of(pilot: Pilot[None], grid: Grid) -> None:
    """Press the keys that a list offers, and those it does not."""
    before, order = len(grid.rows), [row.key for row in cells(grid)]
    initial = grid.rows.sort_column, grid.rows.descending
    grid.focus()
    await until(pilot, lambda: grid.has_focus)
    if grid.check_action("sort", ()):
        letters = grid.fitting.letters(grid.scrollable_content_region.width)
        for letter, column in letters.items():
            await pilot.press("o", letter)
            await until(pilot, partial(is_sorted_by, grid, column))
        descending = grid.rows.descending
        await pilot.press("O")
        await until(pilot, lambda: grid.rows.descending is not descending)
        await pilot.press("o", "o")
        await until(pilot, lambda: (grid.rows.sort_column, grid.rows.descending) == initial)
    else:
        await pilot.press("o", "O")
        await pilot.pause()
    await until(pilot, lambda: [row.key for row in cells(grid)] == order)
    if grid.check_action("mark_all", ()):
        await pilot.press("a")
        await until(pilot, lambda: len(grid.marks) == before)
        await pilot.press("a")
        await until(pilot, lambda: len(grid.marks) == 0)
    if grid.check_action("mark", ()) and before:
        await pilot.press("space")
        await until(pilot, lambda: len(grid.marks) == 1)
        grid.marks.clear()


async def test_rejected_users_are_sorted_and_all_of_them_stay(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("2")
        await until_shown(pilot, "ghost-1", "2 users")
        grid = pilot.app.screen.query_one("#users", Grid)
        order = [row.cells[0].text for row in cells(grid)]
        await pilot.press("tab", "O")
        await until(pilot, lambda: [row.cells[0].text for row in cells(grid)] == order[::-1])
        await pilot.press("o", "i")
        await until(pilot, lambda: [row.cells[0].text for row in cells(grid)] == sorted(order))


async def test_any_key_ends_the_sorting_and_takes_its_hint_away(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS, "↑")
        grid = pilot.app.screen.query_one("#list", Grid)
        for key in ("escape", "Q", "O", "o"):
            await pilot.press("o")
            await until_shown(pilot, "Press a marked letter to sort by that column")
            order = grid.rows.descending
            await pilot.press(key)
            await until_gone(pilot, "Press a marked letter")
            assert not grid.is_choosing
            assert key != "O" or grid.rows.descending is not order
        await pilot.press("o", "ctrl+o", "escape")
        await until_gone(pilot, "Press a marked letter")
        assert not grid.is_choosing


async def test_while_a_list_awaits_a_letter_the_footer_has_only_the_keys_that_still_work(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS, "↑", " s Sync ", "/ Filter")
        await pilot.press("o")
        await until_shown(pilot, "Press a marked letter", "/ Filter")
        await until_gone(pilot, " s Sync ")
        await pilot.press("slash", *GHOSTS[:5], "enter")
        await until_shown(pilot, "1 of 4 audiences")
        await until_gone(pilot, "Press a marked letter")


async def test_a_list_that_comes_page_by_page_keeps_its_rows_and_offers_no_order() -> None:
    async def load(offset: int, limit: int) -> list[Row]:
        return [Row(n, (Cell(f"user {n:05}"),)) for n in range(offset, offset + limit)]

    class Host(App[None]):
        def compose(self) -> ComposeResult:
            yield Grid([Column("Identifier", 20)])

    app = Host()
    async with app.run_test() as pilot:
        grid = app.query_one(Grid)
        grid.focus()
        rows = await rows_or_pages(MAX_SORTED + 1, load)
        grid.show(rows)
        await pilot.press("O", "o", "a")
        await pilot.pause()
        assert len(grid.rows) == MAX_SORTED + 1
        assert grid.row is not None
        assert (grid.rows.sort_column, grid.rows.descending, list(grid.marks)) == (None, False, [])
        assert grid.check_action("sort", ()) is False
        grid.show(await rows_or_pages(MAX_SORTED, load))
        await pilot.press("O")
        assert grid.rows.descending
        assert len(grid.rows) == MAX_SORTED


async def test_outside_the_demo_the_palette_has_no_trouble(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        assert isinstance(pilot.app.screen, BaseScreen)
        names = [
            entry.name for entry in screen_commands(pilot.app, services(pilot), pilot.app.screen)
        ]
        assert "Sync all" in names
        assert "Make trouble" not in names
