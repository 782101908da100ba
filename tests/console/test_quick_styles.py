"""The code that speeds up the console's tests changes no style."""

from collections.abc import Awaitable, Callable

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets import OptionList

from tests.console.harness import ConsoleHarness, until_shown
from tests.console.quick_styles import styles_differ
from tests.console.sample_audiences import GHOSTS, connect_with_audiences

pytestmark = pytest.mark.anyio


async def no_keys(_pilot: Pilot[None]) -> None: ...


async def detail_entered(pilot: Pilot[None]) -> None:
    await pilot.press("2")
    await until_shown(pilot, "All reasons")
    await pilot.press("j", "enter", "enter")


async def dialog_open(pilot: Pilot[None]) -> None:
    await pilot.press("6", "n", "tab", "tab")
    await pilot.press("ctrl+p", "q")


@pytest.mark.parametrize("go", [no_keys, detail_entered, dialog_open])
async def test_every_widget_has_the_styles_that_textual_gives_it(
    harness: ConsoleHarness, go: Callable[[Pilot[None]], Awaitable[None]]
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await go(pilot)
        for size in ((120, 36), (160, 40), (70, 20)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            widgets = [
                widget
                for screen in pilot.app.screen_stack
                for widget in screen.walk_children(with_self=True)
            ]
            assert len(widgets) > 10
            assert [widget for widget in widgets if styles_differ(widget)] == []


class Lists(App[None]):
    """Two lists, one of which has the focus, as the styles of its parts show."""

    def compose(self) -> ComposeResult:
        yield OptionList("one", "two")
        yield OptionList("three", "four")


async def test_a_part_has_the_styles_of_the_state_of_its_widget() -> None:
    app = Lists()
    async with app.run_test() as pilot:
        for _ in range(2):
            await pilot.press("tab")
            assert [found for found in app.query(OptionList) if styles_differ(found)] == []
