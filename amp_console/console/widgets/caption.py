"""A caption: what a guided tour says about the screen."""

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Static

from amp_console.console.texts import MUTED, lines, safe_text


class Caption(Horizontal):
    """Two lines right above the footer: a sentence or two, and notes at the end of both lines."""

    SCOPED_CSS = False
    DEFAULT_CSS = """
    Caption {
        dock: bottom;
        height: 2;
        margin-bottom: 1;
        padding: 0 1;
        background: $panel;
    }
    Caption .caption-words { width: 1fr; height: 2; margin-right: 2; }
    Caption .caption-notes { width: auto; height: 2; text-align: right; }
    """

    def __init__(self, words: str, *notes: str) -> None:
        super().__init__()
        self._words = Static(classes="caption-words")
        self._notes = Static(classes="caption-notes")
        self.say(words, *notes)

    def compose(self) -> ComposeResult:
        """The words left, the notes right."""
        yield self._words
        yield self._notes

    def say(self, words: str, *notes: str) -> None:
        """Say other words."""
        self._words.update(safe_text(words))
        self._notes.update(lines(*(safe_text((note, MUTED)) for note in notes)))

    def on_mount(self) -> None:
        """Keep notifications off the caption."""
        self.screen.add_class("-captioned")

    def on_unmount(self) -> None:
        """Let notifications come down again."""
        self.screen.remove_class("-captioned")
