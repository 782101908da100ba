"""The detail beside a list: a text about the row under its cursor."""

from textual.app import ComposeResult

from amp_console.console.context import services_of
from amp_console.console.screens.loading import Loader
from amp_console.console.texts import MUTED, safe_text
from amp_console.console.widgets.grid.widget import READING
from amp_console.console.widgets.scroll_pane import ScrollPane
from amp_console.console.widgets.steady_text import FittedText


class CursorDetail(ScrollPane):
    """What is known about the row under the cursor, laid out to fit, with current ages."""

    def __init__(self, loader: Loader) -> None:
        super().__init__(id="detail", classes="panel")
        self._loader = loader

    def compose(self) -> ComposeResult:
        yield FittedText(safe_text((READING, MUTED)), id="detail-text")

    def on_mount(self) -> None:
        services_of(self).clock.ticked.subscribe(self, lambda _: self.show(), immediate=True)

    def reload(self) -> None:
        """Read and show the row under the cursor."""
        self._loader.follow("detail", self.load)

    async def load(self) -> None:
        """Read the row under the cursor, and show it. Raises `LedgerError`."""
        raise NotImplementedError

    def show(self) -> None:
        """Show what was read, if the cursor is still on that row."""
        raise NotImplementedError
