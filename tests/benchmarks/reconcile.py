"""Comparing a large cohort with a large audience, and the memory it takes.

    python tests/benchmarks/reconcile.py [--members 2000000] [--drift 0.01]

The ledger holds so many members, all delivered. The simulated Amplitude, in a process of its own,
holds as many: a share of them is missing, and as many strangers are in it. Ours is `amp-console
reconcile`, a whole process: the export is read through its link, compared, and the differences
are kept. Beside it a bare loop does the least one could do: it asks for the same export, reads it
with Python's csv into a set, and subtracts it from a set of the ledger's identifiers; it keeps
nothing. Printed are seconds of both, those of a processor, those of the comparison in the ledger,
and the peak memory of the process (MiB).
"""

import argparse
import compileall
import csv
import io
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx

import amp_console
from amp_console.connections import ConnectionStore, Folders
from amp_console.ledger import Db, open_ledger, sources
from amp_console.ledger.audiences import discover, link_existing
from amp_console.ledger.members import NewestChanges, merge
from amp_console.simulator import Simulator, World
from amp_console.values import AudienceRef, Change
from tests.benchmarks.rows import show_row

REF = AudienceRef("spa", "aud", "large")
SERVE = """
import sys
from amp_console.simulator import World, run_forever
from amp_console.values import IdType
members, drift = int(sys.argv[1]), int(sys.argv[2])
world = World()
users = [f"user-{n * 2654435761 % 2**32:08x}" for n in range(drift, members + drift)]
world.add_users(users)
found = world.resolve(users, IdType.USER_ID).found
cohort = world.create_cohort("large", "ana@acme.example", found)
run_forever(0, world=world, on_ready=lambda s: print(s.base_url, cohort.id, flush=True))
"""
# Runs the command and says how long the comparison itself took, and its peak memory (KiB). What
# wait4 knows as that includes the memory of this process, which starts the command.
OURS = """
import atexit, sys, time
from pathlib import Path
def tell_peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    print(next(line for line in lines if line.startswith("VmHWM")), file=sys.stderr)
atexit.register(tell_peak)
from amp_console.ledger import compare, open_ledger
compare_cohort = compare.compare_cohort
def timed(db, *values):
    begun = time.perf_counter()
    try:
        return compare_cohort(db, *values)
    finally:
        print(f"compared in {time.perf_counter() - begun:.2f}", file=sys.stderr)
compare.compare_cohort = timed
from amp_console.cli.app import main
main()
"""


@contextmanager
def simulator(members: int, drift: int) -> Iterator[tuple[str, str]]:
    """Serve a simulated Amplitude with a large cohort; yields its address and the cohort's id."""
    command = [sys.executable, "-c", SERVE, str(members), str(drift)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        base_url, cohort_id = process.stdout.readline().split()
        yield base_url, cohort_id
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def fill(path: Path, members: int, cohort_id: str) -> None:
    """Fill a ledger with members who were all delivered."""
    with open_ledger(path) as ledger:
        audience = ledger.write(discover, REF)
        ledger.write(link_existing, audience.id, cohort_id, "large")
        source_id = ledger.write(sources.begin_source, "events", None, 1)
        for first in range(0, members, 100_000):
            gathered = NewestChanges()
            last = min(first + 100_000, members)
            gathered.add([Change(REF, _user(n), None, True, n, n + 1) for n in range(first, last)])
            ledger.write(merge, source_id, gathered, {REF: audience.id}, 1)

        def deliver(db: Db) -> None:
            db.execute("UPDATE member SET delivered = 1")

        ledger.write(deliver)


def _user(number: int) -> str:
    """A user ID; their order is not that of the events."""
    return f"user-{number * 2654435761 % 2**32:08x}"


def measure(members: int, drift: int) -> None:
    """Fill, compare, print."""
    with Simulator(World()) as known, simulator(members, drift) as (base_url, cohort_id):
        keys = known.credentials
        with tempfile.TemporaryDirectory() as home:
            environment = {
                **os.environ,
                "AMP_CONSOLE_HOME": home,
                "AMP_CONSOLE_API_KEY": keys.api_key.reveal(),
                "AMP_CONSOLE_SECRET_KEY": keys.secret_key.reveal(),
            }
            options = ["--app-id", "123456", "--owner-email", "ana@acme.example"]
            connect = [sys.executable, "-m", "amp_console", "connect", "bench", *options]
            quiet = subprocess.DEVNULL
            subprocess.run(
                [*connect, "--base-url", base_url],
                check=True, env=environment, stdout=quiet, stderr=quiet,
            )  # fmt: skip
            folders = Folders.locate(environment)
            connection = ConnectionStore(folders.config_file).pick(None)
            path = folders.ledger(connection.id)
            fill(path, members, cohort_id)
            pair = keys.api_key.reveal(), keys.secret_key.reveal()
            bare = bare_loop(path, base_url, cohort_id, pair, drift)
            command = [sys.executable, "-c", OURS, "reconcile", "large", "--json"]
            begun = time.perf_counter()
            with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
                process = subprocess.Popen(command, env=environment, stdout=out, stderr=err)
                _, status, usage = os.wait4(process.pid, 0)
                seconds = time.perf_counter() - begun
                process.returncode = os.waitstatus_to_exitcode(status)
                out.seek(0)
                err.seek(0)
                found, said = json.load(out), err.read()
    assert found["in_both"] == members - drift, found
    assert found["missing_from_cohort"] == found["extra_in_cohort"] == drift, found
    told = dict(
        line.rsplit(maxsplit=1) for line in said.splitlines() if line.startswith("compared")
    )
    peak = next(line for line in said.splitlines() if line.startswith("VmHWM"))
    print(f"{members:,} members against {members:,}, {drift:,} missing and {drift:,} extra")
    show_row(
        f"a cohort of {members:,} compared with its audience, whole command",
        f"{seconds:.1f} s, {int(peak.split()[1]) / 1024:.0f} MiB",
        f"{bare:.1f} s by a loop that subtracts sets and keeps nothing: {bare / seconds:.2f}",
        "7 s, under 200 MiB",
    )
    processor = usage.ru_utime + usage.ru_stime
    print(f"{processor:.1f} s of a processor, {told['compared in']} s in the ledger")


def bare_loop(
    path: Path, base_url: str, cohort_id: str, keys: tuple[str, str], drift: int
) -> float:
    """Ask for the export, read it, compare two sets; return the seconds it took."""
    downloads = "/api/5/cohorts"
    begun = time.perf_counter()
    with httpx.Client(base_url=base_url, auth=keys, timeout=60) as client:
        started = client.get(f"{downloads}/request/{cohort_id}").raise_for_status().json()
        request = started["request_id"]
        while client.get(f"{downloads}/request-status/{request}").status_code != 200:
            time.sleep(1)
        path_of_file = f"{downloads}/request/{request}/file"
        file = client.get(path_of_file, follow_redirects=True).raise_for_status().text
    rows = csv.reader(io.StringIO(file, newline=""))
    next(rows)
    found = {user for _, user in rows}
    with closing(sqlite3.connect(path)) as db:
        wanted = {id_ for (id_,) in db.execute("SELECT id FROM member WHERE wanted = 1")}
    assert len(wanted - found) == len(found - wanted) == drift
    return time.perf_counter() - begun


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=2_000_000)
    parser.add_argument("--drift", type=float, default=0.01)
    options = parser.parse_args()
    compileall.compile_dir(Path(amp_console.__file__).parent, quiet=1)  # as an installer does
    measure(options.members, round(options.members * options.drift))


if __name__ == "__main__":
    main()
