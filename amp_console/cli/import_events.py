"""`amp-console import`: read event files and buckets into the ledger; nothing is sent."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from amp_console.cli.options import connection_option
from amp_console.cli.output import ask, say

if TYPE_CHECKING:
    from amp_console.ledger import Ledger
    from amp_console.sync.ingest.snapshot import SnapshotReader, SnapshotReport


@click.command("import")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--audience",
    metavar="KEY",
    help="Import only this audience. An audience's CSV download needs it.",
)
@click.option(
    "--snapshot",
    is_flag=True,
    help="The CSV download is complete: members it does not list have left.",
)
@click.option(
    "--allow-incomplete",
    is_flag=True,
    help="Remove members even if the snapshot is incomplete.",
)
@click.option("--yes", is_flag=True, help="Confirm a snapshot that removes many members.")
@click.option(
    "--taken-at",
    metavar="TIME",
    help="Time of the CSV download (ISO 8601; local time without an offset).",
)
@click.option("--user-id-column", metavar="NAME", help="Column with the User IDs.")
@click.option("--amplitude-id-column", metavar="NAME", help="Column with the Amplitude IDs.")
@connection_option
def import_events(
    paths: tuple[str, ...],
    audience: str | None,
    snapshot: bool,
    allow_incomplete: bool,
    yes: bool,
    taken_at: str | None,
    user_id_column: str | None,
    amplitude_id_column: str | None,
    connection_name: str | None,
) -> int:
    """Import files of Engage events ("-" is stdin), or a bucket. Nothing is sent.

    It reads NDJSON (also .gz), JSON arrays, the CSV of the AWS S3 destination, and an audience's
    CSV download. Reading a file again changes nothing. In a bucket (s3://BUCKET/PREFIX, also gs://
    and az://), each object is read once.

    Several files with --snapshot are the parts of one download. A snapshot that removes more than a
    fifth of the audience has to be confirmed.
    """
    import msgspec

    from amp_console.cli.importing import describe, exit_of, read_events
    from amp_console.cli.resources import open_connection
    from amp_console.sync.connection_options import read_options
    from amp_console.sync.ingest.snapshot import SnapshotReader

    if snapshot and not audience:
        raise click.UsageError(
            "--snapshot needs --audience KEY: a snapshot lists the members of one audience."
        )
    with open_connection(connection_name) as (connection, ledger):
        options = read_options(
            connection,
            **_chosen(ledger, audience),
            taken_at=_microseconds(taken_at),
            user_id_column=user_id_column,
            amplitude_id_column=amplitude_id_column,
        )
        reader = SnapshotReader(ledger, allow_incomplete=allow_incomplete)
        report = read_events(ledger, paths, options, snapshot=reader if snapshot else None)
        if report.snapshot:
            decided = _decided(reader, report.snapshot, yes=yes)
            report = msgspec.structs.replace(report, snapshot=decided)
    say(*describe(report))
    return exit_of(report)


def _decided(reader: "SnapshotReader", report: "SnapshotReport", *, yes: bool) -> "SnapshotReport":
    """Have a snapshot that removes many members confirmed, and apply it."""
    from amp_console.cli.delivering import is_interactive
    from amp_console.sync.ingest.snapshot import SnapshotState
    from amp_console.text import clean

    while report.state is SnapshotState.ASKS and report.removal is not None:
        say(clean(report.question(), 300), err=True)
        if not yes and not is_interactive():
            say("To confirm in advance, add --yes.", err=True)
            return reader.decline(report.removal)
        if not yes and not ask("Remove them?"):
            return reader.decline(report.removal)
        report = reader.confirm(report.removal)
    return report


def _chosen(ledger: "Ledger", name: str | None) -> dict[str, object]:
    """The read options that keep only the named audience."""
    from amp_console.sync.connection_options import audience_options

    return ledger.read(audience_options, name) if name else {}


def _microseconds(text: str | None) -> int | None:
    from amp_console.engage.timestamps import read_download_time

    if text is None:
        return None
    try:
        moment = read_download_time(text, datetime.now(UTC))
    except ValueError as error:
        raise click.UsageError(f"--taken-at {error}") from None
    say(f"Taken at {moment.isoformat()}.", err=True)
    return round(moment.timestamp() * 1_000_000)
