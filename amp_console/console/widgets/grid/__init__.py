"""A table that paints only the lines in view: as quick with a million rows as with ten."""

from amp_console.console.widgets.grid.columns import Column
from amp_console.console.widgets.grid.rows import Cell, Paged, Row, rows_or_pages
from amp_console.console.widgets.grid.widget import Age, Grid, RowsState

__all__ = ["Age", "Cell", "Column", "Grid", "Paged", "Row", "RowsState", "rows_or_pages"]
