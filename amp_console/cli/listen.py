"""`amp-console listen`: keep cohorts up to date with Segment's webhooks."""

from typing import TYPE_CHECKING

import click

from amp_console.cli.options import (
    connection_option,
    live_options,
    misuse,
    read_service_options,
    receiver_options,
    service_options,
)
from amp_console.cli.output import ask_for, piped, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from amp_console.sync.sources.protocols import EventStream


@click.command()
@click.option(
    "--save-secret",
    is_flag=True,
    help="Save the destination's shared secret in the keyring, then exit.",
)
@live_options
@click.option(
    "--watch",
    "paths",
    multiple=True,
    metavar="PATH",
    help="Also follow this file or folder. Repeatable.",
)
@receiver_options
@service_options
@connection_option
def listen(
    save_secret: bool,
    create: bool,
    remove: bool,
    flush_seconds: float,
    paths: tuple[str, ...],
    host: str,
    port: int,
    single_events: bool,
    metrics_host: str,
    metrics_port: int | None,
    log_format: str,
    as_json: bool,
    connection_name: str | None,
) -> int:
    """Receive Segment's webhooks, and keep cohorts up to date.

    The session runs until Ctrl-C. POST / accepts one event or one array of events, and answers 2xx
    once they are in the ledger.

    The shared secret of the Webhooks (Actions) destination comes from the keyring (--save-secret)
    or from AMP_CONSOLE_WEBHOOK_SECRET. Without one, only this machine can reach the session.

    GET /healthz and /metrics answer while the session runs. With --metrics-port, the metrics are on
    a separate port. With --watch, the session also follows files and folders, as
    `amp-console watch` does.
    """
    from amp_console.cli.exits import Exit
    from amp_console.cli.live_session import LiveCommand, run_logged
    from amp_console.cli.resources import keys_of, open_connection
    from amp_console.cli.session_log import SessionLog
    from amp_console.cli.sources import path_source, webhook_source
    from amp_console.connections.read_only import guard
    from amp_console.sync.connection_options import client_for
    from amp_console.sync.delivery.context import RunContext
    from amp_console.sync.live.options import LiveOptions

    if save_secret:
        return _save_secret(connection_name)
    service = read_service_options(metrics_host, metrics_port, log_format, as_json=as_json)

    def run(log: SessionLog) -> Exit:
        with open_connection(connection_name) as (connection, ledger):
            guard(connection, "The session did not start.")
            credentials = keys_of(connection)
            options = LiveOptions(flush_seconds=flush_seconds, create=create, remove=remove)
            context = RunContext(connection, ledger, client_for(connection, credentials))
            live = LiveCommand(context, options, service, log)

            def sources() -> "Iterator[EventStream]":
                yield webhook_source(
                    connection, ledger, live, host, port, single_events=single_events
                )
                if paths:
                    yield path_source(connection, ledger, paths)

            return live.run(sources)

    return run_logged(service, run)


def _save_secret(name: str | None) -> int:
    """Save the secret from a hidden prompt or from a line on stdin."""
    import sys

    from amp_console.cli.resources import keyring, ledgers, to_change
    from amp_console.connections import checked_secret, store_webhook_secret
    from amp_console.sync.connection_log import log_webhook_secret

    pages, connection = to_change(name)
    is_typed = sys.stdin.isatty()
    text = ask_for("Shared secret", is_hidden=True) if is_typed else piped(is_line=True)
    with misuse():
        secret = checked_secret(text)
    ring = keyring()
    store_webhook_secret(pages, ring, connection, secret)
    log_webhook_secret(ledgers(), connection)
    say(f"The shared secret is in your keyring ({ring.backend_name()}).")
    return 0
