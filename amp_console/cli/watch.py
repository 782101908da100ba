"""`amp-console watch`: cohorts that follow the files in which events arrive."""

from typing import TYPE_CHECKING

import click

from amp_console.cli.options import connection_option, json_option

if TYPE_CHECKING:
    from amp_console.sync.live import EventSource


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--create", is_flag=True, help="Make cohorts for audiences that have none.")
@click.option(
    "--flush-seconds",
    type=click.FloatRange(0.1, 3600),
    default=5.0,
    show_default=True,
    help="Deliver this long after the first change.",
)
@json_option
@connection_option
def watch(
    paths: tuple[str, ...],
    create: bool,
    flush_seconds: float,
    as_json: bool,
    connection: str | None,
) -> int:
    """Follow files that grow and folders in which files appear ("-": stdin), until Ctrl-C.

    Each line is read once, across restarts too, and is in its cohort seconds later. Audiences
    that have no cohort yet wait, unless --create allows to make theirs.
    """
    import sys

    from amp_console.cli.living import run_live
    from amp_console.cli.workplace import keys_of, workplace
    from amp_console.sync.feed import Feed
    from amp_console.sync.follower import LiveWish
    from amp_console.sync.live_sources import PathSource, StreamSource
    from amp_console.sync.read_only import guard
    from amp_console.sync.watching import Watching, readable

    is_stream = "-" in paths
    if is_stream and len(paths) > 1:
        raise click.UsageError("The standard input (-) is followed alone, without other paths.")
    with workplace(connection) as place:
        guard(place.connection, "Nothing was read or sent.")
        credentials = keys_of(place.connection)
        feed = Feed(place.ledger, place.read_options())
        source: EventSource
        if is_stream:
            source = StreamSource(feed, sys.stdin.buffer, "stdin")
        else:
            source = PathSource(Watching(feed, readable(paths)))
        wish = LiveWish(flush_seconds=flush_seconds, create=create)
        return run_live(place, place.client(credentials), wish, source, as_json=as_json)
