"""A pane with a text scrolls with the keys of lists."""

import pytest
from textual.app import App, ComposeResult
from textual.widgets import Static

from amp_console.console.widgets.scroll_pane import ScrollPane

pytestmark = pytest.mark.anyio


class PaneApp(App[None]):
    """A pane of 10 lines with a text of 50."""

    CSS = "ScrollPane { height: 10; }"

    def compose(self) -> ComposeResult:
        yield ScrollPane(Static("\n".join(str(line) for line in range(50))))


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (("j",), 1),
        (("down", "down"), 2),
        (("j", "j", "k"), 1),
        (("pagedown",), 9),
        (("space", "pageup"), 0),
        (("ctrl+d", "ctrl+d", "ctrl+u"), 9),
        (("G",), 40),
        (("end", "up"), 39),
        (("G", "g"), 0),
        (("end", "home"), 0),
    ],
)
async def test_the_keys_of_lists_scroll(keys: tuple[str, ...], line: int) -> None:
    app = PaneApp()
    async with app.run_test(size=(40, 12)) as pilot:
        await pilot.press(*keys)
        await pilot.pause()
        assert app.query_one(ScrollPane).scroll_offset.y == line
