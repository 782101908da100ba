"""`amp-console reconcile`: compare cohorts with their audiences, and repair them."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from amp_console.cli.exits import Exit
from amp_console.cli.options import connection_option, exact_option, is_to_stdout, json_option
from amp_console.cli.output import ask, ask_for, say

if TYPE_CHECKING:
    from amp_console.connections import Connection
    from amp_console.ledger import Ledger
    from amp_console.ledger.audiences import Audience
    from amp_console.ledger.repairs import RepairChoice
    from amp_console.sync.delivery.run import RunReport
    from amp_console.sync.reconcile.compare import CompareReport
    from amp_console.sync.reconcile.member_list import MemberList
    from amp_console.sync.reconcile.plan import RepairPlan
    from amp_console.sync.reconcile.quota import Quota
    from amp_console.sync.reconcile.repair import RepairReport
    from amp_console.values import Credentials


class ReconcileRequest(NamedTuple):
    """What the operator asked for."""

    apply: str | None
    replace: bool
    yes: bool
    verify: bool
    allow_incomplete: bool
    allow_no_overlap: bool

    @property
    def choice(self) -> "RepairChoice":
        """Which differences to repair."""
        from amp_console.ledger.repairs import RepairChoice

        return RepairChoice(
            add=self.apply in {"add", "both"}, remove=self.apply in {"remove", "both"}
        )


@click.command()
@click.argument("audiences", nargs=-1, metavar="AUDIENCE...")
@click.option("--all", "take_all", is_flag=True, help="All enabled audiences that have a cohort.")
@click.option("--against", metavar="PATH", help='Compare with a list of members ("-" is stdin).')
@click.option("--allow-incomplete", is_flag=True, help="Use the list even if it is incomplete.")
@click.option(
    "--allow-no-overlap",
    is_flag=True,
    help="Apply a list even if none of its identifiers is in the cohort or audience.",
)
@click.option(
    "--apply",
    type=click.Choice(["add", "remove", "both"]),
    help="Repair the differences: add the missing, remove the extra, or both.",
)
@click.option("--replace", is_flag=True, help="Upload the whole cohort again if that sends less.")
@click.option("--yes", is_flag=True, help="Confirm the comparison and the repair in advance.")
@click.option("--verify", is_flag=True, help="Compare again after the repair: one more download.")
@click.option(
    "--export",
    type=click.Path(path_type=Path),
    help='Write the differences to a CSV or NDJSON file ("-" is stdout).',
)
@exact_option
@json_option
@connection_option
def reconcile(
    audiences: tuple[str, ...],
    take_all: bool,
    against: str | None,
    allow_incomplete: bool,
    allow_no_overlap: bool,
    apply: str | None,
    replace: bool,
    yes: bool,
    verify: bool,
    export: Path | None,
    exact: bool,
    as_json: bool,
    connection_name: str | None,
) -> int:
    """Compare cohorts with their audiences, and repair them.

    Each comparison downloads the whole cohort, which counts towards Amplitude's monthly quota.
    Without --apply, nothing is sent, but users who differ and appear in the events become pending:
    the next sync or live session sends them.

    --against reads Segment's CSV download of the audience, or a file with one identifier per line.
    The exit status is 0 if cohort and audience match at the end, otherwise 1.
    """
    from amp_console.cli import reconcile_text as text
    from amp_console.cli.documents import print_document
    from amp_console.cli.resources import keys_of, open_connection
    from amp_console.connections.read_only import guard
    from amp_console.ledger.comparisons import resolved_since

    request = ReconcileRequest(apply, replace, yes, verify, allow_incomplete, allow_no_overlap)
    if replace and apply != "both":
        raise click.UsageError("--replace repairs everything in one request: add --apply both.")
    is_stdout = is_to_stdout("--export", export, exact=exact, as_json=as_json)
    with open_connection(connection_name) as (connection, ledger):
        chosen = _chosen(ledger, audiences, take_all=take_all, against=against)
        if apply:
            guard(connection, "Nothing was downloaded or sent.")
        credentials = keys_of(connection)
        compared = _compare(connection, ledger, credentials, chosen, against, request)
        if compared is None:
            return Exit.MISUSE
        to_stderr = bool(as_json or apply or is_stdout)
        now = {
            audience_id: ledger.read(resolved_since, comparison.id)
            for audience_id, comparison in compared.comparisons.items()
        }
        say(*text.compare_lines(compared, now), err=to_stderr)
        done, status = _apply(connection, ledger, credentials, compared, request)
        if done is not None and not as_json:
            say(*text.applied_lines(done), err=is_stdout)
        if export:
            _export(ledger, export, compared, done, exact=exact)
        if as_json:
            quota = _quota(connection, ledger, credentials)
            applied = done.results if done else {}
            documents = [
                text.reconcile_document(
                    item,
                    compared.comparisons.get(item.id),
                    now.get(item.id),
                    applied.get(item.id),
                    quota,
                )
                for item in chosen
            ]
            alone = len(documents) == 1 and not take_all
            print_document(documents[0] if alone else documents)
    return status


def _chosen(
    ledger: "Ledger", names: tuple[str, ...], *, take_all: bool, against: str | None
) -> "list[Audience]":
    from amp_console.ledger.audiences import all_audiences, find_audience
    from amp_console.text import clean

    if take_all == bool(names):
        raise click.UsageError("Name at least one audience, or add --all.")
    if names:
        chosen = [ledger.read(find_audience, name) for name in dict.fromkeys(names)]
    else:
        everything = ledger.read(all_audiences)
        linked = [item for item in everything if item.enabled and item.cohort_id]
        chosen = [item for item in linked if not item.broken]
        for item in linked:
            if item.broken:
                say(f"{clean(item.name)} is skipped: {clean(item.broken, 1000)}", err=True)
        if linked and not chosen:
            raise click.UsageError("Every link to a cohort is broken. Nothing was downloaded.")
    if against and len(chosen) != 1:
        raise click.UsageError("--against is a list for one audience: name exactly one.")
    if not chosen:
        raise click.UsageError("No audience has a cohort yet. Sync first: amp-console sync")
    return chosen


def _compare(
    connection: "Connection",
    ledger: "Ledger",
    credentials: "Credentials",
    chosen: "list[Audience]",
    against: str | None,
    request: ReconcileRequest,
) -> "CompareReport | None":
    """Show the cost, then compare; None if the operator declines."""
    from amp_console.cli.delivering import is_interactive
    from amp_console.cli.interrupts import until_interrupted
    from amp_console.ledger.downloads import downloads_needed
    from amp_console.sync.connection_options import client_for
    from amp_console.sync.reconcile.compare import compare_audiences
    from amp_console.sync.reconcile.descriptions import WHAT_COMPARING_DOES
    from amp_console.text import plural

    listing = _read_list(ledger, chosen[0], against, request) if against else None
    quota = _quota(connection, ledger, credentials)
    needed = ledger.read(downloads_needed, chosen, ledger.clock()())
    say(f"{quota}. Comparing takes {plural(needed, 'download')}.", err=True)
    say(WHAT_COMPARING_DOES, err=True)
    if needed > quota.left:
        say("Too few downloads are left. Nothing was downloaded. Name fewer audiences.", err=True)
        return None
    if len(chosen) > 1 and not request.yes and is_interactive() and not ask("Continue?"):
        return None
    client = client_for(connection, credentials)
    return until_interrupted(
        "Comparing",
        connection,
        ledger,
        client,
        lambda context: compare_audiences(chosen, context, listing),
    )


def _read_list(
    ledger: "Ledger", audience: "Audience", path: str, request: ReconcileRequest
) -> "MemberList":
    from amp_console.sync.reconcile.member_list import IncompleteList, read_member_list
    from amp_console.sync.sources.registry import open_reader
    from amp_console.text import clean, plural

    try:
        listing = read_member_list(
            ledger, open_reader, audience, path, allow_incomplete=request.allow_incomplete
        )
    except IncompleteList:
        say("To compare with it anyway, add --allow-incomplete.", err=True)
        raise
    if listing.refused:
        rows = plural(listing.refused, "row")
        were = "was" if listing.refused == 1 else "were"
        say(f"{rows} of {clean(listing.name, 300)} {were} refused.", err=True)
    return listing


def _quota(connection: "Connection", ledger: "Ledger", credentials: "Credentials") -> "Quota":
    import asyncio

    from amp_console.sync.connection_options import client_for
    from amp_console.sync.reconcile.quota import ask_quota

    async def ask() -> "Quota":
        async with client_for(connection, credentials) as client:
            return await ask_quota(client, ledger, ledger.clock()())

    return asyncio.run(ask())


def _apply(
    connection: "Connection",
    ledger: "Ledger",
    credentials: "Credentials",
    compared: "CompareReport",
    request: ReconcileRequest,
) -> "tuple[RepairReport | None, Exit]":
    """Repair what was chosen; return the report and the exit status."""
    from amp_console.sync.reconcile.plan import plan_repair

    found = compared.comparisons.values()
    is_equal = all(item.is_equal for item in found)
    status = _status(compared.run, is_equal=is_equal)
    if request.apply is None or compared.run.was_stopped or compared.run.keys_refused:
        return None, status
    plans = [
        ledger.read(plan_repair, connection, item, request.choice, replace=request.replace)
        for item in found
    ]
    plans = [plan for plan in plans if not plan.is_idle]
    if not plans:
        say("Nothing to repair.", err=True)
        return None, status
    if not _is_agreed(plans, request):
        return None, Exit.MISUSE
    done = _carry_out(connection, ledger, credentials, plans, verify=request.verify)
    untouched = [item for item in found if item.audience_id not in done.results]
    is_equal = all(item.is_equal for item in done.results.values()) and all(
        item.is_equal for item in untouched
    )
    after = _status(done.run, is_equal=is_equal)
    return done, max(after, status if status > Exit.PARTIAL else Exit.DELIVERED)


def _status(run: "RunReport", *, is_equal: bool) -> Exit:
    from amp_console.ledger.runs import RunStatus

    if run.keys_refused:
        return Exit.KEYS
    if run.was_stopped:
        return Exit.INTERRUPTED
    if run.status is RunStatus.STOPPED:
        return Exit.STOPPED
    return Exit.DELIVERED if is_equal else Exit.PARTIAL


def _is_agreed(plans: "list[RepairPlan]", request: ReconcileRequest) -> bool:
    """Ask for confirmation of the plans: for a large removal, the cohort's name."""
    from amp_console.cli.delivering import is_interactive
    from amp_console.cli.reconcile_text import plan_lines
    from amp_console.text import clean

    if not all(_is_known_list(plan, request) for plan in plans):
        return False
    if request.yes:
        return True
    for plan in plans:
        say(*plan_lines(plan), err=True)
    concerned = [plan for plan in plans if plan.removal_warning]
    for plan in concerned:
        say(f"This {clean(plan.removal_warning or '', 300)}.", err=True)
        if not is_interactive():
            continue
        typed = ask_for("Type the cohort's name to confirm")
        if typed.strip() != plan.cohort_name.strip():
            say("The name does not match. Nothing was sent.", err=True)
            return False
    if not is_interactive():
        if concerned:
            say("Nothing was sent. To confirm in advance, add --yes.", err=True)
        return not concerned
    return bool(concerned) or ask("Send these changes to Amplitude?")


def _is_known_list(plan: "RepairPlan", request: ReconcileRequest) -> bool:
    """Ask for the name of a list that shares no identifier; --yes is not enough."""
    from amp_console.cli.delivering import is_interactive
    from amp_console.text import clean

    if plan.foreign_list_warning is None or request.allow_no_overlap:
        return True
    say(f"{clean(plan.foreign_list_warning, 500)}.", err=True)
    if not is_interactive():
        say("Nothing was sent. If it is the right list, add --allow-no-overlap.", err=True)
        return False
    typed = ask_for("Type the list's name to apply it")
    if typed.strip() != plan.list_name.strip():
        say("The name does not match. Nothing was sent.", err=True)
        return False
    return True


def _carry_out(
    connection: "Connection",
    ledger: "Ledger",
    credentials: "Credentials",
    plans: "list[RepairPlan]",
    *,
    verify: bool,
) -> "RepairReport":
    from amp_console.cli.interrupts import until_interrupted
    from amp_console.sync.connection_options import client_for
    from amp_console.sync.reconcile.repair import repair

    client = client_for(connection, credentials)
    return until_interrupted(
        "Repairing",
        connection,
        ledger,
        client,
        lambda context: repair(plans, context, verify=verify),
    )


def _export(
    ledger: "Ledger",
    path: Path,
    compared: "CompareReport",
    done: "RepairReport | None",
    *,
    exact: bool,
) -> None:
    from amp_console.ledger.comparisons import DifferenceFilter, differences
    from amp_console.sync.reconcile.export import write_differences
    from amp_console.text import plural

    keys = {audience.audience.id: audience.audience.handle for audience in compared.run.audiences}
    found = [("before repair", comparison) for comparison in compared.comparisons.values()]
    if done is not None:
        found += [("after repair", item.after) for item in done.results.values() if item.after]
    count = write_differences(
        path,
        (
            (
                keys[comparison.audience_id],
                when,
                comparison,
                ledger.read(differences, DifferenceFilter(comparison.id)),
            )
            for when, comparison in found
        ),
        exact=exact,
    )
    where = "the standard output" if str(path) == "-" else path
    say(f"{plural(count, 'difference')} written to {where}.", err=True)
