"""`amp-console` on a bucket: killed, run twice at once, and searched for keys."""

import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from amp_console.cli.exits import Exit
from amp_console.ledger import open_ledger
from amp_console.simulator import Simulator
from tests.cli.operator import Operator
from tests.sync.bucket_server import KEY_ID, SECRET, BucketServer, Request, bucket_server
from tests.sync.workspace import event

OBJECTS, USERS = 60, 20


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BucketServer]:
    with bucket_server(tmp_path / "buckets", monkeypatch) as server:
        for n in range(OBJECTS):
            server.put(f"in/{n:02}.json", lines(n, USERS))
        yield server


def lines(number: int, users: int) -> str:
    """An object with an event of each of so many users."""
    return "\n".join(json.dumps(event(f"u{number}-{user}", True)) for user in range(users))


@pytest.fixture
def operator(tmp_path: Path, simulator: Simulator, bucket: BucketServer) -> Iterator[Operator]:
    operator = Operator(tmp_path, simulator)
    assert operator.connect().status == 0
    yield operator
    operator.end()


def counted(operator: Operator) -> tuple[int, int]:
    """How many members there are, and how many events were read; none may count twice."""
    (audience,) = operator.run("audiences", "--json").document
    (file,) = operator.home.rglob("*.db")
    with open_ledger(file) as ledger:
        events = ledger.read(lambda db: db.execute("SELECT sum(read) FROM source").fetchone()[0])
    return audience["members"], events


def test_an_import_killed_at_any_moment_is_completed_by_the_next(
    operator: Operator, bucket: BucketServer
) -> None:
    users = 1_500  # several transactions of several objects each
    for n in range(OBJECTS):
        bucket.put(f"in/{n:02}.json", lines(n, users))
    for requests in (1, 3, 10, 25, 45, 55):
        process = operator.start("import", bucket.address("in"))
        while len(bucket.requests) < requests and process.wait(0.002) is None:
            pass
        process.kill()
    last = operator.run("import", bucket.address("in"))
    assert last.status == 0, last.err
    again = operator.run("import", bucket.address("in"))
    assert "s3://events/in: 0 objects read, 60 read before and unchanged." in again.out
    assert counted(operator) == (OBJECTS * users, OBJECTS * users)
    assert operator.run("errors").out.startswith("No errors")


@pytest.mark.parametrize("is_listing", [True, False])
def test_ctrl_c_ends_an_import_that_waits_for_a_silent_server(
    operator: Operator, bucket: BucketServer, is_listing: bool
) -> None:
    """Its time limits are half a minute and more."""
    bucket.fault = lambda request: request.is_listing == is_listing and request.never_answer()
    process = operator.start("import", bucket.address("in"))
    process.wait_until(lambda: bucket.listings if is_listing else bucket.fetched)
    process.send(signal.SIGINT)
    assert process.wait(15) == Exit.INTERRUPTED, process.err
    assert "Traceback" not in process.err


def test_of_two_imports_at_once_one_reads_and_the_other_says_so(
    operator: Operator, bucket: BucketServer
) -> None:
    is_reading, may_go_on = threading.Event(), threading.Event()

    def hold(request: Request) -> bool:
        is_reading.set()
        may_go_on.wait(60)
        return False

    bucket.fault = hold
    first = operator.start("import", bucket.address("in"))
    assert is_reading.wait(60)
    second = operator.run("import", bucket.address("in"))
    assert second.status == 2
    assert "Another import or live session is reading from events" in second.err
    may_go_on.set()
    assert first.wait() == 0, first.err
    assert "Read 1,200 events: 1,200 valid (1,200 members updated)" in first.out
    assert sorted(bucket.fetched) == [f"in/{n:02}.json" for n in range(OBJECTS)]


def test_keys_of_a_bucket_are_written_nowhere(
    operator: Operator, bucket: BucketServer, tmp_path: Path
) -> None:
    said = [operator.run("import", bucket.address("in"))]
    bucket.put("in/new.json", "{}")
    bucket.fault = lambda request: request.refuse(400, "ExpiredToken")
    said.append(operator.run("import", bucket.address("in")))
    said.append(operator.run("import", f"s3://{KEY_ID}:{SECRET}@events/in"))
    said.append(operator.run("log"))
    assert [ended.status for ended in said] == [0, 2, 2, 0]
    assert "Import of s3://events/in: 1,200 events" in said[-1].out
    written = "".join(ended.out + ended.err for ended in said).encode()
    written += b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert SECRET.encode() not in written
    assert KEY_ID.encode() not in written


def test_a_bucket_is_watched_and_ends_in_order(
    operator: Operator, bucket: BucketServer, simulator: Simulator
) -> None:
    def has(members: int) -> bool:
        cohorts = simulator.world.cohorts()
        return bool(cohorts) and len(simulator.world.members(cohorts[0].id)) == members

    process = operator.start(
        *("watch", bucket.address("in"), "--create", "--json"),
        *("--every", "1s", "--flush-seconds", "0.2"),
    )
    process.wait_until(lambda: has(OBJECTS * USERS))
    bucket.put("in/late.json", json.dumps(event("late", True)))
    process.wait_until(lambda: has(OBJECTS * USERS + 1))
    assert process.end() == 0, process.err
    assert process.documents[-1]["read"] == OBJECTS * USERS + 1
    assert sorted(set(bucket.fetched)) == sorted(bucket.fetched)


def test_a_watch_that_is_killed_loses_nothing_and_counts_nothing_twice(
    operator: Operator, bucket: BucketServer
) -> None:
    process = operator.start("watch", bucket.address("in"))
    process.wait_until(lambda: len(bucket.requests) > 25)
    process.kill()
    assert operator.run("import", bucket.address("in")).status == 0
    assert counted(operator) == (OBJECTS * USERS, OBJECTS * USERS)


@pytest.mark.parametrize(
    ("path", "every", "words"),
    [
        ("s3://events/in", "soon", "'soon' is not a time from 1s to 24h, such as 90s or 15m."),
        ("s3://events/in", "0", "'0' is not a time from 1s to 24h"),
        ("s3://events/in", "25h", "'25h' is not a time from 1s to 24h"),
        ("events.ndjson", "5m", "--every needs the address of a bucket"),
    ],
)
def test_an_interval_that_makes_no_sense_is_refused(
    operator: Operator, path: str, every: str, words: str
) -> None:
    ended = operator.run("watch", path, "--every", every)
    assert (ended.status, words in ended.err) == (2, True), ended.err


def test_a_snapshot_in_a_bucket_is_read_as_a_whole_each_time(
    operator: Operator, bucket: BucketServer
) -> None:
    bucket.put("list/1.csv", "user_id\nu1\nu2\n")
    bucket.put("list/2.csv", "user_id\nu3\n")
    snapshot = ("import", bucket.address("list"), "--audience", "shoppers", "--snapshot", "--yes")
    for _ in range(2):
        ended = operator.run(*snapshot)
        assert "Read 3 events: 3 valid" in ended.out, ended.err
    bucket.put("list/2.csv", "user_id\nu4\n")
    assert "1 member has left: the snapshot does not list them." in operator.run(*snapshot).out
    assert "s3://events/list: 2 objects read." in operator.run(*snapshot[:4]).out


def test_a_list_in_a_bucket_is_compared_with_a_cohort(
    operator: Operator, bucket: BucketServer
) -> None:
    synced = operator.run("sync", "--from", bucket.address("in/00.json"), "--yes")
    assert synced.status == 0, synced.err
    bucket.put("list.csv", "user_id\n" + "".join(f"u0-{m}\n" for m in range(1, USERS)) + "new\n")
    ended = operator.run("reconcile", "shoppers", "--against", bucket.address("list.csv"))
    assert "1 missing" in ended.out + ended.err, ended
    nowhere = operator.run("reconcile", "shoppers", "--against", bucket.address("no.csv"))
    assert (nowhere.status, "s3://events/no.csv does not exist." in nowhere.err) == (2, True)
