"""Painting the lines of a grid: its header, its rows, or a text if there are none."""

import textwrap
from collections.abc import Callable
from functools import lru_cache

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.strip import Strip

from amp_console.console.glyphs import Glyphs, bar
from amp_console.console.widgets.grid.columns import (
    GAP,
    LEAD,
    ColumnLayout,
    fitted_parts,
    fitted_text,
)
from amp_console.console.widgets.grid.palette import GridPalette
from amp_console.console.widgets.grid.rows import Row

Age = Callable[[int | None], str]
"""Returns the current age of a time in microseconds since 1970, e.g. "4 min ago"."""


class PaintedAges:
    """The ages in cells as last painted, by time."""

    def __init__(self, age: Age) -> None:
        self._age = age
        self._painted: dict[int, str] = {}

    def paint(self, moment: int) -> str:
        """Return the age of a time, and remember it as painted."""
        self._painted[moment] = text = self._age(moment)
        return text

    def advance(self) -> bool:
        """Forget all ages if any has changed; return whether all must be painted again."""
        has_changed = any(self._age(moment) != text for moment, text in self._painted.items())
        if has_changed:
            self._painted.clear()
        return has_changed


NOTICE_WIDTH = 80  # columns of a text shown instead of rows


class LinePainter:
    """Paints one line at a time. Without `ages`, a cell with a time keeps its text."""

    def __init__(
        self, layout: ColumnLayout, glyphs: Glyphs, palette: GridPalette, ages: PaintedAges | None
    ) -> None:
        self._layout = layout
        self._glyphs = glyphs
        self._palette = palette
        self._ages = ages

    def blank(self, width: int) -> Strip:
        return Strip.blank(width, self._palette.style())

    def header(
        self,
        width: int,
        sort_column: int | None,
        *,
        descending: bool,
        is_sorted: bool = True,
        has_letters: bool = False,
    ) -> Strip:
        """Paint the labels, with a sign at the column by which the rows are sorted.

        The sign is as pale as the labels if the rows are no longer in that order. With
        `has_letters`, the letter that sorts by a column is reversed in its label.
        """
        style = self._palette.style("header")
        sorted_style = self._palette.style("sorted") if is_sorted else style
        letters = {at: letter for letter, at in self._layout.letters(width).items()}
        sign = self._glyphs.down if descending else self._glyphs.up
        spans: list[tuple[int, str, Style]] = []
        left = LEAD
        for item in self._layout.fit(width):
            column = self._layout.columns[item.at]
            label = fitted_text(column.label, item.width, column.right, self._glyphs.more)
            text = label.strip()
            start = left + len(label) - len(label.lstrip()) if text else left
            has_sign = item.at == sort_column
            if has_sign and column.right:
                spans.append((start - 1, sign + text, sorted_style))
            elif has_sign:
                gap = " " if start + cell_len(text) + 1 < width else ""
                spans.append((start, f"{text}{gap}{sign}".lstrip(), sorted_style))
            else:
                spans.append((start, text, style))
            if has_letters and item.at in letters:
                index = text.casefold().find(letters[item.at])  # one before it, if it has none
                letter = text[index] if index >= 0 else letters[item.at]
                spans.append((start + index, letter, self._palette.style("letter")))
            left += item.width + GAP
        line = Strip.blank(width, style)
        for start, text, span_style in spans:
            end = start + cell_len(text)
            span = Strip([Segment(text, span_style)])
            line = Strip.join([line.crop(0, start), span, line.crop(end)])
        return line.adjust_cell_length(width, style)

    def notice(self, size: Size, number: int, text: str, tone: str) -> Strip:
        """Paint one line of the centered text that is shown if there are no rows."""
        rows = _wrapped(text, max(1, min(size.width - LEAD, NOTICE_WIDTH)))
        number -= max(1, (size.height - len(rows)) // 3)
        line = rows[number] if 0 <= number < len(rows) else ""
        style = self._palette.style(tone)
        left = max(LEAD, (size.width - max(map(cell_len, rows), default=0)) // 2)
        shown = fitted_text(line, max(0, size.width - left), False, self._glyphs.more)
        return Strip([Segment(" " * left + shown, style)]).adjust_cell_length(size.width, style)

    def loading(self, width: int) -> Strip:
        """Paint a row that is still being fetched."""
        text = Segment(" " * LEAD + self._glyphs.more, self._palette.style("dim"))
        return Strip([text]).adjust_cell_length(width, self._palette.style())

    def row(self, width: int, row: Row, ground: str, *, is_marked: bool) -> Strip:
        """Paint a row; `ground` is a background of `palette.GROUNDS`."""
        palette, glyphs = self._palette, self._glyphs
        base = palette.style("", ground)
        cursor = {"": " ", "cursor": glyphs.cursor}.get(ground, glyphs.resting)
        lead = cursor + (glyphs.mark if is_marked else " ")
        segments = [Segment(lead, palette.style("marked" if is_marked else "", ground))]
        columns = self._layout.columns
        for item in self._layout.fit(width):
            cell, column = row.cells[item.at], columns[item.at]
            if len(cell.parts) > 1:
                segments += [
                    Segment(part.text, palette.style(part.tone, ground))
                    for part in fitted_parts(cell, item.width, glyphs.more)
                ]
            elif cell.share is not None:
                drawn = bar(glyphs, cell.share, 1, item.width)
                segments.append(Segment(drawn, palette.style(cell.tone, ground)))
            else:
                current = cell.text
                if cell.since is not None and self._ages is not None:
                    current = self._ages.paint(cell.since)
                text = fitted_text(current, item.width, column.right, glyphs.more, cell.shorten)
                segments.append(Segment(text, palette.style(cell.tone, ground)))
            segments.append(Segment(" " * GAP, base))
        return Strip(segments[:-1]).adjust_cell_length(width, base)


@lru_cache(maxsize=64)
def _wrapped(text: str, width: int) -> tuple[str, ...]:
    """Break a text into lines of at most `width` columns, keeping its own line breaks."""
    rows: list[str] = []
    for line in text.splitlines():
        rows += textwrap.wrap(line, width, drop_whitespace=True) or [""]
    return tuple(rows)
