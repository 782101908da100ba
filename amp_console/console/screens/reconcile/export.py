"""Writing the differences of a comparison into a file."""

from amp_console.console.background import aside
from amp_console.console.context import Services
from amp_console.console.dialogs.export import ExportDialog, ExportRequest, export_to
from amp_console.ledger.comparisons import DifferenceFilter, differences
from amp_console.sync.reconcile.export import write_differences


async def export(services: Services, key: str, comparison_id: int) -> None:
    """Ask for a file, and write everybody who differs: CSV, or NDJSON by the name's end."""

    async def write(request: ExportRequest) -> int:
        session = services.session
        if session is None:
            return 0
        found = await session.read(differences, DifferenceFilter(comparison_id))
        rows = [(key, "before", found)]
        return await aside(write_differences, request.path, rows, exact=request.exact)

    question = "Save as CSV, or NDJSON by the name's end (replaces an existing file):"
    dialog = ExportDialog("Export the differences", question, "differences.csv")
    await export_to(services, dialog, write)
