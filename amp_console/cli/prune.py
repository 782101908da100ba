"""`amp-console prune`: delete the history that is older than a set age."""

from typing import TYPE_CHECKING

import click

from amp_console.cli.exits import Exit
from amp_console.cli.options import connection_option, read_age
from amp_console.cli.output import say

if TYPE_CHECKING:
    from amp_console.ledger import Ledger


@click.command()
@click.option(
    "--older-than",
    "days",
    metavar="AGE",
    callback=read_age,
    help="Delete what is older, e.g. 90d.  [default: the connection's --keep-history]",
)
@click.option("--yes", is_flag=True, help="Confirm in advance.")
@connection_option
def prune(days: int | None, yes: bool, connection_name: str | None) -> int:
    """Delete the history that is older than a given age.

    This deletes runs, requests, comparisons, log entries and backups. What the runs changed is kept
    as counts. Members, rejected users and the newest backup stay, and so does what explains them.
    """
    import asyncio

    from amp_console.cli.delivering import is_interactive
    from amp_console.cli.output import ask
    from amp_console.cli.resources import open_connection
    from amp_console.connections.read_only import guard
    from amp_console.sync.delivery.retention import prune_history
    from amp_console.text import plural

    with open_connection(connection_name) as (connection, ledger):
        guard(connection, "Nothing was deleted.")
        age = connection.keep_history if days is None else days
        if not age:
            raise click.UsageError("How old? Add --older-than AGE, or connect with --keep-history.")
        question = f"Delete the history that is older than {plural(age, 'day')}?"
        if not yes and not (is_interactive() and ask(question)):
            say("Nothing was deleted. To confirm in advance, add --yes.", err=True)
            return Exit.MISUSE
        pruned = asyncio.run(prune_history(ledger, age, ledger.clock()()))
        say(f"Deleted {pruned}.")
        return _rewritten(ledger)


def _rewritten(ledger: "Ledger") -> Exit:
    """Return the free space to the disk; another program that uses the ledger may prevent it."""
    from amp_console.ledger import LedgerError
    from amp_console.ledger.cleaning import rewrite

    if ledger.backups is None:
        return Exit.DELIVERED
    try:
        rewrite(ledger.backups)
    except LedgerError as error:
        say(f"The ledger's file is as large as before. {error}", err=True)
        return Exit.PARTIAL
    return Exit.DELIVERED
