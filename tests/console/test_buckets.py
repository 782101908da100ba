"""A bucket in the console: its address is accepted wherever a path is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from amp_console.console.words import folder_of
from tests.console.harness import ConsoleHarness, until, until_gone, until_shown
from tests.console.test_import_events import SIZES, open_dialog
from tests.console.test_live import follow, members
from tests.sync.bucket_server import BucketServer, bucket_server
from tests.sync.workspace import lines

pytestmark = pytest.mark.anyio


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BucketServer]:
    with bucket_server(tmp_path / "buckets", monkeypatch) as server:
        server.put("in/1.json", lines("u1"))
        server.put("in/2.json", lines("u2") + "nonsense\n")
        yield server


@pytest.mark.parametrize("size", SIZES)
async def test_the_objects_of_a_bucket_are_imported_once(
    harness: ConsoleHarness, bucket: BucketServer, size: tuple[int, int]
) -> None:
    harness.connect()
    async with harness.open(size=size) as pilot:
        await open_dialog(pilot, bucket.address("in"), "A bucket: every object that is new")
        await until_gone(pilot, "No file with this name.")
        await pilot.press("enter")
        await until_shown(
            pilot,
            "Read 3 events: 2 valid (2 members updated), 0 filtered, 1 invalid.",
            "s3://events/in: 2 objects read.",
        )
        await pilot.press("i")
        await until_shown(pilot, "A bucket: every object that is new")
        await pilot.press("enter")
        await until_shown(
            pilot, "Read 0 events", "s3://events/in: 0 objects read, 2 read before and unchanged."
        )


async def test_an_invalid_event_of_an_object_says_where_it_is(
    harness: ConsoleHarness, bucket: BucketServer
) -> None:
    harness.connect()
    async with harness.open(size=(160, 40)) as pilot:
        await open_dialog(pilot, bucket.address("in"), "A bucket: every object that is new")
        await pilot.press("enter")
        await until_shown(pilot, "1 invalid")
        await pilot.press("x")
        await until_shown(pilot, "2.json, line 2", "s3://events/in")


async def test_a_bucket_is_followed(harness: ConsoleHarness, bucket: BucketServer) -> None:
    harness.connect()
    async with harness.open(size=(120, 36)) as pilot:
        await follow(pilot, bucket.address("in"))
        await until(pilot, lambda: members(harness) == {"u1", "u2"})
        await until_shown(pilot, "s3://events/in")


async def test_a_bucket_that_refuses_is_shown_in_trouble(
    harness: ConsoleHarness, bucket: BucketServer
) -> None:
    harness.connect()
    bucket.fault = lambda request: request.refuse(403, "AccessDenied")
    async with harness.open(size=(120, 36)) as pilot:
        await follow(pilot, bucket.address("in"))
        await until_shown(pilot, "s3://events/in", "It can't be listed.")


@pytest.mark.parametrize(
    ("source", "folder"),
    [
        ("/data/events/1.gz", "/data/events"),
        ("stdin", ""),
        ("s3://bucket/a/b/1.gz", "s3://bucket/a/b"),
    ],
)
def test_the_folder_of_a_source_is_a_path_or_an_address(source: str, folder: str) -> None:
    assert folder_of(source) == folder
