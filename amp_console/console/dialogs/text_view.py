"""A long text in full, to read and to copy."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from amp_console.console.dialogs.base import Dialog
from amp_console.console.texts import safe_lines
from amp_console.console.widgets.scroll_pane import ScrollPane

MAX_LENGTH = 4_000  # characters of one line


class TextView(Dialog[None]):
    """A box with a text that scrolls."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "Copy", show=False),
        Binding("enter,q", "dismiss(None)", "Close", show=False),
    ]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title = title
        self._text = text

    @property
    def box_title(self) -> str:
        """The title of the text."""
        return self._title

    def box(self) -> ComposeResult:
        """The text, and the key that copies it."""
        with ScrollPane(classes="dialog-text"):
            yield Static(safe_lines(self._text.splitlines(), MAX_LENGTH))

    def action_copy(self) -> None:
        """Copy the text."""
        self.services.clipboard.copy(self._text)
