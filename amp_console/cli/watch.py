"""`amp-console watch`: cohorts that follow the files and buckets in which events arrive."""

import click

from amp_console.cli.options import (
    connection_option,
    every_option,
    json_option,
    live_options,
    receiver_options,
)

RECEIVERS_OWN = ("host", "port", "single_events")


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@live_options
@every_option
@click.option(
    "--listen", "is_listening", is_flag=True, help="Also receive webhooks in this session."
)
@receiver_options
@json_option
@connection_option
def watch(
    paths: tuple[str, ...],
    create: bool,
    flush_seconds: float,
    every: float | None,
    is_listening: bool,
    host: str,
    port: int,
    single_events: bool,
    as_json: bool,
    connection_name: str | None,
) -> int:
    """Follow growing files, folders and buckets, and keep cohorts up to date.

    PATH is a file, a folder, a bucket (s3://BUCKET/PREFIX, also gs:// and az://) or "-" for stdin.
    The session runs until Ctrl-C. It reads each line and each object once, across restarts too,
    and updates the cohorts seconds later. Audiences without a cohort
    wait, unless you add --create. With --listen the session also receives Segment's webhooks, as
    the command listen does.
    """
    from amp_console.cli.live_session import run_live
    from amp_console.cli.resources import keys_of, open_connection
    from amp_console.cli.sources import path_source, webhook_source
    from amp_console.connections.read_only import guard
    from amp_console.sync.connection_options import client_for
    from amp_console.sync.delivery.context import RunContext
    from amp_console.sync.live.options import LiveOptions
    from amp_console.sync.sources.registry import is_polled
    from amp_console.sync.sources.streams import StreamGroup

    _check_options(is_listening=is_listening)
    if every is not None and not any(map(is_polled, paths)):
        raise click.UsageError("--every needs the address of a bucket, such as s3://BUCKET/PREFIX.")

    with open_connection(connection_name) as (connection, ledger):
        guard(connection, "Nothing was read or sent.")
        credentials = keys_of(connection)
        sources = [path_source(connection, ledger, paths, every)]
        if is_listening:
            source = webhook_source(connection, ledger, host, port, single_events=single_events)
            sources.append(source)
        options = LiveOptions(flush_seconds=flush_seconds, create=create)
        client = client_for(connection, credentials)
        return run_live(
            RunContext(connection, ledger, client), options, StreamGroup(*sources), as_json=as_json
        )


def _check_options(*, is_listening: bool) -> None:
    """Refuse options of a receiver where there is none: they would do nothing."""
    context = click.get_current_context()
    given = [
        name
        for name in RECEIVERS_OWN
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
    ]
    if given and not is_listening:
        raise click.UsageError(f"--{given[0].replace('_', '-')} needs --listen.")
