"""Writing the differences of a comparison into a file."""

from pathlib import Path
from typing import TYPE_CHECKING

from amp_console.console.background import aside
from amp_console.console.screens.ask import Ask
from amp_console.console.work import KNOWN
from amp_console.ledger.comparisons import DifferenceFilter, differences
from amp_console.sync.export import ExportError, write_differences
from amp_console.sync.words import plural

if TYPE_CHECKING:
    from amp_console.console.app import ConsoleApp


async def export(console: "ConsoleApp", key: str, comparison_id: int) -> None:
    """Ask into which file, and write everybody who differs: CSV, or NDJSON by the name's end."""
    question = "Into which file? CSV, or NDJSON where the name ends so. One there is replaced."
    path = await console.push_screen_wait(
        Ask("Export the differences", question, str(Path.cwd() / "differences.csv"), "Export")
    )
    session = console.session
    if path is None or session is None:
        return
    try:
        found = await session.read(differences, DifferenceFilter(comparison_id))
        file = Path(path.strip()).expanduser()
        count = await aside(write_differences, file, [(key, "before", found)])
    except (*KNOWN, ExportError) as error:
        console.say(str(error), "error")
    except (ValueError, RuntimeError):  # a null byte; a home of nobody
        console.say("This can't be the name of a file. Nothing was written.", "error")
    else:
        console.say(f"{plural(count, 'row')} written to {path.strip()}.")
