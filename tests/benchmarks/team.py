"""Several processes on one ledger, on a PostgreSQL of their own.

    python tests/benchmarks/team.py locks [--seconds 10] [--processes 8]
    python tests/benchmarks/team.py kills [--moments 100] [--seed 1]
    python tests/benchmarks/team.py soak [--seconds 600] [--rate 200]

`locks`: as many processes merge events, take batches and settle them, each for an audience of its
own; printed is how many such rounds they come to in a second, where each write waits for all others
(one lock for the ledger), and where it waits for those of the same audience. The server writes to
its disk at each commit.

`kills`: of `watch`, `sync`, `import` and `listen`, which share one ledger and three audiences, one
is killed at each of so many random moments, and started again. In the end one sync must make all
cohorts exact. A few moments are one of the tests.

`soak`: two `listen`, two `watch`, two that `sync` again and again, and two that read what a console
shows, for so long, at so many events a second into 20 audiences. In the end all cohorts must be
exact. Printed are the lag (95%) as the live sessions say it, the server's deadlocks, and requests
that met another one for the same cohort.
"""

import argparse
import multiprocessing
import os
import signal
import tempfile
import time
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path

import httpx

from amp_console.ledger import deliveries, open_ledger
from amp_console.ledger.audiences import all_audiences, discover
from amp_console.ledger.counts import outstanding
from amp_console.ledger.deliveries import ResponseRecord
from amp_console.ledger.members import NewestChanges, merge
from amp_console.ledger.runs import all_runs
from amp_console.ledger.sources import begin_source
from amp_console.simulator import Behavior, Simulator
from amp_console.values import AudienceRef, Change, IdType, Operation
from tests.benchmarks.live import Stream
from tests.cli.operator import Operator
from tests.cli.processes import Process
from tests.cli.team import REFUSED_AT_ONCE, Team, check_end, wait_until_certain
from tests.ports import free_port
from tests.postgresql import PASSWORD, QUICK, PostgresqlServer, postgresql_server

DURABLE = "-c shared_buffers=128MB -c max_wal_size=4GB"
CHANGES = 50  # in a round
FLUSH = 5.0


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["locks", "kills", "soak"])
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--moments", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=int, default=200)
    asked = parser.parse_args()
    os.environ["PGPASSWORD"] = PASSWORD
    with postgresql_server(QUICK if asked.part == "kills" else DURABLE) as server:
        if asked.part == "locks":
            measure_locks(server, asked.processes, asked.seconds or 10)
        elif asked.part == "kills":
            kill(server, asked.moments, asked.seed)
        else:
            soak(server, asked.seconds or 600, asked.rate)


def measure_locks(server: PostgresqlServer, processes: int, seconds: float) -> None:
    """Print the rates of one process, and of several by either kind of lock."""
    alone = rounds(server, 1, seconds, by_audience=True)
    print(f"1 process: {alone:,.0f} rounds/s of {CHANGES} changes")
    found = {}
    for by_audience, name in ((False, "the ledger"), (True, "each audience")):
        found[by_audience] = rounds(server, processes, seconds, by_audience=by_audience)
        print(f"{processes} processes, one lock for {name}: {found[by_audience]:,.0f} rounds/s")
    print(f"ratio {found[True] / found[False]:.2f}")


def rounds(server: PostgresqlServer, processes: int, seconds: float, *, by_audience: bool) -> float:
    """Return how many rounds a second so many processes come to, all together."""
    url = f"{server.url()}?schema=locks_{processes}_{int(by_audience)}"
    open_ledger(url).close()
    forks = multiprocessing.get_context("forkserver")
    ready, counts = forks.Barrier(processes), forks.Queue()
    workers = [
        forks.Process(target=_work, args=(url, number, seconds, by_audience, ready, counts))
        for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    done = sum(counts.get() for _ in workers)
    for worker in workers:
        worker.join()
    return float(done / seconds)


def _work(
    url: str, number: int, seconds: float, by_audience: bool, ready: Barrier, counts: "Queue[int]"
) -> None:
    ref = AudienceRef("spa", f"aud_{number}", f"audience-{number}")
    with open_ledger(url) as ledger:
        audience_id = ledger.write(discover, ref).id
        source_id = ledger.write(begin_source, "source", f"/{number}", 1)
        writes = ledger.writes_of(audience_id) if by_audience else ledger
        ready.wait()
        end, done = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            changes = [
                Change(ref, f"u{done % 20}-{n}", None, done % 40 < 20, done + 1, n + 1)
                for n in range(CHANGES)
            ]
            newest = NewestChanges()
            newest.add(changes)
            writes.write(merge, source_id, newest, {ref: audience_id}, 1)
            for operation in Operation:
                batch = writes.write(
                    deliveries.open_batch, 1, audience_id, IdType.USER_ID, operation, CHANGES, 1
                )
                if batch is not None:
                    writes.write(deliveries.confirm, batch, ResponseRecord(1, 200))
            done += 1
        counts.put(done)


def kill(server: PostgresqlServer, moments: int, seed: int) -> None:
    """Kill one of four processes at so many moments, and check the cohorts in the end."""
    behavior = Behavior(latency=0.2)
    with Simulator(behavior=behavior) as simulator, tempfile.TemporaryDirectory() as folder:
        operator = connected(server, simulator, Path(folder), "kills")
        operator.limit(quiet_time=1, first_wait=0.05)
        team = Team(operator, f"{server.url()}?schema=kills", free_port(), seed)
        try:
            for moment in range(1, moments + 1):
                team.keep_running()
                team.feed(5)
                team.kill_one(1.5)
                if moment % 10 == 0:
                    print(f"{moment} kills", flush=True)
            team.finish()
            team.check()
        finally:
            operator.end()
        print(
            f"exact after {moments} kills; {len(simulator.requests):,} requests, of which "
            f"{team.overlaps} met one of a killed process (at most {team.in_flight}); "
            f"{deadlocks(server)} deadlocks"
        )


def connected(
    server: PostgresqlServer, simulator: Simulator, folder: Path, schema: str
) -> Operator:
    """An operator whose connection has a ledger in a schema of the server."""
    operator = Operator(folder, simulator)
    operator.environment["AMP_CONSOLE_LEDGER"] = f"{server.url()}?schema={schema}"
    done = operator.connect()
    assert done.status == 0, done.err
    return operator


def deadlocks(server: PostgresqlServer) -> int:
    """How many the server has met."""
    ((found,),) = server.rows("SELECT sum(deadlocks) FROM pg_stat_database")
    return int(str(found))


def soak(server: PostgresqlServer, seconds: float, rate: int) -> None:
    """Let eight processes work beside each other, and check the cohorts in the end."""
    stream = Stream(20, 5_000)
    behavior = Behavior(latency=0.1)
    with Simulator(behavior=behavior) as simulator, tempfile.TemporaryDirectory() as folder:
        operator = connected(server, simulator, Path(folder), "soak")
        operator.limit(quiet_time=1)
        try:
            eight = Eight(operator, f"{server.url()}?schema=soak")
            eight.work(stream, seconds, rate)
            lags = eight.end()
        finally:
            operator.end()
        for key, members in stream.members.items():
            assert operator.cohort(key) == members, key
        assert len(simulator.world.cohorts()) == len(stream.members)
        overlaps = sum(seen.status == REFUSED_AT_ONCE for seen in simulator.requests)
        print(f"{int(rate * seconds):,} events, exact; {len(simulator.requests):,} requests")
        print(f"lag (95%) {', '.join(f'{lag:.1f}' for lag in lags)} s; windows of {FLUSH:.0f} s")
        ((lost,),) = server.rows("SELECT count(*) FROM soak.request WHERE state = 'void'")
        print(f"{overlaps} requests overlapped, {lost} without an answer")
        print(f"{deadlocks(server)} deadlocks")


class Eight:
    """Two `watch`, two `listen`, two `sync` that are started again, and two readers."""

    def __init__(self, operator: Operator, url: str) -> None:
        self._operator = operator
        self._url = url
        self._files = [operator.home / f"{number}.ndjson" for number in range(4)]
        for file in self._files:
            file.touch()
        ports = [free_port() for _ in range(2)]
        self._urls = [f"http://127.0.0.1:{port}/" for port in ports]
        live = ("--create", "--allow-large-removals", "--flush-seconds", str(FLUSH), "--json")
        self._live = [operator.start("watch", file, *live) for file in self._files[:2]]
        self._live += [operator.start("listen", "--port", str(port), *live) for port in ports]
        self._syncs = {file: self._sync(file) for file in self._files[2:]}
        forks = multiprocessing.get_context("forkserver")
        self._ended = forks.Event()
        self._readers = [forks.Process(target=_read, args=(url, self._ended)) for _ in range(2)]
        for reader in self._readers:
            reader.start()

    def _sync(self, file: Path) -> Process:
        return self._operator.start("sync", "--from", file, "--yes")

    def work(self, stream: Stream, seconds: float, rate: int) -> None:
        """Give each of the six that read events a part of the stream."""
        begun, sent = time.monotonic(), 0
        with httpx.Client(timeout=30, transport=httpx.HTTPTransport(retries=10)) as client:
            while sent < int(rate * seconds):
                time.sleep(0.1)
                due = int(min(time.monotonic() - begun, seconds) * rate) - sent
                events = stream.make(due)
                sent += due
                self._give([events[number::6] for number in range(6)], client)
                for file, process in self._syncs.items():
                    if process.status is not None:
                        check_end(process)
                        self._syncs[file] = self._sync(file)

    def _give(self, parts: list[list[str]], client: httpx.Client) -> None:
        for file, events in zip(self._files, parts, strict=False):
            with file.open("a") as growing:
                growing.write("".join(f"{event}\n" for event in events))
        for url, events in zip(self._urls, parts[4:], strict=True):
            client.post(url, content=f"[{','.join(events)}]").raise_for_status()

    def end(self) -> list[float]:
        """End all, and sync; return the lag (95%) of each live session, in seconds."""
        self._ended.set()
        for reader in self._readers:
            reader.join()
            assert reader.exitcode == 0
        for process in self._live:
            process.send(signal.SIGTERM)
        for process in [*self._live, *self._syncs.values()]:
            process.wait()
            check_end(process)
        for file in self._syncs:
            assert self._operator.run("import", file).status == 0
        wait_until_certain(self._url)  # a lost answer is not a failure
        done = self._operator.run("sync", "--yes")
        assert done.status == 0, f"{done.status}: {done.out}{done.err}"
        return [float(process.documents[-1]["lag_95"]) for process in self._live]


def _read(url: str, ended: Event) -> None:
    """Read what a console shows of audiences and runs, twice a second."""
    with open_ledger(url) as ledger:
        while not ended.wait(0.5):
            dead = ledger.dead_runs()
            ledger.read(lambda db: [outstanding(db, item) for item in all_audiences(db)])
            ledger.read(all_runs, 100, dead)


if __name__ == "__main__":
    main()
