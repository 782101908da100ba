"""`amp-console demo`: a whole sync against a simulated Amplitude; leaves nothing behind."""

import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from amp_console.cli.exits import Exit
from amp_console.cli.options import common, console_options
from amp_console.cli.output import say

if TYPE_CHECKING:
    from collections.abc import Callable

    from amp_console.console import Tour
    from amp_console.demo import SimulatedSession
    from amp_console.ledger import Ledger
    from amp_console.simulator import Simulator, Truth


NEXT = (
    "Nothing is left behind. To try next:",
    "  amp-console demo            the console on a simulated Amplitude, with trouble on request",
    "  amp-console connect --help  how to connect your own project",
)


@click.command()
@click.option("--headless", is_flag=True, help="Run one complete sync without a screen.")
@click.option(
    "--events",
    type=click.IntRange(1),
    metavar="NUMBER",
    default=20_000,
    show_default=True,
    help="Events to generate, with --headless.",
)
@click.option(
    "--seed",
    type=int,
    metavar="NUMBER",
    default=1,
    show_default=True,
    help="Generate different people.",
)
@click.option("--fast", is_flag=True, help="Answer quickly, and change members more often.")
@click.option("--faults", is_flag=True, help="Cause trouble now and then.")
@click.option("--tour", is_flag=True, help="Show a sync, a retry, a repair and a live session.")
@click.option("--web", is_flag=True, help="Show the demo in a browser, on this machine only.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    metavar="PORT",
    default=8_642,
    show_default=True,
    help="Port of the page, with --web.",
)
@console_options
def demo(
    headless: bool,
    events: int,
    seed: int,
    fast: bool,
    faults: bool,
    tour: bool,
    web: bool,
    port: int,
) -> int:
    """Open the console on a simulated Amplitude.

    It needs no account, no keys and no network. It has six audiences whose members change; press !
    to cause trouble. Nothing is left behind.

    With --tour, the console presses its own keys for three minutes: a sync, a retry, a repair and a
    live session. Space pauses the tour, Enter goes to the next step, Esc ends it.

    With --web, the demo is a web page on this machine, at --port (0: any free port). It needs the
    extra "web".

    With --headless, there is no screen: the demo generates events, imports them, and delivers them
    with some trouble on the way. Then it compares every cohort with the events.
    """
    if tour and (headless or common().read_only):
        raise click.UsageError("The tour shows a sync: leave out --headless and --read-only.")
    if web:
        if headless:
            raise click.UsageError("Choose one of --web and --headless.")
        return _serve(port, seed, fast=fast, faults=faults, has_tour=tour)
    if not headless:
        return _open_console(seed, fast=fast, faults=faults, has_tour=tour)
    from amp_console.simulator import Simulator, World

    with (
        tempfile.TemporaryDirectory(prefix="amp-console-demo-") as folder,
        Simulator(World()) as simulator,
    ):
        return _run_headless(Path(folder), simulator, events, seed)


def _open_console(seed: int, *, fast: bool, faults: bool, has_tour: bool) -> int:
    if not (_is_in_browser() or (sys.stdin.isatty() and sys.stdout.isatty())):
        say("The demo needs a terminal. Without one, use --web or --headless.", err=True)
        return Exit.MISUSE
    from amp_console.demo import SimulatedSession

    _clean_up_on_signals()
    given = common()
    with SimulatedSession(seed=seed, fast=fast, faults=faults) as session:
        from amp_console.console import LaunchOptions
        from amp_console.console.main import run

        tour = _tour(session, fast=fast) if has_tour else None
        options = LaunchOptions(
            read_only=given.read_only, ascii_only=given.ascii_only, theme=given.theme, tour=tour
        )
        try:
            return run(session.environment, options)
        finally:
            _on_signals(signal.SIG_IGN)  # a second signal must not interrupt the removal


def _is_in_browser() -> bool:
    """Whether textual-serve has started this process for a page."""
    return os.environ.get("TEXTUAL_DRIVER", "").startswith("textual.drivers.web_driver:")


def _serve(port: int, seed: int, *, fast: bool, faults: bool, has_tour: bool) -> int:
    try:
        from amp_console.demo.web import WebServer
    except ImportError:
        say(
            "The demo in a browser needs textual-serve, which is not installed. Install it with: "
            "pip install 'amp-console[web]'",
            err=True,
        )
        return Exit.MISUSE
    given = common()
    arguments = ["demo", "--seed", str(seed)]
    flags = {
        "--fast": fast,
        "--faults": faults,
        "--tour": has_tour,
        "--read-only": given.read_only,
        "--ascii": given.ascii_only,
    }
    arguments += [flag for flag, is_given in flags.items() if is_given]
    if given.theme:
        arguments += ["--theme", given.theme]
    try:
        server = WebServer(arguments, port=port)
    except OSError as error:
        say(f"Port {port} can't be used ({error.strerror}). Choose another with --port.", err=True)
        return Exit.MISUSE
    server.run(
        lambda: say(
            f"The demo is at {server.public_url}, for this machine only. "
            "Each visit opens a separate demo. Ctrl-C ends them all."
        )
    )
    return 0


def _tour(session: "SimulatedSession", *, fast: bool) -> "Tour":
    import asyncio

    from amp_console.demo.guided_tour import GuidedTour
    from amp_console.demo.tour import tour_steps

    async def rest(seconds: float) -> None:
        await asyncio.sleep(seconds / 2 if fast else seconds)

    return GuidedTour(tour_steps(session.make_ghosts_known), session.wait, rest=rest)


def _clean_up_on_signals() -> None:
    """Leave nothing behind if a signal arrives before the console is open."""

    def leave(number: int, _: object) -> None:
        _on_signals(signal.SIG_IGN)
        sys.exit(128 + number)

    _on_signals(leave)


def _on_signals(handler: "Callable[[int, object], None] | signal.Handlers") -> None:
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):  # Windows has no SIGHUP
            signal.signal(getattr(signal, name), handler)


def _run_headless(folder: Path, simulator: "Simulator", events: int, seed: int) -> int:
    from amp_console.amplitude.client import AmplitudeClient
    from amp_console.cli import delivering
    from amp_console.cli.importing import describe, read_events
    from amp_console.connections import Connection
    from amp_console.engage import FieldMapping, ReadOptions
    from amp_console.ledger import open_ledger
    from amp_console.ledger.audiences import all_audiences
    from amp_console.ledger.rejected import rejection_groups
    from amp_console.simulator import Answer, Call, Reset, demo_scenario, write_file
    from amp_console.sync.delivery.plan import plan_sync

    say(f"A simulated Amplitude listens on {simulator.base_url}.")
    scenario = demo_scenario(seed, events=events, users=max(10, events * 2 // 5))
    file = folder / "events.ndjson"
    truth = write_file(file, scenario)
    say(f"Wrote {events:,} Engage events, some of them late, duplicated or broken.")
    connection = Connection(
        name="demo",
        app_id=simulator.world.app_id,
        owner_email="ana@acme.example",
        base_url=simulator.base_url,
    )
    simulator.faults.add(Answer(429, retry_after="1"), Call.MEMBERSHIP, every=5)
    simulator.faults.once(Reset(applied=True), Call.UPLOAD)
    with open_ledger(folder / "demo.db") as ledger:
        imported = read_events(ledger, [str(file)], ReadOptions(mapping=FieldMapping.parse()))
        plan = ledger.read(plan_sync, connection, ledger.read(all_audiences))
        read = describe(imported, has_commands=False)
        say(*read, "", *delivering.plan_lines(plan), "")
        client = AmplitudeClient(simulator.base_url, simulator.credentials)
        report = delivering.run_plan(plan, connection, ledger, client, imported.tally)
        say(*delivering.report_lines(report, imported.tally, has_commands=False))
        for group in ledger.read(rejection_groups):
            say(f"  failed: {group.audience_name}: {group.reason} ({group.count:,})")
        wrong = _differences(simulator, truth, ledger)
    if wrong:
        say(f"These cohorts differ from the events: {', '.join(wrong)}.")
        return Exit.STOPPED
    say("Every cohort contains exactly the members that are in the events and known to Amplitude.")
    say(*NEXT)
    return 0


def _differences(simulator: "Simulator", truth: "Truth", ledger: "Ledger") -> list[str]:
    """The names of audiences whose cohort differs from the events in a user Amplitude knows."""
    from amp_console.ledger.audiences import all_audiences

    wrong = []
    for audience in ledger.read(all_audiences):
        expected = {id_ for id_ in truth.members[audience.key] if not id_.startswith("ghost-")}
        is_there = audience.cohort_id is not None
        if expected != (simulator.world.members(audience.cohort_id or "") if is_there else set()):
            wrong.append(audience.name)
    return wrong
