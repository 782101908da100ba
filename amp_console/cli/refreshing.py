"""Refreshing audiences from their queries for a command, with progress and reports."""

import signal
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue

import click
import msgspec

from amp_console.cli.delivering import is_interactive
from amp_console.cli.exits import Exit
from amp_console.cli.output import ask, say
from amp_console.cli.progress import ProgressMeter
from amp_console.cli.resources import open_warehouse
from amp_console.cli.tables import table
from amp_console.connections import Connection
from amp_console.ledger import Ledger
from amp_console.ledger.audience_queries import (
    AudienceQuery,
    RefreshOutcome,
    audience_queries,
)
from amp_console.ledger.audiences import Audience, all_audiences, find_audience
from amp_console.sync.sources.warehouse.refresh import AudienceRefresh, RefreshReport
from amp_console.text import blank_if_zero, clean, plural

OFTEN = 0.2  # seconds between two checks on a query
MAX_NOTE_LENGTH = 1_000

_EXITS = {
    RefreshOutcome.APPLIED: Exit.DELIVERED,
    RefreshOutcome.DRY_RUN: Exit.DELIVERED,
    RefreshOutcome.INCOMPLETE: Exit.PARTIAL,
    RefreshOutcome.CANCELLED: Exit.INTERRUPTED,
}


class RefreshDocument(msgspec.Struct, frozen=True):
    """One audience in `refresh --json`."""

    audience: str
    name: str
    source: str
    outcome: str
    rows: int
    listed: int
    entering: int
    leaving: int
    refused: int
    duplicates: int
    seconds: float
    notes: tuple[str, ...]


def queried_audiences(ledger: Ledger, names: Sequence[str]) -> list[Audience]:
    """The audiences of these names, or all enabled ones that have a query.

    Raises click.UsageError for a name without one.
    """
    queries = ledger.read(audience_queries)
    if not names:
        return [item for item in ledger.read(all_audiences) if item.enabled and item.id in queries]
    named = [ledger.read(find_audience, name) for name in dict.fromkeys(names)]
    without = [item.handle for item in named if item.id not in queries]
    if without:
        raise click.UsageError(
            f"{', '.join(without)} {'has' if len(without) == 1 else 'have'} no query. To set one: "
            f"amp-console audience {without[0]} --source NAME --query SQL"
        )
    return named


def refresh_all(
    connection: Connection,
    ledger: Ledger,
    audiences: Iterable[Audience],
    *,
    timeout: float,
    yes: bool,
    is_dry: bool = False,
) -> list[RefreshReport]:
    """Refresh audiences one after the other; stop after one that is cancelled."""
    queries = ledger.read(audience_queries)
    reports = []
    for audience in audiences:
        report = _refresh(
            connection, ledger, audience, queries[audience.id], timeout, yes=yes, is_dry=is_dry
        )
        reports.append(report)
        if report.outcome is RefreshOutcome.CANCELLED:
            break
    return reports


def report_lines(reports: Sequence[RefreshReport]) -> list[str]:
    """What the queries returned, as a table, with notes."""
    rows = [
        (
            report.audience.name,
            report.source,
            f"{report.removal.listed:,}",
            blank_if_zero(report.entering, "+"),
            blank_if_zero(report.leaving, "-"),
            blank_if_zero(report.refused),
            blank_if_zero(report.duplicates),
            f"{report.outcome}, {report.seconds:.1f} s",
        )
        for report in reports
    ]
    header = ("AUDIENCE", "SOURCE", "LISTED", "ENTER", "LEAVE", "REFUSED", "DUPLICATES", "OUTCOME")
    lines = table(header, rows, "LISTED ENTER LEAVE REFUSED DUPLICATES")
    for report in reports:
        name = clean(report.audience.name)
        lines += [f"{name}: {clean(note, MAX_NOTE_LENGTH)}" for note in report.notes]
    return lines


def documents(reports: Iterable[RefreshReport]) -> list[RefreshDocument]:
    """What the queries returned, for scripts."""
    return [
        RefreshDocument(
            report.audience.handle,
            report.audience.name,
            report.source,
            report.outcome,
            report.rows,
            report.removal.listed,
            report.entering,
            report.leaving,
            report.refused,
            report.duplicates,
            round(report.seconds, 3),
            report.notes,
        )
        for report in reports
    ]


def exit_of(reports: Iterable[RefreshReport]) -> Exit:
    """Return the exit status of refreshes: the worst one."""
    return max((_EXITS.get(item.outcome, Exit.MISUSE) for item in reports), default=Exit.DELIVERED)


def _refresh(
    connection: Connection,
    ledger: Ledger,
    audience: Audience,
    query: AudienceQuery,
    timeout: float,
    *,
    yes: bool,
    is_dry: bool,
) -> RefreshReport:
    refresh = AudienceRefresh(
        ledger,
        audience,
        query,
        lambda: open_warehouse(connection, query.source),
        timeout=timeout,
        is_dry=is_dry,
    )
    report = _run(refresh, query.source)
    while report.outcome is RefreshOutcome.ASKS:
        say(clean(report.question, 300), err=True)
        if not yes and not is_interactive():
            say("To confirm in advance, add --yes.", err=True)
            return refresh.decline(report)
        if not yes and not ask("Apply the refresh?"):
            return refresh.decline(report)
        report = refresh.confirm(report)
    return report


def _run(refresh: AudienceRefresh, source: str) -> RefreshReport:
    """Run a query in a separate thread; Ctrl-C and SIGTERM cancel it on the server."""
    results: list[RefreshReport | BaseException] = []
    # Neither `Thread.join` nor `threading.Event`: an interrupted join marks its thread as ended,
    # and an Event whose wait is interrupted may keep its lock, so that it is never set.
    ended: SimpleQueue[None] = SimpleQueue()

    def work() -> None:
        try:
            results.append(refresh.run())
        except BaseException as error:
            results.append(error)
        ended.put(None)

    def is_running() -> bool:
        """Wait briefly for the end."""
        with suppress(Empty):
            ended.get(timeout=0 if results else OFTEN)
        return not results

    threading.Thread(target=work, daemon=True).start()
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ProgressMeter("Querying") as meter:
            _show_while(is_running, refresh, source, meter)
    except KeyboardInterrupt:
        say("Cancelling the query. Press Ctrl-C again to stop at once.", err=True)
        refresh.cancel()
        while is_running():
            refresh.cancel()
    finally:
        with suppress(TypeError):  # a handler that was not set by Python can't be set again
            signal.signal(signal.SIGTERM, before)
    (result,) = results
    if isinstance(result, BaseException):
        raise result
    return result


def _show_while(
    is_running: Callable[[], bool], refresh: AudienceRefresh, source: str, meter: ProgressMeter
) -> None:
    started = time.monotonic()
    while is_running():
        elapsed = time.monotonic() - started
        text = f"{clean(source, 30)}: {plural(refresh.rows, 'row')}, {elapsed:.0f} s"
        meter.update(refresh.rows, None, text)
