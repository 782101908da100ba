"""Runs whose process died are recognized, and ended with what they did."""

import subprocess
import sys
from pathlib import Path

import pytest

from amp_console.ledger import Ledger, deliveries, open_ledger
from amp_console.ledger.deliveries import ResponseRecord
from amp_console.ledger.runs import (
    UNDER_WAY,
    AudienceCounts,
    RunStatus,
    all_runs,
    begin_run,
    end_run,
    record_audience,
    run,
    run_audiences,
)
from amp_console.ledger.sources import ReadCounts
from amp_console.values import IdType, Operation
from tests.ledger.helpers import enters, read, start
from tests.ledgers import sqlite_only

pytestmark = pytest.mark.both_engines

BEGINS_AND_WAITS = """
import sys
from amp_console.ledger import Ledger, open_ledger
from amp_console.ledger.runs import begin_run
from amp_console.ledger.sources import ReadCounts
path = sys.argv[1]
with open_ledger(path) as ledger, ledger.hold_run() as lock:
    print(ledger.write(begin_run, ReadCounts(), 1, lock), flush=True)
    sys.stdin.read()
"""


def status(ledger: Ledger, run_id: int = 1) -> RunStatus:
    found = ledger.read(run, run_id, ledger.dead_runs())
    assert found is not None
    return found.status


def kept(ledger: Ledger) -> str:
    """What the file itself says about the first run."""
    return str(ledger.read(lambda db: db.execute("SELECT status FROM run").fetchone()[0]))


def test_a_run_under_way_is_running_for_every_process(ledger: Ledger) -> None:
    with ledger.hold_run() as lock:
        ledger.write(begin_run, ReadCounts(), 1, lock)
        assert status(ledger) is RunStatus.RUNNING
        with open_ledger(ledger.url) as other:
            assert status(other) is RunStatus.RUNNING
            (target,) = other.read(all_runs)
            assert target.holder.startswith("process ")
            assert " on " in target.holder


def test_the_lock_counts_and_not_the_number_of_the_process(ledger: Ledger) -> None:
    """This process is alive, and has the recorded number."""
    with ledger.hold_run() as lock:
        ledger.write(begin_run, ReadCounts(), 5, lock)
    (target,) = ledger.read(all_runs, dead=ledger.dead_runs())
    assert (target.status, target.ended_at) == (RunStatus.INTERRUPTED, 5)
    assert kept(ledger) == "running"
    with open_ledger(ledger.url) as other:
        assert kept(other) == "interrupted"
        assert other.read(all_runs) == [target]


def test_a_run_is_interrupted_once_its_process_is_killed(ledger: Ledger) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", BEGINS_AND_WAITS, ledger.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        run_id = int(process.stdout.readline())
        assert status(ledger, run_id) is RunStatus.RUNNING
        process.kill()
    assert status(ledger, run_id) is RunStatus.INTERRUPTED


@sqlite_only
def test_a_ledger_met_by_another_path_is_the_same(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    link = tmp_path / "other" / "link.db"
    link.symlink_to(ledger.url)
    with open_ledger(link) as other, other.hold_run() as lock:
        ledger.write(begin_run, ReadCounts(), 1, lock)
        assert status(ledger) is RunStatus.RUNNING


@sqlite_only
def test_an_ended_run_leaves_no_lock_file(ledger: Ledger) -> None:
    with ledger.hold_run() as lock:
        ledger.write(
            end_run, ledger.write(begin_run, ReadCounts(), 1, lock), RunStatus.STOPPED, "", 2
        )
    assert status(ledger) is RunStatus.STOPPED
    assert list(Path(ledger.url).with_suffix(".leases").iterdir()) == []


def test_what_a_dead_run_did_is_kept(ledger: Ledger) -> None:
    read(ledger, [enters(f"u{n}", 1, n + 1) for n in range(7)])
    row_id = start(ledger).id
    with ledger.hold_run() as lock:
        run_id = ledger.write(begin_run, ReadCounts(read=7), 10, lock)

        def take(size: int, at: int) -> deliveries.DeliveryBatch:
            batch = ledger.write(
                deliveries.open_batch, run_id, row_id, IdType.USER_ID, Operation.ADD, size, at
            )
            assert batch is not None
            return batch

        ledger.write(deliveries.confirm, take(3, 20), ResponseRecord(30, 200), ["u1"], "unknown")
        refused, malformed = take(1, 40), ResponseRecord(50, 400, "malformed")
        ledger.write(deliveries.undo, refused, malformed)
        ledger.write(deliveries.refuse, refused, ["u3"], malformed)
        ledger.write(deliveries.void, take(2, 60).request_id, ResponseRecord(70, 503, "down"))
        take(2, 80)  # and dies
        under_way = ledger.read(run, run_id)
        (line,) = ledger.read(run_audiences, run_id)
    assert under_way is not None
    assert (under_way.added, under_way.rejected, under_way.requests) == (2, 2, 4)
    assert (line.counts.added, line.counts.requests, line.counts.note) == (2, 4, UNDER_WAY)
    with open_ledger(ledger.url) as later:
        (item,) = later.read(run_audiences, run_id)
        assert item.counts == AudienceCounts(2, 0, 2, 4, 0, item.counts.note)
        assert "process ended" in item.counts.note
        assert item.pending is None
        found = later.read(run, run_id)
        assert found is not None
        assert (found.status, found.ended_at) == (RunStatus.INTERRUPTED, 80)
        assert (found.added, found.rejected, found.audiences) == (2, 2, 1)


def test_a_request_that_was_never_sent_is_not_counted(ledger: Ledger) -> None:
    """The next batch is opened while a request is under way."""
    read(ledger, [enters("u1", 1), enters("u2", 1, 2)])
    row_id = start(ledger).id
    with ledger.hold_run() as lock:
        run_id = ledger.write(begin_run, ReadCounts(), 1, lock)
        for at in (2, 3):
            opened = ledger.write(
                deliveries.open_batch, run_id, row_id, IdType.USER_ID, Operation.ADD, 1, at
            )
            assert opened is not None
        under_way = ledger.read(run, run_id)
        assert under_way is not None
        assert under_way.requests == 1
    ledger.write(deliveries.void_open, row_id, 4, None)
    with open_ledger(ledger.url) as later:
        found = later.read(run, run_id)
        assert found is not None
        assert (found.status, found.requests) == (RunStatus.INTERRUPTED, 1)


def test_audiences_it_was_through_with_keep_their_own_counts(ledger: Ledger) -> None:
    read(ledger, [enters("u1", 1)])
    row_id = start(ledger).id
    counts = AudienceCounts(added=1, requests=5, retries=2)
    with ledger.hold_run() as lock:
        run_id = ledger.write(begin_run, ReadCounts(), 1, lock)
        ledger.write(deliveries.open_batch, run_id, row_id, IdType.USER_ID, Operation.ADD, 1, 2)
        ledger.write(record_audience, run_id, row_id, counts, 3)
    with open_ledger(ledger.url) as later:
        (item,) = later.read(run_audiences, run_id)
        assert (item.counts.added, item.counts.requests, item.counts.note) == (1, 5, "")
