"""`amp-console doctor`: where everything is kept, and what is wrong with it."""

import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from amp_console import __version__
from amp_console.cli.exits import Exit

if TYPE_CHECKING:
    from amp_console.connections import Connection, Folders, Vault


class Finding(NamedTuple):
    """One thing that was looked at."""

    what: str
    is_well: bool
    says: str


@click.command()
def doctor() -> int:
    """Say where everything is kept, and what is wrong with it. Nothing is sent or changed."""
    from amp_console.cli.text import clean

    findings = list(_findings())
    for each in findings:
        click.echo(f"{'ok  ' if each.is_well else 'look'}  {each.what:<12}{clean(each.says, 300)}")
    return Exit.DELIVERED if all(each.is_well for each in findings) else Exit.PARTIAL


def _findings() -> Iterator[Finding]:
    from amp_console.cli.workplace import book, vault
    from amp_console.connections import Folders, KeysError, SettingsError

    python = f"Python {platform.python_version()}"
    yield Finding("version", True, f"amp-console {__version__}, {python}")
    try:
        found = Folders.locate(os.environ)
        found.prepare()
    except SettingsError as error:
        yield Finding("folders", False, str(error))
        return
    yield _private("settings", found.config)
    yield _private("ledgers", found.data)
    ring = vault()
    try:
        yield Finding("keyring", True, ring.backend_name())
    except KeysError as error:
        yield Finding("keyring", False, str(error))
    try:
        connections = book().all()
    except SettingsError as error:
        yield Finding("connections", False, str(error))
        return
    yield from _network()
    if not connections:
        yield Finding("connections", True, "none yet; make one with: amp-console connect NAME …")
    for each in connections:
        yield _keys(each, ring)
        yield _ledger(each, found)


def _private(what: str, folder: Path) -> Finding:
    is_private = os.name == "nt" or folder.stat().st_mode & 0o077 == 0
    return Finding(what, is_private, f"{folder}{'' if is_private else ': others can read it'}")


def _network() -> Iterator[Finding]:
    from amp_console.amplitude import NetworkSettings

    for each in NetworkSettings(os.environ).effective():
        yield Finding("network", each.is_valid, f"{each.variable}: {each.text}")


def _keys(connection: "Connection", ring: "Vault") -> Finding:
    from amp_console.connections import KeysError, find_keys

    try:
        _, source = find_keys(connection, os.environ, ring)
    except KeysError as error:
        return Finding("keys", False, f"{connection.name}: {error}")
    return Finding("keys", True, f"{connection.name}: from the {source.value}")


def _ledger(connection: "Connection", folders: "Folders") -> Finding:
    from amp_console.ledger import Ledger, LedgerError
    from amp_console.ledger.audiences import all_audiences
    from amp_console.ledger.database import trouble_in

    path = folders.ledger(connection.id)
    if not path.exists():
        return Finding("ledger", True, f"{connection.name}: none yet")
    try:
        with Ledger(path) as ledger:
            trouble = ledger.read(trouble_in)
            count = len(ledger.read(all_audiences))
    except LedgerError as error:
        return Finding("ledger", False, f"{connection.name}: {error}")
    says = f"{connection.name}: {path}, {count} audiences"
    return Finding("ledger", trouble is None, says if trouble is None else f"{says}: {trouble}")
