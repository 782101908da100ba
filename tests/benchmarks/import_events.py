"""Importing a large file, importing it again, gzipped, and quick flips, by whole processes.

    python tests/benchmarks/import_events.py [--events 600000] [--users 240000] [--rounds 3]

The bare loop reads the file line by line, decodes each line with msgspec and keeps the last value
per user in a dict. Ours is `amp-console import FILE`, a whole process with its start: into an empty
ledger, then the same file, then a copy under another name; and the gzipped file into another empty
ledger. The quick flips are 200,000 events of 4,000 people, half of which are reversed at once; they
are synced to a simulated Amplitude that answers without latency, as another whole process.

Printed are seconds (the best of the rounds), processor seconds of all processes that took part,
peak memory of the first one (MiB), and our speed as a share of the bare loop's, in seconds and in
processor seconds: the latter says more where other programs run as well.
"""

import argparse
import gzip
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from amp_console.simulator import Audience, Scenario, Simulator, World, write_file
from tests.benchmarks.rows import show_row
from tests.benchmarks.whole_sync import OURS, last_by_lines, ours, simulator

AUDIENCE = Audience.named("High value shoppers")
FLIPS = Scenario(events=200_000, users=4_000, flips=0.5, audiences=(AUDIENCE,), ghosts=0.0)
COMMAND = (sys.executable, "-c", OURS)


class Figures(NamedTuple):
    """What one way took: seconds, processor seconds, and its peak memory in MiB."""

    seconds: float
    processor: float
    peak: float = 0.0


def bare(file: Path) -> Figures:
    """Run the bare loop."""
    begun, used = time.perf_counter(), time.process_time()
    last_by_lines(file)
    return Figures(time.perf_counter() - begun, time.process_time() - used)


def connected(home: Path) -> dict[str, str]:
    """Make a connection with an empty ledger; return the environment that finds it."""
    with Simulator(World()) as known:
        keys = known.credentials
    environment = {
        **os.environ,
        "AMP_CONSOLE_HOME": str(home),
        "AMP_CONSOLE_API_KEY": keys.api_key.reveal(),
        "AMP_CONSOLE_SECRET_KEY": keys.secret_key.reveal(),
    }
    with simulator() as url:
        options = ["--app-id", "123456", "--owner-email", "ana@acme.example", "--base-url", url]
        command = [*COMMAND, "connect", "bench", *options]
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return environment


def imported(file: Path, environment: dict[str, str]) -> Figures:
    """Run `amp-console import FILE`."""
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [*COMMAND, "import", str(file)],
        check=False, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    seconds, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode in {0, 1}, done.returncode
    peak = next(line for line in done.stdout.splitlines() if line.startswith("VmHWM"))
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Figures(seconds, used, int(peak.split()[1]) / 1024)


def best(found: list[Figures]) -> Figures:
    """The least of each figure, but the most memory."""
    return Figures(
        min(item.seconds for item in found),
        min(item.processor for item in found),
        max(item.peak for item in found),
    )


def main() -> None:
    """Generate the files, run all ways in turn, print what each took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=600_000)
    parser.add_argument("--users", type=int, default=240_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    scenario = Scenario(
        events=options.events, users=options.users, audiences=(AUDIENCE,), ghosts=0.0
    )
    found: dict[str, list[Figures]] = {}
    flips: list[float] = []
    with tempfile.TemporaryDirectory(prefix="amp-console-benchmark-") as folder:
        files = {name: Path(folder) / f"{name}.ndjson" for name in ("events", "copy", "flips")}
        write_file(files["events"], scenario)
        shutil.copy(files["events"], files["copy"])
        packed = Path(folder) / "events.ndjson.gz"
        with files["events"].open("rb") as source, gzip.open(packed, "wb", 6) as target:
            shutil.copyfileobj(source, target, 1 << 20)
        write_file(files["flips"], FLIPS)
        print(f"{options.events:,} events, {files['events'].stat().st_size / 1e6:,.0f} MB")
        for number in range(options.rounds):
            environment = connected(Path(folder) / f"home-{number}")
            ways = {
                "bare loop": bare(files["events"]),
                "first import": imported(files["events"], environment),
                "the same file": imported(files["events"], environment),
                "a copy": imported(files["copy"], environment),
                "gzipped": imported(packed, connected(Path(folder) / f"home-gzipped-{number}")),
            }
            with simulator() as url:
                flips.append(ours(files["flips"], url)[0])
            for name, figures in ways.items():
                found.setdefault(name, []).append(figures)
    loop, first = best(found["bare loop"]), best(found["first import"])
    again, copy = best(found["the same file"]), best(found["a copy"])
    for name, all_figures in found.items():
        seconds, processor, peak = best(all_figures)
        print(
            f"{name}: {seconds:.2f} s, {processor:.2f} s of a processor, peak {peak:.0f} MiB; "
            f"{loop.seconds / seconds:.2f} and {loop.processor / processor:.2f} of the bare loop"
        )
    work = f"import of {options.events:,} events"
    show_row(
        f"{work}, whole process",
        f"{first.seconds:.1f} s, {first.peak:.0f} MiB",
        f"bare loop {loop.seconds:.1f} s: {loop.seconds / first.seconds:.2f}",
        "1.8 of the loop, under 250 MiB",
    )
    show_row(
        f"{work}, of the same file again",
        f"{again.seconds:.1f} s",
        f"a copy {copy.seconds:.1f} s; first import {first.seconds:.1f} s",
        "0.8 of the first import",
    )
    gzipped = best(found["gzipped"])
    show_row(
        f"{work}, gzipped",
        f"{gzipped.seconds:.1f} s, {gzipped.peak:.0f} MiB",
        f"{first.seconds:.1f} s as they are",
        "",
    )
    show_row("sync of 200,000 quick flips, 0 ms a request", f"{min(flips):.1f} s", "", "1.5 s")


if __name__ == "__main__":
    main()
