"""The colours of a grid: tones blended over the background of a row."""

from rich.style import Style
from textual.color import Color
from textual.widget import Widget

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
        bold = False
        color = self._grid.styles.color
        if ground:
            found = self._grid.get_component_styles(f"grid--{ground}")
            below, bold = below + found.background, found.text_style.bold or False
        if tone:
            found = self._grid.get_component_styles(f"grid--{tone}")
            color, bold = found.color, bold or found.text_style.bold or False
        return Style(color=_on(below, color), bgcolor=below.rich_color, bold=bold)


def _on(ground: Color, color: Color) -> str:
    return (ground + color).hex6
