"""A sentence shown instead of a screen if the terminal is too small."""

from textual.geometry import Size
from textual.widgets import Static

from amp_console.console.texts import WARN, lines, safe_text

SCREEN = Size(50, 14)
"""The columns and lines that a screen needs to be readable."""


class TooSmall(Static):
    """Covers its screen and says so while the terminal is below `least`; keys still work."""

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

    def on_mount(self) -> None:
        """Watch the size of the screen: a hidden widget gets no resize events."""
        self.screen.screen_layout_refresh_signal.subscribe(self, lambda _: self._fit())

    def _fit(self) -> None:
        size = self.screen.size
        is_small = size.width < self._least.width or size.height < self._least.height
        self.display = is_small
        if is_small:
            self.update(
                lines(
                    safe_text((f"This window is too small: {size.width}×{size.height}.", WARN)),
                    safe_text(f"Make it at least {self._least.width}×{self._least.height}."),
                )
            )
