"""`amp-console refresh`: run the queries of audiences and update their members."""

import click

from amp_console.cli.options import connection_option, json_option, timeout_option
from amp_console.cli.output import say


@click.command()
@click.argument("audiences", nargs=-1, metavar="[AUDIENCE]...")
@click.option("--dry-run", is_flag=True, help="Run the queries and count; change nothing.")
@click.option("--yes", is_flag=True, help="Confirm in advance.")
@timeout_option
@json_option
@connection_option
def refresh(
    audiences: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    timeout: int,
    as_json: bool,
    connection_name: str | None,
) -> int:
    """Run the queries of audiences, and update their members.

    Nothing is sent. Without names, it includes every enabled audience that has a query. Members who
    are not listed leave; a query of changes lists who leaves.

    You have to confirm a query that lists no one, removes more than a fifth of the members, or has
    a column whose type has changed. A query that fails or is cancelled changes nothing.
    """
    from amp_console.cli import refreshing
    from amp_console.cli.documents import print_document
    from amp_console.cli.resources import open_connection

    with open_connection(connection_name) as (connection, ledger):
        chosen = refreshing.queried_audiences(ledger, audiences)
        reports = refreshing.refresh_all(
            connection, ledger, chosen, timeout=timeout, yes=yes, is_dry=dry_run
        )
    if as_json:
        print_document(refreshing.documents(reports))
    elif not reports:
        say("No audience has a query. To set one:")
        say("  amp-console audience KEY --source NAME --query SQL")
    else:
        say(*refreshing.report_lines(reports))
        if dry_run:
            say("Dry run: nothing was changed.")
    return refreshing.exit_of(reports)
