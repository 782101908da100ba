"""A sentence in place of a screen for which the terminal is too small."""

from textual.geometry import Size
from textual.widgets import Static

from amp_console.console.texts import WARN, lines, safe_text

SCREEN = Size(50, 14)
"""The columns and lines from which a screen can be read."""


class TooSmall(Static):
    """Covers its screen while the terminal is smaller than `least`, and says so; keys work on."""

    DEFAULT_CSS = """
    TooSmall {
        layer: cover;
        dock: top;
        width: 100%;
        height: 100%;
        padding: 0 1;
        content-align: center middle;
        text-align: center;
        background: $background;
        display: none;
    }
    """

    def __init__(self, least: Size) -> None:
        super().__init__()
        self._least = least

    def fit(self, size: Size) -> None:
        """Cover a screen of this size, or show it again."""
        self.display = size.width < self._least.width or size.height < self._least.height
        if self.display:
            self.update(
                lines(
                    safe_text((f"This window is too small: {size.width}×{size.height}.", WARN)),
                    safe_text(f"Make it at least {self._least.width}×{self._least.height}."),
                )
            )
