"""`amp-console listen`: cohorts that follow the events that Segment's webhooks bring."""

from typing import TYPE_CHECKING

import click

from amp_console.cli.options import connection_option, json_option

if TYPE_CHECKING:
    from amp_console.sync.live import Live
    from amp_console.values import Secret

SECRET = "AMP_CONSOLE_WEBHOOK_SECRET"  # noqa: S105  # the variable's name


@click.command()
@click.option("--create", is_flag=True, help="Make cohorts for audiences that have none.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8766, show_default=True, help="The port."
)
@click.option(
    "--flush-seconds",
    type=click.FloatRange(0.1, 3600),
    default=5.0,
    show_default=True,
    help="Deliver this long after the first change.",
)
@json_option
@connection_option
def listen(
    create: bool,
    host: str,
    port: int,
    flush_seconds: float,
    as_json: bool,
    connection: str | None,
) -> int:
    """Receive events of Segment's Webhooks (Actions) destination, until Ctrl-C.

    POST / takes an event or an array of events, and answers 2xx once they are in the ledger. The
    shared secret of the destination is taken from AMP_CONSOLE_WEBHOOK_SECRET; without one only
    this machine can reach it. GET /healthz says that it is there.
    """
    from amp_console.cli.living import run_live
    from amp_console.cli.workplace import keys_of, workplace
    from amp_console.sync.feed import Feed
    from amp_console.sync.live import LiveWish
    from amp_console.sync.read_only import guard
    from amp_console.sync.receiver import Receiver, check_host

    secret = _secret()
    check_host(host, secret)
    with workplace(connection) as place:
        guard(place.connection, "Nothing was opened.")
        credentials = keys_of(place.connection)
        feed = Feed(place.ledger, place.read_options())

        async def source(live: "Live") -> None:
            click.echo(f"Listening on http://{host}:{port}/", err=True)
            await Receiver(feed, secret).follow(live, host, port)

        wish = LiveWish(flush_seconds=flush_seconds, create=create)
        return run_live(place, place.client(credentials), wish, source, as_json=as_json)


def _secret() -> "Secret | None":
    import os

    from amp_console.values import Secret

    text = os.environ.get(SECRET, "").strip()
    return Secret(text) if text else None
