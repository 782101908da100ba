"""Where to export to, and whether cells are to be safe for a spreadsheet."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Button, Input, Static

from amp_console.console.context import Services
from amp_console.console.dialogs.base import Dialog
from amp_console.console.failures import KNOWN
from amp_console.console.texts import BAD, MUTED, said, with_key
from amp_console.console.widgets.fields import Choice, Field, chosen, entered, yes_no
from amp_console.sync.export import ExportError
from amp_console.text import plural

ABOUT = (
    "A spreadsheet runs cells that begin with =, +, - or @ as formulas. Safe cells get an "
    "apostrophe in front. For other programs, and for identifiers such as -1, choose exact."
)


class ExportRequest(NamedTuple):
    """The file that was named. `exact`: cells are written as they are."""

    path: Path
    exact: bool


class ExportDialog(Dialog[ExportRequest | None]):
    """Asks for a file; Esc exports nothing."""

    def __init__(self, title: str, question: str, name: str) -> None:
        super().__init__()
        self._title = title
        self._question = question
        self._file_name = name

    @property
    def box_title(self) -> str:
        """What is exported."""
        return self._title

    def box(self) -> ComposeResult:
        """The question, the line for the file, the choice, and the two buttons."""
        glyphs = self.services.glyphs
        yield Static(said(self._question))
        yield Input(str(Path.cwd() / self._file_name), id="answer")
        yield Field("CSV cells", yes_no(False, "safe", "exact", glyphs=glyphs, id="exact"))
        yield Static(said((ABOUT, MUTED)))
        yield Static(id="wrong")
        with Horizontal(classes="buttons"):
            yield Button(with_key("Cancel", "esc"), id="no", compact=True)
            yield Button(with_key("Export", "enter"), id="yes", variant="primary", compact=True)

    def on_mount(self) -> None:
        """Type at once."""
        self.query_one(Input).focus()

    def on_input_submitted(self) -> None:
        """Export."""
        self._answer()

    def on_choice_changed(self, event: Choice.Changed) -> None:
        """Stay where the choice was made."""
        event.stop()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Export, or not."""
        if event.button.id == "yes":
            self._answer()
        else:
            self.dismiss(None)

    def _answer(self) -> None:
        path = _file_named(entered(self, "answer").strip())
        if path is None:
            self.query_one("#wrong", Static).update(said(("This is not a valid file name.", BAD)))
        else:
            self.dismiss(ExportRequest(path, chosen(self, "exact") == "yes"))


def _file_named(name: str) -> Path | None:
    if not name or "\0" in name:
        return None
    try:
        return Path(name).expanduser()
    except RuntimeError:  # the home of an unknown user
        return None


async def export_to(
    services: Services, dialog: ExportDialog, write: Callable[[ExportRequest], Awaitable[int]]
) -> None:
    """Ask for a file and have it written; say how many rows it holds, or what went wrong."""
    request = await services.ask(dialog)
    if request is None:
        return
    try:
        count = await write(request)
    except (*KNOWN, ExportError) as error:
        services.notifications.post(str(error), "error")
    else:
        services.notifications.post(f"{plural(count, 'row')} written to {request.path}.")
