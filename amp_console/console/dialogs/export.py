"""Asking where to export to, and whether cells must be safe for a spreadsheet."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from textual.validation import Function
from textual.widgets import Static

from amp_console.console.context import Services
from amp_console.console.dialogs.form import FormDialog, Mistake
from amp_console.console.failures import expected_failures
from amp_console.console.glyphs import Glyphs
from amp_console.console.texts import MUTED, safe_text
from amp_console.console.widgets.fields import Field, yes_no
from amp_console.console.widgets.path_input import PathInput
from amp_console.sync.export import ExportError
from amp_console.text import plural

ABOUT = (
    "A spreadsheet runs cells that begin with =, +, - or @ as formulas. Safe cells get an "
    "apostrophe in front. For other programs, and for identifiers such as -1, choose exact."
)


class ExportRequest(NamedTuple):
    """The file to write. `exact`: cells are written unchanged."""

    path: Path
    exact: bool


TITLE = "Export as CSV"
SAVE_AS = "Save as (replaces an existing file):"


async def export_to(
    services: Services,
    title: str,
    question: str,
    name: str,
    write: Callable[[ExportRequest], Awaitable[int]],
) -> None:
    """Ask for a file, and write it; notify the number of rows, or what went wrong.

    The suggestion is the file `name` in the current folder.
    """
    request = await services.ask(_dialog(title, question, name, services.glyphs))
    if request is None:
        return
    try:
        count = await write(request)
    except expected_failures(ExportError) as error:
        services.notifications.post(str(error), "error")
    else:
        services.notifications.post(f"Wrote {plural(count, 'row')} to {request.path}.")


def _dialog(title: str, question: str, name: str, glyphs: Glyphs) -> FormDialog[ExportRequest]:
    line = PathInput(str(Path.cwd() / name), id="answer")
    exact = yes_no(False, "safe", "exact", glyphs=glyphs, id="exact")
    return FormDialog(
        title,
        question,
        (line, Field("CSV cells", exact), Static(safe_text((ABOUT, MUTED))), Mistake()),
        "Export",
        lambda: ExportRequest(_path_of(line.value), exact.value == "yes"),
        Function(_is_path, "This is not a valid file name."),
    )


def _is_path(text: str) -> bool:
    name = text.strip()
    if not name or "\0" in name:
        return False
    try:
        _path_of(name)
    except RuntimeError:  # the home folder of an unknown user
        return False
    return True


def _path_of(text: str) -> Path:
    return Path(text.strip()).expanduser()
