"""A steady stream of events into live audiences: what is lost, how late it is, what it takes.

    python tests/benchmarks/live.py [--seconds 600] [--rate 1000] [--by watch|listen] [--users N]

Events are written to a file that `amp-console watch` follows, or posted to `amp-console listen` in
arrays, at the rate; people enter and leave at random, and each request takes Amplitude 0.3 s. In
the end the process is told to end, and the cohorts in the simulated Amplitude must be exactly those
of the events. Printed are the lag (95%) as the process itself says it, beside the flush time, its
memory after each tenth of the time (MiB), and the events' real rate. A short run is one of
the tests.
"""

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import httpx

from amp_console.simulator import Behavior, Simulator, World

FLUSH = 5.0
STEP = 0.1  # seconds between two writes


class Stream:
    """Makes events, and knows who belongs where in the end."""

    def __init__(self, audiences: int, users: int = 20_000) -> None:
        self._dice = random.Random(1)
        self._users = users
        self._audiences = [f"live_{n:02}" for n in range(audiences)]
        self._at = 0
        self.members: dict[str, set[str]] = {key: set() for key in self._audiences}

    def make(self, count: int) -> list[str]:
        """The next events, as JSON texts."""
        return [self._one() for _ in range(count)]

    def _one(self) -> str:
        key, user = (
            self._dice.choice(self._audiences),
            f"user-{self._dice.randrange(self._users):05}",
        )
        is_member = self._dice.random() < 0.6
        (self.members[key].add if is_member else self.members[key].discard)(user)
        self._at += 1
        seconds, thousandths = divmod(self._at, 1000)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(1_700_000_000 + seconds))
        personas = {"computation_class": "audience", "computation_key": key}
        personas |= {"computation_id": f"aud_{key}", "space_id": "spa"}
        return json.dumps(
            {
                "type": "identify",
                "userId": user,
                "timestamp": f"{stamp}.{thousandths:03}Z",
                "context": {"personas": personas},
                "traits": {key: is_member},
            },
            separators=(",", ":"),
        )


def memory_of(pid: int) -> float:
    """What a process has in memory now, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(item for item in status.splitlines() if item.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


class Figures(NamedTuple):
    """What one stream came to: the process's last word, the real rate, its memory by tenths."""

    last: dict[str, float]
    rate: float
    memory: list[float]


def feed(
    process: subprocess.Popen[str],
    stream: Stream,
    rate: int,
    seconds: float,
    send: Callable[[list[str]], None],
) -> tuple[float, list[float]]:
    """Send at the rate; return the real rate, and the memory after each tenth of the time.

    `rate * seconds` events are sent, also where the machine is too slow to do so in time.
    """
    begun, sent, memory = time.monotonic(), 0, list[float]()
    while sent < int(rate * seconds):
        passed = min(time.monotonic() - begun, seconds)
        due = int(passed * rate) - sent
        if due:
            send(stream.make(due))
            sent += due
        if passed > (len(memory) + 1) * seconds / 10:
            memory.append(memory_of(process.pid))
        time.sleep(STEP)
    return sent / (time.monotonic() - begun), [*memory, memory_of(process.pid)]


def measure(
    by: str,
    seconds: float,
    rate: int,
    audiences: int,
    flush: float = FLUSH,
    users: int = 20_000,
    latency: float = 0.3,
) -> Figures:
    """Run one stream, and check that every cohort is exact in the end.

    `seconds` is how long events are sent, `latency` how many each request takes Amplitude.
    """
    stream = Stream(audiences, users)
    slow = Behavior(latency=latency)
    with Simulator(World(), behavior=slow) as simulator, tempfile.TemporaryDirectory() as folder:
        keys = simulator.credentials
        environment = {
            **os.environ,
            "AMP_CONSOLE_HOME": folder,
            "AMP_CONSOLE_API_KEY": keys.api_key.reveal(),
            "AMP_CONSOLE_SECRET_KEY": keys.secret_key.reveal(),
        }
        command = [sys.executable, "-m", "amp_console"]
        options = ["--app-id", "123456", "--owner-email", "ana@acme.example"]
        subprocess.run(
            [*command, "connect", "bench", *options, "--base-url", simulator.base_url],
            check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        before = len(simulator.requests)
        file, port = Path(folder) / "live.ndjson", _free_port()
        file.touch()
        source = ["watch", str(file)] if by == "watch" else ["listen", "--port", str(port)]
        process = subprocess.Popen(
            [*command, *source, "--create", "--flush-seconds", str(flush), "--json"],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        with file.open("a") as growing, _client(port) as client:

            def write(events: list[str]) -> None:
                growing.write("".join(f"{event}\n" for event in events))
                growing.flush()

            def post(events: list[str]) -> None:
                body = f"[{','.join(events)}]"
                client.post("/", content=body).raise_for_status()

            found = feed(process, stream, rate, seconds, write if by == "watch" else post)
        while len(simulator.requests) == before and process.poll() is None:
            time.sleep(STEP)  # a process that has not started yet ends without a last line
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate()
        assert process.returncode == 0, process.returncode
        for key, members in stream.members.items():
            cohort = simulator.world.cohort_named(key)
            assert simulator.world.members(cohort.id) == members, key
    return Figures(json.loads(out.splitlines()[-1]), *found)


def _client(port: int) -> httpx.Client:
    """A sender that waits for a receiver which is about to begin."""
    transport = httpx.HTTPTransport(retries=10)
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, transport=transport)


def show(by: str, audiences: int, found: Figures) -> None:
    """Print what one stream came to."""
    last = found.last
    print(f"{by}: {last['read']:,} events at {found.rate:,.0f}/s into {audiences} audiences, exact")
    print(f"  lag (95%) {last['lag_95']:.1f} s; windows of {FLUSH:.0f} s (to be under 2 of them)")
    memory = ", ".join(f"{item:.0f}" for item in found.memory)
    print(f"  memory by tenths of the time (MiB): {memory} (to be flat)")
    print(f"  {last['requests']:,} requests, {last['added']:,} added, {last['removed']:,} removed")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--rate", type=int, default=1_000)
    parser.add_argument("--audiences", type=int, default=20)
    parser.add_argument("--users", type=int, default=20_000, help="who may enter and leave")
    parser.add_argument("--by", choices=["watch", "listen"])
    options = parser.parse_args()
    for by in [options.by] if options.by else ["watch", "listen"]:
        found = measure(by, options.seconds, options.rate, options.audiences, FLUSH, options.users)
        show(by, options.audiences, found)


if __name__ == "__main__":
    main()
