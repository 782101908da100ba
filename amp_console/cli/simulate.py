"""`amp-console simulate`: a local Amplitude and Segment to try things against."""

import click

from amp_console.cli.output import say


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    default=8765,
    show_default=True,
    help="Port to listen on; 0 picks a free one.",
)
def simulate(port: int) -> int:
    """Run a simulated Amplitude and Segment on this machine.

    It runs until Ctrl-C, knows every user whose ID does not begin with "ghost-", and forgets
    everything when it ends.
    """
    from amp_console.simulator import Simulator, run_forever
    from amp_console.simulator.segment import PROFILES_TOKEN, SAMPLES, TOKEN

    def welcome(simulator: Simulator) -> None:
        keys = simulator.credentials
        say(f"A simulated Amplitude listens on {simulator.base_url}")
        say(f"  export AMP_CONSOLE_API_KEY={keys.api_key.reveal()}")
        say(f"  export AMP_CONSOLE_SECRET_KEY={keys.secret_key.reveal()}")
        say(
            f"  amp-console connect simulated --app-id {simulator.world.app_id} "
            f"--owner-email ana@acme.example --base-url {simulator.base_url}"
        )
        simulator.segment.audiences = list(SAMPLES)
        say(
            "A simulated Segment space listens there, too. Its tokens are "
            f"{TOKEN.reveal()} and {PROFILES_TOKEN.reveal()}"
        )
        say(
            f"  amp-console segment connect --space {simulator.segment.id} --profiles-token "
            f"--base-url {simulator.base_url}"
        )
        say("Press Ctrl-C to end it.")

    try:
        run_forever(port, on_ready=welcome)
    except OSError as error:
        raise click.UsageError(
            f"Port {port} can't be used ({error.strerror}). Choose another with --port."
        ) from None
    return 0
