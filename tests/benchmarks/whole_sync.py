"""A whole sync of a large file against a bare loop that does the least one could do.

    python tests/benchmarks/whole_sync.py [--events 1000000] [--rounds 3] [--users N]

Both read the same file of Engage events and send to a simulated Amplitude in a process of its own,
without latency. The bare loop reads the file line by line, decodes each line with msgspec, keeps
the last value per user in a dict, and posts the same bodies: the same number of ids in the same
number of requests, one after the other. It keeps nothing on disk, checks nothing and survives
nothing. It is run twice: decoding each line as it is, and decoding into Structs that name the few
fields it looks at, the fastest that msgspec can be. Ours is `amp-console sync --from FILE --yes`, a
whole process with its start.

Printed are seconds (median of the rounds), peak memory of our process (MiB), and our speed as a
share of each bare loop's.
"""

import argparse
import base64
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec

from amp_console.simulator import Audience, Scenario, Simulator, World, write_file
from tests.benchmarks.rows import show_row

AUDIENCE = Audience.named("High value shoppers")
SIZES = [10_000, 20_000, 40_000, 80_000]  # then 100,000: like our growing batches
SERVE = """
import sys
from amp_console.simulator import World, run_forever
run_forever(0, world=World(), on_ready=lambda s: print(s.base_url, flush=True))
"""
# Runs a command and says its peak memory (KiB). What wait4 knows as that includes the memory of
# this process, which starts the command.
OURS = """
import atexit
from pathlib import Path
def tell_peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    print(next(line for line in lines if line.startswith("VmHWM")))
atexit.register(tell_peak)
from amp_console.cli.app import main
main()
"""


class _Personas(msgspec.Struct):
    computation_key: str


class _Context(msgspec.Struct):
    personas: _Personas


class _Event(msgspec.Struct):
    userId: str  # noqa: N815  # the wire's word
    type: str
    context: _Context
    traits: dict[str, Any] = {}
    properties: dict[str, Any] = {}


@contextmanager
def simulator() -> Iterator[str]:
    """Serve a simulated Amplitude from another process; yields its address."""
    process = subprocess.Popen([sys.executable, "-c", SERVE], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def last_by_lines(file: Path) -> dict[str, bool]:
    """Decode each line as it is; return the last value of each user."""
    last: dict[str, bool] = {}
    decode = msgspec.json.Decoder().decode
    with file.open("rb") as lines:
        for line in lines:
            try:
                event = decode(line)
                key = event["context"]["personas"]["computation_key"]
                values = event["traits"] if event["type"] == "identify" else event["properties"]
                if event["userId"] is not None:
                    last[event["userId"]] = values[key]
            except (msgspec.MsgspecError, KeyError):
                continue
    return last


def last_by_structs(file: Path) -> dict[str, bool]:
    """Decode the few fields that are looked at; return the last value of each user."""
    last: dict[str, bool] = {}
    decode = msgspec.json.Decoder(_Event).decode
    with file.open("rb") as lines:
        for line in lines:
            try:
                event = decode(line)
                key = event.context.personas.computation_key
                values = event.traits if event.type == "identify" else event.properties
                last[event.userId] = values[key]
            except (msgspec.MsgspecError, KeyError):
                continue
    return last


def bare_loop(read: Callable[[Path], dict[str, bool]], file: Path, base_url: str) -> float:
    """Read, decode, keep the last, post; return the seconds it took."""
    with Simulator(World()) as known:  # only for its keys
        keys = known.credentials
    pair = f"{keys.api_key.reveal()}:{keys.secret_key.reveal()}"
    headers = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    begun = time.perf_counter()
    last = read(file)
    members = [user for user, is_member in last.items() if is_member]
    with httpx.Client(base_url=base_url, headers=headers, timeout=60) as client:
        upload = {
            "name": "bare",
            "app_id": 123456,
            "id_type": "BY_USER_ID",
            "ids": members[:100],
            "owner": "ana@acme.example",
            "published": True,
        }
        answer = client.post("/api/3/cohorts/upload", content=msgspec.json.encode(upload))
        cohort_id = answer.raise_for_status().json()["cohortId"]
        for ids in _batches(members):
            body = {
                "cohort_id": cohort_id,
                "memberships": [{"ids": ids, "id_type": "BY_NAME", "operation": "ADD"}],
                "skip_invalid_ids": True,
            }
            client.post(
                "/api/3/cohorts/membership", content=msgspec.json.encode(body)
            ).raise_for_status()
    return time.perf_counter() - begun


def _batches(ids: list[str]) -> Iterator[list[str]]:
    sizes = iter(SIZES)
    while ids:
        size = next(sizes, 100_000)
        yield ids[:size]
        ids = ids[size:]


def ours(file: Path, base_url: str) -> tuple[float, float]:
    """Run `amp-console sync --from FILE`; return its seconds and its peak memory in MiB."""
    with Simulator(World()) as known:
        keys = known.credentials
    home = tempfile.mkdtemp(prefix="amp-console-benchmark-")
    environment = {
        **os.environ,
        "AMP_CONSOLE_HOME": home,
        "AMP_CONSOLE_API_KEY": keys.api_key.reveal(),
        "AMP_CONSOLE_SECRET_KEY": keys.secret_key.reveal(),
    }
    command = [sys.executable, "-c", OURS]
    options = ["--app-id", "123456", "--owner-email", "ana@acme.example", "--base-url", base_url]
    quiet = {"env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([*command, "connect", "bench", *options], check=True, **quiet)  # type: ignore[call-overload]
    begun = time.perf_counter()
    done = subprocess.run(
        [*command, "sync", "--from", str(file), "--yes"],
        check=False, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    seconds = time.perf_counter() - begun
    assert done.returncode in {0, 1}, done.returncode
    shutil.rmtree(home)
    peak = next(line for line in done.stdout.splitlines() if line.startswith("VmHWM"))
    return seconds, int(peak.split()[1]) / 1024


def main() -> None:
    """Generate the file, run both in turn, print the medians and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=None)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    scenario = Scenario(
        events=options.events,
        users=options.users or options.events * 4 // 5,
        audiences=(AUDIENCE,),
        ghosts=0.0,
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "events.ndjson"
        truth = write_file(file, scenario)
        print(
            f"{options.events:,} events, {file.stat().st_size / 1e6:,.0f} MB, "
            f"{len(truth.members[AUDIENCE.key]):,} members in the end"
        )
        lines: list[float] = []
        structs: list[float] = []
        full: list[float] = []
        memory: list[float] = []
        for _ in range(options.rounds):
            for read, times in ((last_by_lines, lines), (last_by_structs, structs)):
                with simulator() as base_url:
                    times.append(bare_loop(read, file, base_url))
            with simulator() as base_url:
                seconds, peak = ours(file, base_url)
            full.append(seconds)
            memory.append(peak)
            print(f"  bare {lines[-1]:.2f} s, structs {structs[-1]:.2f} s, ours {full[-1]:.2f} s")
    median = statistics.median(full)
    for name, times in (("lines as they are", lines), ("a few fields", structs)):
        bare = statistics.median(times)
        show_row(
            f"whole sync of {options.events:,} events",
            f"{median:.2f} s, {max(memory):.0f} MiB",
            f"{bare:.2f} s by a loop that decodes {name} and posts: {bare / median:.2f}",
            "1.0 or more, under 300 MiB",
        )


if __name__ == "__main__":
    main()
