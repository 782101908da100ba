"""Writing what the errors view shows into a file."""

from collections.abc import Awaitable, Callable, Sequence

from amp_console.console.background import aside
from amp_console.console.context import Services
from amp_console.console.dialogs.export import ExportDialog, ExportRequest, export_to
from amp_console.ledger.rejected import RejectedUser
from amp_console.ledger.sources import InvalidEvent
from amp_console.sync.queries.errors_export import write_errors_csv

Shown = tuple[Sequence[RejectedUser], Sequence[InvalidEvent]]
"""What is exported: users, or invalid events."""


async def export(services: Services, name: str, shown: Callable[[], Awaitable[Shown]]) -> None:
    """Ask for a file (in this folder, by the name of `name`), and write what is shown."""

    async def write(request: ExportRequest) -> int:
        users, events = await shown()
        return await aside(write_errors_csv, request.path, users, events, exact=request.exact)

    question = "Save as (replaces an existing file):"
    await export_to(services, ExportDialog("Export as CSV", question, name), write)
