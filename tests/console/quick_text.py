"""The text of a screen without its colors: tests rarely look at those.

Textual blends the colors of each line with those of the widget's ancestors, the theme and
opacities, filters each segment, cuts all lines wherever any widget begins or ends, and joins them
again; that took a sixth of the time of the console's tests. Here a line of a widget is its text
between padding and the sides of a border, through the filter that protects the terminal, and
widgets are written over each other, those at the back first. Textual itself draws what is rare:
edges, outlines, hatches and faint text.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from rich.cells import cell_len
from rich.segment import Segment
from textual._border import BORDER_CHARS
from textual._styles_cache import StylesCache
from textual.app import App
from textual.color import Color
from textual.content import Content
from textual.geometry import Region
from textual.screen import Screen
from textual.strip import Strip
from textual.style import Style
from textual.visual import RenderOptions
from textual.widget import Widget

from amp_console.console.terminal_text import TerminalText

_render_widget = StylesCache.render_widget
_render_strips = Content.render_strips
_NO_COLOR = Color(0, 0, 0)
_wants_text = [False]
"""Whether widgets return cells of text as their lines at this moment."""
_is_text_alone = [False]
"""Whether contents are rendered without their styles at this moment."""
_TEXT = "_has_text_alone"
"""Set if a widget's cache contains lines of cells without colors."""
_narrow = set[str]()
"""Characters that are known to be one cell wide."""

Cells = Sequence[str]
"""A line: the content of each cell, "" for the second one of a wide character."""


def is_text_quick() -> bool:
    """Whether `quick_text` is in use: pictures are made without it."""
    return StylesCache.render_widget is _render_as_wanted


def text_of_screens(app: App[Any]) -> list[str]:
    """The lines of the screen in front over those visible behind it, without trailing spaces.

    `quick_text` is in use.
    """
    rows: list[list[str]] = []
    _wants_text[0] = True
    try:
        screens = [*app._background_screens, app.screen]
        opaque = [at for at, screen in enumerate(screens) if screen.styles.background.a == 1]
        for screen in screens[max(opaque, default=0) :]:
            width, height = screen._compositor.size
            rows = rows or [[" "] * width for _ in range(height)]
            _write(screen, rows)
    finally:
        _wants_text[0] = False
    return ["".join(row).rstrip() for row in rows]


def _write(screen: Screen[object], rows: list[list[str]]) -> None:
    """Write the text of a screen's widgets over what these rows hold."""
    for widget, (region, clip) in reversed(screen._compositor.visible_widgets.items()):
        seen = region.intersection(clip)
        if widget is screen or not seen or not widget.is_attached:
            continue
        crop = seen.translate(-region.offset)
        left, right = seen.column_span
        lines: Sequence[Cells] = [" " * crop.width] * crop.height
        if not widget.BLANK:
            lines = widget.render_lines(crop)  # type: ignore[assignment]
        for row, cells in zip(rows[seen.y : seen.bottom], lines, strict=False):
            if 0 < left < len(row) and not row[left]:
                row[left - 1] = " "  # of a wide character, which loses its other half
            if right < len(row) and not row[right]:
                row[right] = " "
            row[left:right] = cells


def _render_text(cache: StylesCache, widget: Widget, crop: Region) -> list[Cells]:
    _keep(cache, widget, text_alone=True)
    kept: dict[int, Cells] = cache._cache  # type: ignore[assignment]
    width = widget.region.width
    if width != cache._width:
        cache.clear()
        cache._width = width
    missing = [y for y in crop.line_range if y in cache._dirty_lines or y not in kept]
    if missing:
        line = _lines_of(cache, widget)
        filters = [item for item in widget.get_line_filters() if isinstance(item, TerminalText)]
        for y in missing:
            text = line(y)
            for text_filter in filters:
                (segment,) = text_filter.apply([Segment(text)], _NO_COLOR)
                text = segment.text
            kept[y] = _cropped(cells_of(text), 0, width)
        cache._dirty_lines.difference_update(missing)
    return [_cropped(kept[y], *crop.column_span) for y in crop.line_range]


def cells_of(text: str) -> Cells:
    """The content of each cell of a text."""
    if text.isascii() or _narrow.issuperset(text):
        return text
    cells: list[str] = []
    for character in text:
        width = cell_len(character)
        if width == 1:
            _narrow.add(character)
        if width:
            cells += [character] + [""] * (width - 1)
        elif cells:
            cells[-1] += character
    return cells


def _cropped(cells: Cells, left: int, right: int) -> Cells:
    """A part of a line; half a wide character becomes a space.

    Missing cells are blank, too: a widget that is about to be laid out may have a different width.
    """
    if (left, right) == (0, len(cells)):
        return cells
    part = list(cells[left:right])
    if part and not part[0]:
        part[0] = " "
    if part and right < len(cells) and not cells[right]:
        part[-1] = " "
    return part + [" "] * (right - left - len(part))


def _keep(cache: StylesCache, widget: Widget, *, text_alone: bool) -> None:
    """Make a widget's cache keep lines of this kind, and drop those of the other."""
    if getattr(cache, _TEXT, False) is not text_alone:
        cache.clear()
        setattr(cache, _TEXT, text_alone)
        if _keeps_content(widget):
            widget._dirty_regions.add(widget.size.region)


def _keeps_content(widget: Widget) -> bool:
    return type(widget).render_line is Widget.render_line


def _render_as_wanted(self: StylesCache, widget: Widget, crop: Region) -> list[Strip] | list[Cells]:
    if _wants_text[0]:
        return _render_text(self, widget, crop)
    _keep(self, widget, text_alone=False)
    return _render_widget(self, widget, crop)


def _lines_of(cache: StylesCache, widget: Widget) -> Callable[[int], str]:
    """Return a function for the text of a widget's line, between its sides, in full width."""
    styles, (width, height) = widget.styles, widget.region.size
    top, right, bottom, left = (edge for edge, _ in styles.border)
    has_effects = styles.text_opacity != 1.0 or styles.has_rule("hatch")
    has_effects |= any(edge for edge, _ in styles.outline)
    padding, gutter, content = styles.padding, styles.gutter, widget.content_region.size
    before = (BORDER_CHARS[left][1][0] if left else "") + " " * padding.left
    after = " " * padding.right + (BORDER_CHARS[right][1][2] if right else "")
    if _keeps_content(widget) and (widget._dirty_regions or has_effects):
        _is_text_alone[0] = not has_effects  # which need colors to blend
        try:
            widget._render_content()
        finally:
            _is_text_alone[0] = False

    def line(y: int) -> str:
        if has_effects or (top and y == 0) or (bottom and y == height - 1):
            (drawn,) = _render_widget(StylesCache(), widget, Region(0, y, width, 1))
            return drawn.text
        if 0 <= y - gutter.top < content.height:
            strip = widget.render_line(y - gutter.top).adjust_cell_length(content.width)
            return before + strip.text + after
        return before + " " * content.width + after

    return line


def _render_strips_as_wanted(
    self: Content, width: int, height: int | None, style: Style, options: RenderOptions
) -> list[Strip]:
    align = options.rules.get("text_align", "left")
    if not _is_text_alone[0] or not width or align == "justify":
        return _render_strips(self, width, height, style, options)
    lines = Content(self.plain)._wrap_and_format(
        width,
        align=align,
        overflow=options.rules.get("text_overflow", "fold"),
        no_wrap=options.rules.get("text_wrap", "wrap") == "nowrap",
        line_pad=options.rules.get("line_pad", 0),
    )
    return [_aligned(line.content, width, align) for line in lines[:height]]


def _aligned(line: Content, width: int, align: str) -> Strip:
    room = width - line.cell_length
    before = room // 2 if align == "center" else room if align in ("end", "right") else 0
    after = room - before if align == "center" else 0
    text = f"{' ' * before}{line.plain}{' ' * after}"
    return Strip([Segment(text)], line.cell_length + before + after)


@contextmanager
def quick_text() -> Iterator[None]:
    """Make `text_of_screens` render contents without styles; colors follow when needed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StylesCache, "render_widget", _render_as_wanted)
        patch.setattr(Content, "render_strips", _render_strips_as_wanted)
        yield
