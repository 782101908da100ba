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

    def on_mount(self) -> None:
        """Follow the size of the screen: nothing that is hidden hears of another one."""
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
