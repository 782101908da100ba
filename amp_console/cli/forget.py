"""`amp-console forget`: answer a deletion request."""

from typing import TYPE_CHECKING

import click

from amp_console.cli.exits import Exit
from amp_console.cli.options import connection_option, json_option
from amp_console.cli.output import piped, say

if TYPE_CHECKING:
    from amp_console.connections import Connection
    from amp_console.ledger import Ledger
    from amp_console.sync.forget import ForgetPlan, ForgetReport


@click.command()
@click.argument("identifiers", nargs=-1, metavar="[ID]...")
@click.option(
    "--id-type",
    type=click.Choice(["user_id", "amplitude_id"]),
    help="Type of the IDs, if the ledger knows them as both.",
)
@click.option(
    "--exact", is_flag=True, help="Forget only these IDs, and none that events paired with them."
)
@click.option("--yes", is_flag=True, help="Confirm the plan in advance.")
@json_option
@connection_option
def forget(
    identifiers: tuple[str, ...],
    id_type: str | None,
    exact: bool,
    yes: bool,
    as_json: bool,
    connection_name: str | None,
) -> int:
    """Remove people from every cohort, then erase them.

    ID is a User ID or an Amplitude ID, exactly as in the events; "-" reads IDs from stdin, one per
    line, so that they stay out of your shell's history. Once Amplitude has confirmed the removals,
    people are erased from the ledger and its backups. Without an ID, this finishes earlier requests
    that are still open.
    """
    from amp_console.cli.documents import forget_document, print_document
    from amp_console.cli.resources import open_connection
    from amp_console.connections.read_only import guard
    from amp_console.ledger.erasures import PairedTooOften
    from amp_console.sync.forget import KEPT, IdTypeUnclear, plan_forget, plan_unfinished
    from amp_console.values import IdType

    ids = _read(identifiers)
    kind = IdType(id_type) if id_type else None
    with open_connection(connection_name) as (connection, ledger):
        guard(connection, KEPT)
        try:
            plan = (
                ledger.read(plan_forget, ids, kind, is_exact=exact)
                if ids
                else ledger.read(plan_unfinished)
            )
        except IdTypeUnclear as error:
            raise click.UsageError(f"{error} Add --id-type user_id or amplitude_id.") from error
        except PairedTooOften as error:
            raise click.UsageError(f"{error} --exact forgets only the IDs you name.") from error
        if not plan.people and not plan.unclean:
            say("All deletion requests are finished. To forget someone: amp-console forget ID")
            return Exit.DELIVERED
        if not yes and not _is_agreed(plan):
            return Exit.MISUSE
        report = _carry_out(plan, connection, ledger)
    if as_json:
        print_document(forget_document(report))
    else:
        _print(report)
    return _exit_of(report)


def _read(identifiers: tuple[str, ...]) -> list[str]:
    """The IDs of the arguments, and those on stdin where one of them is "-".

    Blank lines are skipped. A blank argument is misuse: it is often an unset shell variable.
    """
    ids: list[str] = []
    for identifier in identifiers:
        if identifier == "-":
            text = piped().removeprefix("\ufeff")  # a byte order mark
            lines = (line.rstrip("\r") for line in text.split("\n"))
            ids += (line for line in lines if line and not line.isspace())
        elif not identifier or identifier.isspace():
            raise click.UsageError("An ID is blank. Nothing was changed.")
        else:
            ids.append(identifier)
    if identifiers and not ids:
        raise click.UsageError("stdin contains no ID.")
    return ids


def _is_agreed(plan: "ForgetPlan") -> bool:
    from amp_console.cli.delivering import is_interactive
    from amp_console.cli.output import ask
    from amp_console.sync.forget import plan_sentences

    for sentence in plan_sentences(plan):
        say(sentence, err=True)
    if is_interactive():
        return ask("This can't be undone. Forget them?")
    say("Nothing was changed. To confirm in advance, add --yes.", err=True)
    return False


def _carry_out(plan: "ForgetPlan", connection: "Connection", ledger: "Ledger") -> "ForgetReport":
    import asyncio

    from amp_console.cli.interrupts import until_interrupted
    from amp_console.cli.resources import keys_of, ledgers
    from amp_console.sync.connection_options import client_for
    from amp_console.sync.forget import forget

    left_behind = ledgers().left_behind(connection)
    if not plan.removals:
        return asyncio.run(forget(plan, connection, ledger, None, left_behind=left_behind))
    client = client_for(connection, keys_of(connection))
    return until_interrupted(
        "Removing",
        connection,
        ledger,
        client,
        lambda context: forget(plan, connection, ledger, context, left_behind=left_behind),
    )


def _print(report: "ForgetReport") -> None:
    from amp_console.sync.forget import report_sentences
    from amp_console.text import clean

    for sentence in report_sentences(report):
        say(clean(sentence, 2_000))


def _exit_of(report: "ForgetReport") -> Exit:
    if report.run is not None and report.run.keys_refused:
        return Exit.KEYS
    if not report.is_done:
        return Exit.STOPPED
    return Exit.PARTIAL if report.names or report.copies else Exit.DELIVERED
