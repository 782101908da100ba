"""Listing costs only what is new: closed days are neither listed nor remembered."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from amp_console.ledger import LedgerError
from amp_console.ledger.checkpoints import checkpoints_below
from amp_console.sync.ingest.report import SetCounts
from amp_console.sync.sources.bucket.address import BucketAddress
from amp_console.sync.sources.bucket.listing import ListedObject
from amp_console.sync.sources.bucket.object_set import ObjectSet
from tests.sync.bucket_server import BUCKET, QUICK, BucketServer, bucket_server
from tests.sync.test_bucket_import import events_read, members, read
from tests.sync.workspace import Workspace, lines

DAY = 86_400
TODAY = 1_777_766_400
"""The beginning of 2026-05-03 (UTC), in seconds since 1970."""
ARCHIVE = "segment-logs/source1"


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BucketServer]:
    with bucket_server(tmp_path / "buckets", monkeypatch) as server:
        yield server


def folder(days_ago: int, archive: str = ARCHIVE) -> str:
    return f"{archive}/{(TODAY - days_ago * DAY) * 1_000}"


def at(days: float = 0) -> int:
    """Noon so many days from today, in microseconds since 1970."""
    return round((TODAY + (days + 0.5) * DAY) * 1_000_000)


def remembered(workspace: Workspace) -> list[str]:
    """The names of the objects that the ledger remembers."""
    rows = workspace.ledger.read(checkpoints_below, "s3:")
    return [row.key.partition(f"/{BUCKET}/")[2] for row in rows]


def test_listing_begins_a_day_before_the_oldest_open_day(
    workspace: Workspace, bucket: BucketServer
) -> None:
    bucket.page = 100
    for days in range(60):
        for n in range(2):
            bucket.put(f"{folder(days)}/{n}.gz", lines(f"u{days}-{n}"))
    assert read(workspace, bucket, ARCHIVE, at()).tally.valid == 120
    assert len(bucket.listings) == 2
    bucket.requests.clear()
    bucket.put(f"{folder(1)}/late.gz", lines("late"))
    report = read(workspace, bucket, ARCHIVE, at())
    assert report.sets == (SetCounts(f"s3://{BUCKET}/{ARCHIVE}", 1, 8),)
    (listing,) = bucket.listings
    assert listing.query["start-after"] == folder(3).removesuffix("000")
    assert len(remembered(workspace)) == 10  # four days, the late one, and where to begin


def test_a_tag_is_the_same_with_quotes_and_without_as_azure_lists_it() -> None:
    found = {"path": "a", "last_modified": datetime.now(UTC), "size": 1, "version": None}
    fetched, listed = (
        ListedObject.from_meta({**found, "e_tag": tag})  # type: ignore[typeddict-item]
        for tag in ('"0x8D9"', "0x8D9")
    )
    assert fetched == listed
    assert fetched.version == '"0x8D9"'  # as checkpoints keep it


def test_archives_below_a_prefix_are_skipped_to_their_open_days(
    workspace: Workspace, bucket: BucketServer
) -> None:
    for source in ("a", "b"):
        for days in range(40):
            for n in range(2):
                bucket.put(f"x/segment-logs/{source}/{(TODAY - days * DAY) * 1000}/{n}", lines("u"))
    bucket.put("x/other.json", lines("u"))
    bucket.put("x/zeta.json", lines("u"))
    assert read(workspace, bucket, "x", at()).sets[0].read == 162
    bucket.requests.clear()
    assert read(workspace, bucket, "x", at()).sets[0] == SetCounts(f"s3://{BUCKET}/x", 0, 18)
    assert len(bucket.listings) == 3


def test_late_files_of_open_days_are_found_and_days_close_after_a_pause(
    workspace: Workspace, bucket: BucketServer
) -> None:
    bucket.put(f"{folder(0)}/a.gz", lines("a"))
    read(workspace, bucket, ARCHIVE, at())
    bucket.put(f"{folder(0)}/b.gz", lines("b"))
    for days in (1, 2):
        bucket.put(f"{folder(days)}/late.gz", lines(f"late{days}"))
    assert read(workspace, bucket, ARCHIVE, at(1)).tally.valid == 3
    for days in range(-30, 0):  # no import for a month
        bucket.put(f"{folder(days)}/c.gz", lines(f"day{days}"))
    bucket.put(f"{folder(0)}/later.gz", lines("later"))
    report = read(workspace, bucket, ARCHIVE, at(30))
    assert (report.tally.valid, report.unreadable) == (31, ())
    assert read(workspace, bucket, ARCHIVE, at(30)).sets[0].read == 0
    assert len(remembered(workspace)) == 5  # four days, and where to begin


def test_a_day_with_an_object_that_was_not_read_stays_open(
    workspace: Workspace, bucket: BucketServer
) -> None:
    bucket.put(f"{folder(20)}/a.gz", lines("a"))
    bucket.put(f"{folder(0)}/b.gz", lines("b"))
    bucket.fault = lambda request: (
        request.key.endswith("a.gz") and request.refuse(403, "AccessDenied")
    )
    assert len(read(workspace, bucket, ARCHIVE, at()).unreadable) == 1
    bucket.fault = lambda _: False
    assert read(workspace, bucket, ARCHIVE, at(5)).sets[0].read == 1
    assert (members(workspace), events_read(workspace)) == ({"a", "b"}, 2)


def test_days_named_in_seconds_are_listed_alike(workspace: Workspace, bucket: BucketServer) -> None:
    def name(days_ago: int) -> str:
        return folder(days_ago).removesuffix("000")

    for days in range(6):
        bucket.put(f"{name(days)}/a.gz", lines(f"u{days}"))
    assert read(workspace, bucket, ARCHIVE, at()).tally.valid == 6
    for days in range(6):
        bucket.put(f"{name(days)}/late.gz", lines(f"late{days}"))
    report = read(workspace, bucket, ARCHIVE, at())
    assert (report.sets[0].read, report.sets[0].known) == (4, 4)


def test_a_clock_that_is_wrong_closes_no_day_to_come(
    workspace: Workspace, bucket: BucketServer
) -> None:
    bucket.put(f"{folder(0)}/a.gz", lines("a"))
    read(workspace, bucket, ARCHIVE, at(365))
    for days in (0, -1):
        bucket.put(f"{folder(days)}/b.gz", lines(f"b{days}"))
    assert read(workspace, bucket, ARCHIVE, at(1)).tally.valid == 2


def test_reading_one_day_closes_no_other_day(workspace: Workspace, bucket: BucketServer) -> None:
    for days in (0, 20, 30):
        bucket.put(f"{folder(days)}/a.gz", lines(f"u{days}"))
    assert read(workspace, bucket, folder(20), at()).tally.valid == 1
    assert read(workspace, bucket, folder(20), at()).sets[0].known == 1
    report = read(workspace, bucket, ARCHIVE, at())
    assert report.sets == (SetCounts(f"s3://{BUCKET}/{ARCHIVE}", 2, 1),)
    assert read(workspace, bucket, folder(30), at()).tally.valid == 1  # it is closed by now


def test_a_listing_that_breaks_off_closes_no_day(
    workspace: Workspace, bucket: BucketServer
) -> None:
    for n in range(1_001):  # most are empty, and so are not fetched
        bucket.put(f"{folder(20)}/{n:04}", "" if n % 20 else lines(f"u{n}"))
    bucket.fault = lambda request: (
        "continuation-token" in request.query and request.refuse(403, "AccessDenied")
    )
    report = read(workspace, bucket, ARCHIVE, at())
    assert (report.tally.valid, len(report.unreadable)) == (50, 1)
    bucket.fault = lambda _: False
    assert read(workspace, bucket, ARCHIVE, at()).sets[0] == SetCounts(
        f"s3://{BUCKET}/{ARCHIVE}", 1, 50
    )


def test_what_is_gone_from_the_bucket_is_forgotten(
    workspace: Workspace, bucket: BucketServer
) -> None:
    for name in ("a", "b"):
        bucket.put(f"in/{name}", lines(name))
    read(workspace, bucket, "in")
    (bucket.folder / "in/a").unlink()
    read(workspace, bucket, "in")
    assert remembered(workspace) == ["in/b"]
    assert members(workspace) == {"a", "b"}


def test_days_are_closed_only_once_their_objects_are_in_the_ledger(
    workspace: Workspace, bucket: BucketServer
) -> None:
    for days in (0, 10, 20):
        bucket.put(f"{folder(days)}/a.gz", lines(f"u{days}"))
    objects = ObjectSet(
        BucketAddress.parse(bucket.address(ARCHIVE)), workspace.read_options(), QUICK
    )

    def give_up_at_the_end() -> None:
        with objects.unread(workspace.ledger, at) as parts:
            assert len([part.checkpoint() for part in parts]) == 3
            raise LedgerError("The disk is full.")

    with pytest.raises(LedgerError):
        give_up_at_the_end()
    assert remembered(workspace) == []
    assert read(workspace, bucket, ARCHIVE, at()).tally.valid == 3
    assert [name for name in remembered(workspace) if name.endswith("/")] == [f"{ARCHIVE}/"]
