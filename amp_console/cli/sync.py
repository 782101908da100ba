"""`amp-console sync`: from what is wanted to what is delivered."""

from typing import TYPE_CHECKING

import click

from amp_console.cli.exits import Exit
from amp_console.cli.options import connection_option, json_option
from amp_console.cli.output import say

if TYPE_CHECKING:
    from amp_console.cli.workspace import Workspace
    from amp_console.ledger.audiences import Audience
    from amp_console.sync.ingest.importer import ImportReport


@click.command()
@click.argument("audiences", nargs=-1, metavar="[AUDIENCE]...")
@click.option(
    "--from", "paths", multiple=True, metavar="PATH", help='Read this first ("-": stdin).'
)
@click.option("--dry-run", is_flag=True, help="Show the plan and send nothing.")
@click.option("--yes", is_flag=True, help="Confirm the plan beforehand.")
@click.option("--now", is_flag=True, help="Send even if Amplitude asked to wait.")
@json_option
@connection_option
def sync(
    audiences: tuple[str, ...],
    paths: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    now: bool,
    as_json: bool,
    connection: str | None,
) -> int:
    """Deliver what is pending to Amplitude.

    Without names it takes every enabled audience; with --from, those of the files. A plan that
    creates cohorts, or removes more than half of a cohort's members, must be confirmed.
    """
    from amp_console.cli import documents, running
    from amp_console.cli.reading import describe, read_events
    from amp_console.cli.workspace import keys_of, workplace
    from amp_console.connections.read_only import guard
    from amp_console.ledger.holds import release
    from amp_console.sync.delivery.plan import draw_up

    with workplace(connection) as place:
        credentials = None if dry_run else keys_of(place.connection)
        intake = read_events(place.ledger, paths, place.read_options())
        for line in describe(intake) if paths else ():
            say(line, err=True)
        chosen = _chosen(place, audiences, intake if paths else None)
        plan = place.ledger.read(draw_up, place.connection, chosen)
        if credentials is None:
            _show_plan(
                documents.plan_document(plan, intake.tally), running.plan_lines(plan), as_json
            )
            return _worse(Exit.DELIVERED, intake)
        if not running.is_agreed(plan, yes=yes):
            return Exit.MISUSE
        guard(place.connection, "Nothing was sent.")
        if now:
            place.ledger.write(release, [audience.audience_id for audience in plan.audiences])
        client = place.client(credentials)
        report = running.run_plan(plan, place.connection, place.ledger, client, intake.tally)
    if as_json:
        documents.print_document(documents.sync_document(report, plan, intake.tally))
    else:
        for line in running.report_lines(report, intake.tally):
            say(line)
    return _worse(running.exit_of(report), intake)


def _chosen(
    place: "Workspace", names: tuple[str, ...], intake: "ImportReport | None"
) -> "list[Audience]":
    from amp_console.ledger.audiences import all_audiences, find_audience

    if names:
        named = [place.ledger.read(find_audience, name) for name in dict.fromkeys(names)]
        off = [item.handle for item in named if not item.enabled]
        if off:
            raise click.UsageError(
                f"{', '.join(off)}: switched off. Switch it on with: "
                f"amp-console audience {off[0]} --enable"
            )
        return named
    enabled = [audience for audience in place.ledger.read(all_audiences) if audience.enabled]
    if intake is None:
        return enabled
    return [item for item in enabled if item.id in intake.audience_ids]


def _show_plan(document: object, lines: list[str], as_json: bool) -> None:
    from amp_console.cli.documents import print_document

    if as_json:
        print_document(document)
        return
    for line in lines:
        say(line)
    say("This is what would be sent. Nothing was.")


def _worse(status: Exit, intake: "ImportReport") -> Exit:
    """Input that could not be read outweighs what went well."""
    if status not in {Exit.DELIVERED, Exit.PARTIAL}:
        return status
    return Exit.MISUSE if intake.unreadable else Exit.PARTIAL if intake.nothing_taken else status
