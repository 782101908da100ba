"""`amp-console errors`: every user who could not be delivered, and every invalid event."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from amp_console.cli.exits import Exit
from amp_console.cli.options import connection_option, exact_option, is_to_stdout, json_option
from amp_console.cli.output import say

if TYPE_CHECKING:
    from amp_console.cli.documents import ErrorsDocument
    from amp_console.connections import Connection
    from amp_console.ledger import Ledger
    from amp_console.ledger.audiences import Audience
    from amp_console.ledger.sources import InvalidGroup


@click.command()
@click.argument("audience", required=False)
@click.option(
    "--retry", is_flag=True, help="Make rejected users pending again, and deliver them now."
)
@click.option(
    "--csv",
    "csv_file",
    type=click.Path(path_type=Path),
    help='List all of them one by one in a CSV file ("-" is stdout).',
)
@exact_option
@json_option
@connection_option
def errors(
    audience: str | None,
    retry: bool,
    csv_file: Path | None,
    exact: bool,
    as_json: bool,
    connection_name: str | None,
) -> int:
    """List users who were not delivered, and invalid events.

    Users are not delivered if Amplitude rejected them, or if the events lack their IDs.

    In a CSV, a cell that a spreadsheet would run as a formula (it begins with =, +, - or @) gets
    an apostrophe in front. --exact writes cells unchanged.
    """
    from amp_console.cli.documents import errors_document, print_document
    from amp_console.cli.resources import open_connection
    from amp_console.ledger.audiences import find_audience
    from amp_console.ledger.rejected import rejected_users
    from amp_console.ledger.sources import invalid_events, invalid_groups

    is_stdout = is_to_stdout("--csv", csv_file, exact=exact, as_json=as_json)
    with open_connection(connection_name) as (connection, ledger):
        only = ledger.read(find_audience, audience) if audience else None
        status = _retry(connection, ledger, only) if retry else Exit.DELIVERED
        rejected = ledger.read(rejected_users, only)
        # The audience of an invalid event is unknown.
        invalid = [] if only else ledger.read(invalid_events)
        groups = [] if only else ledger.read(invalid_groups)
    document = errors_document(rejected, invalid, groups)
    if csv_file:
        from amp_console.sync.queries.errors_export import write_errors_csv

        write_errors_csv(csv_file, rejected, invalid, exact=exact)
    if as_json:
        print_document(document)
    elif csv_file:
        _print_written(document, csv_file, err=is_stdout)
    else:
        _print(document, groups)
    return status


def _retry(connection: "Connection", ledger: "Ledger", only: "Audience | None") -> Exit:
    """Deliver the rejected users again, with everything else pending for their audiences."""
    from amp_console.cli import delivering
    from amp_console.cli.resources import keys_of
    from amp_console.ledger.audiences import all_audiences
    from amp_console.ledger.rejected import RejectedFilter
    from amp_console.ledger.sources import ReadCounts
    from amp_console.sync.connection_options import client_for
    from amp_console.sync.delivery.plan import plan_sync
    from amp_console.sync.delivery.retry import retry

    credentials = keys_of(connection)
    wanted = [only] if only else ledger.read(all_audiences)
    again = [
        item for item in wanted if retry(ledger, connection, RejectedFilter(audience_id=item.id))
    ]
    plan = ledger.read(plan_sync, connection, [item for item in again if item.enabled])
    if not plan.audiences:
        say("There are no rejected users to retry.", err=True)
        for sentence in _under_way(ledger, wanted):
            say(sentence, err=True)
        return Exit.DELIVERED
    if not delivering.is_agreed(plan, yes=False, confirm="run amp-console sync --yes"):
        return Exit.MISUSE
    client = client_for(connection, credentials)
    report = delivering.run_plan(plan, connection, ledger, client, ReadCounts())
    say(*delivering.report_lines(report, ReadCounts()), err=True)
    return delivering.exit_of(report)


def _under_way(ledger: "Ledger", audiences: "list[Audience]") -> "Iterator[str]":
    """Say whose users are pending, perhaps from someone else's retry, and who sends them."""
    from amp_console.ledger.counts import outstanding
    from amp_console.ledger.leases import busy_because
    from amp_console.text import clean, plural

    ids = [item.id for item in audiences]
    held = ledger.read(lambda _: ledger.locks.holds(ids, {})).audiences
    for item in audiences:
        if item.id in held:
            yield f"{clean(item.name)}: {ledger.read(busy_because, item.id)}"
        elif pending := ledger.read(outstanding, item).pending:
            yield (
                f"{clean(item.name)}: {plural(pending, 'change')} pending. "
                "To deliver what is pending: amp-console sync"
            )


def _print_written(document: "ErrorsDocument", csv_file: Path, *, err: bool) -> None:
    from amp_console.text import plural

    say(_summary(document), err=err)
    if not err:
        say(f"Wrote {csv_file}")
    if (listed := len(document.invalid_events)) < document.invalid:
        say(
            f"It lists {listed:,} of the {plural(document.invalid, 'invalid event')}: "
            "amp-console keeps the first 10,000 of each source, and counts the others.",
            err=err,
        )


def _summary(document: "ErrorsDocument") -> str:
    from amp_console.ledger.deliveries import Reason
    from amp_console.sync.formatting import with_missing_ids
    from amp_console.text import plural

    if not document.rejected and not document.invalid:
        return "No errors: no user is rejected and no event is invalid."
    unsent = sum(user.code == Reason.NO_IDENTIFIER for user in document.rejected)
    counts = [plural(len(document.rejected) - unsent, "rejected user")]
    counts += [with_missing_ids(unsent)] if unsent else []
    return ", ".join([*counts, plural(document.invalid, "invalid event")])


def _print(document: "ErrorsDocument", groups: "list[InvalidGroup]") -> None:
    from amp_console.cli.tables import table
    from amp_console.text import local_time

    say(_summary(document))
    users = [(u.audience, u.id, u.operation, u.reason, local_time(u.at)) for u in document.rejected]
    header = ("AUDIENCE", "ID", "OPERATION", "REASON", "AT")
    if users:
        say(*table(header, users, long="AUDIENCE ID REASON"))
    for group in groups:
        _print_group(group)
    if len(document.invalid_events) > sum(len(group.samples) for group in groups):
        say("To list them one by one: amp-console errors --csv FILE (or --json)")


def _print_group(group: "InvalidGroup") -> None:
    from amp_console.text import clean, plural

    sources = f" in {plural(group.sources, 'source')}" if group.sources > 1 else ""
    say(f"{plural(group.count, 'invalid event')}{sources}: {clean(group.reason, 300)}")
    for event in group.samples:
        say(f"  {clean(event.source, 200)}:{event.line}")
    if group.count > len(group.samples):
        say(f"  and {group.count - len(group.samples):,} more")
