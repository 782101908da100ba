"""The colours of a grid: tones blended over the background of a row."""

from rich.style import Style
from textual.color import Color
from textual.widget import Widget

from amp_console.console.contrast import readable

TONES = frozenset(
    f"grid--{name}"
    for name in (
        "header",
        "sorted",
        "letter",
        "cursor",
        "cursor-blurred",
        "marked",
        "good",
        "warn",
        "bad",
        "dim",
        "accent",
        "empty",
    )
)
"""The component classes of a grid."""
STYLES = """
Grid {
    height: 1fr;
    min-height: 2;
    overflow-x: hidden;
    scrollbar-size-vertical: 1;
    background: transparent;
    color: $foreground;
    & > .grid--header { color: $text-muted; text-style: bold; }
    & > .grid--sorted { color: $foreground; text-style: bold; }
    & > .grid--letter { color: $text-accent; text-style: bold reverse; }
    & > .grid--cursor { background: $primary 20%; text-style: bold; }
    & > .grid--cursor-blurred { background: $primary 12%; }
    & > .grid--marked { color: $text-accent; text-style: bold; }
    & > .grid--good { color: $text-success; }
    & > .grid--warn { color: $text-warning; }
    & > .grid--bad { color: $text-error; }
    & > .grid--dim { color: $text-muted; }
    & > .grid--accent { color: $text-accent; }
    & > .grid--empty { color: $text-muted; }
}
"""
GROUNDS = ("", "cursor", "cursor-blurred")
"""Backgrounds of a row: none, the cursor, or the cursor of a grid without the focus."""


class GridPalette:
    """Makes the style of each tone on each background once, from a grid's component classes.

    Textual's own partial styles drop transparency, so a translucent cursor would become a solid
    bar.
    """

    def __init__(self, grid: Widget) -> None:
        self._grid = grid
        self._styles: dict[tuple[str, str], Style] = {}

    def forget(self) -> None:
        """Drop all styles, because the theme has changed."""
        self._styles.clear()

    def style(self, tone: str = "", ground: str = "") -> Style:
        """Return the style of a tone ("" is plain text) on a background of `GROUNDS`."""
        key = tone, ground
        if key not in self._styles:
            self._styles[key] = self._made(tone, ground)
        return self._styles[key]

    def _made(self, tone: str, ground: str) -> Style:
        below = self._grid.background_colors[1]
        bold = is_reversed = False
        color = self._grid.styles.color
        if ground:
            found = self._grid.get_component_styles(f"grid--{ground}")
            below, bold = below + found.background, found.text_style.bold or False
        if tone:
            found = self._grid.get_component_styles(f"grid--{tone}")
            color, bold = found.color, bold or found.text_style.bold or False
            is_reversed = found.text_style.reverse or False
        return Style(
            color=_on(below, color), bgcolor=below.rich_color, bold=bold, reverse=is_reversed
        )


def _on(ground: Color, color: Color) -> str:
    """The colour as it can be read on this ground, which may be that of the cursor."""
    opaque = ground + color
    if opaque.ansi is not None or ground.ansi is not None:
        return opaque.hex6
    return readable(opaque, ground).hex6
