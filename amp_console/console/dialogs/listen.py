"""The form for receiving webhooks in a live session."""

from typing import NamedTuple

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Button, Input, Static

from amp_console.console.dialogs.base import Dialog
from amp_console.console.dialogs.import_events import Tick
from amp_console.console.texts import BAD, MUTED, said, with_key

ADDRESS = "127.0.0.1:8766"
QUESTION = """\
Listen on address (Segment's Webhooks destination sends events here). Other machines reach it only \
with a shared secret: amp-console listen --save-secret keeps it."""
SINGLE = "Refuse arrays of events"
WHY_SINGLE = """\
Segment signs only the first event of an array: with one captured event, others could be added."""
WRONG = f"Enter an address and a port, e.g. {ADDRESS}."


class ListenRequest(NamedTuple):
    """Where to listen, and whether arrays are refused."""

    host: str
    port: int
    single_events: bool


class ListenDialog(Dialog[ListenRequest | None]):
    """Asks where to listen; Esc answers nothing."""

    TITLE_TEXT = "Listen"

    def __init__(self, more: str = "") -> None:
        """`more` is said beside the question."""
        super().__init__()
        self._more = more

    def box(self) -> ComposeResult:
        """The address, the choice, and the two buttons."""
        yield Static(said(QUESTION + self._more))
        yield Input(ADDRESS, id="answer")
        yield Static(id="wrong")
        yield Tick(SINGLE, id="single")
        yield Static(said((WHY_SINGLE, MUTED)))
        with Horizontal(classes="buttons"):
            yield Button(with_key("Cancel", "esc"), id="no", compact=True)
            yield Button(with_key("Listen", "enter"), id="yes", variant="primary", compact=True)

    def on_mount(self) -> None:
        """Type at once."""
        self.query_one(Input).focus()

    def on_input_changed(self) -> None:
        """Forget what was wrong before."""
        self.query_one("#wrong", Static).update(said(""))

    def on_input_submitted(self) -> None:
        """Answer."""
        self._answer()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer, or not."""
        if event.button.id == "yes":
            self._answer()
        else:
            self.dismiss(None)

    def _answer(self) -> None:
        host, _, port = self.query_one(Input).value.strip().rpartition(":")
        if not (host and port.isdecimal() and 0 < int(port) < 65_536):
            self.query_one("#wrong", Static).update(said((WRONG, BAD)))
            return
        is_single = self.query_one("#single", Tick).value
        self.dismiss(ListenRequest(host.strip("[]"), int(port), is_single))
