"""`amp-console watch`: cohorts that follow files and buckets, or are refreshed from queries."""

import math
from typing import TYPE_CHECKING

import click

from amp_console.cli.options import (
    connection_option,
    every_option,
    is_given,
    live_options,
    read_service_options,
    receiver_options,
    service_options,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from amp_console.connections import Connection
    from amp_console.ledger import Ledger
    from amp_console.sync.sources.protocols import EventStream

RECEIVERS_OWN = ("host", "port", "single_events")


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@live_options
@every_option
@click.option(
    "--listen", "is_listening", is_flag=True, help="Also receive webhooks in this session."
)
@receiver_options
@service_options
@connection_option
def watch(
    paths: tuple[str, ...],
    create: bool,
    remove: bool,
    flush_seconds: float,
    every: float | None,
    is_listening: bool,
    host: str,
    port: int,
    single_events: bool,
    metrics_host: str,
    metrics_port: int | None,
    log_format: str,
    as_json: bool,
    connection_name: str | None,
) -> int:
    """Follow files and buckets, and keep cohorts up to date.

    PATH is a file, a folder, a bucket (s3://BUCKET/PREFIX, also gs:// and az://), or "-" for stdin.
    If no such file exists, it can also be the name of a warehouse source, or of an audience with a
    query.

    The session runs until Ctrl-C. It reads each line and each object once, even across restarts,
    and updates the cohorts seconds later. Queries run at an interval; a refresh that needs
    confirmation waits for `amp-console refresh`.

    Audiences without a cohort wait, unless you add --create. Large removals wait for
    `amp-console sync`, unless you add --allow-large-removals.

    With --listen, the session also receives Segment's webhooks, as `amp-console listen` does. With
    --metrics-port, it serves Prometheus metrics and health checks.
    """
    from amp_console.cli.exits import Exit
    from amp_console.cli.live_session import LiveCommand, run_logged
    from amp_console.cli.resources import keys_of, open_connection
    from amp_console.cli.session_log import SessionLog
    from amp_console.cli.sources import path_source, query_source, webhook_source
    from amp_console.connections.read_only import guard
    from amp_console.sync.connection_options import client_for
    from amp_console.sync.delivery.context import RunContext
    from amp_console.sync.live.options import LiveOptions

    _check_options(is_listening=is_listening)
    service = read_service_options(metrics_host, metrics_port, log_format, as_json=as_json)

    def run(log: SessionLog) -> Exit:
        with open_connection(connection_name) as (connection, ledger):
            names = _names_of_queries(connection, ledger, paths)
            followed = [path for path in paths if path not in names]
            if not names:
                _check_interval(followed, every)
            guard(connection, "Nothing was read or sent.")
            credentials = keys_of(connection)
            # A query that returns the same rows again is not worth a line; a failure is reported
            # anyway.
            has_events = followed or is_listening
            silence = LiveOptions().silence + (every or 0) if has_events else math.inf
            options = LiveOptions(
                flush_seconds=flush_seconds, create=create, remove=remove, silence=silence
            )
            context = RunContext(connection, ledger, client_for(connection, credentials))
            live = LiveCommand(context, options, service, log)

            def sources() -> "Iterator[EventStream]":
                if followed:
                    yield path_source(connection, ledger, followed, every)
                if names:
                    yield query_source(connection, ledger, names, every)
                if is_listening:
                    yield webhook_source(
                        connection, ledger, live, host, port, single_events=single_events
                    )

            return live.run(sources)

    return run_logged(service, run)


def _names_of_queries(
    connection: "Connection", ledger: "Ledger", paths: tuple[str, ...]
) -> list[str]:
    """The arguments that name sources or audiences with a query; an existing path is a path."""
    import os

    absent = [path for path in paths if not os.path.exists(path)]  # noqa: PTH110  # never raises
    if not absent:
        return []
    from amp_console.sync.sources.warehouse.stream import is_refreshed

    found = [path for path in absent if ledger.read(is_refreshed, path)]
    for source in connection.sources:
        if source.name in absent and source.name not in found:
            raise click.UsageError(
                f"No audience is refreshed from {source.name}. To give one a query: "
                f"amp-console audience KEY --source {source.name} --query SQL"
            )
    return found


def _check_interval(paths: list[str], every: float | None) -> None:
    """Refuse an interval if nothing is polled."""
    from amp_console.sync.sources.registry import is_polled

    if every is not None and not any(map(is_polled, paths)):
        raise click.UsageError(
            "--every needs the address of a bucket, such as s3://BUCKET/PREFIX, or the name of a "
            "source or of an audience with a query."
        )


def _check_options(*, is_listening: bool) -> None:
    """Refuse options of a receiver if there is none: they would have no effect."""
    given = [name for name in RECEIVERS_OWN if is_given(name)]
    if given and not is_listening:
        raise click.UsageError(f"--{given[0].replace('_', '-')} needs --listen.")
