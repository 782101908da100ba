"""`amp-console source` and `amp-console sources`: the warehouses that audiences are read from."""

from typing import TYPE_CHECKING

import click

from amp_console.cli.exits import Exit
from amp_console.cli.options import connection_option, json_option, refuse_password
from amp_console.cli.output import ask_password, say

if TYPE_CHECKING:
    from amp_console.connections import NamedSource
    from amp_console.ledger.unread_sources import UnreadSource
    from amp_console.values import Secret

MAX_LENGTH = 1_000  # characters of a name or a reason


@click.group()
def source() -> None:
    """Add, test and remove the warehouses of audiences.

    A connection's settings keep where a source is. A password is kept in the keyring only.
    """


@source.command()
@click.argument("name")
@click.argument("url")
@click.option(
    "--password-stdin", is_flag=True, help="Read the password from a hidden prompt, or from stdin."
)
@connection_option
def add(name: str, url: str, password_stdin: bool, connection_name: str | None) -> int:
    """Add a source, or replace the one with this name.

    URL is postgresql://USER@HOST:PORT/DATABASE, duckdb:PATH, sqlite:PATH, snowflake://CONNECTION,
    bigquery://PROJECT/DATASET or adbc:PROFILE. Nothing is saved until the source can be opened.
    """
    from amp_console.cli.resources import keyring, ledgers, to_change
    from amp_console.connections import NamedSource
    from amp_console.sync.sources.warehouse import WarehouseError
    from amp_console.sync.warehouse_sources import (
        entered_url,
        keep_warehouse,
        warehouse_version,
    )
    from amp_console.text import clean

    store, connection = to_change(connection_name)
    try:
        address, password = entered_url(url)
        new = NamedSource(name=name, url=address)
    except ValueError as error:
        raise click.UsageError(_as_sentence(str(error))) from None
    except WarehouseError as error:
        say(error.sentence("Nothing was saved."), err=True)
        return Exit.MISUSE
    refuse_password(password, "--password-stdin")
    if password_stdin:
        password = ask_password("Password")
    try:
        version = warehouse_version(new, password)
    except WarehouseError as error:
        say(error.sentence("Nothing was saved."), err=True)
        return Exit.MISUSE
    ring = keyring()
    keep_warehouse(store, ring, ledgers(), connection, new, password)
    say(f"Saved the source “{name}”: {version}, {clean(new.url, 300)}.")
    if password is not None:
        say(ring.keeps("Its password is"))
    return 0


@source.command()
@click.argument("name")
@connection_option
def test(name: str, connection_name: str | None) -> int:
    """Open a source, and print its version."""
    from amp_console.cli.resources import connection_store
    from amp_console.connections import named_source
    from amp_console.sync.warehouse_sources import warehouse_version

    found = named_source(connection_store().pick(connection_name), name)
    version = warehouse_version(found, _password(found))
    say(f"The source “{found.name}” can be read: {version}.")
    return 0


@source.command()
@click.argument("name")
@connection_option
def remove(name: str, connection_name: str | None) -> int:
    """Remove a source, and its password from the keyring."""
    from amp_console.cli.resources import keyring, ledgers, open_connection, to_change
    from amp_console.ledger.audience_queries import audience_queries
    from amp_console.ledger.audiences import audience
    from amp_console.sync.warehouse_sources import STILL_IN_KEYRING, drop_warehouse
    from amp_console.text import clean

    store, connection = to_change(connection_name)
    _, is_left = drop_warehouse(store, keyring(), ledgers(), connection, name)
    say(f"Removed the source “{name}”.{f' {STILL_IN_KEYRING}' if is_left else ''}")
    with open_connection(connection_name) as (_, ledger):
        queries = ledger.read(audience_queries).values()
        using = sorted(
            clean(ledger.read(audience, query.audience_id).handle)
            for query in queries
            if query.source == name
        )
    if using:
        say(f"Without it, these audiences can't be refreshed: {', '.join(using)}.")
        say("To give one another source: amp-console audience KEY --source NAME --query SQL")
    return Exit.PARTIAL if is_left else Exit.DELIVERED


@click.command()
@json_option
@connection_option
def sources(as_json: bool, connection_name: str | None) -> int:
    """List the warehouses, and files that could not be read.

    If a live session could not read a file or an object of a bucket, it is listed with the reason
    until it is read, or is gone.
    """
    from amp_console.cli.documents import print_document
    from amp_console.cli.resources import connection_store, open_connection
    from amp_console.cli.tables import table
    from amp_console.ledger.unread_sources import unread_sources
    from amp_console.sync.sources.known import MAX_UNREAD
    from amp_console.text import clean, local_time

    connection = connection_store().pick(connection_name)
    with open_connection(connection.name) as (_, ledger):
        unread = ledger.read(unread_sources, MAX_UNREAD)
    if as_json:
        print_document([*map(_document, connection.sources), *map(_unread_document, unread)])
        return 0
    if not connection.sources and not unread:
        say("No sources yet. Add a warehouse with: amp-console source add NAME URL")
    rows = [
        (item.name, item.url, "keyring" if item.password_item else "–")
        for item in connection.sources
    ]
    if rows:
        say(*table(("NAME", "URL", "PASSWORD"), rows, ""))
    for item in unread:
        name, reason = clean(item.name, MAX_LENGTH), clean(item.reason, MAX_LENGTH)
        say(f"Not read, tried last {local_time(item.at)}: {name}. {reason}")
    return 0


def _document(item: "NamedSource") -> dict[str, object]:
    return {
        "name": item.name,
        "url": item.url,
        "has_password": item.password_item is not None,
        "unread": None,
    }


def _unread_document(item: "UnreadSource") -> dict[str, object]:
    return {"name": item.name, "url": None, "has_password": False, "unread": item.reason}


def _password(found: "NamedSource") -> "Secret | None":
    from amp_console.cli.resources import keyring
    from amp_console.connections import find_source_password

    return find_source_password(found, keyring())


def _as_sentence(text: str) -> str:
    from amp_console.text import capitalized

    return text if text.endswith(".") else f"{capitalized(text)}. Nothing was saved."
