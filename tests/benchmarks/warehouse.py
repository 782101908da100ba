"""An audience of millions refreshed from a query, in PostgreSQL and in DuckDB.

    python tests/benchmarks/warehouse.py [--members 2000000] [--changed 0.01]
        [--engine postgresql|duckdb]

Ours is `amp-console refresh`, a whole process, into an empty ledger. Beside it, in a process of its
own: the driver streams the same rows into a set, then our merge takes the same ids in. Then a share
of the members is replaced, and the audience refreshed again. Printed are seconds and their ratio,
peak memory (MiB), and how many rows of the ledger the second refresh wrote. PostgreSQL's programs
and both drivers have to be installed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from amp_console.connections import ConnectionStore, Folders
from amp_console.ledger import open_ledger
from amp_console.simulator import Simulator, World

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.postgresql import PASSWORD, postgresql_server  # noqa: E402  # found by the line above

QUERY = "SELECT user_id FROM people"
USER = "'user-' || lpad(to_hex(n * 2654435761 % 4294967296), 8, '0')"
"""In SQL; the order of the users is not that of the rows."""

# Without a file, DuckDB considers a process an interactive session, and mixes a progress bar into
# its output. Runs a command and says its peak memory (KiB).
OURS = """
import __main__, atexit, sys
__main__.__file__ = "amp-console"
from pathlib import Path
def tell_peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    print(next(line for line in lines if line.startswith("VmHWM")), file=sys.stderr)
atexit.register(tell_peak)
from amp_console.cli.app import main
main()
"""
# Streams the rows into a set, and merges them; prints the seconds of both.
BARE = """
import __main__, sys, time
__main__.__file__ = "bare"
from amp_console.ledger import open_ledger, sources
from amp_console.ledger.audiences import discover
from amp_console.ledger.members import NewestChanges, merge
from amp_console.values import AudienceRef, Change
engine, url, ledger_path = sys.argv[1:]
begun = time.perf_counter()
if engine == "postgresql":
    import psycopg
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        found = {row[0] for row in cursor.stream("SELECT user_id FROM people", size=1000)}
else:
    import duckdb
    cursor, found = duckdb.connect(url, read_only=True).execute("SELECT user_id FROM people"), set()
    while rows := cursor.fetchmany(10_000):
        found.update(row[0] for row in rows)
streamed = time.perf_counter() - begun
ref, ids = AudienceRef("space", "large", "large"), [*found]
with open_ledger(ledger_path) as ledger:
    audience = ledger.write(discover, ref)
    source_id = ledger.write(sources.begin_source, "query", None, 1)
    for first in range(0, len(ids), 100_000):
        newest = NewestChanges()
        newest.add([
            Change(ref, id_, None, True, 1, first + n)
            for n, id_ in enumerate(ids[first : first + 100_000], start=1)
        ])
        ledger.write(merge, source_id, newest, {ref: audience.id}, 1)
print(streamed, time.perf_counter() - begun)
"""


class Warehouse(NamedTuple):
    """Where an engine's rows are, as amp-console and as its driver is told it."""

    url: str
    driver_url: str
    execute: Callable[[str], object]


@contextmanager
def warehouse(engine: str, folder: Path) -> Iterator[Warehouse]:
    """Run an engine with an empty database."""
    if engine == "postgresql":
        with postgresql_server() as server:
            yield Warehouse(server.url(), server.url(), server.execute)
        return
    import duckdb

    path = folder / "people.duckdb"

    def execute(sql: str) -> None:
        with closing(duckdb.connect(str(path))) as db:
            db.execute(sql)

    yield Warehouse(f"duckdb:{path}", str(path), execute)


def measure(engine: str, members: int, changed: int) -> None:
    """Fill, refresh, change, refresh again; print."""
    with (
        Simulator(World()) as simulator,
        tempfile.TemporaryDirectory() as name,
        warehouse(engine, Path(name)) as source,
    ):
        keys, home = simulator.credentials, Path(name) / "home"
        environment = {
            **os.environ,
            "AMP_CONSOLE_HOME": str(home),
            "AMP_CONSOLE_API_KEY": keys.api_key.reveal(),
            "AMP_CONSOLE_SECRET_KEY": keys.secret_key.reveal(),
            "PGPASSWORD": PASSWORD,
        }

        def run(*arguments: str) -> tuple[float, str, float]:
            begun = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", OURS, *arguments],
                env=environment, capture_output=True, text=True, check=False,
            )  # fmt: skip
            seconds = time.perf_counter() - begun
            assert done.returncode == 0, done.stderr
            peak = next(line for line in done.stderr.splitlines() if line.startswith("VmHWM"))
            return seconds, done.stdout, int(peak.split()[1]) / 1024

        source.execute(
            f"CREATE TABLE people AS SELECT {USER} AS user_id "
            f"FROM generate_series(1, {members}) AS numbers(n)"
        )
        owner = ("--app-id", "123456", "--owner-email", "ana@acme.example")
        run("connect", "bench", *owner, "--base-url", simulator.base_url)
        run("source", "add", "people", source.url)
        run("audience", "large", "--name", "Large", "--source", "people", "--query", QUERY)
        bare = subprocess.run(
            [sys.executable, "-c", BARE, engine, source.driver_url, str(home / "bare.sqlite")],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        streamed, merged = map(float, bare.stdout.split())
        seconds, out, peak = run("refresh", "large", "--yes", "--json")
        assert json.loads(out)[0]["listed"] == members, out
        print(f"{engine}: {members:,} ids in {seconds:.1f} s, peak memory {peak:.0f} MiB")
        print(
            f"  the driver into a set {streamed:.1f} s, with our merge {merged:.1f} s: "
            f"ours takes {seconds / merged:.2f} of that"
        )
        source.execute(
            f"DELETE FROM people WHERE user_id IN (SELECT {USER} "
            f"FROM generate_series(1, {changed}) AS numbers(n))"
        )
        source.execute(
            f"INSERT INTO people SELECT {USER} "
            f"FROM generate_series({members + 1}, {members + changed}) AS numbers(n)"
        )
        connection = ConnectionStore(Folders.locate(environment).config_file).pick(None)
        ledger_path = Folders.locate(environment).ledger(connection.id)
        newest = "SELECT max(event_at) FROM member"
        with open_ledger(ledger_path) as ledger:
            before = ledger.read(lambda db: db.execute(newest).fetchone()[0])
        again, _, peak = run("refresh", "large", "--yes", "--json")
        written_sql = "SELECT count(*) FROM member WHERE event_at > ?"
        with open_ledger(ledger_path) as ledger:
            written = ledger.read(lambda db: db.execute(written_sql, (before,)).fetchone()[0])
        print(
            f"  again, with {changed:,} gone and {changed:,} new: {again:.1f} s "
            f"({again / seconds:.2f}), peak memory {peak:.0f} MiB, {written:,} rows written"
        )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=2_000_000)
    parser.add_argument("--changed", type=float, default=0.01)
    parser.add_argument("--engine", choices=["postgresql", "duckdb"])
    options = parser.parse_args()
    for engine in [options.engine] if options.engine else ["postgresql", "duckdb"]:
        measure(engine, options.members, round(options.members * options.changed))


if __name__ == "__main__":
    main()
