"""A bar, and words that are shortened, always fit the column they are drawn in."""

import pytest
from textual.app import App, ComposeResult

from amp_console.console.glyphs import PLAIN
from amp_console.console.run_words import shortened
from amp_console.console.widgets.grid import Cell, Column, Grid, Row

pytestmark = pytest.mark.anyio

COLUMNS = (Column("Name", 6), Column("", 8, flex=1), Column("", 8, flex=1))
WAITING = "rate limited, trying again in 12 s (2nd try)"


class Sheet(App[None]):
    """One table, with an audience that has sent half of its changes and is waiting."""

    def compose(self) -> ComposeResult:
        yield Grid(COLUMNS)

    def on_mount(self) -> None:
        cells = (Cell("Trial"), Cell("", share=0.5), Cell(WAITING, shorten=shortened))
        self.query_one(Grid).show([Row(1, cells)])


async def test_a_bar_and_words_follow_the_width_of_their_columns() -> None:
    app = Sheet()
    async with app.run_test(size=(30, 5)) as pilot:
        grid = app.query_one(Grid)
        for width in (40, 60, 100, 140, 50):
            await pilot.resize_terminal(width, 5)
            await pilot.pause()
            room = grid.scrollable_content_region.width
            bar, words = (grid.fitting.width_of(at, room) for at in (1, 2))
            filled = bar // 2
            line = grid.render_line(1).text
            assert PLAIN.full * filled + PLAIN.empty * (bar - filled) in line
            assert shortened(WAITING, words, PLAIN.more) in line
