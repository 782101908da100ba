"""A table that paints only the visible lines: as fast with a million rows as with ten."""

from amp_console.console.widgets.grid.columns import Column, shortened_path
from amp_console.console.widgets.grid.painter import Age
from amp_console.console.widgets.grid.rows import (
    Cell,
    CellPart,
    Paged,
    Row,
    parts_cell,
    rows_or_pages,
)
from amp_console.console.widgets.grid.widget import (
    Grid,
    RowsState,
    clear_marks,
    no_match,
    stop_choosing,
)

__all__ = [
    "Age",
    "Cell",
    "CellPart",
    "Column",
    "Grid",
    "Paged",
    "Row",
    "RowsState",
    "clear_marks",
    "no_match",
    "parts_cell",
    "rows_or_pages",
    "shortened_path",
    "stop_choosing",
]
