"""Every figure of the README's table of speed, measured in one go.

    python tests/benchmarks/table.py [--peer FOLDER]

It runs the benchmarks one after the other, shows what they print, and prints the table at the end:
about a quarter of an hour on two processors that do nothing else. `--peer` is where Segment's own
destination is, as `delivery.py --help` says; without it, it is not measured.
"""

import argparse
import os
import platform
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.rows import table

HERE = Path(__file__).parent
BENCHMARKS = (
    "import_events.py",
    "whole_sync.py",
    "delivery.py",
    "reconcile.py",
    "receiver.py",
    "start_up.py",
    "console.py",
)
WITH_PEER = {"delivery.py"}


def run(name: str, arguments: list[str]) -> list[str]:
    """Run a benchmark, and return the lines that it printed."""
    print(f"\n{name}", flush=True)
    lines = []
    with subprocess.Popen(
        [sys.executable, str(HERE / name), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(HERE.parent.parent)},
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line.rstrip("\n"))
    if process.returncode:
        sys.exit(f"{name} ended with {process.returncode}")
    return lines


def main() -> None:
    """Run them all, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", metavar="FOLDER")
    options = parser.parse_args()
    lines = []
    for name in BENCHMARKS:
        peer = ["--peer", options.peer] if options.peer and name in WITH_PEER else []
        lines += run(name, peer)
    print(f"\n{os.cpu_count()} processors, Python {platform.python_version()}\n")
    print("\n".join(table(lines)))


if __name__ == "__main__":
    main()
