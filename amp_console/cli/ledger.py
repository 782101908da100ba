"""`amp-console ledger`: show, check, copy and move a connection's ledger."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from amp_console.cli.exits import Exit
from amp_console.cli.options import connection_option, json_option, misuse, refuse_password
from amp_console.cli.output import ask_password, say

if TYPE_CHECKING:
    from amp_console.cli.progress import ProgressMeter
    from amp_console.ledger import Ledger
    from amp_console.ledger.copying import CopyProgress, Observe
    from amp_console.ledger.overview import LedgerOverview

MAX_LENGTH = 2_000  # characters of an address


@click.group()
def ledger() -> None:
    """Show, check, back up and move the ledger of a connection."""


@ledger.command()
@json_option
@connection_option
def show(as_json: bool, connection_name: str | None) -> int:
    """Show where the ledger is, its contents, and who uses it."""
    from amp_console.cli.documents import ledger_document, print_document
    from amp_console.cli.resources import open_connection
    from amp_console.ledger.operators import has_several_operators
    from amp_console.ledger.overview import overview

    with open_connection(connection_name) as (_, opened):
        found = opened.read(overview, opened.locks)
        if as_json:
            print_document(ledger_document(opened.url, found))
        else:
            _print(opened.url, found, is_shared=opened.read(has_several_operators))
    return Exit.DELIVERED


def _print(url: str, found: "LedgerOverview", *, is_shared: bool) -> None:
    """Print a ledger's overview, with operators' names if it `is_shared` by several."""
    from amp_console.ledger.event_log import by_whom
    from amp_console.text import clean, local_time, mebibytes, plural

    holders = found.holders
    counts = (
        plural(found.audiences, "audience"),
        plural(found.members, "member"),
        plural(found.runs, "run"),
    )
    rows = [
        ("ledger", clean(url, MAX_LENGTH)),
        ("engine", f"{found.engine}, version {found.version} of the tables"),
        ("size", f"{mebibytes(found.bytes)}: {', '.join(counts)}"),
    ]
    for lease in holders.leases:
        who = by_whom(lease.operator if is_shared else "", lease.process) or "a process"
        since = f", since {local_time(lease.since)}" if lease.since else ""
        rows.append(("lease", f"{clean(lease.audience)}: {clean(who, MAX_LENGTH)}{since}"))
    for run in holders.runs:
        who = clean(by_whom(run.operator if is_shared else "", run.holder), MAX_LENGTH)
        rows.append(("run", f"{run.id} ({run.kind}): {who}, since {local_time(run.started_at)}"))
    if holders.sources:
        rows.append(("sources", f"{plural(holders.sources, 'bucket')} being read"))
    if not holders:
        rows.append(("in use", "no process holds a lease, a run or a source"))
    for what, says in rows:
        say(f"{what:<9}{says}")


@ledger.command()
@json_option
@connection_option
def check(as_json: bool, connection_name: str | None) -> int:
    """Check that the ledger is intact and consistent. This reads everything.

    The exit status is 1 if something is wrong.
    """
    from amp_console.cli.documents import CheckDocument, print_document
    from amp_console.cli.resources import open_connection
    from amp_console.ledger.overview import problems

    with open_connection(connection_name) as (_, opened):
        found = opened.read(problems)
        if as_json:
            print_document(CheckDocument(opened.url, found))
        elif not found:
            say(f"The ledger {opened.url} is intact and consistent.")
        else:
            for problem in found:
                say(problem)
            say(_remedy(opened))
    return Exit.PARTIAL if found else Exit.DELIVERED


def _remedy(opened: "Ledger") -> str:
    if opened.backups is None:
        return (
            "Let the administrator of the server restore a backup. Until then, "
            "`amp-console reconcile --all` shows what differs in the cohorts."
        )
    return (
        "`amp-console doctor` lists the backups and explains how to restore one. Until then, "
        "`amp-console reconcile --all` shows what differs in the cohorts."
    )


@ledger.command()
@click.argument("file", type=click.Path(path_type=Path))
@connection_option
def backup(file: Path, connection_name: str | None) -> int:
    """Copy the ledger into a new FILE, while others use it.

    The copy is a SQLite file of one moment, readable by you only, even if the ledger is on
    PostgreSQL. An existing file is never replaced. To use the copy, put it where `ledger show`
    shows the ledger of a connection without a server.
    """
    from amp_console.cli.progress import ProgressMeter
    from amp_console.cli.resources import open_connection
    from amp_console.ledger.moving import save_copy
    from amp_console.text import mebibytes

    with (
        open_connection(connection_name) as (_, opened),
        ProgressMeter("Copying") as meter,
        _stoppable(meter, "Nothing was saved.") as observe,
    ):
        save_copy(opened, file, observe)
    say(f"Saved {file}: {mebibytes(file.stat().st_size)}.")
    return Exit.DELIVERED


@ledger.command()
@click.argument("url")
@click.option(
    "--password-stdin", is_flag=True, help="Read the password from a hidden prompt, or from stdin."
)
@click.option("--yes", is_flag=True, help="Confirm in advance.")
@json_option
@connection_option
def move(
    url: str, password_stdin: bool, yes: bool, as_json: bool, connection_name: str | None
) -> int:
    """Move the ledger to a PostgreSQL server, or back to a file.

    URL is postgresql://USER@HOST/DATABASE, or the word file. Everything is copied, and compared
    row by row, before the connection uses the new ledger. Until then, the old one stays in use,
    whatever happens, but others can't write to it. Afterwards it is kept, but can't be used.
    """
    from amp_console.cli.documents import move_document, print_document
    from amp_console.cli.progress import ProgressMeter
    from amp_console.cli.resources import connection_store, keyring, ledgers
    from amp_console.sync.ledger_choice import entered_place
    from amp_console.sync.ledger_move import check_movable, move_to
    from amp_console.values import now_in_microseconds

    store = connection_store()
    connection = store.pick(connection_name)
    with misuse():
        place = entered_place(url, connection)
    refuse_password(place.password, "--password-stdin")
    if password_stdin and place.server is None:
        raise click.UsageError("A file needs no --password-stdin.")
    places = ledgers()
    check_movable(places)
    store.check_writable()
    if password_stdin:
        place = place._replace(password=ask_password("Password of the ledger"))
    if not yes and not _is_agreed(places.where(connection), places.where(connection, place)):
        return Exit.MISUSE
    with (
        ProgressMeter("Moving") as meter,
        _stoppable(meter, "The old ledger is in use.") as observe,
    ):
        moved = move_to(places, store, keyring(), connection, place, now_in_microseconds(), observe)
    if as_json:
        print_document(move_document(moved))
        return Exit.DELIVERED
    say(f"Moved {moved.rows:,} rows to {moved.new}. All of them match the originals.")
    say(f"The old ledger is kept, but no longer used: {moved.old}")
    return Exit.DELIVERED


def _is_agreed(old: str, new: str) -> bool:
    from amp_console.cli.delivering import is_interactive
    from amp_console.cli.output import ask

    if is_interactive():
        return ask(f"Move the ledger from {old} to {new}?")
    say("Nothing was moved. To confirm in advance, add --yes.", err=True)
    return False


class _CopyStopped(Exception):
    """Ctrl-C or SIGTERM while rows are copied."""


@contextmanager
def _stoppable(meter: "ProgressMeter", kept: str) -> "Iterator[Observe]":
    """Yield a function that shows the progress, and ends the copying after Ctrl-C or SIGTERM.

    `kept` is the sentence printed in that case. The copy is undone before the command ends, which
    may take a while: what others have locked is waited for.
    """
    is_asked = False

    def ask_to_stop(_: int, __: FrameType | None) -> None:
        nonlocal is_asked
        if not is_asked:
            is_asked = True
            say("Stopping. What was copied is deleted.", err=True)

    def observe(now: "CopyProgress") -> None:
        if is_asked:
            raise _CopyStopped
        meter.update(now.done, now.total, now.table)

    former = {number: signal.signal(number, ask_to_stop) for number in _SIGNALS}
    try:
        yield observe
    except _CopyStopped:
        say(f"Stopped. {kept}", err=True)
        raise click.exceptions.Exit(Exit.INTERRUPTED) from None
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


_SIGNALS = (signal.SIGINT, signal.SIGTERM)
