"""What speeds up the tests of the console changes no text of a screen."""

from collections.abc import Awaitable, Callable

import pytest
from textual.pilot import Pilot

from tests.console.harness import ConsoleHarness, until_shown
from tests.console.headless import rendered, text_of_screen
from tests.console.sample_audiences import GHOSTS, connect_with_audiences, hostile_audience

pytestmark = pytest.mark.anyio


async def home(_pilot: Pilot[None]) -> None: ...


async def errors_of_a_person(pilot: Pilot[None]) -> None:
    await pilot.press("2")
    await until_shown(pilot, "All reasons")
    await pilot.press("j", "enter", "enter")


async def form(pilot: Pilot[None]) -> None:
    await pilot.press("5", "n", "tab", "x")


async def palette_before_settings(pilot: Pilot[None]) -> None:
    await pilot.press("e", "ctrl+p", "q")


async def sheet(pilot: Pilot[None]) -> None:
    await pilot.press("4", "question_mark")


@pytest.mark.parametrize("go", [home, errors_of_a_person, form, palette_before_settings, sheet])
async def test_a_screen_has_the_text_that_textual_renders_and_keeps_its_colours(
    harness: ConsoleHarness, go: Callable[[Pilot[None]], Awaitable[None]]
) -> None:
    connect_with_audiences(harness, hostile_audience)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await go(pilot)
        for size in ((120, 36), (160, 40), (70, 20), (30, 8)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            text = text_of_screen(pilot.app)
            assert len("".join(text)) > 50
            painted = rendered(pilot.app)
            assert text == [strip.text.rstrip() for strip in painted]
            for screen in pilot.app.screen_stack:
                for widget in screen.walk_children(with_self=True):
                    widget.refresh()
            assert rendered(pilot.app) == painted
