"""`amp-console runs`: the history."""

import click

from amp_console.cli.options import common, connection_option, json_option
from amp_console.cli.output import say


@click.command()
@click.option("--open", "run_id", type=int, metavar="ID", help="Open this run in the console.")
@json_option
@connection_option
def runs(run_id: int | None, as_json: bool, connection: str | None) -> int:
    """List the runs, the newest first."""
    if run_id is not None:
        from amp_console.cli.console import open_console

        return open_console(common()._replace(connection=connection), run_id=run_id)
    from amp_console.cli.documents import print_document, run_document
    from amp_console.cli.text import moment, table
    from amp_console.cli.workplace import workplace
    from amp_console.ledger.runs import all_runs
    from amp_console.sync.difference_words import outcome_of
    from amp_console.sync.refusal_log import refused_words

    with workplace(connection) as place:
        found = place.ledger.read(all_runs)
    if as_json:
        print_document([run_document(each) for each in found])
        return 0
    if not found:
        say("No runs yet. Start one with: amp-console sync")
        return 0
    rows = [
        (
            str(each.id),
            moment(each.started_at) or "",
            each.kind,
            outcome_of(each.kind, each.status),
            *(f"{n:,}" for n in (each.added, each.removed, each.rejected, each.requests)),
            each.note or refused_words(each.refused),
        )
        for each in found
    ]
    header = ("RUN", "STARTED", "KIND", "OUTCOME", "ADDED", "REMOVED", "REJECTED", "REQUESTS", "")
    for line in table(header, rows, "RUN ADDED REMOVED REJECTED REQUESTS"):
        say(line)
    return 0
