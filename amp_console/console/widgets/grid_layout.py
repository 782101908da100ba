"""How wide the columns of a grid are, and how text is made to fit: no widget, only arithmetic."""

import textwrap
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

from amp_console.text import clean

GAP = 2  # columns between two cells
LONGEST = 300  # characters that are looked at; a row has no more room


class Column(NamedTuple):
    """One column: at least `width` wide; `flex` is its share of the room that is left.

    Where there is too little room, columns of the highest `rank` are left out first (0: never).
    """

    label: str
    width: int
    flex: int = 0
    right: bool = False
    rank: int = 0


class Fitted(NamedTuple):
    """A column as it is drawn: which one, and how wide."""

    at: int
    width: int


def fit_columns(columns: Sequence[Column], room: int) -> list[Fitted]:
    """Choose the columns that fit into `room`, and share what is left among those that flex."""
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
    """Where even what must be shown is too wide, the flexible ones give way."""
    over = sum(item.width for item in fitted) + GAP * max(0, len(fitted) - 1) - room
    result = []
    for item in fitted:
        give = min(max(0, over), max(0, item.width - 4)) if columns[item.at].flex else 0
        over -= give
        result.append(Fitted(item.at, item.width - give))
    return result


@lru_cache(maxsize=64)
def wrapped(text: str, width: int) -> tuple[str, ...]:
    """Break a text into lines of at most `width` columns; its own line breaks stay."""
    rows: list[str] = []
    for line in text.splitlines():
        rows += textwrap.wrap(line, width, drop_whitespace=True) or [""]
    return tuple(rows)


@lru_cache(maxsize=16_384)
def fitted_text(text: str, width: int, right: bool, more: str = "…") -> str:
    """Return text that takes exactly `width` columns and steers no terminal.

    What is cut off is seen to be: it ends in `more`.
    """
    shown = clean(text, LONGEST)
    size = cell_len(shown)
    if size <= width:
        gap = " " * (width - size)
        return gap + shown if right else shown + gap
    if width <= 0:
        return ""
    return str(set_cell_size(shown, width - 1)) + more
