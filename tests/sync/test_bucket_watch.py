"""Following a bucket: new objects are delivered; unreadable ones are reported and retried."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from amp_console.sync.ingest.stream import StreamIngestor
from amp_console.sync.live.progress import LiveReport
from amp_console.sync.live.session import LiveSession
from amp_console.sync.sources.bucket.address import BucketAddress
from amp_console.sync.sources.bucket.stream import PollOptions, open_buckets
from amp_console.sync.sources.known import known_sources
from amp_console.sync.sources.protocols import EventStream, SourceStatus, StreamKind
from tests.sync.bucket_server import BUCKET, QUICK, BucketServer, bucket_server
from tests.sync.test_bucket_import import events_read, members
from tests.sync.test_live import is_in, until
from tests.sync.webhook_sender import LIVE_OPTIONS
from tests.sync.workspace import Workspace, lines, unread

pytestmark = pytest.mark.anyio
PATIENCE = 15  # seconds


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BucketServer]:
    with bucket_server(tmp_path / "buckets", monkeypatch) as server:
        yield server


class Clock:
    """A clock that only `sleep` advances, by the requested time; it returns after a moment."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0.01)
        self.now += seconds


class Followed:
    """A session that follows addresses of a bucket."""

    def __init__(self, source: EventStream, clock: Clock) -> None:
        self.source = source
        self.clock = clock
        self.live: LiveSession | None = None
        self.report: LiveReport | None = None

    @property
    def troubles(self) -> dict[str, str]:
        return {item.name: item.trouble for item in self.status if item.trouble}

    @property
    def status(self) -> tuple[SourceStatus, ...]:
        return self.source.status()

    def is_in_trouble(self, words: str) -> Callable[[], bool]:
        return lambda: any(words in trouble for trouble in self.troubles.values())


@asynccontextmanager
async def following(
    workspace: Workspace, bucket: BucketServer, *prefixes: str
) -> AsyncIterator[Followed]:
    clock = Clock()
    timing = dataclasses.replace(workspace.timing, sleep=clock.sleep, monotonic=clock)
    addresses = [BucketAddress.parse(bucket.address(prefix)) for prefix in prefixes]
    ingestor = StreamIngestor(workspace.ledger, workspace.read_options(), timing)
    followed = Followed(open_buckets(addresses, ingestor, PollOptions(), QUICK), clock)
    async with workspace.client() as client:
        live = followed.live = LiveSession(workspace.context(client), LIVE_OPTIONS)
        task = asyncio.create_task(live.run(followed.source))
        try:
            yield followed
        finally:
            live.end()
            followed.report = await task


async def test_objects_that_appear_are_delivered_once_also_across_sessions(
    workspace: Workspace, bucket: BucketServer
) -> None:
    bucket.put("in/1.json", lines("u1"))
    async with following(workspace, bucket, "in") as followed:
        await until(is_in(workspace, "u1"))
        bucket.put("in/2.json", lines("u2"))
        await until(is_in(workspace, "u1", "u2"))
        assert followed.status[0] == SourceStatus(
            f"s3://{BUCKET}/in",
            2,
            followed.status[0].last,
            kind=StreamKind.BUCKET,
            objects=2,
        )
    assert followed.report is not None
    assert followed.report.last.tally.read == 2
    assert followed.report.last.earlier == 1
    assert followed.clock.waits[0] == 60.0
    bucket.requests.clear()
    bucket.put("in/3.json", lines("u3"))
    async with following(workspace, bucket, "in"):
        await until(is_in(workspace, "u1", "u2", "u3"))
    assert bucket.fetched == ["in/3.json"]
    assert events_read(workspace) == 3


async def test_a_single_object_is_read_again_only_when_it_is_replaced(
    workspace: Workspace, bucket: BucketServer
) -> None:
    bucket.put("in/1.json", lines("u1"))
    async with following(workspace, bucket, "in/1.json") as followed:
        await until(is_in(workspace, "u1"))
        await until(lambda: len(followed.clock.waits) > 2)
        assert bucket.fetched == ["in/1.json"]
        bucket.put("in/1.json", lines("u1", "u2"))
        await until(is_in(workspace, "u1", "u2"))
    assert followed.report is not None
    assert followed.report.last.tally.read == 3
    bucket.requests.clear()
    async with following(workspace, bucket, "in/1.json") as followed:
        await until(lambda: len(followed.clock.waits) > 2)
        assert followed.status[0].events == 0


async def test_a_bucket_that_refuses_is_in_trouble_and_tried_again_ever_later(
    workspace: Workspace, bucket: BucketServer
) -> None:
    bucket.put("in/1.json", lines("u1"))
    bucket.fault = lambda request: request.refuse(403, "AccessDenied")
    async with following(workspace, bucket, "in") as followed:
        await until(lambda: len(followed.clock.waits) > 5)
        assert followed.clock.waits[:5] == [120.0, 240.0, 480.0, 600.0, 600.0]
        trouble = followed.troubles[f"s3://{BUCKET}/in"]
        assert trouble.startswith("It can't be listed. ")
        assert trouble.endswith("The session keeps trying.")
        bucket.fault = lambda _: False
        await until(is_in(workspace, "u1"))
        await until(lambda: not followed.troubles)


async def test_an_object_that_cannot_be_fetched_holds_up_no_other_and_is_tried_again(
    workspace: Workspace, bucket: BucketServer
) -> None:
    for name in ("1", "2", "3"):
        bucket.put(f"in/{name}.json", lines(f"u{name}"))
    bucket.fault = lambda request: (
        request.key == "in/2.json" and request.refuse(403, "AccessDenied")
    )
    async with following(workspace, bucket, "in") as followed:
        await until(is_in(workspace, "u1", "u3"))
        await until(followed.is_in_trouble("Grant s3:GetObject"))
        assert list(followed.troubles) == [f"s3://{BUCKET}/in/2.json"]
        bucket.fault = lambda _: False
        await until(is_in(workspace, "u1", "u2", "u3"))
        await until(lambda: not followed.troubles)
    assert events_read(workspace) == 3


async def test_an_object_that_could_not_be_read_is_kept_until_it_is_read_or_gone(
    workspace: Workspace, bucket: BucketServer
) -> None:
    bucket.put("in/1.json", lines("u1"))
    for name in ("bad.csv", "gone.csv"):
        bucket.put(f"in/{name}", "no,events\n1,2\n")
    async with following(workspace, bucket, "in") as followed:
        await until(is_in(workspace, "u1"))
        await until(lambda: len(followed.troubles) == 2)
    kept = unread(workspace)
    assert kept.keys() == {f"s3://{BUCKET}/in/bad.csv", f"s3://{BUCKET}/in/gone.csv"}
    assert all(reason for reason in kept.values())
    known = workspace.ledger.read(known_sources, workspace.connection)
    assert [(item.name, item.error) for item in known[1:]] == [*kept.items()]
    bucket.put("in/bad.csv", lines("u2"))
    bucket.remove("in/gone.csv")
    async with following(workspace, bucket, "in"):
        await until(is_in(workspace, "u1", "u2"))
        await until(lambda: not unread(workspace))


async def test_an_object_that_is_gone_is_no_trouble_any_more(
    workspace: Workspace, bucket: BucketServer
) -> None:
    for name in ("bad.csv", "gone.csv"):
        bucket.put(f"in/{name}", "no,events\n1,2\n")
    async with following(workspace, bucket, "in") as followed:
        await until(lambda: len(followed.troubles) == 2)
        bucket.remove("in/gone.csv")
        await until(lambda: [*followed.troubles] == [f"s3://{BUCKET}/in/bad.csv"])
        polls = len(followed.clock.waits)
        await until(lambda: len(followed.clock.waits) > polls + 2)
        assert [*followed.troubles] == [f"s3://{BUCKET}/in/bad.csv"]


async def test_an_object_that_holds_no_events_is_fetched_again_only_when_it_changes(
    workspace: Workspace, bucket: BucketServer
) -> None:
    bucket.put("in/a.csv", "no,events\n1,2\n")
    bucket.put("in/b.json", lines("u1"))
    async with following(workspace, bucket, "in") as followed:
        await until(is_in(workspace, "u1"))
        polls = len(followed.clock.waits)
        await until(lambda: len(followed.clock.waits) > polls + 5)
        assert list(followed.troubles) == [f"s3://{BUCKET}/in/a.csv"]
        assert bucket.fetched.count("in/a.csv") == 1
        bucket.put("in/a.csv", lines("u2"))
        await until(is_in(workspace, "u1", "u2"))
        await until(lambda: not followed.troubles)


async def test_an_empty_prefix_is_followed_until_something_is_there(
    workspace: Workspace, bucket: BucketServer
) -> None:
    async with following(workspace, bucket, "new") as followed:
        await until(followed.is_in_trouble("contains no objects"))
        bucket.put("new/1.json", lines("u1"))
        await until(is_in(workspace, "u1"))


async def test_several_prefixes_of_a_bucket_take_turns(
    workspace: Workspace, bucket: BucketServer
) -> None:
    for name in ("a", "b", "c"):
        bucket.put(f"{name}/1.json", lines(name))
    async with following(workspace, bucket, "a", "b", "c") as followed:
        await until(is_in(workspace, "a", "b", "c"))
        assert followed.troubles == {}
        assert [item.events for item in followed.status] == [1, 1, 1]


async def test_a_bucket_that_another_process_reads_is_followed_afterwards(
    workspace: Workspace, bucket: BucketServer
) -> None:
    bucket.put("in/1.json", lines("u1"))
    with workspace.ledger.hold_source(BucketAddress.parse(bucket.address()).root):
        async with following(workspace, bucket, "in") as followed:
            await until(followed.is_in_trouble("Another import or live session is reading"))
            assert bucket.requests == []
    async with following(workspace, bucket, "in"):
        await until(is_in(workspace, "u1"))


async def test_a_session_that_ends_within_an_object_reads_it_again(
    workspace: Workspace, bucket: BucketServer
) -> None:
    users = [f"user-{n}" for n in range(9_000)]
    bucket.put("in/big.json", lines(*users))
    bucket.put("in/more.json", lines("more"))
    async with following(workspace, bucket, "in") as followed:
        await until(lambda: events_read(workspace) > 0 if members(workspace) else False)
        assert followed.live is not None
        followed.live.end()
    async with following(workspace, bucket, "in"):
        await until(lambda: members(workspace) == {*users, "more"})
    assert events_read(workspace) == 9_001


def fall_silent(bucket: BucketServer, *, is_listing: bool) -> Callable[[], bool]:
    """Make a server answer no listing, or no object request; signal when one waits."""
    bucket.fault = lambda request: request.is_listing == is_listing and request.never_answer()
    return lambda: any(request.is_listing == is_listing for request in bucket.requests)


@pytest.mark.parametrize("is_listing", [True, False])
async def test_a_server_that_fell_silent_holds_up_no_end(
    workspace: Workspace, bucket: BucketServer, is_listing: bool
) -> None:
    """Its time limits are half a minute and more."""
    bucket.put("in/1.json", lines("u1"))
    waits = fall_silent(bucket, is_listing=is_listing)
    async with asyncio.timeout(PATIENCE), following(workspace, bucket, "in"):
        await until(waits)
    assert unread(workspace) == {}
    bucket.fault = lambda _: False
    async with following(workspace, bucket, "in"):
        await until(is_in(workspace, "u1"))


@pytest.mark.parametrize("is_listing", [True, False])
async def test_what_waits_for_a_silent_server_is_cancelled_at_once_and_lets_go_of_the_bucket(
    workspace: Workspace, bucket: BucketServer, is_listing: bool
) -> None:
    bucket.put("in/1.json", lines("u1"))
    waits = fall_silent(bucket, is_listing=is_listing)
    address = BucketAddress.parse(bucket.address("in"))
    ingestor = StreamIngestor(workspace.ledger, workspace.read_options(), workspace.timing)
    source = open_buckets([address], ingestor, PollOptions(), QUICK)
    async with asyncio.timeout(PATIENCE), workspace.client() as client:
        live = LiveSession(workspace.context(client), LIVE_OPTIONS)
        task = asyncio.create_task(live.run(source))
        await until(waits)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    with workspace.ledger.hold_source(address.root):
        pass
