"""The cursor of a table stays with its row, even while that row is not shown."""

import pytest
from textual.app import App, ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.strip import Strip

from amp_console.console.widgets.grid import Cell, Column, Grid, Row
from tests.console.headless import text_of_screen

pytestmark = pytest.mark.anyio


class Sheet(App[None]):
    """One table."""

    def compose(self) -> ComposeResult:
        yield Grid((Column("Name", 10),))

    def grid(self) -> Grid:
        return self.query_one(Grid)


def rows(*names: str) -> list[Row]:
    return [Row(name, (Cell(name),)) for name in names]


async def test_it_returns_to_a_row_that_comes_back() -> None:
    app = Sheet()
    async with app.run_test():
        grid = app.grid()
        grid.show(rows("a", "b", "c"))
        grid.go_to("c")
        for without in (rows("a", "b"), rows(), rows("b")):
            grid.show(without)
            grid.show(rows("a", "b", "c", "d"))
            assert grid.key == "c"


async def test_it_stays_where_the_operator_has_moved_it_meanwhile() -> None:
    app = Sheet()
    async with app.run_test() as pilot:
        grid = app.grid()
        grid.show(rows("a", "b", "c"))
        grid.go_to("c")
        grid.show(rows("a", "b"))
        grid.focus()
        await pilot.press("home")
        grid.show(rows("a", "b", "c"))
        assert grid.key == "a"


@pytest.mark.parametrize("more", [0, 1])
async def test_it_stays_on_its_row_when_the_columns_change(more: int) -> None:
    """The rows are dropped if they have too few cells, and lose the order of their column."""
    app = Sheet()
    async with app.run_test():
        grid = app.grid()
        grid.show(rows("c", "b", "a"))
        grid.sort_by(0)
        grid.go_to("c")
        grid.reshape((Column("First name", 10),) * (1 + more))
        grid.show([Row(name, (Cell(name),) * (1 + more)) for name in ("c", "b", "a", "d")])
        assert grid.key == "c"


async def test_a_key_may_follow_the_rows_before_they_were_laid_out() -> None:
    app = Sheet()
    async with app.run_test() as pilot:
        grid = app.grid()
        grid.show(rows(*(f"row {n}" for n in range(1000))))
        grid.action_move("last")
        await pilot.pause()
        assert grid.render_line(grid.size.height - 1).text.strip() == "▸ row 999"


class Panel(Vertical):
    """Filters its table by itself."""

    class Wanted(Message):
        """Only rows with a "b" are wanted."""

    def compose(self) -> ComposeResult:
        yield Grid((Column("Name", 10),))

    def on_panel_wanted(self) -> None:
        self.query_one(Grid).filter("b")


class Framed(App[None]):
    """A panel, and the keys its cursor came to."""

    def __init__(self) -> None:
        super().__init__()
        self.moves: list[object] = []

    def compose(self) -> ComposeResult:
        yield Panel()

    def on_grid_moved(self, event: Grid.Moved) -> None:
        self.moves.append(event.key)


async def test_a_panel_that_filters_its_table_does_not_keep_the_move_to_itself() -> None:
    app = Framed()
    async with app.run_test() as pilot:
        app.query_one(Grid).show(rows("a", "b"))
        app.query_one(Panel).post_message(Panel.Wanted())
        await pilot.pause()
        assert app.moves[-1] == "b"


class Watched(Grid):
    """Counts the lines that it paints."""

    def __init__(self) -> None:
        super().__init__((Column("Name", 10),))
        self.painted: list[int] = []

    def render_line(self, y: int) -> Strip:
        self.painted.append(y)
        return super().render_line(y)


class WatchedSheet(Sheet):
    """A table that is watched."""

    def compose(self) -> ComposeResult:
        yield Watched()


async def test_a_key_paints_the_two_rows_that_change_and_all_of_them_where_they_scroll() -> None:
    app = WatchedSheet()
    async with app.run_test(size=(40, 10)) as pilot:
        grid = app.query_one(Watched)
        grid.show(rows(*(f"row {n}" for n in range(20))))
        grid.focus()
        await pilot.pause()
        for key, lines in (("j", {1, 2}), ("down", {2, 3}), ("k", {3, 2}), ("G", set(range(10)))):
            assert str(grid.key) in "".join(text_of_screen(app))  # paints what has changed
            grid.painted.clear()
            await pilot.press(key)
            await pilot.pause()
            text_of_screen(app)
            assert set(grid.painted) == lines, key
        assert "▸" in grid.render_line(9).text
