"""How many signed events `amp-console listen` takes in a second, beside a server that keeps none.

    python tests/benchmarks/receiver.py [--seconds 20] [--rate 5000] [--rounds 3]

Bodies are arrays of 50 events, the first of them signed as Segment signs it, posted over 32
connections that stay open. The bare server is Starlette under uvicorn's h11, as ours, and does
nothing but read a body and check its signature; an answer of ours says that the events are on disk.
Each is a process of its own. Ours delivers to a simulated Amplitude meanwhile.

Printed are events a second as fast as they are answered (best of the rounds), the process time that
each server needs for 1,000 events, and ours as a share of the bare one; then, at `--rate` events a
second, how long answers take (95%), what was refused, and the lag. In the end every cohort must be
exact.
"""

import argparse
import asyncio
import hashlib
import hmac
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from amp_console.simulator import Simulator, World
from tests.benchmarks.live import FLUSH, Stream
from tests.benchmarks.rows import show_row
from tests.ports import free_port

SECRET = "not-a-secret-but-a-benchmark's"
IN_A_BODY = 50
CONNECTIONS = 32
AUDIENCES = 20
BARE = """
import hashlib, hmac, sys
import msgspec, uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

cut = msgspec.json.Decoder(list[msgspec.Raw]).decode

async def receive(request: Request) -> JSONResponse:
    events = cut(await request.body())
    digest = hmac.new(sys.argv[2].encode(), bytes(events[0]), hashlib.sha1).hexdigest()
    if not hmac.compare_digest(digest, request.headers["x-signature"]):
        return JSONResponse({"error": "signature"}, 401)
    return JSONResponse({"taken": len(events)})

app = Starlette(routes=[Route("/", receive, methods=["POST"])])
uvicorn.run(app, port=int(sys.argv[1]), http="h11", access_log=False, log_level="warning")
"""


class Sent(NamedTuple):
    """What sending came to: events, seconds, each answer's seconds, and how many were refused."""

    events: int
    seconds: float
    answers: list[float]
    refused: int


class Pace(NamedTuple):
    """A server's events a second, and the seconds of process time it needs for 1,000."""

    rate: float
    process: float


def posts(stream: Stream, count: int) -> list[bytes]:
    """The stream's next events, as `count` requests with a signature."""
    return [_post(stream.make(IN_A_BODY)) for _ in range(count)]


def _post(events: list[str]) -> bytes:
    digest = hmac.new(SECRET.encode(), events[0].encode(), hashlib.sha1).hexdigest()
    body = f"[{','.join(events)}]"
    head = f"POST / HTTP/1.1\r\nHost: localhost\r\nX-Signature: {digest}\r\n"
    return f"{head}Content-Length: {len(body.encode())}\r\n\r\n{body}".encode()


async def send(port: int, ready: list[bytes], rate: float = float("inf")) -> Sent:
    """Post requests as fast as they are answered, at most at a rate of events a second.

    What is refused for now is sent again.
    """
    begun, answers, refused = time.monotonic(), list[float](), 0
    numbered = iter(enumerate(ready))

    async def work() -> None:
        nonlocal refused
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number, post in numbered:
            await asyncio.sleep(max(0.0, begun + number * IN_A_BODY / rate - time.monotonic()))
            while True:
                since = time.monotonic()
                writer.write(post)
                status = await _answer(reader)
                answers.append(time.monotonic() - since)
                if status == 200:
                    break
                assert status == 503, status
                refused += 1
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    return Sent(len(ready) * IN_A_BODY, time.monotonic() - begun, answers, refused)


async def _answer(reader: asyncio.StreamReader) -> int:
    """Read an answer whole; return its status."""
    first, *headers = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    lengths = (line for line in headers if line.lower().startswith(b"content-length:"))
    await reader.readexactly(int(next(lengths).split(b":")[1]))
    return int(first.split()[1])


@contextmanager
def running(
    port: int, arguments: list[str], environ: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """Run a server until it answers on its port; it is killed in the end, unless it has ended."""
    with subprocess.Popen(
        [sys.executable, *arguments],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        try:
            while server.poll() is None:
                with socket.socket() as tried:
                    if tried.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield server
        finally:
            server.kill()


def fastest(server: subprocess.Popen[str], port: int, rounds: list[list[bytes]]) -> Pace:
    """Send each round as fast as it is answered; return the best."""
    found = []
    for ready in rounds:
        before = _process_time(server)
        sent = asyncio.run(send(port, ready))
        used = _process_time(server) - before
        found.append(Pace(sent.events / sent.seconds, used / sent.events * 1_000))
    return Pace(max(pace.rate for pace in found), min(pace.process for pace in found))


def _process_time(server: subprocess.Popen[str]) -> float:
    return time.clock_gettime((~server.pid << 3) | 2)  # the process's own clock (Linux)


def bare(rounds: list[list[bytes]]) -> Pace:
    """Measure the server that keeps nothing."""
    port = free_port()
    with running(port, ["-c", BARE, str(port), SECRET], os.environ) as server:
        return fastest(server, port, rounds)


def ours(
    stream: Stream, rounds: list[list[bytes]], steady: list[bytes], rate: int
) -> tuple[Pace, Sent, float]:
    """Measure `amp-console listen`: its pace, what came of a steady rate, and the lag in seconds.

    The stream has made no other events, so that each cohort must be as it says.
    """
    port = free_port()
    with Simulator(World()) as simulator, tempfile.TemporaryDirectory() as home:
        keys = simulator.credentials
        environ = {
            **os.environ,
            "AMP_CONSOLE_HOME": home,
            "AMP_CONSOLE_API_KEY": keys.api_key.reveal(),
            "AMP_CONSOLE_SECRET_KEY": keys.secret_key.reveal(),
            "AMP_CONSOLE_WEBHOOK_SECRET": SECRET,
        }
        program = ["-m", "amp_console"]
        options = ["--app-id", "123456", "--owner-email", "ana@acme.example"]
        subprocess.run(
            [sys.executable, *program, "connect", "b", *options, "--base-url", simulator.base_url],
            check=True, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        listen = ["listen", "--port", str(port), "--create", "--json"]
        listen += ["--flush-seconds", str(FLUSH)]
        with running(port, program + listen, environ) as server:
            pace = fastest(server, port, rounds)
            sent = asyncio.run(send(port, steady, rate))
            server.send_signal(signal.SIGTERM)
            out, _ = server.communicate()
        assert server.returncode == 0, server.returncode
        for key, members in stream.members.items():
            cohort = simulator.world.cohort_named(key)
            assert simulator.world.members(cohort.id) == members, key
    return pace, sent, json.loads(out.splitlines()[-1])["lag_95"]


def main() -> None:
    """Measure both, print figures and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rate", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    stream = Stream(AUDIENCES)
    rounds = [posts(stream, 1_000) for _ in range(options.rounds)]
    steady = posts(stream, options.seconds * options.rate // IN_A_BODY)
    plain = bare(rounds)
    pace, sent, lag = ours(stream, rounds, steady, options.rate)
    for name, measured in (("bare server", plain), ("listen", pace)):
        print(f"{name}: {measured.rate:,.0f} events/s, {measured.process * 1e3:.1f} ms for 1,000")
    answers = statistics.quantiles(sent.answers, n=20)[-1] * 1e3
    show_row(
        "signed arrays of 50 events, received and kept",
        f"{pace.rate:,.0f} events/s",
        f"{plain.rate:,.0f} events/s by a server that only checks signatures: "
        f"{pace.rate / plain.rate:.2f}",
        "0.5 or more",
    )
    show_row(
        f"{options.rate:,} events/s posted for {options.seconds} s",
        f"{sent.events / sent.seconds:,.0f} events/s, answers in {answers:.0f} ms (95%), "
        f"{sent.refused} refused, lag {lag:.1f} s (95%)",
        f"windows of {FLUSH:.0f} s",
        "as fast, lag within 2 windows",
    )


if __name__ == "__main__":
    main()
