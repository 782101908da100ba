"""How wide the columns of a grid are, and how text is made to fit. No widget, only arithmetic."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

from amp_console.text import clean

GAP = 2  # columns between two cells
LEAD = 2  # columns before the first cell: the cursor and the mark
MAX_LENGTH = 300  # characters of a cell; no screen is wider


class Column(NamedTuple):
    """One column: at least `width` wide; `flex` is its share of the width left over.

    Where there is too little room, columns of the highest `rank` are left out first (0: never).
    """

    label: str
    width: int
    flex: int = 0
    right: bool = False
    rank: int = 0


class Fitted(NamedTuple):
    """A column as it is drawn: its index, and its width."""

    at: int
    width: int


class ColumnLayout:
    """The columns of a grid, fitted to its width once."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self._fitted: list[Fitted] = []
        self._width = -1

    def fit(self, width: int) -> list[Fitted]:
        """Return the columns that fit into a grid of this width."""
        if width != self._width:
            self._width = width
            self._fitted = fit_columns(self.columns, width - LEAD)
        return self._fitted

    def column_at(self, x: int, width: int) -> int | None:
        """Return the index of the column at this offset in the line."""
        left = LEAD
        for item in self.fit(width):
            if left <= x < left + item.width + GAP:
                return item.at
            left += item.width + GAP
        return None

    def after(self, sorted_by: int | None, width: int) -> int | None:
        """Return the next visible column to sort by; None after the last one."""
        shown = [item.at for item in self.fit(width)]
        return next((at for at in shown if sorted_by is None or at > sorted_by), None)


def fit_columns(columns: Sequence[Column], room: int) -> list[Fitted]:
    """Return the columns that fit into `room`; those that flex share the width left over."""
    shown = list(range(len(columns)))
    while _needed(columns, shown) > room:
        droppable = [index for index in shown if columns[index].rank]
        if not droppable:
            break
        shown.remove(max(droppable, key=lambda index: (columns[index].rank, index)))
    spare = max(0, room - _needed(columns, shown))
    flex = sum(columns[index].flex for index in shown)
    fitted = []
    for index in shown:
        column = columns[index]
        extra = spare * column.flex // flex if flex else 0
        fitted.append(Fitted(index, column.width + extra))
    return _shrunk(columns, fitted, room)


def _needed(columns: Sequence[Column], shown: Sequence[int]) -> int:
    return sum(columns[index].width for index in shown) + GAP * max(0, len(shown) - 1)


def _shrunk(columns: Sequence[Column], fitted: list[Fitted], room: int) -> list[Fitted]:
    """Narrow the flexible columns where even the indispensable ones are too wide."""
    over = sum(item.width for item in fitted) + GAP * max(0, len(fitted) - 1) - room
    result = []
    for item in fitted:
        give = min(max(0, over), max(0, item.width - 4)) if columns[item.at].flex else 0
        over -= give
        result.append(Fitted(item.at, item.width - give))
    return result


@lru_cache(maxsize=16_384)
def fitted_text(text: str, width: int, right: bool, more: str = "…") -> str:
    """Return text that takes exactly `width` columns and holds no control character.

    A text that is cut ends in `more`.
    """
    shown = clean(text, MAX_LENGTH)
    size = cell_len(shown)
    if size <= width:
        gap = " " * (width - size)
        return gap + shown if right else shown + gap
    if width <= 0:
        return ""
    return str(set_cell_size(shown, width - 1)) + more
