"""Every source that a connection knows, and what was read from it."""

from pathlib import Path

import msgspec
import pytest

from amp_console.connections import NamedSource, SegmentSpace
from amp_console.ledger import Db
from amp_console.ledger.audience_queries import (
    LastRefresh,
    RefreshOutcome,
    keep_last_refresh,
    query_of,
)
from amp_console.ledger.checkpoints import keep_checkpoint
from amp_console.ledger.segment_audiences import keep_audiences, keep_trouble
from amp_console.ledger.sources import ReadCounts, account, begin_source
from amp_console.sync.audience_queries import set_query
from amp_console.sync.sources.bucket.address import BucketAddress
from amp_console.sync.sources.checkpoints import FileCheckpoint
from amp_console.sync.sources.known import KnownSource, Origin, SourceState, known_sources
from amp_console.values import SegmentAudience
from tests.sync.workspace import Workspace

LAKE = NamedSource(name="lake", url="sqlite:///data/warehouse.db")
SHED = NamedSource(name="shed", url="sqlite:///data/other.db")


def known(workspace: Workspace) -> list[KnownSource]:
    return workspace.ledger.read(known_sources, workspace.connection)


def query(workspace: Workspace, key: str, source: str = "lake") -> int:
    workspace.connection = msgspec.structs.replace(workspace.connection, sources=(LAKE, SHED))
    sql = "SELECT user_id FROM vips"
    return set_query(workspace.ledger, workspace.connection, key, source, sql).id


def refreshed(workspace: Workspace, audience_id: int, outcome: RefreshOutcome, at: int = 7) -> None:
    last = LastRefresh(at, 0.1, 30, outcome, "It broke.")
    ran = workspace.ledger.read(query_of, audience_id)
    assert ran is not None
    workspace.ledger.write(keep_last_refresh, ran, last, {})


def test_a_warehouse_is_followed_by_its_queries(workspace: Workspace) -> None:
    for key in ("vip", "churned"):
        refreshed(workspace, query(workspace, key), RefreshOutcome.APPLIED, len(key))
    query(workspace, "new", "shed")
    found = known(workspace)
    assert [(item.origin, item.name, item.read, item.read_at) for item in found] == [
        (Origin.WAREHOUSE, "lake", 60, 7),
        (Origin.QUERY, "churned", 30, 7),
        (Origin.QUERY, "vip", 30, 3),
        (Origin.WAREHOUSE, "shed", 0, None),
        (Origin.QUERY, "new", 0, None),
    ]
    assert [item.state for item in found] == [SourceState.OK] * 3 + [SourceState.NEVER] * 2
    assert [item.key for item in found[0].fed] == ["churned", "vip"]


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (RefreshOutcome.INCOMPLETE, SourceState.INCOMPLETE),
        (RefreshOutcome.DECLINED, SourceState.NOT_CONFIRMED),
        (RefreshOutcome.CANCELLED, SourceState.CANCELLED),
        (RefreshOutcome.FAILED, SourceState.TROUBLE),
    ],
)
def test_a_query_says_what_became_of_its_last_refresh(
    workspace: Workspace, outcome: RefreshOutcome, state: SourceState
) -> None:
    refreshed(workspace, query(workspace, "vip"), outcome)
    lake, vip, _ = known(workspace)
    assert (vip.state, vip.error) == (state, "It broke.")
    is_trouble = state is SourceState.TROUBLE
    assert (lake.state is SourceState.TROUBLE, lake.error) == (
        is_trouble,
        "It broke." if is_trouble else "",
    )


def test_a_query_whose_warehouse_was_removed_is_in_trouble(workspace: Workspace) -> None:
    refreshed(workspace, query(workspace, "vip"), RefreshOutcome.APPLIED)
    workspace.connection = msgspec.structs.replace(workspace.connection, sources=(SHED,))
    shed, vip = known(workspace)
    assert (shed.name, vip.state, vip.warehouse) == ("shed", SourceState.TROUBLE, None)
    assert "no source called “lake”" in vip.error


def test_a_live_session_names_warehouses_and_queries_in_its_own_way(workspace: Workspace) -> None:
    query(workspace, "vip")
    lake, vip, shed = known(workspace)
    names = ("lake", "lake: vip", "lake: other", "shed: vip", "vip")
    assert [lake.covers(name) for name in names] == [True, True, True, False, False]
    assert [vip.covers(name) for name in names] == [True, True, False, False, False]
    assert [shed.covers(name) for name in names] == [False, False, False, True, False]


def objects(db: Db) -> None:
    """Three objects in two buckets with the same name, and one in another service."""
    elsewhere = "http://127.0.0.1:9000"
    for number, (address, endpoint) in enumerate(
        [
            ("s3://events/in/1.json", ""),
            ("s3://events/in/2.json", ""),
            ("s3://events/1.json", elsewhere),
            ("gs://archive/1.json", ""),
        ]
    ):
        bucket = BucketAddress.parse(address, {"AWS_ENDPOINT_URL": endpoint})
        path = f"{bucket.root}{bucket.prefix}"
        source_id = begin_source(db, address, path, 100 + number)
        account(db, source_id, ReadCounts(3, 2, 1, 0), {}, [])


def test_the_objects_of_a_bucket_are_one_source(workspace: Workspace) -> None:
    workspace.ledger.write(objects)
    found = known(workspace)
    assert [(item.origin, item.name, item.read, item.read_at) for item in found] == [
        (Origin.BUCKET, "s3://events", 2, 101),
        (Origin.BUCKET, "s3://events", 1, 102),
        (Origin.BUCKET, "gs://archive", 1, 103),
    ]
    totals = found[0].totals
    assert totals is not None
    assert (totals.newest, totals.counts) == ("s3://events/in/2.json", ReadCounts(6, 4, 2, 0))
    assert found[0].covers("s3://events/in")
    assert not found[0].covers("s3://events-of-others/in")
    assert len({item.key for item in found}) == 3


def followed(db: Db, path: str, read_at: int, modified: int) -> None:
    source_id = begin_source(db, path, path, read_at)
    account(db, source_id, ReadCounts(5, 5, 0, 0), {}, [])
    file = FileCheckpoint(path, source_id, 1, source_id, 4, "head", 4, 2, modified=modified)
    keep_checkpoint(db, file.encode(""))


def test_followed_files_are_listed_by_folder(workspace: Workspace, tmp_path: Path) -> None:
    for name, modified in (("a/1.ndjson", 900_000), ("a/2.ndjson", 300_000), ("b/1.ndjson", 0)):
        workspace.ledger.write(followed, str(tmp_path / name), 500, modified)
    first, second = known(workspace)
    assert (first.origin, first.name, first.read) == (Origin.FILES, str(tmp_path / "a"), 2)
    assert first.read_at == 900
    assert first.totals is not None
    assert first.totals.newest == str(tmp_path / "a" / "1.ndjson")
    assert (second.read, second.read_at) == (1, 500)


def test_a_space_counts_its_audiences_and_none_before_it_was_read(workspace: Workspace) -> None:
    space = SegmentSpace(id="spa_1")
    workspace.connection = msgspec.structs.replace(workspace.connection, segment=space)
    (before,) = known(workspace)
    assert (before.origin, before.name, before.state) == (
        Origin.SEGMENT,
        "spa_1",
        SourceState.NEVER,
    )
    listed = SegmentAudience("aud_1", "vip", "VIP", True, "Live", 7, "USERS", None)
    workspace.ledger.write(keep_audiences, "spa_1", (listed,), 5)
    (read,) = known(workspace)
    assert (read.state, read.read, read.read_at) == (SourceState.OK, 1, 5)
    workspace.ledger.write(keep_trouble, "spa_1", "It is away.", 6)
    (failed,) = known(workspace)
    assert (failed.state, failed.error, failed.read, failed.read_at) == (
        SourceState.TROUBLE,
        "It is away.",
        1,
        5,
    )
