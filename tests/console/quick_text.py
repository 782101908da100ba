"""The text of a screen without its colours: tests read what is written, seldom how.

Textual mixes the colours of each line from those of all that the widget is in, of the theme and of
opacities, and filters each of its pieces; that was half of the time of rendering. Here a line of a
widget is its text between blanks and the sides of a border, through the filter that keeps the
terminal from harm. Textual itself draws what is rare: edges, outlines, hatches and faint text.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from rich.segment import Segment
from textual._border import BORDER_CHARS
from textual._styles_cache import StylesCache
from textual.color import Color
from textual.geometry import Region
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

from amp_console.console.terminal_text import TerminalText

_render_widget = StylesCache.render_widget
_NO_COLOR = Color(0, 0, 0)
_wants_text = [False]
_TEXT = "_has_text_alone"
"""Set where the lines that a widget's cache keeps have no colours."""


@contextmanager
def text_alone() -> Iterator[None]:
    """Render without colours in this block."""
    _wants_text[0] = True
    try:
        yield
    finally:
        _wants_text[0] = False


def _render_as_wanted(self: StylesCache, widget: Widget, crop: Region) -> list[Strip]:
    if getattr(self, _TEXT, False) is not _wants_text[0]:
        self.clear()
        setattr(self, _TEXT, _wants_text[0])
        if isinstance(widget, Screen):  # a dialog's content are the lines of those behind it
            widget._dirty_regions.add(widget.size.region)
    return (_render_text if _wants_text[0] else _render_widget)(self, widget, crop)


def _render_text(self: StylesCache, widget: Widget, crop: Region) -> list[Strip]:
    width = widget.region.width
    if width != self._width:
        self.clear()
        self._width = width
    missing = [y for y in crop.line_range if y in self._dirty_lines or y not in self._cache]
    if missing:
        line = _lines_of(self, widget)
        filters = [item for item in widget.get_line_filters() if isinstance(item, TerminalText)]
        for y in missing:
            strip = line(y)
            for text_filter in filters:
                strip = Strip(text_filter.apply(strip._segments, _NO_COLOR), strip._cell_length)
            self._cache[y] = strip
        self._dirty_lines.difference_update(missing)
    strips = [self._cache[y] for y in crop.line_range]
    if crop.column_span != (0, width):
        strips = [strip.crop(*crop.column_span) for strip in strips]
    return strips


def _lines_of(self: StylesCache, widget: Widget) -> Callable[[int], Strip]:
    """What returns a line of a widget, without colours where it has only text and sides."""
    styles, (width, height) = widget.styles, widget.region.size
    top, right, bottom, left = (edge for edge, _ in styles.border)
    has_effects = styles.text_opacity != 1.0 or styles.has_rule("hatch")
    has_effects |= any(edge for edge, _ in styles.outline)
    padding, gutter, content = styles.padding, styles.gutter, widget.content_region.size
    before = (BORDER_CHARS[left][1][0] if left else "") + " " * padding.left
    after = " " * padding.right + (BORDER_CHARS[right][1][2] if right else "")

    def line(y: int) -> Strip:
        if has_effects or (top and y == 0) or (bottom and y == height - 1):
            return _drawn(self, widget, y)
        if 0 <= y - gutter.top < content.height:
            strip = widget.render_line(y - gutter.top).adjust_cell_length(content.width)
            pieces = [Segment(before), *strip._segments, Segment(after)]
            return Strip([piece for piece in pieces if piece.text], width)
        return Strip([Segment(before + " " * content.width + after)], width)

    return line


def _drawn(self: StylesCache, widget: Widget, y: int) -> Strip:
    (strip,) = _render_widget(self, widget, Region(0, y, widget.region.width, 1))
    return strip


@contextmanager
def quick_text() -> Iterator[None]:
    """Let what is rendered in `text_alone` have no colours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StylesCache, "render_widget", _render_as_wanted)
        yield
