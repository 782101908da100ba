"""Where a live session of a command gets its events: paths, the standard input, webhooks."""

import os
import sys
from collections.abc import Sequence

import click

from amp_console.cli.output import say
from amp_console.cli.workplace import vault
from amp_console.connections import find_webhook_secret
from amp_console.sync.feed import Feed
from amp_console.sync.live import EventSource
from amp_console.sync.live_sources import PathSource, StreamSource
from amp_console.sync.receiver import Receiver, ReceiverOptions, check_host
from amp_console.sync.watching import Watching, readable
from amp_console.sync.workplace import Workplace

STDIN = "-"


def path_source(place: Workplace, paths: Sequence[str]) -> EventSource:
    """Follow these paths; raises `UnreadableSource` and `UsageError`."""
    feed = Feed(place.ledger, place.read_options())
    if STDIN not in paths:
        return PathSource(Watching(feed, readable(paths)))
    if len(paths) > 1:
        raise click.UsageError("Standard input (-) can't be combined with other paths.")
    return StreamSource(feed, sys.stdin.buffer, "stdin")


def webhook_source(place: Workplace, host: str, port: int, *, single_events: bool) -> EventSource:
    """Listen for webhooks, at once; raises `CannotBind` and `KeysError`."""
    secret = find_webhook_secret(place.connection, os.environ, vault())
    check_host(host, secret)
    options = ReceiverOptions(host=host, port=port, secret=secret, single_events=single_events)
    source = Receiver(Feed(place.ledger, place.read_options()), options)
    source.open()
    say(f"Listening on {options.url}", err=True)
    return source
