"""`amp-console listen`: cohorts that follow the events that Segment's webhooks bring."""

import click

from amp_console.cli.options import connection_option, json_option


@click.command()
@click.option(
    "--save-secret", is_flag=True, help="Ask for the shared secret, keep it in the keyring, end."
)
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
@click.option(
    "--single-events",
    is_flag=True,
    help="Refuse arrays: of an array only the first event is signed.",
)
@json_option
@connection_option
def listen(
    save_secret: bool,
    create: bool,
    host: str,
    port: int,
    flush_seconds: float,
    single_events: bool,
    as_json: bool,
    connection: str | None,
) -> int:
    """Receive events of Segment's Webhooks (Actions) destination, until Ctrl-C.

    POST / takes an event or one array of events, and answers 2xx once they are in the ledger. The
    shared secret of the destination is kept in the keyring (--save-secret), or taken from
    AMP_CONSOLE_WEBHOOK_SECRET; without one only this machine can reach it. GET /healthz says that
    it is there.
    """
    import os

    from amp_console.cli.living import run_live
    from amp_console.cli.workplace import keys_of, vault, workplace
    from amp_console.connections import find_webhook_secret
    from amp_console.sync.feed import Feed
    from amp_console.sync.follower import LiveWish
    from amp_console.sync.read_only import guard
    from amp_console.sync.receiver import Receiver, ReceiverOptions, check_host

    if save_secret:
        return _save_secret(connection)
    with workplace(connection) as place:
        secret = find_webhook_secret(place.connection, os.environ, vault())
        check_host(host, secret)
        guard(place.connection, "Nothing was opened.")
        credentials = keys_of(place.connection)
        feed = Feed(place.ledger, place.read_options())
        options = ReceiverOptions(host=host, port=port, secret=secret, single_events=single_events)
        source = Receiver(feed, options)
        source.open()
        click.echo(f"Listening on {options.url}", err=True)
        wish = LiveWish(flush_seconds=flush_seconds, create=create)
        return run_live(place, place.client(credentials), wish, source, as_json=as_json)


def _save_secret(name: str | None) -> int:
    """Keep the secret that is typed, hidden, or stands in a line on stdin."""
    import sys

    from amp_console.cli.workplace import book, vault
    from amp_console.connections import checked_secret, store_webhook_secret

    pages = book()
    pages.check_writable()
    connection = pages.pick(name)
    is_typed = sys.stdin.isatty()
    text = click.prompt("Shared secret", hide_input=True) if is_typed else sys.stdin.readline()
    try:
        secret = checked_secret(text)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    ring = vault()
    store_webhook_secret(pages, ring, connection, secret)
    click.echo(f"The shared secret is in your keyring ({ring.backend_name()}).")
    return 0
