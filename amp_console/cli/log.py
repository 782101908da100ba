"""`amp-console log`: everything that was done on a ledger, by any process."""

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from amp_console.cli.options import connection_option, exact_option, is_to_stdout, json_option
from amp_console.cli.output import is_read, say

if TYPE_CHECKING:
    from amp_console.ledger import Ledger
    from amp_console.ledger.event_log import LogEntry, LogFilter

SCHEMA = 1  # of the JSON documents
POLL_SECONDS = 0.5
UNITS = {"m": 60, "h": 3_600, "d": 86_400}
_KINDS = (
    "import",
    "sync",
    "compare",
    "repair",
    "live",
    "forget",
    "retry",
    "link",
    "settings",
    "keys",
    "backup",
    "prune",
    "message",
)
"""The values of `LogKind`, without importing the ledger: `--help` must stay fast."""


def _past_time(_: click.Context, __: click.Parameter, text: str | None) -> int | timedelta | None:
    """Read "30m", "2h", "7d", or an ISO time, local unless it has an offset, as microseconds."""
    if text is None:
        return None
    if ago := re.fullmatch(r"(\d{1,6})([mhd])", text):
        return timedelta(seconds=int(ago[1]) * UNITS[ago[2]])
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{text!r} is not a time. Write 2h, 7d or 2026-05-03T19:42Z."
        ) from None
    return round(moment.timestamp() * 1_000_000)


@click.command()
@click.option(
    "--since",
    callback=_past_time,
    metavar="TIME",
    help="Only entries since then: 2h, 7d or 2026-05-03T19:42Z.",
)
@click.option(
    "--kind", "kinds", multiple=True, type=click.Choice(_KINDS), help="Only this kind. Repeatable."
)
@click.option(
    "--text",
    default="",
    metavar="TEXT",
    help="Only entries whose text or operator contains this.",
)
@click.option(
    "--limit",
    type=click.IntRange(0),
    metavar="NUMBER",
    default=100,
    show_default=True,
    help="How many entries to print; 0 is all.",
)
@click.option("--follow", is_flag=True, help="Print new entries as they are added, until Ctrl-C.")
@click.option(
    "--export",
    "export_file",
    type=click.Path(path_type=Path),
    help='Write all entries to a CSV or NDJSON file ("-" is stdout).',
)
@exact_option
@json_option
@connection_option
def log(
    since: int | timedelta | None,
    kinds: tuple[str, ...],
    text: str,
    limit: int,
    follow: bool,
    export_file: Path | None,
    exact: bool,
    as_json: bool,
    connection_name: str | None,
) -> int:
    """List what was done, newest first.

    That is imports, runs, settings, backups and messages.
    """
    from amp_console.cli.resources import open_connection
    from amp_console.ledger.event_log import LogFilter, LogKind

    is_to_stdout("--export", export_file, exact=exact)
    if export_file is not None and (follow or as_json):
        raise click.UsageError("--export writes a file: leave out --follow and --json.")
    with open_connection(connection_name) as (_, ledger):
        if isinstance(since, timedelta):
            since = ledger.clock()() - since // timedelta(microseconds=1)
        criteria = LogFilter(text, tuple(LogKind(kind) for kind in kinds), since)
        if export_file is not None:
            _export(ledger, criteria, export_file, exact=exact)
        elif follow:
            _follow(ledger, criteria, limit, as_json=as_json)
        else:
            _list(ledger, criteria, limit, as_json=as_json)
    return 0


def _list(ledger: "Ledger", criteria: "LogFilter", limit: int, *, as_json: bool) -> None:
    from amp_console.cli.documents import print_document
    from amp_console.cli.log_document import LogDocument, log_entry_documents
    from amp_console.ledger.audiences import all_audiences
    from amp_console.ledger.db import EVERY
    from amp_console.ledger.event_log import count_log, log_page
    from amp_console.ledger.operators import has_several_operators

    total = ledger.read(count_log, criteria)
    entries = ledger.read(log_page, criteria, 0, limit or EVERY)
    if as_json:
        audiences = ledger.read(all_audiences)
        print_document(LogDocument(SCHEMA, total, log_entry_documents(entries, audiences)))
        return
    if not entries:
        say("No entries match." if criteria.text or criteria.kinds else "No entries yet.")
    is_shared = ledger.read(has_several_operators)
    for entry in entries:
        say(_line(entry, is_shared=is_shared))
    if len(entries) < total:
        say(f"The newest {len(entries):,} of {total:,} entries. List all with --limit 0.", err=True)


def _line(entry: "LogEntry", *, is_shared: bool) -> str:
    """One entry, with the operator if several share the ledger."""
    from amp_console.text import clean, local_time

    sign = " !x"[entry.severity]
    by = f"  ({clean(entry.operator)})" if is_shared and entry.operator else ""
    return f"{local_time(entry.at):<24}  {entry.kind:<9} {sign} {entry.text}{by}"


def _follow(ledger: "Ledger", criteria: "LogFilter", limit: int, *, as_json: bool) -> None:
    """Print the last entries, the oldest first, then new ones until Ctrl-C."""
    import msgspec

    from amp_console.ledger.db import EVERY
    from amp_console.ledger.event_log import log_page, newest_log_id

    newest = ledger.read(newest_log_id)
    entries = ledger.read(log_page, criteria, 0, limit or EVERY)
    try:
        while is_read():
            _print_new(ledger, entries, as_json=as_json)
            time.sleep(POLL_SECONDS)
            later = msgspec.structs.replace(criteria, after=newest)
            newest = ledger.read(newest_log_id)
            entries = ledger.read(log_page, later) if newest > later.after else []
            # An entry added between the two reads is printed now, and not again.
            newest = max([newest, *(entry.id for entry in entries)])
    except KeyboardInterrupt:
        return


def _print_new(ledger: "Ledger", entries: "list[LogEntry]", *, as_json: bool) -> None:
    import msgspec

    from amp_console.cli.log_document import log_entry_documents
    from amp_console.cli.output import say_json
    from amp_console.ledger.audiences import all_audiences
    from amp_console.ledger.operators import has_several_operators

    in_order = entries[::-1]
    if not in_order:
        return
    if not as_json:
        is_shared = ledger.read(has_several_operators)
        say(*(_line(entry, is_shared=is_shared) for entry in in_order))
    else:
        for document in log_entry_documents(in_order, ledger.read(all_audiences)):
            say_json(msgspec.json.encode(document))


def _export(ledger: "Ledger", criteria: "LogFilter", path: Path, *, exact: bool) -> None:
    from amp_console.ledger.event_log import log_page
    from amp_console.sync.export import STDOUT
    from amp_console.sync.queries.log_export import write_log
    from amp_console.text import plural

    count = write_log(path, ledger.read(log_page, criteria), exact=exact)
    if path != STDOUT:
        say(f"{plural(count, 'entry', 'entries')} written to {path}.")
