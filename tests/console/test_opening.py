"""What is opened is styled and read once, however much Textual announces meanwhile."""

from pathlib import Path

import pytest
from textual.app import ComposeResult
from textual.widget import Widget

from amp_console.console.dialogs.base import Dialog
from amp_console.console.screens.base import BaseScreen
from amp_console.console.widgets.grid import Grid
from amp_console.console.widgets.grid.columns import Column
from tests.console.harness import until, until_on, until_shown
from tests.console.host import hosted

pytestmark = pytest.mark.anyio


class Styled(Widget):
    """Counts how often Textual styles it."""

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
        # Also where its style sheet was loaded for it, after Textual had styled it.
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
