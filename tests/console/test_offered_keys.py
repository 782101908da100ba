"""The keys that a list offers work there, and the help names each key once."""

from collections import Counter

import pytest
from textual.pilot import Pilot

from amp_console.console.screens.help import HelpScreen
from amp_console.console.widgets.grid import Grid
from tests.console.furniture import GHOSTS, broken_events, furnish
from tests.console.house import House, console, picture, until, until_shown
from tests.console.test_footers import walk

pytestmark = pytest.mark.anyio
LIST_KEYS = {"sort": "o", "reverse": "O", "mark": "space", "mark_all": "a"}


def cells(grid: Grid) -> list[object]:
    return [grid._rows.get(index) for index in range(grid.count)]


async def try_keys_of(pilot: Pilot[None], grid: Grid) -> None:
    """Press the keys that a list offers, and those that it does not."""
    before, order = grid.count, cells(grid)
    grid.focus()
    await until(pilot, lambda: grid.has_focus)
    if grid.check_action("sort", ()):
        await pilot.press("o")
        await until(pilot, lambda: grid.sort_column is not None)
        descending = grid.descending
        await pilot.press("O")
        await until(pilot, lambda: grid.descending is not descending)
        while grid.sort_column is not None:
            await pilot.press("o")
            await pilot.pause()
    else:
        await pilot.press("o", "O")
        await pilot.pause()
    assert (grid.count, cells(grid)) == (before, order), grid
    if grid.check_action("mark_all", ()):
        await pilot.press("a")
        await until(pilot, lambda: len(grid.marked) == before)
        await pilot.press("a")
    if grid.check_action("mark", ()) and before:
        await pilot.press("space")
        await until(pilot, lambda: len(grid.marked) == 1)
        grid.unmark()


async def test_each_key_that_a_list_offers_works_in_it(house: House) -> None:
    furnish(house, broken_events)
    tried = 0
    async with house.open() as pilot:
        async for _ in walk(pilot):
            screen, focused = pilot.app.screen, pilot.app.focused
            for grid in [each for each in screen.query(Grid) if each.region and each.count]:
                await try_keys_of(pilot, grid)
                tried += 1
            if focused is not None:
                focused.focus()
                await pilot.pause()
    assert tried > 10


async def test_users_that_come_page_by_page_stay_when_their_order_is_reversed(
    house: House,
) -> None:
    furnish(house)
    async with house.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("2")
        await until_shown(pilot, "ghost-1", "2 users")
        await pilot.press("tab", "O", "o")
        await pilot.pause()
        assert "ghost-1" in picture(pilot)
        assert pilot.app.screen.query_one("#users", Grid).count == 2


async def test_the_help_names_each_key_once_and_only_those_that_work(house: House) -> None:
    furnish(house, broken_events)
    async with house.open(size=(120, 60)) as pilot:
        async for place in walk(pilot):
            if place in {"ConnectionForm", "AudienceSettings", "PersonPlace", "MappingPlace"}:
                continue  # a question mark is typed into their fields
            pilot.app.screen.action_help()  # type: ignore[attr-defined]
            await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen))
            text = pilot.app.screen._text().plain  # type: ignore[attr-defined]
            await pilot.press("escape")
            await until(pilot, lambda: not isinstance(pilot.app.screen, HelpScreen))
            keys = [line[2:18].strip() for line in text.splitlines() if line.startswith("  ")]
            twice = [key for key, count in Counter(filter(None, keys)).items() if count > 1]
            assert not twice, f"{place}: {twice} in\n{text}"
            assert "Make trouble" not in text


async def test_outside_the_demo_the_palette_has_no_trouble(house: House) -> None:
    furnish(house)
    async with house.open() as pilot:
        await until_shown(pilot, GHOSTS)
        names = [each.title for each in console(pilot).get_system_commands(pilot.app.screen)]
        assert "Sync all" in names
        assert "Make trouble" not in names
