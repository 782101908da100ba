"""A question that is answered with a line of text."""

from collections.abc import Callable

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Button, Input, Static

from amp_console.console.dialogs.base import Dialog
from amp_console.console.texts import BAD, said, with_key

Check = Callable[[str], str | None]
"""Returns what is wrong with an answer, None where it will do."""


class Ask(Dialog[str | None]):
    """Asks for a line; Esc answers nothing."""

    def __init__(
        self, title: str, question: str, value: str, yes: str, check: Check | None = None
    ) -> None:
        super().__init__()
        self._title = title
        self._question = question
        self._value = value
        self._yes = yes
        self._is_told = False
        self._wrong = check or (lambda text: None if text.strip() else "It is empty.")

    @property
    def box_title(self) -> str:
        """What it is about."""
        return self._title

    def box(self) -> ComposeResult:
        """The question, the line, and the two buttons."""
        yield Static(said(self._question))
        yield Input(self._value, id="answer")
        yield Static(id="wrong")
        with Horizontal(classes="buttons"):
            yield Button(with_key("Cancel", "esc"), id="no", compact=True)
            yield Button(with_key(self._yes, "enter"), id="yes", variant="primary", compact=True)

    def on_mount(self) -> None:
        """Type at once."""
        self.query_one(Input).focus()

    def on_input_changed(self) -> None:
        """Take back what was wrong as soon as it is corrected."""
        if self._is_told:
            self._tell(self._wrong(self.query_one(Input).value))

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
        text = self.query_one(Input).value
        wrong = self._wrong(text)
        if wrong is None:
            self.dismiss(text)
        else:
            self._tell(wrong)

    def _tell(self, wrong: str | None) -> None:
        self._is_told = wrong is not None
        self.query_one("#wrong", Static).update(said((wrong or "", BAD)))
