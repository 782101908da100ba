"""A network that swallows packets: the ledger's server is silent, and its connections stay.

The event loop runs on, so that the console can be used and the webhook answers.
"""

import asyncio
import io
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest

from amp_console.ledger import Db, LedgerError, open_ledger
from amp_console.ledger.audiences import all_audiences
from amp_console.ledger.errors import LeaseLost, LedgerUnreachable
from amp_console.ledger.locks import AudienceBusy
from amp_console.ledger.runs import RunKind
from amp_console.sync.delivery.pending import deliver_audience
from amp_console.sync.delivery.progress import AudienceProgress
from amp_console.sync.delivery.run import carry_out, open_run, take_turn
from amp_console.sync.delivery.worker import AudienceWorker
from amp_console.sync.ingest.stream import IngestResult, StreamIngestor
from amp_console.sync.sources.streams import FollowOptions, PipeStream
from amp_console.sync.sources.watcher import PathWatcher
from tests.ledgers import PostgresqlLedgers, postgresql_only
from tests.sync.relays import ForgetfulRelay
from tests.sync.workspace import Workspace, event

pytestmark = [postgresql_only, pytest.mark.anyio]

TAKE, RELEASE, CHECK = b"pg_try_advisory_lock", b"pg_advisory_unlock", b"SELECT\0"
TICKS = 100
PATIENCE = 10  # seconds; an event loop that is blocked for so long fails the test


@pytest.fixture
def relay(workspace: Workspace, server_ledgers: PostgresqlLedgers) -> Iterator[ForgetfulRelay]:
    """A relay before the server; the workspace's ledger is behind it, and has one audience."""
    workspace.enter("u1")
    direct, port = workspace.ledger, server_ledgers.server.port
    with ForgetfulRelay(port) as running, unless_it_lasts(running.forget):
        with open_ledger(direct.url.replace(f":{port}/", f":{running.port}/")) as ledger:
            workspace.ledger = ledger
            try:
                yield running
            finally:
                running.forget()
        workspace.ledger = direct


@contextmanager
def unless_it_lasts(end: Callable[[], None]) -> Iterator[None]:
    """End what would never end on its own: by then, the test has failed."""
    timer = threading.Timer(6 * PATIENCE, end)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


async def begin_run(workspace: Workspace) -> None:
    async with workspace.opened() as context, open_run(RunKind.SYNC, context):
        pytest.fail("it has begun")


async def begin_turn(workspace: Workspace, relay: ForgetfulRelay) -> None:
    async with workspace.opened() as context, open_run(RunKind.SYNC, context) as run:
        worker = AudienceWorker(run, workspace.audience())
        relay.stop_at(TAKE)
        await take_turn(worker, not_reached)


async def send(workspace: Workspace, relay: ForgetfulRelay) -> None:
    async def under_the_lease(worker: AudienceWorker) -> None:
        relay.stop_at(CHECK)
        await deliver_audience(worker)

    known = workspace.audience()
    goals = [AudienceProgress(known.id, known.handle, known.name, 1)]
    async with workspace.opened() as context:
        await carry_out(RunKind.SYNC, goals, under_the_lease, context)


async def not_reached(_: AudienceWorker) -> None:
    pytest.fail("it has the lease")


async def until_it_breaks(
    relay: ForgetfulRelay, work: Awaitable[object], error: type[LedgerError]
) -> None:
    """Do work during which the server falls silent, until its connections break, which fails it.

    They break once the event loop has gone round often enough, or after `PATIENCE` if it does not.
    """
    has_ticked = threading.Event()

    async def tick() -> None:
        ticks = 0
        while ticks < TICKS:
            await asyncio.sleep(0)
            ticks += relay.has_stopped.is_set()
        has_ticked.set()

    def break_off() -> None:
        relay.has_stopped.wait(PATIENCE)
        has_ticked.wait(PATIENCE)
        was_alive.append(has_ticked.is_set())
        relay.forget()

    was_alive: list[bool] = []
    breaking = threading.Thread(target=break_off)
    breaking.start()
    ticking = asyncio.create_task(tick())
    with pytest.raises(error):
        await work
    ticking.cancel()
    breaking.join()
    assert was_alive == [True]


async def test_a_run_that_cannot_begin_holds_up_nothing_else(
    workspace: Workspace, relay: ForgetfulRelay
) -> None:
    relay.stop_at(TAKE)
    await until_it_breaks(relay, begin_run(workspace), LedgerUnreachable)


async def test_a_turn_that_cannot_begin_holds_up_nothing_else(
    workspace: Workspace, relay: ForgetfulRelay, server_ledgers: PostgresqlLedgers
) -> None:
    await until_it_breaks(relay, begin_turn(workspace, relay), LedgerUnreachable)
    relay.end_forgotten()
    until_no_lock_is_held(server_ledgers)


async def test_a_lease_that_cannot_be_checked_is_lost_and_nothing_is_sent(
    workspace: Workspace, relay: ForgetfulRelay, server_ledgers: PostgresqlLedgers
) -> None:
    await workspace.sync()
    workspace.enter("u2")
    sent = len(workspace.simulator.requests)
    await until_it_breaks(relay, send(workspace, relay), LeaseLost)
    assert len(workspace.simulator.requests) == sent
    relay.end_forgotten()
    until_no_lock_is_held(server_ledgers)
    await workspace.sync()
    assert workspace.cohort() == {"u1", "u2"}


def until_no_lock_is_held(ledgers: PostgresqlLedgers) -> None:
    query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    begun = monotonic()
    while ledgers.server.rows(query) != [(0,)]:
        assert monotonic() - begun < 60


async def test_a_lease_that_is_taken_after_its_caller_was_cancelled_is_released(
    workspace: Workspace, relay: ForgetfulRelay, server_ledgers: PostgresqlLedgers
) -> None:
    ledger = workspace.ledger

    async def hold() -> None:
        async with ledger.ahold(ledger.lease(1), longest_release=0):
            pytest.fail("it was cancelled before")

    relay.stop_at(TAKE)
    await cancelled_once_silent(relay, hold)
    relay.go_on()
    await ledger.aread(all_audiences)  # after that, in the ledger's thread
    with open_ledger(ledger.url) as other, other.lease(1):
        pass


async def test_a_lease_that_cannot_be_released_is_released_later(
    workspace: Workspace, relay: ForgetfulRelay, server_ledgers: PostgresqlLedgers
) -> None:
    ledger = workspace.ledger
    async with ledger.ahold(ledger.lease(1), longest_release=0):
        relay.stop_at(RELEASE)
    await asyncio.to_thread(relay.has_stopped.wait, PATIENCE)
    direct = ledger.url.replace(f":{relay.port}/", f":{server_ledgers.server.port}/")
    with open_ledger(direct) as other:
        with pytest.raises(AudienceBusy), other.lease(1):
            pass
        relay.go_on()
        await ledger.aread(all_audiences)  # after that, in the ledger's thread
        with other.lease(1):
            pass


async def cancelled_once_silent(relay: ForgetfulRelay, work: Callable[[], Awaitable[None]]) -> None:
    """Cancel work that waits for the silent server; it ends although the server stays silent."""
    waiting = asyncio.ensure_future(work())
    await asyncio.to_thread(relay.has_stopped.wait, PATIENCE)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_lines_are_counted_once_if_the_answer_to_their_commit_is_lost(
    workspace: Workspace, relay: ForgetfulRelay, tmp_path: Path
) -> None:
    log = tmp_path / "events.ndjson"
    log.write_text(json.dumps(event("u2", True)) + "\n")
    watcher = PathWatcher(StreamIngestor(workspace.ledger, workspace.read_options()), [log])
    workspace.ledger.write(warn_at_commit, "INSERT OR UPDATE ON checkpoint")
    relay.stop_at(WARNING)
    with ThreadPoolExecutor(1) as thread:
        scanning = thread.submit(watcher.scan)
        assert relay.has_stopped.wait(PATIENCE)
        relay.forget()
        with pytest.raises(LedgerUnreachable):
            scanning.result()
    with log.open("a") as more:
        more.write(json.dumps(event("u3", True)) + "\n")
    assert watcher.scan().tally.read == 2
    found = workspace.ledger.read(
        lambda db: db.execute("SELECT read FROM source WHERE name = ?", (str(log),)).fetchall()
    )
    assert found == [(2,)]


async def test_a_pipe_is_counted_once_if_the_answer_to_a_commit_is_lost(
    workspace: Workspace, relay: ForgetfulRelay
) -> None:
    ingestor = StreamIngestor(workspace.ledger, workspace.read_options())
    stream = io.BytesIO(json.dumps(event("u2", True)).encode() + b"\n")
    source = PipeStream(ingestor, stream, "stdin", FollowOptions(retry_interval=0.01))
    workspace.ledger.write(warn_at_commit, "UPDATE ON source")
    sink = Counted()
    relay.stop_at(WARNING)
    following = asyncio.create_task(source.follow(sink))
    assert await asyncio.to_thread(relay.has_stopped.wait, PATIENCE)
    relay.forget()
    await following
    assert (sink.result.tally.read, sink.result.audience_ids) == (1, {workspace.audience().id})
    found = workspace.ledger.read(
        lambda db: db.execute("SELECT read FROM source WHERE name = 'stdin'").fetchall()
    )
    assert found == [(1,)]


class Counted:
    """A sink that adds up what arrives."""

    def __init__(self) -> None:
        self.ending = asyncio.Event()
        self.result = IngestResult()

    async def arrived(self, result: IngestResult) -> None:
        self.result = self.result.plus(result)

    def catch_up_soon(self) -> None:
        pass


WARNING = b"it is about to be committed"


def warn_at_commit(db: Db, change: str) -> None:
    """Let each commit of such a change send a warning first."""
    says = f"BEGIN RAISE WARNING '{WARNING.decode()}'; RETURN NULL; END"
    db.execute(f"CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$ {says} $$")
    db.execute(
        f"CREATE CONSTRAINT TRIGGER fails AFTER {change} "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fails()"
    )
