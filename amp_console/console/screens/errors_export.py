"""Writing what the errors view shows into a file."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from amp_console.console.background import aside
from amp_console.console.screens.ask import Ask
from amp_console.console.work import KNOWN
from amp_console.ledger.rejected import RejectedUser
from amp_console.ledger.sources import InvalidEvent
from amp_console.sync.export import ExportError, write_errors_csv
from amp_console.sync.words import plural

if TYPE_CHECKING:
    from amp_console.console.app import ConsoleApp

Shown = tuple[Sequence[RejectedUser], Sequence[InvalidEvent]]
"""What is exported: users, or invalid events."""


async def export(console: "ConsoleApp", name: str, shown: Callable[[], Awaitable[Shown]]) -> None:
    """Ask into which file (in this folder, by the name of `name`), and write what is shown."""
    question = "Into which file? One that is there is replaced."
    path = await console.push_screen_wait(
        Ask("Export as CSV", question, str(Path.cwd() / name), "Export")
    )
    if path is None:
        return
    try:
        users, events = await shown()
        count = await aside(write_errors_csv, Path(path.strip()).expanduser(), users, events)
    except (*KNOWN, ExportError) as error:
        console.say(str(error), "error")
    except (ValueError, RuntimeError):  # a null byte; a home of nobody
        console.say("This can't be the name of a file. Nothing was written.", "error")
    else:
        console.say(f"{plural(count, 'row')} written to {path.strip()}.")
