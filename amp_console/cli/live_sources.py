"""Where a live session of a command gets its events: paths, the standard input, webhooks."""

import os
import sys
from collections.abc import Sequence

import click

from amp_console.cli.output import say
from amp_console.cli.workspace import Workspace, keyring
from amp_console.connections import find_webhook_secret
from amp_console.sync.ingest.stream import StreamIngestor
from amp_console.sync.sources.protocols import EventStream
from amp_console.sync.sources.streams import PathSource, StreamSource
from amp_console.sync.sources.watcher import Watching, readable
from amp_console.sync.sources.webhook import Receiver, ReceiverOptions, check_host

STDIN = "-"


def path_source(place: Workspace, paths: Sequence[str]) -> EventStream:
    """Follow these paths; raises `UnreadableSource` and `UsageError`."""
    feed = StreamIngestor(place.ledger, place.read_options())
    if STDIN not in paths:
        return PathSource(Watching(feed, readable(paths)))
    if len(paths) > 1:
        raise click.UsageError("Standard input (-) can't be combined with other paths.")
    return StreamSource(feed, sys.stdin.buffer, "stdin")


def webhook_source(place: Workspace, host: str, port: int, *, single_events: bool) -> EventStream:
    """Listen for webhooks, at once; raises `CannotBind` and `KeysError`."""
    secret = find_webhook_secret(place.connection, os.environ, keyring())
    check_host(host, secret)
    options = ReceiverOptions(host=host, port=port, secret=secret, single_events=single_events)
    source = Receiver(StreamIngestor(place.ledger, place.read_options()), options)
    source.open()
    say(f"Listening on {options.url}", err=True)
    return source
