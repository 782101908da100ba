"""Delivering many additions to one cohort, beside Segment's own code, with time for each request.

    python tests/benchmarks/delivery.py [--adds 100000] [--large 2000000] [--latency 0.05]
        [--rounds 3] [--peer FOLDER]

The simulated Amplitude, in a process of its own, takes `latency` seconds for each request. Measured
are whole processes, with their start: `amp-console sync --from FILE --yes` of the smaller number of
events, which also creates the cohort; and for the larger number, an event of as many users,
`amp-console import FILE`, then `amp-console sync --yes`. 0 leaves one out.

With `--peer`, Segment's own destination reads and sends the smaller file, too: in Node, 500 events
in a request, one request after the other. FOLDER is the npm package `@segment/action-destinations`
(https://github.com/segmentio/action-destinations), unpacked, with what it depends on in its
`node_modules`. Of its code, only the hosts in its table of addresses are replaced.

Printed are, for each, the seconds of the best round, their ratio to the latency of its requests
alone, the seconds of a processor, and the peak memory (MiB); then how many times as long Segment's
destination takes.
"""

import argparse
import compileall
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import amp_console
from amp_console.simulator import Simulator, World
from amp_console.values import AudienceRef
from tests.benchmarks.rows import show_row

REF = AudienceRef("spa", "aud", "large")
SERVE = """
import sys
from amp_console.simulator import Behavior, World, run_forever
world = World()
cohort = world.create_cohort("peer", "ana@acme.example")
run_forever(
    0, world=world, behavior=Behavior(latency=float(sys.argv[1])),
    on_ready=lambda s: print(s.base_url, cohort.id, flush=True),
)
"""
# Runs a command and says its peak memory (KiB). What wait4 knows as that includes the memory of
# this process, which starts the command.
OURS = """
import atexit, sys
from pathlib import Path
def tell_peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    print(next(line for line in lines if line.startswith("VmHWM")), file=sys.stderr)
atexit.register(tell_peak)
from amp_console.cli.app import main
main()
"""
PEER = """
import fs from 'node:fs'
import { createRequire } from 'node:module'
const [folder, file, base] = process.argv.slice(1)
const require = createRequire(folder + '/package.json')
const code = folder + '/dist/destinations/amplitude-cohorts/'
const { Destination } = require('@segment/actions-core')
for (const hosts of Object.values(require(code + 'constants.js').endpoints))
  for (const region of Object.keys(hosts)) hosts[region] = base + new URL(hosts[region]).pathname
const destination = new Destination(require(code + 'index.js').default)
const keys = { api_key: process.env.API_KEY, secret_key: process.env.SECRET_KEY }
const owner = { app_id: '123456', default_owner_email: 'ana@acme.example' }
const settings = { ...keys, ...owner, endpoint: 'north_america' }
const mapping = {
  user_id: { '@path': '$.userId' },
  segment_external_audience_id: { '@path': '$.context.personas.external_audience_id' },
  batch_size: 500,
}
let accepted = 0, requests = 0
async function send(events) {
  const data = { events, settings, mapping, auth: undefined, features: {}, statsContext: undefined }
  const results = await destination.executeBatch('syncAudience', data)
  accepted += results.filter((result) => result.status === 200).length
  requests += destination.responses.length
  destination.responses.length = 0
}
let rest = '', events = []
for await (const piece of fs.createReadStream(file, { encoding: 'utf8' })) {
  const lines = (rest + piece).split('\\n')
  rest = lines.pop()
  for (const line of lines) {
    events.push(JSON.parse(line))
    if (events.length === 500) await send(events.splice(0))
  }
}
if (events.length) await send(events)
console.log(JSON.stringify({ accepted, requests }))
process.exit(0)
"""


class Measured(NamedTuple):
    """Seconds on the clock, requests, seconds of a processor, and peak memory in MiB."""

    seconds: float
    requests: int
    processor: float
    peak: float


def run(command: Sequence[str], environment: Mapping[str, str]) -> tuple[str, str, Measured]:
    """Run a command to its end; returns what it wrote to stdout and stderr, and its figures."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        begun = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        said = out.read(), err.read()
    assert process.returncode == 0, said
    processor = usage.ru_utime + usage.ru_stime
    return (*said, Measured(seconds, 0, processor, usage.ru_maxrss / 1024))


@contextmanager
def simulator(latency: float) -> Iterator[tuple[str, str]]:
    """Serve a simulated Amplitude; yields its address, and the id of a cohort for Segment."""
    command = [sys.executable, "-c", SERVE, str(latency)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        base_url, cohort_id = process.stdout.readline().split()
        yield base_url, cohort_id
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


@contextmanager
def workspace(base_url: str) -> Iterator[Mapping[str, str]]:
    """Make a connection in a folder of its own; yields the environment of its commands."""
    keys = Simulator(World()).credentials
    with tempfile.TemporaryDirectory() as home:
        environment = {
            **os.environ,
            "AMP_CONSOLE_HOME": home,
            "AMP_CONSOLE_API_KEY": keys.api_key.reveal(),
            "AMP_CONSOLE_SECRET_KEY": keys.secret_key.reveal(),
            "API_KEY": keys.api_key.reveal(),
            "SECRET_KEY": keys.secret_key.reveal(),
        }
        options = ["--app-id", "123456", "--owner-email", "ana@acme.example"]
        subprocess.run(
            [sys.executable, "-c", OURS, "connect", "bench", *options, "--base-url", base_url],
            check=True, env=environment, capture_output=True,
        )  # fmt: skip
        yield environment


def write_events(file: Path, count: int, cohort_id: str | None = None) -> None:
    """Write Engage events by which so many users enter an audience, in the order of time."""
    settings = {"id_type": "BY_USER_ID"}
    linked = {"external_audience_id": cohort_id, "audience_settings": settings} if cohort_id else {}
    with file.open("w") as lines:
        for n in range(count):
            event = {
                "type": "identify",
                "userId": _user(n),
                "messageId": f"personas_{n:032x}",
                "timestamp": f"2026-05-03T19:{n * 60 // count:02}:{n % 60:02}.000Z",
                "context": {
                    "library": {"name": "unknown", "version": "unknown"},
                    "personas": {
                        "computation_class": "audience",
                        "computation_id": REF.computation_id,
                        "computation_key": REF.key,
                        **linked,
                        "namespace": REF.space_id,
                        "space_id": REF.space_id,
                    },
                },
                "integrations": {"All": False, "Actions Amplitude Cohorts": True},
                "traits": {REF.key: True, "email": f"{_user(n)}@example.com"},
            }
            lines.write(json.dumps(event, separators=(",", ":")) + "\n")


def _user(number: int) -> str:
    """A user ID; their order is not that of the events."""
    return f"user-{number * 2654435761 % 2**32:08x}"


def ours(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[str, Measured]:
    """Run a command of amp-console; returns what it printed, and its figures."""
    out, err, measured = run([sys.executable, "-c", OURS, *arguments], environment)
    peak = next(line for line in err.splitlines() if line.startswith("VmHWM"))
    return out, measured._replace(peak=int(peak.split()[1]) / 1024)


def sync(arguments: Sequence[str], environment: Mapping[str, str], expected: int) -> Measured:
    """Run `amp-console sync`."""
    answer, measured = ours(["sync", *arguments, "--yes", "--json"], environment)
    (audience,) = json.loads(answer)["audiences"]
    assert audience["added"] == expected, audience
    return measured._replace(requests=audience["requests"])


def small(adds: int, latency: float) -> Measured:
    """Read and deliver a file, whose cohort is created on the way."""
    with (
        tempfile.TemporaryDirectory() as folder,
        simulator(latency) as (base_url, _),
        workspace(base_url) as environment,
    ):
        file = Path(folder) / "events.ndjson"
        write_events(file, adds)
        return sync(["--from", str(file)], environment, adds)


def large(members: int, latency: float) -> tuple[Measured, Measured]:
    """Import a file; then deliver what the ledger holds."""
    with (
        tempfile.TemporaryDirectory() as folder,
        simulator(latency) as (base_url, _),
        workspace(base_url) as environment,
    ):
        file = Path(folder) / "events.ndjson"
        write_events(file, members)
        _, imported = ours(["import", str(file)], environment)
        return imported, sync([], environment, members)


def peer(adds: int, latency: float, folder: Path) -> Measured:
    """Let Segment's destination read and send the same events."""
    with (
        tempfile.TemporaryDirectory() as home,
        simulator(latency) as (base_url, cohort_id),
        workspace(base_url) as environment,
    ):
        file = Path(home) / "events.ndjson"
        write_events(file, adds, cohort_id)
        command = ["node", "--input-type=module", "--eval", PEER, str(folder), str(file), base_url]
        out, _, measured = run(command, environment)
    told = json.loads(out)
    assert told["accepted"] == adds, told
    return measured._replace(requests=told["requests"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--adds", type=int, default=100_000)
    parser.add_argument("--large", type=int, default=2_000_000)
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    compileall.compile_dir(Path(amp_console.__file__).parent, quiet=1)  # as an installer does
    latency = options.latency
    best: dict[str, Measured] = {}
    for _ in range(options.rounds):
        rounds = {}
        if options.adds:
            rounds["file"] = small(options.adds, latency)
        if options.adds and options.peer:
            rounds["Segment"] = peer(options.adds, latency, options.peer.absolute())
        if options.large:
            imported, delivered = large(options.large, latency)
            rounds["members"] = delivered
            rounds["both"] = Measured(
                imported.seconds + delivered.seconds,
                delivered.requests,
                imported.processor + delivered.processor,
                max(imported.peak, delivered.peak),
            )
        for name, measured in rounds.items():
            print(f"  {name} {measured.seconds:.2f} s", flush=True)
            best[name] = min(best.get(name, measured), measured)
    if "file" in best:
        show(f"{options.adds:,} events read and delivered", best["file"], latency, "1.2 s")
    if "Segment" in best:
        show(
            f"{options.adds:,} events, Segment's destination instead",
            best["Segment"],
            latency,
            "",
            f", {best['Segment'].seconds / best['file'].seconds:.1f} of amp-console's",
        )
    if "members" in best:
        show(f"{options.large:,} members delivered", best["members"], latency, "")
        goal = "15 s, under 300 MiB"
        show(f"{options.large:,} events imported, then delivered", best["both"], latency, goal)


def show(work: str, measured: Measured, latency: float, goal: str, more: str = "") -> None:
    """Print a row."""
    seconds, requests, processor, peak = measured
    show_row(
        f"{work}, {latency * 1000:.0f} ms a request",
        f"{seconds:.2f} s ({processor:.2f} s of a processor), {peak:.0f} MiB",
        f"{seconds / (requests * latency):.1f} of the latency of {requests} requests{more}",
        goal,
    )


if __name__ == "__main__":
    main()
