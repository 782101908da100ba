"""The lines of a grid as they are painted: its header, its rows, and what stands for no rows."""

from collections.abc import Callable, Sequence

from rich.segment import Segment
from textual.strip import Strip

from amp_console.console.glyphs import Glyphs
from amp_console.console.widgets.grid_layout import GAP, Column, Fitted, fit_columns, fitted_text
from amp_console.console.widgets.grid_paint import GridPaint
from amp_console.console.widgets.grid_rows import Cell, Row

LEAD = 2  # columns before the first cell: the cursor and the mark


class GridLines:
    """Paints one line at a time; the columns are fitted to the width once."""

    def __init__(
        self,
        columns: Sequence[Column],
        glyphs: Glyphs,
        paint: GridPaint,
        age: Callable[[Cell], str] = lambda cell: cell.text,
    ) -> None:
        """`age` says what a cell with a moment says by now."""
        self._age = age
        self._columns = columns
        self._load = glyphs
        self._paint = paint
        self._fitted: list[Fitted] = []
        self._width = -1

    def fit(self, width: int) -> list[Fitted]:
        """The columns that there is room for."""
        if width != self._width:
            self._width = width
            self._fitted = fit_columns(self._columns, width - LEAD)
        return self._fitted

    def column_at(self, x: int, width: int) -> int | None:
        """The column that stands at a place of the line."""
        left = LEAD
        for item in self.fit(width):
            if left <= x < left + item.width + GAP:
                return item.at
            left += item.width + GAP
        return None

    def blank(self, width: int) -> Strip:
        """A line with nothing on it."""
        return Strip.blank(width, self._paint.style())

    def header(self, width: int, sort: int | None, *, descending: bool) -> Strip:
        """The labels, with a sign at the column the rows are sorted by."""
        style, labels = self._paint.style("header"), []
        for item in self.fit(width):
            column = self._columns[item.at]
            sign = (" v" if descending else " ^") if item.at == sort else ""
            labels.append(
                fitted_text(column.label + sign, item.width, column.right, self._load.more)
            )
        text = " " * LEAD + (" " * GAP).join(labels)
        return Strip([Segment(text, style)]).adjust_cell_length(width, style)

    def instead(self, width: int, text: str, tone: str = "empty") -> Strip:
        """A line of what is said where there are no rows."""
        style = self._paint.style(tone)
        shown = fitted_text(text, max(0, width - LEAD), False, self._load.more)
        return Strip([Segment(" " * LEAD + shown, style)]).adjust_cell_length(width, style)

    def waiting(self, width: int) -> Strip:
        """A row that has yet to be fetched."""
        text = Segment(" " * LEAD + self._load.more, self._paint.style("dim"))
        return Strip([text]).adjust_cell_length(width, self._paint.style())

    def row(self, width: int, row: Row, ground: str, *, is_marked: bool) -> Strip:
        """A row on its ground: "" or that of the cursor."""
        paint, glyphs = self._paint, self._load
        base = paint.style("", ground)
        lead = (glyphs.cursor if ground else " ") + (glyphs.mark if is_marked else " ")
        segments = [Segment(lead, paint.style("marked" if is_marked else "", ground))]
        for item in self.fit(width):
            cell, column = row.cells[item.at], self._columns[item.at]
            said = cell.text if cell.since is None else self._age(cell)
            text = fitted_text(said, item.width, column.right, glyphs.more)
            segments += (Segment(text, paint.style(cell.tone, ground)), Segment(" " * GAP, base))
        return Strip(segments[:-1]).adjust_cell_length(width, base)
