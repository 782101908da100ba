"""`amp-console connections` and `amp-console disconnect`."""

import sys

import click

from amp_console.cli.exits import Exit
from amp_console.cli.options import json_option
from amp_console.cli.output import ask, say


@click.command()
@json_option
def connections(as_json: bool) -> int:
    """List the connections."""
    from msgspec.structs import replace

    from amp_console.cli.documents import print_document
    from amp_console.cli.resources import connection_store, ledgers
    from amp_console.cli.tables import table
    from amp_console.connections.ledger_server import FILE, LEDGER_VARIABLE

    known = connection_store().all()
    if as_json:
        shown = (replace(item, base_url=item.base_url and item.where) for item in known)
        print_document([*shown])
        return 0
    if not known:
        say("No connections yet. Create one with: amp-console connect NAME …")
        return 0
    rows = [
        (
            item.name,
            str(item.app_id),
            item.where,
            item.owner_email,
            "keyring" if item.keyring_item else "not stored",
            FILE if item.ledger is None else item.ledger.url,
        )
        for item in known
    ]
    head = ("NAME", "APP-ID", "WHERE", "COHORT-OWNER", "KEYS", "LEDGER")
    say(*table(head, rows, "APP-ID"))
    if ledgers().is_from_environment:
        say(f"{LEDGER_VARIABLE} is set, which replaces what is listed under LEDGER.")
    return 0


@click.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def disconnect(name: str, yes: bool) -> int:
    """Delete a connection, and its keys from the keyring.

    Its ledger and backups stay where they are; the command prints where.
    """
    from amp_console.cli.resources import connection_store, keyring, ledgers
    from amp_console.connections import forget_connection
    from amp_console.connections.settings import Settings
    from amp_console.ledger.backups import backup_folder
    from amp_console.sync.connection_log import log_connection_deleted
    from amp_console.text import clean

    pages = connection_store()
    pages.check_writable()
    connection = pages.get(name)
    if not yes and sys.stdin.isatty():
        question = f"Delete “{clean(name)}”, and its keys from the keyring?"
        if not ask(question):
            return Exit.MISUSE
    waiting = forget_connection(pages, keyring(), name)
    found = ledgers()
    log_connection_deleted(found, connection)
    is_left = not Settings((connection,)).items.isdisjoint(waiting)
    if is_left:
        say(
            f"Deleted “{clean(name)}”. Its keys are still in your keyring, which failed to delete "
            "them. Whenever keys change there, amp-console tries again."
        )
    else:
        say(f"Deleted “{clean(name)}” and its keys.")
    file = found.file(connection)
    if file is None:
        say(f"Its ledger stays on the server: {found.where(connection)}")
    elif file.exists():
        backups = backup_folder(file)
        more = f", and its backups in {backups}" if backups.exists() else ""
        say(f"Its ledger is still in {file}{more}.")
    return Exit.PARTIAL if is_left else Exit.DELIVERED
