"""`amp-console runs`: the history."""

import click

from amp_console.cli.options import common, connection_option, json_option
from amp_console.cli.output import say

_COUNTS = "ADDED REMOVED REJECTED REQUESTS"


@click.command()
@click.option("--open", "run_id", type=int, metavar="ID", help="Open this run in the console.")
@json_option
@connection_option
def runs(run_id: int | None, as_json: bool, connection_name: str | None) -> int:
    """List the runs, newest first."""
    if run_id is not None:
        from amp_console.cli.console import open_console

        return open_console(common()._replace(connection=connection_name), run_id=run_id)
    from amp_console.cli.documents import print_document, run_document
    from amp_console.cli.resources import open_connection
    from amp_console.cli.tables import table
    from amp_console.ledger.operators import has_several_operators
    from amp_console.ledger.pruning import earlier_runs
    from amp_console.ledger.run_log import run_outcome, run_reason
    from amp_console.ledger.runs import all_runs
    from amp_console.sync.formatting import refused_words
    from amp_console.text import local_time, plural

    with open_connection(connection_name) as (_, ledger):
        found = ledger.read(all_runs, dead=ledger.dead_runs())
        earlier = ledger.read(earlier_runs)
        is_shared = ledger.read(has_several_operators)
    if as_json:
        print_document([run_document(item) for item in found])
        return 0
    if not found:
        say("No runs yet. Start one with: amp-console sync")
        return 0
    rows = [
        (
            str(item.id),
            local_time(item.started_at),
            item.kind,
            *([item.operator] if is_shared else []),
            run_outcome(item.kind, item.status),
            *(f"{n:,}" for n in (item.added, item.removed, item.rejected, item.requests)),
            run_reason(item) or refused_words(item.refused),
        )
        for item in found
    ]
    by = ["BY"] if is_shared else []
    header = ("RUN", "STARTED", "KIND", *by, "OUTCOME", *_COUNTS.split(), "")
    say(*table(header, rows, f"RUN {_COUNTS}"))
    if earlier is not None:
        say(
            f"Pruned runs before {local_time(earlier.until)}: {earlier.added:,} added, "
            f"{earlier.removed:,} removed, {earlier.rejected:,} rejected, "
            f"{plural(earlier.requests, 'request')}."
        )
    return 0
