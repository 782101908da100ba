"""A bucket of many objects imported, beside the same files on disk; then killed, and run twice.

    python tests/benchmarks/bucket.py [--objects 500] [--events 2000] [--rounds 3] [--kills 10]

The objects are gzip, in the day folders that Segment's AWS S3 destination writes, on an S3 server
on loopback in a process of its own. Printed are the seconds of `amp-console import` from disk and
from the bucket (medians, whole processes) and their ratio; then what is left to do after imports
that were killed at so many moments, with a second import beside each: every event must have been
counted once. Last, what an import lists where a single object is new.
"""

import argparse
import gzip
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from amp_console.connections import ConnectionStore, Folders
from amp_console.ledger import open_ledger
from amp_console.simulator import Audience, Scenario, Simulator, World, write_file

AUDIENCE = Audience.named("High value shoppers")
DAY = 86_400_000  # milliseconds
PER_DAY = 25  # objects
IMPORT = [sys.executable, "-m", "amp_console", "import"]


def write_objects(folder: Path, objects: int, events: int) -> int:
    """Write the objects into day folders; return how many members they make."""
    scenario = Scenario(
        events=objects * events, users=objects * events * 4 // 5, audiences=(AUDIENCE,), ghosts=0.0
    )
    folder.mkdir(parents=True)
    file = folder.parent.parent / "all.ndjson"
    truth = write_file(file, scenario)
    today = int(time.time() * 1000) // DAY * DAY
    with file.open("rb") as lines:
        for number in range(objects):
            day = today - (objects - 1 - number) // PER_DAY * DAY
            path = folder / "segment-logs" / "source1" / str(day) / f"{number:06}.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(gzip.compress(b"".join(islice(lines, events)), 6))
    file.unlink()
    return len(truth.members[AUDIENCE.key])


@contextmanager
def s3_server(root: Path, log: Path) -> Iterator[str]:
    """Serve the folders below `root` as buckets; yields the address of the server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "localbucket", "--port", str(port), str(root)],
            stdout=output, stderr=output,
        )  # fmt: skip
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except ConnectionRefusedError:
                    time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


class Importer:
    """Imports into a ledger of its own, in a process of its own."""

    def __init__(self, home: Path, simulator: Simulator) -> None:
        keys = simulator.credentials
        self.environment = {
            **os.environ,
            "AMP_CONSOLE_HOME": str(home),
            "AMP_CONSOLE_API_KEY": keys.api_key.reveal(),
            "AMP_CONSOLE_SECRET_KEY": keys.secret_key.reveal(),
            "AWS_ACCESS_KEY_ID": "AKIAFALSEEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "false-example",
            "AWS_REGION": "us-east-1",
        }
        options = ["--app-id", "123456", "--owner-email", "ana@acme.example"]
        subprocess.run(
            [*IMPORT[:-1], "connect", "bench", *options, "--base-url", simulator.base_url],
            env=self.environment, check=True, capture_output=True,
        )  # fmt: skip

    def start(self, *paths: str) -> subprocess.Popen[str]:
        """Start an import."""
        return subprocess.Popen(
            [*IMPORT, *paths],
            env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, *paths: str) -> tuple[float, str]:
        """Import to the end; return the seconds and what was said."""
        begun = time.perf_counter()
        process = self.start(*paths)
        out, err = process.communicate()
        assert process.returncode in {0, 1}, err  # 1: some events are invalid
        return time.perf_counter() - begun, out

    def counted(self) -> tuple[int, int]:
        """How many events were read, and how many members there are."""
        folders = Folders.locate(self.environment)
        path = folders.ledger(ConnectionStore(folders.config_file).pick(None).id)
        with open_ledger(path) as ledger:
            events = ledger.read(lambda db: db.execute("SELECT sum(read) FROM source").fetchone())
            members = ledger.read(
                lambda db: db.execute("SELECT sum(is_member) FROM member").fetchone()
            )
        return int(events[0] or 0), int(members[0] or 0)


def measure(objects: int, events: int, rounds: int, kills: int) -> None:
    """Write, import from disk and from the bucket, kill, list; print."""
    with tempfile.TemporaryDirectory() as name, Simulator(World()) as simulator:
        folder = Path(name)
        bucket, log = folder / "buckets" / "events", folder / "requests"
        members = write_objects(bucket, objects, events)
        files = [str(path) for path in sorted(bucket.rglob("*.gz"))]
        size = sum(Path(path).stat().st_size for path in files)
        print(f"{objects:,} objects of {events:,} events, {size / 1e6:,.0f} MB")
        expected = (objects * events, members)
        with s3_server(folder / "buckets", log) as endpoint:
            address = f"s3://events/segment-logs?endpoint={endpoint}"
            times: dict[str, list[float]] = {"disk": [], "bucket": []}
            for number in range(rounds):
                for kind, paths in (("disk", files), ("bucket", [address])):
                    importer = Importer(folder / f"{kind}{number}", simulator)
                    times[kind].append(importer.run(*paths)[0])
                    assert importer.counted() == expected, importer.counted()
            disk, ours = (statistics.median(times[kind]) for kind in ("disk", "bucket"))
            print(f"from disk {disk:.1f} s, from the bucket {ours:.1f} s: speed {disk / ours:.2f}")

            killed = Importer(folder / "killed", simulator)
            for number in range(kills):
                first = killed.start(address)
                time.sleep(0.5 + 2 * ours * number / kills**2)  # together, like the import
                second = killed.start(address)
                time.sleep(0.5)
                first.kill()
                second.kill()
                first.communicate()
                second.communicate()
                print(f"  killed: {killed.counted()[0]:,} events counted")
            _, said = killed.run(address)
            assert killed.counted() == expected, killed.counted()
            found = re.search(r"[\d,]+ objects read, [\d,]+ read before", said)
            print(f"after {kills} kills exact; the last: {found[0] if found else said}")

            newest = Path(files[-1])
            shutil.copy(newest, newest.with_name("new.gz"))
            before = log.read_text().count("list-type=2")
            seconds, said = killed.run(address)
            listings = log.read_text().count("list-type=2") - before
            found = re.search(r"[\d,]+ objects? read, [\d,]+ read before", said)
            done = found[0] if found else said
            print(f"one new object: {listings} listings, {seconds:.1f} s, {done}")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=500)
    parser.add_argument("--events", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kills", type=int, default=10)
    options = parser.parse_args()
    measure(options.objects, options.events, options.rounds, options.kills)


if __name__ == "__main__":
    main()
