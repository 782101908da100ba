"""How quick the start is, measured from outside: commands, and the console's first paint.

    python tests/benchmarks/start_up.py [rounds]

Printed are medians. For commands that read nothing, or nothing but the ledger, they are the
process time (user + system seconds), beside a bare interpreter's; 0.25 s is the limit. For the
first paint, in a pseudo-terminal, they are the process time and the time on the clock until a text
of the first screen comes, beside those of an application with one widget; 0.5 s is the limit on a
machine that does nothing else.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from amp_console.connections import Connection, ConnectionStore, Folders
from amp_console.ledger import open_ledger
from amp_console.sync.connection_options import read_options
from amp_console.sync.ingest.importer import Importer
from amp_console.sync.sources.registry import open_reader
from tests.benchmarks.rows import show_row
from tests.console.terminal import Terminal
from tests.sync.workspace import OWNER, event

MODULE = ("-m", "amp_console")
COMMANDS = (
    "--version",
    "--help",
    "audiences",
    "errors",
    "errors --json",
    "runs",
    "person ana",
    "connections",
)
ONE_WIDGET = """
from textual.app import App
from textual.widgets import Static

class OneWidget(App):
    def compose(self):
        yield Static("the only widget")

OneWidget().run()
"""


class Start(NamedTuple):
    """A start: process time and time on the clock, in seconds."""

    process: float
    clock: float


def command(arguments: Sequence[str], environ: Mapping[str, str]) -> Start:
    """Run Python with these arguments, to its end."""
    begun = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.DEVNULL, env=environ
    ) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, arguments
    return Start(usage.ru_utime + usage.ru_stime, time.perf_counter() - begun)


def first_paint(arguments: Sequence[str], environ: Mapping[str, str], text: str) -> Start:
    """Run Python with these arguments in a terminal, until a text has come."""
    with Terminal([sys.executable, *arguments], environment=environ) as terminal:
        while text.encode() not in terminal.transcript:  # the emulation is not measured
            assert terminal.read(60.0), terminal.picture
        clock = time.perf_counter() - terminal.started
        process = time.clock_gettime((~terminal.process.pid << 3) | 2)  # its own clock (Linux)
        terminal.type("ctrl+q", "y")
        terminal.ended()
    return Start(process, clock)


def show(name: str, rounds: int, measure: Callable[[], Start]) -> Start:
    """Print and return the medians of some rounds."""
    measure()  # compiles
    starts = [measure() for _ in range(rounds)]
    median = Start(
        statistics.median(start.process for start in starts),
        statistics.median(start.clock for start in starts),
    )
    print(f"{name:<40} process {median.process:.3f} s   clock {median.clock:.3f} s")
    return median


def prepare(home: Path) -> None:
    """Make a home with one connection, and one audience in its ledger."""
    folders = Folders.locate({"AMP_CONSOLE_HOME": str(home)})
    folders.prepare()
    connection = Connection(name="Acme", app_id=153957, owner_email=OWNER)
    ConnectionStore(folders.config_file).save(connection)
    file = home / "events.ndjson"
    file.write_text(json.dumps(event("ana", True, audience="newsletter")) + "\n")
    with open_ledger(folders.ledger(connection.id)) as ledger:
        Importer(ledger, open_reader, read_options(connection)).run([str(file)])


def main() -> None:
    """Print the medians."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with tempfile.TemporaryDirectory() as name:
        home, empty = Path(name, "home"), Path(name, "empty")
        home.mkdir()
        prepare(home)
        environ = {**os.environ, "AMP_CONSOLE_HOME": str(home)}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program is compiled
        environ["PYTHONPYCACHEPREFIX"] = f"{name}/compiled"
        bare = show("bare interpreter", rounds, partial(command, ("-c", "pass"), environ))
        found = {
            line: show(line, rounds, partial(command, (*MODULE, *line.split()), environ))
            for line in COMMANDS
        }
        show_row(
            "`audiences`, process time",
            f"{found['audiences'].process:.2f} s",
            f"{bare.process:.2f} s by Python that does nothing",
            "0.25 s",
        )
        first = environ | {"AMP_CONSOLE_HOME": str(empty)}
        paints = {}
        for what, arguments, where, text in (
            ("one widget", ("-c", ONE_WIDGET), environ, "the only widget"),
            ("console without a connection: its form", MODULE, first, "API Key"),
            ("console with a connection: its frame", MODULE, environ, "Audiences"),
            ("console with a connection: an audience", MODULE, environ, "newsletter"),
            ("demo: its frame", (*MODULE, "demo"), environ, "Audiences"),
            ("demo: an audience", (*MODULE, "demo"), environ, "High value shoppers"),
        ):
            paints[what] = show(what, rounds, partial(first_paint, arguments, where, text))
        one_widget = paints["one widget"].clock
        for what in ("demo: its frame", "console without a connection: its form"):
            show_row(
                f"first paint of the {what}",
                f"{paints[what].clock:.2f} s",
                f"{one_widget:.2f} s by an application with one widget",
                "0.5 s",
            )


if __name__ == "__main__":
    main()
