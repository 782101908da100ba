"""The sources of a live session: paths, the standard input, webhooks, queries."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from amp_console.cli.resources import connection_store, keyring, open_warehouse
from amp_console.cli.session_log import SessionEvent
from amp_console.connections import Connection
from amp_console.ledger import Ledger
from amp_console.sync.connection_options import read_options
from amp_console.sync.ingest.stream import StreamIngestor
from amp_console.sync.sources.protocols import EventStream
from amp_console.sync.sources.registry import open_stream

if TYPE_CHECKING:
    from amp_console.cli.live_session import LiveCommand
    from amp_console.sync.sources.warehouse import Engine


def path_source(
    connection: Connection, ledger: Ledger, paths: Sequence[str], every: float | None = None
) -> EventStream:
    """Return a source that follows these paths and buckets, the latter listed `every` seconds.

    Raises `UnreadableSource`.
    """
    return open_stream(paths, StreamIngestor(ledger, read_options(connection)), every=every)


def query_source(
    connection: Connection, ledger: Ledger, names: Sequence[str], every: float | None
) -> EventStream:
    """Return a source that refreshes audiences by query, `every` so many seconds.

    The settings are read again each time: a source may be added again, with another password.
    """
    from amp_console.sync.sources.warehouse.stream import RefreshOptions, open_queries

    store = connection_store()

    def opened(name: str) -> "Engine":
        return open_warehouse(store.pick(connection.name), name)

    options = RefreshOptions() if every is None else RefreshOptions(interval=every)
    return open_queries(ledger, names, opened, options)


def webhook_source(
    connection: Connection,
    ledger: Ledger,
    live: "LiveCommand",
    host: str,
    port: int,
    *,
    single_events: bool,
) -> EventStream:
    """Listen for webhooks at once; return the source. Raises `CannotBind` and `KeysError`."""
    from amp_console.connections import find_webhook_secret
    from amp_console.sync.sources.webhook import Receiver, ReceiverOptions, check_host

    secret = find_webhook_secret(connection, os.environ, keyring())
    check_host(host, secret)
    options = ReceiverOptions(host=host, port=port, secret=secret, single_events=single_events)
    ingestor = StreamIngestor(ledger, read_options(connection))
    source = Receiver(ingestor, options, more_routes=live.receiver_routes())
    source.open()
    live.log.write(SessionEvent.LISTENING, f"Listening on {options.url}", url=options.url)
    return source
