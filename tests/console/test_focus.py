"""The focused widget is on the screen: a key never acts on something invisible."""

from pathlib import Path

import pytest
from textual.pilot import Pilot

from amp_console.console.screens.live.view import LiveScreen
from amp_console.console.widgets.grid import Grid
from tests.console.harness import (
    ConsoleHarness,
    picture,
    until,
    until_shown,
)
from tests.console.test_live import cancelled, connected_log, follow

pytestmark = pytest.mark.anyio

SIZES = [(80, 24), (120, 36), (200, 50)]
KEYS = "enter tab tab tab escape v tab tab v tab enter"


def sees_its_focus(pilot: Pilot[None]) -> bool:
    """Whether the focused widget is on the screen.

    A list that appears with its first rows may have the focus before that: keys do nothing there.
    """
    focused = pilot.app.screen.focused
    if focused is None or (isinstance(focused, Grid) and focused.key is None):
        return True
    return focused in pilot.app.screen._compositor.visible_widgets


async def check_focus(pilot: Pilot[None], where: str) -> None:
    await pilot.pause()
    assert sees_its_focus(pilot), f"{where}: {pilot.app.screen.focused!r}\n{picture(pilot)}"


async def test_what_has_the_focus_is_seen_during_a_session(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    file = connected_log(harness, tmp_path, "first", "second")
    async with harness.open(size=SIZES[0]) as pilot:
        work = await follow(pilot, file)
        await until_shown(pilot, "▸ shoppers", "by this session: added 2")
        for size in SIZES:
            await pilot.resize_terminal(*size)
            for key in KEYS.split():
                await pilot.press(key)
                await check_focus(pilot, f"after {key} at {size}")
            for other in (*SIZES, size):
                await pilot.resize_terminal(*other)
                await until(pilot, lambda: sees_its_focus(pilot))
            await pilot.press("escape")
        await cancelled(pilot, work)


async def test_enter_on_a_small_terminal_goes_to_a_list_of_the_audience_that_is_seen(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    file = connected_log(harness, tmp_path, "first", "second")
    async with harness.open(size=(80, 24)) as pilot:
        work = await follow(pilot, file)
        await until_shown(pilot, "▸ shoppers", "by this session: added 2", "✔ 200")
        assert isinstance(pilot.app.screen, LiveScreen)
        await pilot.press("enter")
        await until(
            pilot, lambda: isinstance(pilot.app.focused, Grid) and pilot.app.focused.id == "log"
        )
        await check_focus(pilot, "after Enter")
        await cancelled(pilot, work)
