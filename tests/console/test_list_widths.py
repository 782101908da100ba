"""A wider screen never shows less: in every list, no column disappears and no name is cut."""

import pytest

from amp_console.console.screens.audiences.rows import COLUMNS, DEFAULT
from amp_console.console.screens.live.rows import AUDIENCES
from amp_console.console.widgets.grid import Cell, CellPart, Grid, Row, parts_cell
from amp_console.console.widgets.grid.columns import ColumnLayout
from tests.console.harness import ConsoleHarness, until, until_shown
from tests.console.sample_audiences import SHOPPERS, broken_events, connect_with_audiences

pytestmark = pytest.mark.anyio

WIDTHS = range(60, 230, 5)
HEIGHT = 40
KEYS_REFUSED = parts_cell([CellPart("✖ keys refused"), CellPart("▲ 10,210 rejected")])
PANELS = {"bars", "log", "reasons"}
"""Lists in the detail of a run, which share its width from 110 columns."""


def test_home_leaves_out_all_else_before_the_members() -> None:
    texts = ["High value shoppers", "High value shoppers", "User ID", "▲ 1,208,489"]
    cells = [
        *map(Cell, texts),
        Cell("+120,650  −90,097"),
        Cell("10,210"),
        KEYS_REFUSED,
        Cell("now"),
    ]
    for columns in (DEFAULT, COLUMNS):
        layout = ColumnLayout(columns)
        layout.measure([Row(1, (*cells, Cell("1,208,489"))[: len(columns)])])
        for width in (78, 98, 128):
            shown = [columns[item.at].label for item in layout.fit(width)]
            assert {"Audience", "Members", "Pending", "Status"} <= set(shown), width
            assert "Rejected" in shown or width < 98  # the status says how many


def test_in_80_columns_live_says_who_was_removed_as_well_as_who_was_added() -> None:
    layout = ColumnLayout(AUDIENCES)
    texts = ("High value shoppers", "12,120", "1.3 s", "1,328", "274", "", "14", "", "» live")
    waiting = ("Trial day 7", "18", "", "", "", "", "", "", "waiting: large removal")
    layout.measure([Row(at, tuple(map(Cell, row))) for at, row in enumerate((texts, waiting))])
    shown = {AUDIENCES[item.at].label: item.width for item in layout.fit(77)}
    assert {"Added", "Removed"} <= set(shown)
    assert shown["Status"] >= len("waiting: large removal")


LISTS = {
    "1": SHOPPERS,
    "2": "ghost-1",
    "2 v": "Invalid events",
    "3": "1 run",
    "5": "1 connection",
    "6": "entries",
    "7": "source",
    "1 S": "What happens",
}
"""The keys that lead to each list, and a text that it shows."""


async def test_a_wider_screen_never_shows_less_in_a_list(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness, broken_events)
    async with harness.open(size=(60, HEIGHT)) as pilot:
        await until_shown(pilot, SHOPPERS)
        for keys, shown in LISTS.items():
            await pilot.press(*keys.split())
            await until_shown(pilot, shown)
            await until(pilot, lambda: all(worker.is_finished for worker in pilot.app.workers))
            before: dict[Grid, set[int]] = {}
            for width in WIDTHS:
                await pilot.resize_terminal(width, HEIGHT)
                await pilot.pause()
                await pilot.pause()
                for grid in pilot.app.screen.query(Grid):
                    if not grid.region or grid.id in PANELS:
                        continue
                    fitted = grid.fitting.fit(grid.scrollable_content_region.width)
                    columns = {item.at for item in fitted}
                    lost = [grid.columns[at].label for at in before.get(grid, set()) - columns]
                    assert not lost, f"{keys}: {grid.id} at {width}: {lost}"
                    before[grid] = columns
            assert before, keys
