"""Importing a bucket: every object exactly once, whatever breaks."""

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from amp_console.engage import FieldMapping, UnreadableSource
from amp_console.ledger.sources import ReadCounts
from amp_console.ledger.unread_sources import unread_sources
from amp_console.sync.ingest.importer import Importer
from amp_console.sync.ingest.report import (
    ImportProgress,
    ImportReport,
    SetCounts,
    set_sentences,
)
from amp_console.sync.sources.bucket.address import BucketAddress
from amp_console.sync.sources.bucket.client import BucketClient
from amp_console.sync.sources.bucket.listing import find_object
from amp_console.sync.sources.bucket.object_set import ObjectSet
from amp_console.sync.sources.bucket.objects import ObjectStream
from amp_console.sync.sources.bucket.store import client_options, open_store
from tests.sync.bucket_server import BUCKET, QUICK, BucketServer, Request, bucket_server
from tests.sync.workspace import Workspace, event, lines


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BucketServer]:
    with bucket_server(tmp_path / "buckets", monkeypatch) as server:
        yield server


def read(
    workspace: Workspace,
    bucket: BucketServer,
    prefix: str = "",
    now: int | None = None,
    address: str | None = None,
) -> ImportReport:
    """Import the objects under a prefix, or at an address."""
    return Importer(
        workspace.ledger,
        lambda address, options: ObjectSet(BucketAddress.parse(address), options, QUICK),
        workspace.read_options(),
        now=(lambda: now) if now is not None else workspace.timing.now,
    ).run([address or bucket.address(prefix)])


def members(workspace: Workspace) -> set[str]:
    rows = workspace.ledger.read(
        lambda db: db.execute("SELECT id FROM member WHERE is_member = 1").fetchall()
    )
    return {id_ for (id_,) in rows}


def events_read(workspace: Workspace) -> int:
    """How many events the ledger counts in all sources together: repeats would count twice."""
    return int(
        workspace.ledger.read(lambda db: db.execute("SELECT sum(read) FROM source").fetchone()[0])
    )


def test_every_object_is_read_exactly_once(workspace: Workspace, bucket: BucketServer) -> None:
    users = [[f"u{n}-{m}" for m in range(40)] for n in range(50)]
    for n, some in enumerate(users):
        body = lines(*some)
        bucket.put(f"out/{n:02}.json", gzip.compress(body.encode()) if n % 2 else body)
    first = read(workspace, bucket, "out")
    assert (first.unreadable, first.tally) == ((), ReadCounts(2_000, 2_000))
    assert members(workspace) == {user for some in users for user in some}
    bucket.put("out/50.json", lines("late"))
    bucket.requests.clear()
    again = read(workspace, bucket, "out")
    assert (again.tally.read, again.sets) == (1, (SetCounts(f"s3://{BUCKET}/out", 1, 50),))
    assert bucket.fetched == ["out/50.json"]
    assert list(set_sentences(again)) == [
        f"s3://{BUCKET}/out: 1 object read, 50 read before and unchanged."
    ]
    assert events_read(workspace) == 2_001


def test_gzip_is_known_by_its_bytes_and_not_by_its_name(
    workspace: Workspace, bucket: BucketServer
) -> None:
    bucket.put("plain.gz", lines("a"))
    bucket.put("packed", gzip.compress(lines("b").encode()))
    assert read(workspace, bucket).tally.valid == 2
    assert members(workspace) == {"a", "b"}


def test_an_object_that_changed_is_read_again_and_counts_once(
    workspace: Workspace, bucket: BucketServer
) -> None:
    bucket.put("a.json", lines("a"))
    bucket.put("b.json", lines("b"))
    read(workspace, bucket)
    bucket.put("a.json", lines("a", "c"))
    report = read(workspace, bucket)
    assert (report.tally.read, report.sets[0].read, report.sets[0].known) == (2, 1, 1)
    assert (members(workspace), events_read(workspace)) == ({"a", "b", "c"}, 3)


def test_what_holds_no_events_is_left_out(workspace: Workspace, bucket: BucketServer) -> None:
    bucket.put("segment-logs/dummy-object.txt", "Segment may write here")
    bucket.put("segment-logs/folder/empty", "")
    bucket.put("segment-logs/a.json", lines("a"))
    report = read(workspace, bucket, "segment-logs")
    assert (report.sets[0].read, report.unreadable) == (1, ())


@pytest.mark.parametrize(
    "name",
    ["with space", "ünï/日本", "a%2Fb", "q?x=1", "plus+and&", "#hash", "x..y", "n" * 200, "it's"],
)
def test_unusual_keys_are_read_once(workspace: Workspace, bucket: BucketServer, name: str) -> None:
    bucket.put(f"in/{name}", lines("a"))
    assert read(workspace, bucket, "in").tally.valid == 1
    assert read(workspace, bucket, "in").sets[0] == SetCounts(f"s3://{BUCKET}/in", 0, 1)


def test_a_listing_of_several_pages_is_read_to_its_end(
    workspace: Workspace, bucket: BucketServer
) -> None:
    bucket.page = 10
    for n in range(31):
        bucket.put(f"many/{n:02}", lines(f"u{n}"))
    assert read(workspace, bucket, "many").tally.valid == 31
    assert len(bucket.listings) == 4


def test_a_key_names_one_object_which_is_read_each_time(
    workspace: Workspace, bucket: BucketServer
) -> None:
    bucket.put("a/events.json", lines("a"))
    for _ in range(2):
        report = read(workspace, bucket, "a/events.json")
        assert (report.tally.valid, report.sets[0].read) == (1, 1)
    assert read(workspace, bucket, "a").sets[0].known == 1
    assert events_read(workspace) == 1


def test_overlapping_addresses_share_what_was_read(
    workspace: Workspace, bucket: BucketServer
) -> None:
    bucket.put("a/b/1", lines("u1"))
    bucket.put("a/2", lines("u2"))
    read(workspace, bucket, "a/b")
    report = read(workspace, bucket, "a")
    assert (report.sets[0].read, report.sets[0].known) == (1, 1)


def test_an_object_that_is_cut_is_fetched_on_where_it_broke_off(
    workspace: Workspace, bucket: BucketServer
) -> None:
    users = [f"user-{n}" for n in range(2_000)]
    body = lines(*users).encode()
    assert len(body) > 2 * QUICK.part_bytes
    bucket.put("big.json", body)
    cuts = iter([True, True])

    def cut(request: Request) -> bool:
        return request.key == "big.json" and next(cuts, False) and request.break_off(body, 30_000)

    bucket.fault = cut
    report = read(workspace, bucket)
    assert (report.unreadable, report.tally.valid) == ((), 2_000)
    assert members(workspace) == set(users)


def test_an_object_that_breaks_off_for_good_is_reported_and_read_again_later(
    workspace: Workspace, bucket: BucketServer
) -> None:
    body = lines(*(f"user-{n}" for n in range(2_000))).encode()
    bucket.put("a.json", lines("a"))
    bucket.put("big.json", body)
    bucket.put("z.json", lines("z"))
    bucket.fault = lambda request: (
        request.key == "big.json"
        and not request.range.startswith("bytes=0-")
        and request.break_off(body, 10)
    )
    report = read(workspace, bucket)
    assert [report.unreadable[0].partition(" can't")[0]] == [f"s3://{BUCKET}/big.json"]
    assert "Reading stopped after" in report.unreadable[0]
    assert "reads this object again from its beginning" in report.unreadable[0]
    (kept,) = workspace.ledger.read(unread_sources, 10)
    assert kept.name == f"s3://{BUCKET}/big.json"
    assert kept.reason.startswith("It can't be read. Reading stopped after")
    assert {"a", "z"} <= members(workspace)
    bucket.fault = lambda _: False
    assert read(workspace, bucket).sets[0] == SetCounts(f"s3://{BUCKET}", 1, 2)
    assert events_read(workspace) == 2_002
    assert workspace.ledger.read(unread_sources, 10) == []


def test_an_empty_answer_is_not_the_end_of_an_object(
    workspace: Workspace, bucket: BucketServer
) -> None:
    body = lines(*(f"user-{n}" for n in range(2_000))).encode()
    bucket.put("big.json", body)
    bucket.fault = lambda request: (
        request.key == "big.json"
        and not request.range.startswith("bytes=0-")
        and request.send_nothing(body)
    )
    report = read(workspace, bucket)
    assert "Reading stopped after" in report.unreadable[0]
    assert "sent an empty answer" in report.unreadable[0]
    bucket.fault = lambda _: False
    assert read(workspace, bucket).tally.valid == 2_000


def test_an_object_replaced_while_it_is_read_is_not_mixed(
    workspace: Workspace, bucket: BucketServer
) -> None:
    old, new = (lines(*(f"{name}-{n}" for n in range(2_000))) for name in ("old", "new"))
    bucket.put("a.json", old)

    def replace(request: Request) -> bool:
        if request.key and not request.range.startswith("bytes=0-"):
            bucket.put("a.json", new)
            bucket.fault = lambda _: False
        return False

    bucket.fault = replace
    report = read(workspace, bucket)
    assert "It was replaced while it was being read" in report.unreadable[0]
    assert read(workspace, bucket).tally.valid == 2_000
    assert {f"new-{n}" for n in range(2_000)} <= members(workspace)


def test_an_import_that_is_stopped_reads_the_rest_later(
    workspace: Workspace, bucket: BucketServer
) -> None:
    for n in range(30):
        bucket.put(f"{n:02}", lines(f"u{n}"))
    importer = Importer(
        workspace.ledger,
        lambda address, options: ObjectSet(BucketAddress.parse(address), options, QUICK),
        workspace.read_options(),
        on_progress=lambda now: importer.stop() if now.objects == 13 else None,
    )
    stopped = importer.run([bucket.address()])
    assert stopped.was_stopped
    assert 12 <= stopped.tally.read <= 13
    read(workspace, bucket)
    assert (len(members(workspace)), events_read(workspace)) == (30, 30)


def test_an_import_of_one_audience_leaves_the_others_to_be_read(
    workspace: Workspace, bucket: BucketServer
) -> None:
    day = f"segment-logs/source1/{1_700_000_000_000}"
    both = (json.dumps(event(key, True, audience=key)) for key in ("vips", "shoppers"))
    bucket.put(f"{day}/1.gz", "\n".join(both))
    bucket.put("segment-logs/source1/1777766400000/2.gz", lines("late"))

    def read_alone() -> SetCounts:
        options = msgspec.structs.replace(workspace.read_options(), audience="vips")
        importer = Importer(
            workspace.ledger,
            lambda address, options: ObjectSet(BucketAddress.parse(address), options, QUICK),
            options,
        )
        return importer.run([bucket.address()]).sets[0]

    assert (read_alone().read, read_alone().read) == (2, 2)
    assert read(workspace, bucket).sets[0].read == 2
    assert members(workspace) == {"vips", "shoppers", "late"}
    assert read_alone().read == 2


def test_another_field_mapping_reads_everything_once_more(
    workspace: Workspace, bucket: BucketServer
) -> None:
    bucket.put(f"segment-logs/source1/{1_700_000_000_000}/1.gz", lines("a"))
    bucket.put("segment-logs/source1/1777766400000/2.gz", lines("b"))
    assert read(workspace, bucket).sets[0].read == 2
    assert read(workspace, bucket).sets[0].read == 0
    workspace.mapping = FieldMapping.parse("$.anonymousId, $.userId")
    assert read(workspace, bucket).sets[0].read == 2
    assert read(workspace, bucket).sets[0].read == 0


def test_progress_counts_the_objects_and_the_bytes_of_all_of_them(
    workspace: Workspace, bucket: BucketServer
) -> None:
    for n in range(3):
        bucket.put(f"{n}.json", lines(f"u{n}"))
    seen: list[ImportProgress] = []
    importer = Importer(
        workspace.ledger,
        lambda address, options: ObjectSet(BucketAddress.parse(address), options, QUICK),
        workspace.read_options(),
        on_progress=seen.append,
    )
    importer.run([bucket.address()])
    size = len(lines("u0"))
    assert [(now.source, now.objects, now.position, now.tally.read) for now in seen] == [
        (f"s3://{BUCKET}", n, n * size, n) for n in (1, 2, 3)
    ]


def test_an_object_whose_import_is_stopped_is_not_remembered(
    workspace: Workspace, bucket: BucketServer
) -> None:
    users = [f"user-{n}" for n in range(9_000)]
    bucket.put("big.json", lines(*users))
    importer = Importer(
        workspace.ledger,
        lambda address, options: ObjectSet(BucketAddress.parse(address), options, QUICK),
        workspace.read_options(),
        on_progress=lambda _: importer.stop(),
    )
    assert importer.run([bucket.address()]).tally.read < 9_000
    assert read(workspace, bucket).tally.read == 9_000
    assert (members(workspace), events_read(workspace)) == ({*users}, 9_000)


def test_buckets_of_the_same_name_on_two_servers_are_two(
    workspace: Workspace, bucket: BucketServer, tmp_path: Path
) -> None:
    bucket.put("a.json", lines("a"))
    read(workspace, bucket)
    with BucketServer(tmp_path / "others").running() as other:
        other.put("a.json", lines("a"))
        assert read(workspace, other).tally.read == 1
        assert read(workspace, bucket).sets[0].known == 1


def test_a_stream_that_is_closed_never_looks_like_the_end_of_its_object(
    bucket: BucketServer,
) -> None:
    bucket.put("a.json", lines("a"))
    address = BucketAddress.parse(bucket.address("a.json"))
    client = BucketClient(open_store(address))
    item = find_object(client, address)
    assert item is not None
    stream = ObjectStream(client, address, item, QUICK)
    stream.close()
    with pytest.raises(UnreadableSource):
        stream.read(10)


def test_another_reader_of_the_bucket_is_told_to_wait(
    workspace: Workspace, bucket: BucketServer
) -> None:
    bucket.put("a", lines("a"))
    with workspace.ledger.hold_source(BucketAddress.parse(bucket.address()).root):
        report = read(workspace, bucket)
    assert "Another import or live session is reading from events" in report.unreadable[0]
    assert (report.tally.read, bucket.requests) == (0, [])
    assert read(workspace, bucket).tally.read == 1


class _TranscodingServer(BaseHTTPRequestHandler):
    """Answers as Google does for an object with Content-Encoding gzip."""

    protocol_version = "HTTP/1.1"
    packed = gzip.compress(b"events")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        body, total = self.packed, len(self.packed)
        if "gzip" in (self.headers.get("Accept-Encoding") or ""):
            self.send_response(206)
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Range", f"bytes 0-{total - 1}/{total}")
        else:
            body = gzip.decompress(body)
            self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Sun, 03 May 2026 19:42:50 GMT")
        self.end_headers()
        self.wfile.write(body)


def test_google_is_asked_for_gzipped_objects_as_they_are(tmp_path: Path) -> None:
    from obstore.store import GCSStore  # an optional extra

    options = client_options(BucketAddress.parse("gs://events"))
    options["allow_http"] = True
    with ThreadingHTTPServer(("127.0.0.1", 0), _TranscodingServer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        account = {"gcs_base_url": f"http://127.0.0.1:{server.server_port}", "disable_oauth": True}
        key_file = tmp_path / "account.json"
        key_file.write_text(
            json.dumps({**account, "client_email": "", "private_key": "", "private_key_id": ""})
        )
        store = GCSStore("events", service_account_path=str(key_file), client_options=options)
        client = BucketClient(store)
        try:
            found = client.fetch("a.gz", (0, 1_000))
        finally:
            client.close()
            server.shutdown()
    assert found.part == _TranscodingServer.packed
