"""A table that gets other columns never paints rows under columns they do not belong to."""

import pytest
from textual.app import App, ComposeResult

from amp_console.console.widgets.grid import Cell, Column, Grid, Row

pytestmark = pytest.mark.anyio

NAME, SIZE = Column("Name", 10), Column("Size", 6)


class Sheet(App[None]):
    """One table."""

    def compose(self) -> ComposeResult:
        yield Grid((NAME,))


def painted(grid: Grid) -> str:
    return "\n".join(grid.render_line(y).text for y in range(grid.size.height))


@pytest.mark.parametrize(
    ("before", "after"), [((NAME,), (NAME, SIZE)), ((NAME, SIZE), (NAME,))], ids=["more", "fewer"]
)
async def test_rows_for_other_columns_are_not_painted(
    before: tuple[Column, ...], after: tuple[Column, ...]
) -> None:
    app = Sheet()
    async with app.run_test():
        grid = app.query_one(Grid)
        grid.reshape(before)
        grid.show([Row("a", tuple(Cell(f"old {item.label}") for item in before))])
        assert "old Name" in painted(grid)
        grid.reshape(after)
        assert "old" not in painted(grid)
        assert "Reading" in painted(grid)
        grid.show([Row("a", tuple(Cell(f"new {item.label}") for item in after))])
        assert "new Name" in painted(grid)
