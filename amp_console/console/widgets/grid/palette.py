"""The colors of a grid: tones blended over the background of a row."""

from rich.style import Style
from textual.color import Color
from textual.widget import Widget

from amp_console.console.contrast import readable

TONES = {
    "header": "bold $text-muted",
    "sorted": "bold $foreground",
    "letter": "bold reverse $text-accent",
    "marked": "bold $text-accent",
    "good": "$text-success",
    "warn": "$text-warning",
    "bad": "$text-error",
    "dim": "$text-muted",
    "accent": "$text-accent",
    "empty": "$text-muted",
}
"""The style of each tone of a text."""
GROUNDS = {"": "", "cursor": "bold on $primary 20%", "cursor-blurred": "on $primary 12%"}
"""Backgrounds of a row: none, the cursor, or the cursor of a grid without the focus."""
STYLES = """
Grid {
    height: 1fr;
    min-height: 2;
    overflow-x: hidden;
    scrollbar-size-vertical: 1;
    background: transparent;
    color: $foreground;
}
"""


class GridPalette:
    """Creates the style of each tone on each background once.

    The tones are not component classes of the grid: Textual would style each of them again whenever
    it styles the grid, which took half of the time for styles when a screen opened. Also, Textual's
    own partial styles drop transparency, so a translucent cursor would become a solid bar.
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
        parse = self._grid.app.stylesheet.parse_style
        behind, text = parse(GROUNDS[ground]), parse(TONES[tone] if tone else "")
        below = self._grid.background_colors[1]
        if behind.background is not None:
            below += behind.background
        return Style(
            color=_on(below, text.foreground or self._grid.styles.color),
            bgcolor=below.rich_color,
            bold=bool(behind.bold or text.bold),
            reverse=bool(text.reverse),
        )


def _on(ground: Color, color: Color) -> str:
    """The color, adjusted to be legible on this background, which may be the cursor's."""
    opaque = ground + color
    if opaque.ansi is not None or ground.ansi is not None:
        return opaque.hex6
    return readable(opaque, ground).hex6
