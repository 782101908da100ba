"""Long texts in full, to read and to copy."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Static

from amp_console.console.dialogs.base import Dialog
from amp_console.console.texts import safe_lines
from amp_console.console.widgets.scroll_pane import ScrollBox

MAX_LENGTH = 4_000  # characters of one line


class ReadingDialog(Dialog[None]):
    """A box with a text that scrolls and can be copied."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "Copy", show=False),
        Binding("enter,q", "dismiss(None)", "Close", show=False),
    ]

    @property
    def copied(self) -> str:
        """The text to copy."""
        raise NotImplementedError

    def frame(self) -> Widget:
        """The box itself scrolls: it knows how much of the text the terminal has room for."""
        return ScrollBox(self.services.glyphs.down, classes="dialog")

    def action_copy(self) -> None:
        """Copy the text."""
        self.services.clipboard.copy(self.copied)


class TextView(ReadingDialog):
    """A text, such as a log entry."""

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title = title
        self._text = text

    @property
    def box_title(self) -> str:
        """The title of the text."""
        return self._title

    def box(self) -> ComposeResult:
        """The text."""
        yield Static(safe_lines(self._text.splitlines(), MAX_LENGTH))

    @property
    def copied(self) -> str:
        return self._text
