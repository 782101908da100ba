"""`amp-console doctor`: where everything is, and what needs attention."""

import os
import platform
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, NamedTuple

import click

from amp_console import __version__
from amp_console.cli.exits import Exit
from amp_console.cli.output import say

if TYPE_CHECKING:
    from amp_console.connections import Connection, Keyring
    from amp_console.ledger import Db
    from amp_console.sync.ledgers import Ledgers


MAX_LENGTH = 2_000  # characters of a line: commands must be complete, and paths are long


class Finding(NamedTuple):
    """The result of one check."""

    what: str
    is_well: bool
    says: str
    more: tuple[str, ...] = ()


@click.command()
def doctor() -> int:
    """Check folders, keyring, keys, Segment, network and ledgers.

    It sends and changes nothing. The exit status is 1 if something needs attention.
    """
    from amp_console.text import clean

    findings = list(_findings())
    for finding in findings:
        say(
            f"{'ok' if finding.is_well else 'check':<5}  {finding.what:<12}"
            f"{clean(finding.says, MAX_LENGTH)}"
        )
        for line in finding.more:
            say(f"{'':<19}{clean(line, MAX_LENGTH)}")
    return Exit.DELIVERED if all(finding.is_well for finding in findings) else Exit.PARTIAL


def _findings() -> Iterator[Finding]:
    from amp_console.cli.resources import connection_store, keyring
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
    ring = keyring()
    try:
        yield Finding("keyring", True, ring.backend_name())
    except KeysError as error:
        yield Finding("keyring", False, str(error))
    try:
        connections = connection_store().all()
    except SettingsError as error:
        yield Finding("connections", False, str(error))
        return
    yield from _network()
    if not connections:
        yield Finding("connections", True, "none yet; create one with: amp-console connect NAME …")
    for connection in connections:
        yield from _address(connection)
        yield _keys(connection, ring)
        yield from _segment(connection, ring)
        yield from _ledger(connection)


def _private(what: str, folder: Path) -> Finding:
    is_private = os.name == "nt" or folder.stat().st_mode & 0o077 == 0
    return Finding(what, is_private, f"{folder}{'' if is_private else ': others can read it'}")


def _network() -> Iterator[Finding]:
    from amp_console.http.network import NetworkSettings

    for item in NetworkSettings(os.environ).effective():
        yield Finding("network", item.is_valid, f"{item.variable}: {item.text}")


def _address(connection: "Connection") -> Iterator[Finding]:
    """The address of Amplitude, if it is not that of the region."""
    from amp_console.connections import SettingsError
    from amp_console.sync.connection_options import edited_base_url

    if connection.base_url is None:
        return
    try:
        url = edited_base_url(connection.base_url, f"the connection “{connection.name}”")
    except SettingsError as error:
        yield Finding("address", False, str(error))
    else:
        yield Finding("address", True, f"{connection.name}: {url}")


def _keys(connection: "Connection", ring: "Keyring") -> Finding:
    from amp_console.connections import KeysError, find_keys

    try:
        _, source = find_keys(connection, os.environ, ring)
    except KeysError as error:
        return Finding("keys", False, f"{connection.name}: {error}")
    return Finding("keys", True, f"{connection.name}: from the {source.value}")


def _segment(connection: "Connection", ring: "Keyring") -> Iterator[Finding]:
    """The Segment space, if there is one, and whether the keyring has its tokens."""
    from amp_console.connections import (
        KeysError,
        SettingsError,
        find_profiles_token,
        find_public_token,
    )
    from amp_console.sync.segment_space import space_base_url

    space = connection.segment
    if space is None:
        return
    where = f"{connection.name}: space {space.id}"
    try:
        where += f" in {space_base_url(space) or space.region.label}"
        find_public_token(space, ring)
        find_profiles_token(space, ring)
    except (KeysError, SettingsError) as error:
        yield Finding("segment", False, f"{where}. {error}")
    else:
        profiles = "with" if space.profiles_item else "without"
        yield Finding("segment", True, f"{where}, {profiles} a token of the Profile API")


def _ledger(connection: "Connection") -> Iterator[Finding]:
    from amp_console.cli.resources import ledgers
    from amp_console.ledger import LedgerError
    from amp_console.ledger.file_systems import refuse_network
    from amp_console.ledger.sqlite import examine
    from amp_console.text import plural

    found_at = ledgers()
    path = found_at.file(connection)
    if path is None:
        yield from _server(connection, found_at)
        return
    try:
        refuse_network(path)
        found = examine(path) if path.exists() else None
    except LedgerError as error:
        yield Finding("ledger", False, f"{connection.name}: {error}")
    else:
        if found is None:
            yield Finding("ledger", True, f"{connection.name}: none yet")
        else:
            says = f"{connection.name}: {path}, {plural(found.audiences, 'audience')}"
            trouble = f": it is damaged ({found.trouble})" if found.trouble else ""
            yield Finding("ledger", not found.trouble, says + trouble)
            yield from _sizes(connection, path)
    yield from _backups(connection, path)


def _server(connection: "Connection", found: "Ledgers") -> Iterator[Finding]:
    """The ledger on a server: the server's version and limits, the contents and size."""
    from amp_console.ledger import LedgerError
    from amp_console.sync.connection_log import kept_for
    from amp_console.text import mebibytes, plural

    try:
        checks = found.examine(connection)
    except LedgerError as error:
        yield Finding("ledger", False, f"{connection.name}: {error}")
        return
    for check in checks:
        yield Finding(check.what, check.is_well, f"{connection.name}: {check.says}")
    says = f"{connection.name}: {found.where(connection)}"
    try:
        held = found.peek(connection, lambda db, _: _contents(db), may_ask=True)
    except LedgerError as error:
        yield Finding("ledger", False, f"{says}. {error}")
        return
    audiences, size, unfinished = held or (0, 0, 0)
    if held is not None:
        says += f", {plural(audiences, 'audience')}, {mebibytes(size)}"
    yield Finding("ledger", True, f"{says}; history kept {kept_for(connection)}")
    yield from _unfinished(connection, unfinished)
    yield Finding("backups", True, f"{connection.name}: made on the server, none on this machine")


def _contents(db: "Db") -> tuple[int, int, int]:
    """How many audiences a ledger holds, its bytes, and its unfinished deletion requests."""
    from amp_console.ledger.audiences import all_audiences
    from amp_console.ledger.counts import stored_bytes
    from amp_console.ledger.erasures import all_erasures

    unfinished = [item for item in all_erasures(db) if not (item.erased_at and item.cleaned_at)]
    return len(all_audiences(db)), stored_bytes(db), len(unfinished)


def _sizes(connection: "Connection", path: Path) -> Iterator[Finding]:
    """The size of the ledger, how long its history is kept, and what is not erased yet."""
    from amp_console.ledger import LedgerError
    from amp_console.ledger.sqlite import measure
    from amp_console.sync.connection_log import kept_for
    from amp_console.text import mebibytes, plural

    try:
        found = measure(path)
    except LedgerError as error:
        yield Finding("size", False, f"{connection.name}: {error}")
        return
    names = {"log_entry": ("log entry", "log entries")}
    counts = [plural(count, *names.get(table, (table,))) for table, count in found.rows.items()]
    rows = ", ".join(counts)
    size = mebibytes(found.bytes)
    kept = f"history kept {kept_for(connection)}"
    yield Finding("size", True, f"{connection.name}: {size}: {rows}; {kept}")
    yield from _unfinished(connection, found.unfinished)


def _unfinished(connection: "Connection", count: int) -> Iterator[Finding]:
    """Deletion requests that are not finished, if there are any."""
    from amp_console.text import plural

    if count:
        requests = plural(count, "deletion request")
        says = f"{connection.name}: {requests} not finished. To finish: amp-console forget"
        yield Finding("forget", False, says)


def _backups(connection: "Connection", ledger: Path) -> Iterator[Finding]:
    from amp_console.ledger.backups import backup_folder, list_backups
    from amp_console.text import mebibytes, plural

    found = list_backups(ledger)
    if not found:
        return
    total = mebibytes(sum(item.size for item in found))
    count = plural(len(found), "backup")
    listed = (f"{item.path.name}  {item.when}  {mebibytes(item.size)}" for item in found)
    yield Finding(
        "backups",
        True,
        f"{connection.name}: {count} in {backup_folder(ledger)}, {total}",
        (*listed, *_restoring(ledger, found[0].path)),
    )


def _restoring(ledger: Path, newest: Path) -> list[str]:
    """How to restore a backup, with commands for a POSIX shell."""
    path = quote(str(ledger))
    return [
        "To restore the newest one, quit every amp-console that uses this connection, then run:",
        f"  set_aside={path}.damaged-$(date +%s)",
        "  for end in '' -wal -shm; do",
        f'    [ ! -e {path}$end ] || mv {path}$end "$set_aside$end"; done',
        f"  cp {quote(str(newest))} {path}",
        "Then import the event files again. Events from webhooks and stdin after the",
        "backup are lost; `amp-console reconcile --all` shows what differs in the cohorts.",
    ]
