"""A caption: what a guided tour says about the screen."""

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from amp_console.console.texts import ACCENT, MUTED, STRONG, safe_text


class Caption(Vertical):
    """Two lines right above the footer: the current key and notes, then a text on the screen."""

    SCOPED_CSS = False
    DEFAULT_CSS = """
    Caption {
        dock: bottom;
        height: 2;
        margin-bottom: 1;
        padding: 0 1;
        background: $primary 12%;
    }
    Caption Horizontal { height: 1; }
    Caption .caption-key { width: 1fr; height: 1; }
    Caption .caption-notes { width: auto; height: 1; text-align: right; }
    Caption .caption-words { width: 1fr; height: 1; }
    """

    def __init__(self, words: str, key: str = "", notes: str = "") -> None:
        super().__init__()
        self._key = Static(classes="caption-key")
        self._notes = Static(classes="caption-notes")
        self._words = Static(classes="caption-words")
        self.say(words, key, notes)

    def compose(self) -> ComposeResult:
        """The key and the notes above the text."""
        with Horizontal():
            yield self._key
            yield self._notes
        yield self._words

    def say(self, words: str, key: str = "", notes: str = "") -> None:
        """Show another text."""
        self._key.update(safe_text((key, f"{STRONG} {ACCENT}")))
        self._notes.update(safe_text((notes, MUTED)))
        self._words.update(safe_text(words))

    def on_mount(self) -> None:
        """Keep notifications off the caption."""
        self.screen.add_class("-captioned")

    def on_unmount(self) -> None:
        """Return notifications to their usual line."""
        self.screen.remove_class("-captioned")
