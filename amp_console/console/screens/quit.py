"""Quitting while something is under way: wait for it, or stop it and keep the rest pending."""

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Static

from amp_console.console.screens.dialog import Dialog
from amp_console.console.texts import MUTED, said


class QuitDialog(Dialog[None]):
    """Asks how to quit. Going on has the focus."""

    TITLE_TEXT = "Quit?"

    def box(self) -> ComposeResult:
        """What is under way, and the three answers."""
        yield Static(said(self._doing(), "\n", "Whatever is not delivered stays pending."))
        with Horizontal(classes="buttons"):
            yield Button(said("Go on ", ("esc", MUTED)), id="stay", compact=True)
            yield Button("Quit when it is done", id="wait", compact=True)
            yield Button("Stop it and quit", id="stop", variant="warning", compact=True)

    def _doing(self) -> str:
        app = self.console
        if app.sync is not None and not app.sync.is_over:
            now = app.sync.snapshot
            left = f" {now.total - now.done:,} users are still to be delivered." if now else ""
            return f"A sync is under way.{left}"
        return "Events are being imported. What was read so far is kept."

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer."""
        match event.button.id:
            case "stay":
                self.dismiss(None)
            case "wait":
                self._leave_when_done()
            case "stop":
                for work in self.console.under_way:
                    work.cancel()
                self._leave_when_done()

    def _leave_when_done(self) -> None:
        for button in self.query(Button):
            button.disabled = True
        self.query_one(Vertical).border_title = "Quitting when the request in flight has ended…"
        self.console.leave_when_done()
