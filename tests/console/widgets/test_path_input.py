"""An input for a path, completed however fast it is typed."""

from pathlib import Path

import pytest
from textual.app import App, ComposeResult
from textual.widgets import Input

from amp_console.console.widgets.path_input import PathInput

pytestmark = pytest.mark.anyio


class Host(App[None]):
    def compose(self) -> ComposeResult:
        yield PathInput()
        yield Input()


async def test_tab_completes_what_was_typed_a_moment_ago(tmp_path: Path) -> None:
    (tmp_path / "followed").mkdir()
    app = Host()
    async with app.run_test() as pilot:
        line = app.query_one(PathInput)
        line.focus()
        await pilot.pause()
        line.value = f"{tmp_path}/fo"
        await line.run_action("complete")
        assert line.value == f"{tmp_path}/followed/"
        assert line.has_focus


async def test_a_typed_path_is_extended_after_the_focus_has_come_back(tmp_path: Path) -> None:
    app = Host()
    async with app.run_test() as pilot:
        line = PathInput(f"{tmp_path}", is_selected=True)
        await app.mount(line)
        line.focus()
        await pilot.press("x")
        assert line.value == "x", "the suggested path is replaced"
        await pilot.press("shift+tab", "tab")
        assert line.has_focus
        await pilot.press("y")
        assert line.value == "xy"
