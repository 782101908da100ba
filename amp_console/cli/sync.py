"""`amp-console sync`: deliver what is pending."""

from typing import TYPE_CHECKING

import click

from amp_console.cli.exits import Exit
from amp_console.cli.options import connection_option, is_given, json_option, timeout_option
from amp_console.cli.output import say

if TYPE_CHECKING:
    from amp_console.connections import Connection
    from amp_console.ledger import Ledger
    from amp_console.ledger.audiences import Audience
    from amp_console.sync.ingest.report import ImportReport


@click.command()
@click.argument("audiences", nargs=-1, metavar="[AUDIENCE]...")
@click.option(
    "--from",
    "paths",
    multiple=True,
    metavar="PATH",
    help='Import this first ("-" is stdin). Repeatable.',
)
@click.option("--refresh", is_flag=True, help="Run the audiences' queries first.")
@timeout_option
@click.option("--dry-run", is_flag=True, help="Show the plan and send nothing.")
@click.option("--yes", is_flag=True, help="Confirm the plan in advance.")
@click.option(
    "--wait",
    type=click.IntRange(0),
    metavar="SECONDS",
    default=60,
    show_default=True,
    help="How long to wait for audiences that another amp-console is syncing.",
)
@click.option("--now", is_flag=True, help="Send even if Amplitude asked to wait.")
@json_option
@connection_option
def sync(
    audiences: tuple[str, ...],
    paths: tuple[str, ...],
    refresh: bool,
    timeout: int,
    dry_run: bool,
    yes: bool,
    wait: int,
    now: bool,
    as_json: bool,
    connection_name: str | None,
) -> int:
    """Deliver pending changes to Amplitude.

    Without names, it includes every enabled audience or, with --from, those in the files. A plan
    that creates cohorts, or removes more than half of a cohort's members, must be confirmed.

    --refresh does the same as `amp-console refresh`. An audience whose query fails keeps its
    members.
    """
    from amp_console.cli.importing import describe, read_events
    from amp_console.cli.resources import keys_of, open_connection
    from amp_console.connections.read_only import guard
    from amp_console.ledger.rate_limits import forget_limits
    from amp_console.sync.connection_options import client_for, read_options

    _check_timeout(is_refreshing=refresh)
    with open_connection(connection_name) as (connection, ledger):
        credentials = None if dry_run else keys_of(connection)
        load = _load_delivery if credentials is not None else lambda: None
        imported = read_events(ledger, paths, read_options(connection), while_merging=load)
        # Only now: while events were read, there was time to import these.
        from amp_console.cli import delivering, documents
        from amp_console.sync.delivery.plan import plan_sync

        if paths:
            say(*describe(imported), err=True)
        chosen = _chosen(ledger, audiences, imported if paths else None)
        refreshed = Exit.DELIVERED
        if refresh:
            queried, refreshed = _refresh(connection, ledger, audiences, timeout, yes=yes)
            chosen = list({item.id: item for item in (*chosen, *queried)}.values())
        if refreshed is Exit.INTERRUPTED:
            say("Nothing was sent.", err=True)
            return refreshed
        if imported.unreadable and not chosen:
            say("Nothing was sent.", err=True)
            return Exit.MISUSE
        plan = ledger.read(plan_sync, connection, chosen)
        if credentials is None:
            _show_plan(
                documents.plan_document(plan, imported.tally), delivering.plan_lines(plan), as_json
            )
            return _worse(Exit.DELIVERED, imported, refreshed)
        if not delivering.is_agreed(plan, yes=yes):
            return Exit.MISUSE
        guard(connection, "Nothing was sent.")
        if now:
            ledger.write(forget_limits, [audience.audience_id for audience in plan.audiences])
        client = client_for(connection, credentials)
        report = delivering.run_plan(
            plan, connection, ledger, client, imported.tally, lease_wait=wait
        )
    if as_json:
        documents.print_document(documents.sync_document(report, plan, imported.tally))
    else:
        say(*delivering.report_lines(report, imported.tally))
    return _worse(delivering.exit_of(report), imported, refreshed)


def _load_delivery() -> None:
    """Import the delivery code, which takes 0.1 s, while this thread would wait for the ledger."""
    from amp_console.amplitude import client  # noqa: F401
    from amp_console.cli import delivering, documents  # noqa: F401
    from amp_console.http.session import load_libraries

    load_libraries()


def _check_timeout(*, is_refreshing: bool) -> None:
    """Refuse a time limit if no query is run: it would have no effect."""
    if is_given("timeout") and not is_refreshing:
        raise click.UsageError("--timeout needs --refresh.")


def _refresh(
    connection: "Connection",
    ledger: "Ledger",
    names: tuple[str, ...],
    timeout: float,
    *,
    yes: bool,
) -> "tuple[list[Audience], Exit]":
    """Run the queries; return the audiences that have one, and the exit status."""
    from amp_console.cli import refreshing

    queried = refreshing.queried_audiences(ledger, names)
    reports = refreshing.refresh_all(connection, ledger, queried, timeout=timeout, yes=yes)
    if reports:
        say(*refreshing.report_lines(reports), err=True)
    return queried, refreshing.exit_of(reports)


def _chosen(
    ledger: "Ledger", names: tuple[str, ...], imported: "ImportReport | None"
) -> "list[Audience]":
    from amp_console.ledger.audiences import all_audiences, find_audience

    if names:
        named = [ledger.read(find_audience, name) for name in dict.fromkeys(names)]
        off = [item.handle for item in named if not item.enabled]
        if off:
            raise click.UsageError(
                f"{', '.join(off)} {'is' if len(off) == 1 else 'are'} disabled. To enable: "
                f"amp-console audience {off[0]} --enable"
            )
        return named
    enabled = [audience for audience in ledger.read(all_audiences) if audience.enabled]
    if imported is None:
        return enabled
    return [item for item in enabled if item.id in imported.audience_ids]


def _show_plan(document: object, lines: list[str], as_json: bool) -> None:
    from amp_console.cli.documents import print_document

    if as_json:
        print_document(document)
        return
    say(*lines)
    say("Dry run: nothing was sent.")


def _worse(status: Exit, imported: "ImportReport", refreshed: Exit) -> Exit:
    """The exit status, worsened by input that could not be read and by queries that failed."""
    if status not in {Exit.DELIVERED, Exit.PARTIAL}:
        return status
    if imported.unreadable:
        return Exit.MISUSE
    return max(status, refreshed, Exit.PARTIAL if imported.without_changes else status)
