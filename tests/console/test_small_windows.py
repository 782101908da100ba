"""In a small terminal, names are shown in full, and a screen that is unreadable says so."""

import pytest

from amp_console.console.widgets.grid import Grid
from tests.console.harness import ConsoleHarness, picture, until, until_gone, until_shown
from tests.console.sample_audiences import (
    GHOSTS,
    LAPSED,
    SHOPPERS,
    broken_events,
    connect_with_audiences,
)

pytestmark = pytest.mark.anyio
UNKNOWN = "unknown to Amplitude"


async def test_a_terminal_that_is_too_small_says_so_and_how_large_it_has_to_be(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(60, 20)) as pilot:
        await until_shown(pilot, SHOPPERS)
        await pilot.resize_terminal(40, 12)
        await until_shown(pilot, "This window is too small: 40×12.", "Make it at least 50×14.")
        await until_gone(pilot, SHOPPERS)
        await pilot.press("4")
        await until_shown(pilot, "Make it at least 60×18.")
        await pilot.resize_terminal(60, 18)
        await until_shown(pilot, "No live session")
        await until_gone(pilot, "too small")


@pytest.mark.parametrize("columns", [80, 120])
async def test_errors_show_the_name_of_an_audience_whole(
    harness: ConsoleHarness, columns: int
) -> None:
    connect_with_audiences(harness, broken_events)
    async with harness.open(size=(columns, 36)) as pilot:
        await until_shown(pilot, SHOPPERS)
        await pilot.press("2")
        await until_shown(pilot, "ghost-1", "Users")
        await until(pilot, lambda: pilot.app.screen.query_one("#users", Grid).key is not None)
        rows = [line for line in picture(pilot).splitlines() if line.startswith("│")]
        lines = [row for row in rows if row[3:].startswith("ghost-")]
        assert lines
        assert picture(pilot).splitlines()[-1].endswith(("? Help", "? Help  q Quit"))
        assert all(GHOSTS in line for line in lines)
        assert all(UNKNOWN in line for line in lines)


async def test_a_plan_shows_the_names_of_audiences_whole_in_60_columns(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(60, 24)) as pilot:
        await until_shown(pilot, SHOPPERS)
        await pilot.press("S")
        await until_shown(pilot, "What happens", SHOPPERS, LAPSED)


async def test_beside_a_run_its_requests_say_what_they_did(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(110, 36)) as pilot:
        await until_shown(pilot, SHOPPERS)
        await pilot.press("3")
        await until_shown(pilot, "Operation", "create")
