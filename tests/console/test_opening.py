"""A screen that opens is styled and read once, whatever events Textual sends in the meantime."""

import subprocess
import sys
from pathlib import Path

import pytest
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import Input

from amp_console.console.dialogs.base import Dialog
from amp_console.console.screens.base import BaseScreen
from amp_console.console.widgets.grid import Grid
from amp_console.console.widgets.grid.columns import Column
from tests.console.harness import until, until_on, until_shown
from tests.console.host import hosted

pytestmark = pytest.mark.anyio


class Styled(Widget):
    """Counts how often Textual styles it."""

    DEFAULT_CSS = "Styled { height: 1; }"  # otherwise the focused list below hides it

    def __init__(self) -> None:
        super().__init__()
        self.times = 0

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self.times += 1

    def render(self) -> str:
        return "here it is"


class Opened(BaseScreen):
    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def body(self) -> ComposeResult:
        yield Styled()
        yield Grid([Column("Name", 10)])

    async def load(self) -> None:
        self.reads += 1


class OpenedDialog(Dialog[None]):
    def box(self) -> ComposeResult:
        yield Styled()


@pytest.mark.parametrize("width", [80, 120])
async def test_a_screen_is_styled_and_read_once(tmp_path: Path, width: int) -> None:
    async with hosted(tmp_path, Opened, size=(width, 30)) as (host, pilot):
        await until_on(pilot, Opened)
        await until_shown(pilot, "here it is")
        screen = host.screen
        assert isinstance(screen, Opened)
        await until(pilot, lambda: screen.reads)
        await pilot.pause()
        assert (screen.query_one(Styled).times, screen.reads) == (1, 1)

        await host.push_screen(OpenedDialog())
        await until_on(pilot, OpenedDialog)
        await pilot.pause()
        assert host.screen.query_one(Styled).times == 1
        # Even if its style sheet was only loaded after Textual had styled it.
        assert (*host.screen.styles.align,) == ("center", "middle")


async def test_a_screen_follows_a_theme_that_changed_behind_another_one(tmp_path: Path) -> None:
    async with hosted(tmp_path, Opened) as (host, pilot):
        await until_shown(pilot, "here it is")
        screen = host.screen
        await host.push_screen(OpenedDialog())
        await until_on(pilot, OpenedDialog)
        before = screen.query_one(Styled).background_colors[0]
        host.theme = "textual-light"
        await pilot.press("escape")
        await until(pilot, lambda: host.screen is screen)
        await until(pilot, lambda: screen.query_one(Styled).background_colors[0] != before)


class Entered(BaseScreen):
    """A panel with two lines, and one beside it."""

    AUTO_FOCUS = "#one"

    def body(self) -> ComposeResult:
        with Vertical(classes="panel", id="panel"):
            yield Input(id="one")
            yield Styled()
            yield Input(id="two")
        yield Input(id="beside")


async def test_a_key_that_moves_the_focus_styles_no_more_than_the_panel(tmp_path: Path) -> None:
    async with hosted(tmp_path, Entered) as (host, pilot):
        await until_shown(pilot, "here it is")
        screen = host.screen
        panel, styled = screen.query_one("#panel"), screen.query_one(Styled)
        outer, inner = panel.styles.border.top[1], styled.times
        seen = []
        for _ in range(3):
            await pilot.press("tab")
            await pilot.pause()
            seen.append((getattr(screen.focused, "id", None), panel.styles.border.top[1] == outer))
        assert seen == [("two", True), ("beside", False), ("one", True)]
        assert styled.times == inner


PARSED = """
import asyncio, os
from collections import Counter

import textual.css.stylesheet as sheets

from amp_console.connections import Folders, Keyring
from amp_console.console import Environment, LaunchOptions
from amp_console.console.app import ConsoleApp

parsed, parse = Counter(), sheets.parse

def counted(scope, css, read_from, **more):
    parsed[read_from, scope, more["tie_breaker"]] += 1
    return parse(scope, css, read_from, **more)

sheets.parse = counted

async def main():
    folders = Folders.locate(os.environ)
    folders.prepare()
    app = ConsoleApp(Environment(folders, Keyring(os.environ), os.environ), LaunchOptions())
    async with app.run_test() as pilot:
        while app.services.sessions.is_opening:
            await asyncio.sleep(0.01)
        for key in ("escape", "6", "5", "ctrl+p", "escape", "f1"):
            await pilot.press(key)
            await pilot.pause()
        await app.services.connections.close_all()
    print({str(source): times for source, times in parsed.items() if times > 1}, len(parsed) > 30)

asyncio.run(main())
"""
"""Opens the first screen, others and a dialog, without what speeds up tests."""


def test_each_style_sheet_is_parsed_once(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PARSED],
        env={"AMP_CONSOLE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "{} True\n"
