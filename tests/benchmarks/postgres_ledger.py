"""A ledger on PostgreSQL beside one in a file: the same work on both, as ratios, in one run.

    python tests/benchmarks/postgres_ledger.py [PART…] [--events 1000000] [--members 10000000]

It starts a real PostgreSQL (Debian's) with a durable disk and 128 MB of shared buffers. Parts:

- `import`: a file of events into an empty ledger
- `trickle`: batches of 50 events of now, with both identifiers, into 20 audiences, each merged and
  kept before the next, as live
- `deliver`: 100,000 pending members taken as one request, and confirmed
- `compare`: an export of 2,000,000 against an audience of 2,000,000, 1 % drifted
- `home`: what the console's first screen reads, 500 audiences with 10,000,000 members (server only)
- `growth`: 1, 10 and 50 audiences of 200,000 members (server only)

Each part runs in a process of its own, once for each engine. Printed are seconds, the ratio, the
peak memory of the client (MiB), and what the ledger takes (MB).
"""

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from amp_console.connections import Connection
from amp_console.engage import FieldMapping, ReadOptions
from amp_console.engage.batch import EventBatch
from amp_console.ledger import Db, Ledger, compare, deliveries, open_ledger
from amp_console.ledger.audiences import discover, link_existing
from amp_console.ledger.cohort_export import CohortExport
from amp_console.ledger.counts import stored_bytes
from amp_console.ledger.db import ServerDb
from amp_console.ledger.deliveries import ResponseRecord
from amp_console.ledger.sources import begin_source
from amp_console.simulator import Audience, Scenario, write_file
from amp_console.sync.ingest.importer import Importer
from amp_console.sync.ingest.stream import StreamIngestor
from amp_console.sync.queries.status import audience_summaries
from amp_console.sync.sources.registry import open_reader
from amp_console.values import AudienceRef, Change, IdType, Operation, now_in_microseconds
from tests.postgresql import PASSWORD, postgresql_server

OPTIONS = ReadOptions(mapping=FieldMapping.parse())
SETTINGS = "-c shared_buffers=128MB"
NOW = 1_777_836_170_000_000


class Size(NamedTuple):
    """How much each part handles; `file` holds the events to import."""

    members: int
    compared: int
    file: Path


class Figures(NamedTuple):
    """Seconds by what they were spent on, peak memory (MiB), and what the ledger takes (MB)."""

    seconds: dict[str, float]
    memory: float
    stored: float


def user(number: int) -> str:
    """A User ID; their order is not that of the events."""
    return f"user-{number * 2654435761 % 2**32:08x}"


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Add the seconds that a block takes."""
    begun = time.perf_counter()
    yield
    seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - begun


def fill(db: Db, audience_id: int, members: int, delivered: int) -> None:
    """Add members without events, all at once."""
    rows = "generate_series(1, :members) AS n"
    name = "'user-' || lpad(to_hex(n * 2654435761 % 4294967296), 8, '0')"
    if not isinstance(db, ServerDb):
        rows = "numbers"
        name = "'user-' || printf('%08x', n * 2654435761 % 4294967296)"
    numbers = (
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers "
        "WHERE n < :members) "
    )
    db.execute(
        f"{numbers if rows == 'numbers' else ''}INSERT INTO member (audience_id, id_type, id, "
        "is_member, wanted, event_at, source_id, line, delivered) "
        f"SELECT :audience, 1, {name}, 1, 1, :at + n, 1, n, :delivered FROM {rows}",
        {"audience": audience_id, "members": members, "at": NOW, "delivered": delivered},
    )


def settle(db: Db) -> None:
    """Let the server see what it holds, as its autovacuum does within a minute."""
    if isinstance(db, ServerDb):
        db.execute("ANALYZE member")


def add_audience(ledger: Ledger, number: int = 0) -> int:
    """Add an audience that is linked to a cohort."""
    known = ledger.write(discover, AudienceRef("spa", f"aud_{number}", f"audience_{number}"))
    ledger.write(link_existing, known.id, f"cohort{number}", "large")
    return known.id


def import_events(ledger: Ledger, size: Size, seconds: dict[str, float]) -> None:
    """Import the file."""
    with timed(seconds, "import"):
        Importer(ledger, open_reader, OPTIONS).run([str(size.file)])


def trickle(ledger: Ledger, _: Size, seconds: dict[str, float]) -> None:
    """Take in small batches, as a live session does."""
    ingestor = StreamIngestor(ledger, OPTIONS)
    source = ingestor.begin("live")
    refs = [AudienceRef("spa", f"aud_{n}", f"live_{n}") for n in range(20)]
    line = 0
    for batch in range(220):
        changes = []
        for _change in range(50):
            line += 1
            ref = refs[line * 7 % 20]
            ids = user(line % 20_000), str(line % 20_000)
            changes.append(Change(ref, *ids, line % 3 > 0, now_in_microseconds(), line))
        if batch < 20:
            ingestor.ingest(source, [EventBatch(changes)])
        else:
            with timed(seconds, "200 batches"):
                ingestor.ingest(source, [EventBatch(changes)])


def deliver(ledger: Ledger, _: Size, seconds: dict[str, float]) -> None:
    """Take and confirm, three times."""
    audience_id = add_audience(ledger)
    ledger.write(fill, audience_id, 300_000, 0)
    ledger.write(settle)
    for _round in range(3):
        with timed(seconds, "take and confirm 3 × 100,000"):
            batch = ledger.write(
                deliveries.open_batch, 1, audience_id, IdType.USER_ID, Operation.ADD, 100_000, NOW
            )
            assert batch is not None
            assert batch.size == 100_000
            ledger.write(deliveries.confirm, batch, ResponseRecord(NOW, 200))


def compare_cohort(ledger: Ledger, size: Size, seconds: dict[str, float]) -> None:
    """Read an export in parts, as a download does; compare it."""
    audience_id = add_audience(ledger)
    drift = size.compared // 100
    ledger.write(fill, audience_id, size.compared, 1)
    ledger.write(settle)
    with closing(CohortExport(IdType.USER_ID)) as export:
        with timed(seconds, "read"):
            for first in range(drift, size.compared + drift, 10_000):
                people = {str(n): user(n + 1) for n in range(first, first + 10_000)}
                export.add(json.dumps(people, separators=(",", ":")))
        with timed(seconds, "compare"):
            spec = compare.ComparisonSpec(1, audience_id, NOW)
            found = ledger.write(compare.compare_cohort, spec, export)
    assert (found.missing, found.strangers) == (drift, drift), found


def home(ledger: Ledger, size: Size, seconds: dict[str, float]) -> None:
    """Read the first screen of the console ten times, each with and without members."""
    ledger.write(begin_source, "events", None, 1)
    per_audience = size.members // 500
    for number in range(500):
        audience_id = add_audience(ledger, number)
        ledger.write(fill, audience_id, per_audience, 1)
        ledger.write(fill_pending, audience_id, per_audience // 100)
    ledger.write(settle)
    connection = Connection(name="bench", app_id=1, owner_email="ana@acme.example")
    for name, counts in (("home", False), ("home with members", True)):
        times: list[float] = []
        for _round in range(5):
            begun = time.perf_counter()
            found = ledger.read(audience_summaries, connection, count_members=counts)
            times.append(time.perf_counter() - begun)
            assert len(found) == 500
        seconds[name] = statistics.median(times)


def fill_pending(db: Db, audience_id: int, members: int) -> None:
    """Add a few who are still to be added."""
    db.execute(
        "UPDATE member SET delivered = 0 WHERE audience_id = ? AND line <= ?",
        (audience_id, members),
    )


def growth(ledger: Ledger, size: Size, seconds: dict[str, float]) -> None:
    """Add audiences, and deliver to the last one."""
    per_audience, count, audience_id = size.members // 50, 0, 0
    connection = Connection(name="bench", app_id=1, owner_email="ana@acme.example")
    for audiences in (1, 10, 50):
        while count < audiences:
            audience_id = add_audience(ledger, count)
            ledger.write(fill, audience_id, per_audience, 1)
            count += 1
        ledger.write(fill_pending, audience_id, per_audience // 2)
        ledger.write(settle)
        with timed(seconds, f"take and confirm with {audiences}"):
            batch = ledger.write(
                deliveries.open_batch, 1, audience_id, IdType.USER_ID, Operation.ADD, 100_000, NOW
            )
            assert batch is not None
            ledger.write(deliveries.confirm, batch, ResponseRecord(NOW, 200))
        with timed(seconds, f"home with {audiences}"):
            ledger.read(audience_summaries, connection)
        seconds[f"MB with {audiences}"] = ledger.read(stored_bytes) / 1e6


Part = Callable[[Ledger, Size, dict[str, float]], None]
PARTS: dict[str, tuple[Part, float]] = {
    "import": (import_events, 3.0),
    "trickle": (trickle, 1.2),
    "deliver": (deliver, 2.5),
    "compare": (compare_cohort, 1.0),
    "home": (home, 0.0),
    "growth": (growth, 0.0),
}
"""Each with the ratio that it is to stay under; 0: on a server only."""


def peak() -> float:
    """The most memory that this process took, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def measure(name: str, url: str, size: Size) -> Figures:
    """Do one part on one ledger, in a process of its own."""
    seconds: dict[str, float] = {}
    with open_ledger(url) as ledger:
        PARTS[name][0](ledger, size, seconds)
        stored = ledger.read(stored_bytes) / 1e6
    return Figures(seconds, peak(), stored)


def show(name: str, found: dict[str, Figures]) -> None:
    """Print the figures of a part."""
    for engine, figures in found.items():
        spent = ", ".join(f"{what} {value:,.3f}" for what, value in figures.seconds.items())
        print(
            f"{name:8} {engine:10} {spent}; {figures.memory:,.0f} MiB; {figures.stored:,.0f} MB",
            flush=True,
        )
    if len(found) == 2:
        sqlite, server = (sum(item.seconds.values()) for item in found.values())
        print(f"{name:8} ratio {server / sqlite:.2f} (to be under {PARTS[name][1]})", flush=True)


def main() -> None:
    """Measure the parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--members", type=int, default=10_000_000)
    parser.add_argument("--compared", type=int, default=2_000_000)
    options = parser.parse_args()
    os.environ["PGPASSWORD"] = PASSWORD
    parts = options.parts or [*PARTS]
    folder = Path(tempfile.mkdtemp(prefix="amp-console-benchmark-"))
    try:
        size = Size(options.members, options.compared, folder / "events.ndjson")
        if "import" in parts:
            scenario = Scenario(
                events=options.events,
                users=options.events * 4 // 5,
                audiences=(Audience.named("High value shoppers"),),
                ghosts=0.0,
            )
            write_file(size.file, scenario)
        for name in parts:
            found = {}
            with postgresql_server(SETTINGS) as server:
                urls = {"sqlite": str(folder / f"{name}.db"), "postgresql": server.url()}
                for engine, url in urls.items():
                    if engine == "sqlite" and not PARTS[name][1]:
                        continue
                    with multiprocessing.get_context("spawn").Pool(1) as pool:
                        found[engine] = pool.apply(measure, (name, url, size))
            show(name, found)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
