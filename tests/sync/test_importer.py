"""Importing events: every event is accounted for, and nothing is stored twice."""

import gzip
import resource
from pathlib import Path
from threading import Event

import pytest

from amp_console.engage import EventBatch, ReadOptions, Source, open_file
from amp_console.ledger import LedgerError, open_ledger
from amp_console.ledger.audiences import Link, all_audiences
from amp_console.ledger.checkpoints import Checkpoint, checkpoints_below
from amp_console.ledger.sources import ReadCounts, begin_source, invalid_events
from amp_console.sync.ingest.buffer import AMBIGUOUS, ChangeBuffer, KnownAudiences, MergeQueue
from amp_console.sync.ingest.importer import Importer
from amp_console.sync.ingest.report import ImportProgress
from amp_console.sync.queries.status import audience_summaries, audience_summary
from amp_console.sync.sources.registry import open_reader
from amp_console.values import AudienceRef, Change, IdType
from tests.ledgers import fail
from tests.sync.workspace import Workspace, event, ndjson


def lines(*events: object) -> str:
    return ndjson(events)


def test_every_event_is_a_change_filtered_or_invalid(workspace: Workspace) -> None:
    trait = event("u1", True, personas={"computation_class": "computed_trait"})
    report = workspace.read([event("u1", True), trait, event(None, True), event("u2", False)])
    assert report.tally == ReadCounts(read=4, valid=2, filtered=1, invalid=1)
    assert report.filtered == {"not an audience event: it is a computed trait": 1}
    assert (report.without_changes, report.dated_ahead) == ((), 0)


def test_what_is_merged_while_the_rest_is_read_doubles(workspace: Workspace) -> None:
    ledger, ref = workspace.ledger, AudienceRef("spa_1", "aud_1", "shoppers")
    source_id = ledger.write(begin_source, "events", None, 1)
    merges = MergeQueue(ledger, ahead=1)
    buffer = ChangeBuffer(merges, KnownAudiences(ledger), source_id, lambda: 1, first_merge=2)
    merged = []
    for line in range(1, 10):
        buffer.add(EventBatch([Change(ref, f"u{line}", None, True, line, line)]))
        (count,) = ledger.read(lambda db: db.execute("SELECT count(*) FROM member").fetchone())
        merged.append(count)
    assert merged == [0, 0, 2, 2, 2, 2, 6, 6, 6]
    buffer.merge()
    merges.flush()
    assert merges.updated == 9


def test_there_is_time_for_other_work_while_the_ledger_merges_and_only_then(
    workspace: Workspace, tmp_path: Path
) -> None:
    path = tmp_path / "events.ndjson"
    path.write_text(lines(event("u1", True), event("u2", True)))
    seen, calls = list[ImportProgress](), list[int]()

    def read(*paths: Path) -> None:
        Importer(
            workspace.ledger,
            open_reader,
            ReadOptions(),
            on_progress=seen.append,
            while_merging=lambda: calls.append(seen[-1].tally.read),
        ).run(map(str, paths))

    read(path)
    assert calls == [2]
    read()
    assert calls == [2]


STEP = {"computation_class": "journey_step"}


@pytest.mark.parametrize(
    ("events", "audience", "words"),
    [
        ([{"id": 1}, {"id": 2}, {"type": "page"}], None, "They have no type"),
        ([{"type": "page"}, {"type": "track", "context": {}}], None, "ordinary Segment events"),
        ([event("u1", True, personas={"computation_class": "trait"})], None, "computed traits"),
        (
            [
                event(
                    "u1",
                    True,
                    traits={"shoppers": 1},
                    personas={"computation_class": "journey_step"},
                )
            ],
            None,
            "(V1, or",
        ),
        ([event("u1", True)], "vips", "other audiences than the one you named"),
        ([event("u1", True, personas={"computation_key": ""})], None, "They name no audience"),
        (
            [event("u1", True, traits={"shoppers": "yes"})],
            None,
            "neither true nor false under the audience's key",
        ),
    ],
)
def test_a_file_of_which_nothing_was_taken_says_what_it_looks_like(
    workspace: Workspace, tmp_path: Path, events: list[object], audience: str | None, words: str
) -> None:
    paths = [tmp_path / "odd.ndjson", tmp_path / "good.ndjson", tmp_path / "empty.ndjson"]
    paths[0].write_text(lines(*events))
    paths[1].write_text(lines(event("u1", True, audience=audience or "shoppers")))
    paths[2].write_text("")
    report = Importer(workspace.ledger, open_reader, ReadOptions(audience=audience)).run(
        map(str, paths)
    )
    [sentence] = report.without_changes
    noun = "1 event was" if len(events) == 1 else f"{len(events)} events were"
    assert sentence.startswith(f"{paths[0]}: no valid event, {noun} filtered. ")
    assert words in sentence


DAY = 24 * 3600 * 1_000_000


def test_changes_dated_in_the_future_are_counted_and_are_a_notice(
    workspace: Workspace, tmp_path: Path
) -> None:
    now = 1_777_838_400_000_000
    times = ["2026-05-03T20:00:00Z", "2026-05-04T20:00:00Z", "2026-05-04T20:00:01Z", "9999-01-01T"]
    times[-1] += "00:00:00Z"
    path = tmp_path / "ahead.ndjson"
    path.write_text(lines(*({**event(time, True), "timestamp": time} for time in times)))
    report = Importer(workspace.ledger, open_reader, ReadOptions(), now=lambda: now).run(
        [str(path)]
    )
    assert report.dated_ahead == 2
    [audience] = report.audience_ids
    alone = workspace.ledger.read(audience_summary, workspace.connection, audience, lambda: now)
    assert alone.notice is not None
    assert alone.notice.startswith("2 people have an event dated in the future, up to 9999-01-01")
    assert alone.members == 4
    together = workspace.ledger.read(
        lambda db: audience_summaries(db, workspace.connection, now=lambda: now)
    )
    assert together == [alone]
    later = workspace.ledger.read(
        audience_summary, workspace.connection, audience, lambda: now + DAY
    )
    assert later.notice is not None
    assert later.notice.startswith("1 person has an event dated in the future")
    then = workspace.ledger.read(
        audience_summary, workspace.connection, audience, lambda: now * 1_000
    )
    assert then.notice is None


def test_reading_again_lists_invalid_events_once(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_text("{broken\n" + lines(event("u1", True)))
    for _ in range(3):
        workspace.read_file(path)
    assert [invalid_event.line for invalid_event in workspace.ledger.read(invalid_events)] == [1]


def test_a_source_that_cannot_be_read_stops_no_other(workspace: Workspace, tmp_path: Path) -> None:
    good = tmp_path / "good.ndjson.gz"
    good.write_bytes(gzip.compress(lines(event("u1", True)).encode()))
    paths = [str(tmp_path / "missing"), str(tmp_path), str(good)]
    report = Importer(workspace.ledger, open_reader, ReadOptions()).run(paths)
    assert (report.tally.valid, len(report.unreadable)) == (1, 2)


def test_audiences_of_one_file_are_distinguished(workspace: Workspace) -> None:
    workspace.read([event("u1", True, audience="a"), event("u1", True, audience="b")])
    assert [audience.key for audience in workspace.ledger.read(all_audiences)] == ["a", "b"]


def test_the_same_key_in_another_computation_is_another_audience(workspace: Workspace) -> None:
    again = event("u1", True, personas={"computation_id": "aud_other"})
    workspace.read([event("u1", True), again])
    assert len(workspace.ledger.read(all_audiences)) == 2


def test_what_segments_destination_knew_is_what_an_audience_starts_with(
    workspace: Workspace,
) -> None:
    settings = {"id_type": "BY_AMP_ID", "audience_name": "VIPs", "owner_email": "b@acme.example"}
    personas = {"external_audience_id": "26umsb5", "audience_settings": settings}
    workspace.read([event("u1", True), event("u2", True, personas=personas)])
    audience = workspace.audience()
    assert (audience.cohort_id, audience.link) == ("26umsb5", Link.EXISTING)
    assert audience.id_type is IdType.AMPLITUDE_ID
    assert (audience.cohort_name, audience.owner_email) == ("VIPs", "b@acme.example")


def test_a_cohort_is_linked_to_one_audience_whatever_events_say(workspace: Workspace) -> None:
    personas = {"external_audience_id": "26umsb5"}
    for key in ("shoppers", "others"):
        workspace.read([event("u1", True, personas=personas, audience=key)])
    assert workspace.audience().cohort_id == "26umsb5"
    assert (workspace.audience("others").cohort_id, workspace.audience("others").link) == (
        None,
        Link.NONE,
    )


@pytest.mark.parametrize("block_bytes", [500, 5_000, 1 << 20])
def test_of_two_cohorts_in_a_file_an_audience_starts_with_that_of_the_first_line(
    workspace: Workspace, tmp_path: Path, block_bytes: int
) -> None:
    def opened(address: str, options: ReadOptions) -> Source:
        return open_file(address, options, block_bytes=block_bytes)

    hinted = [event("u", True, personas={"external_audience_id": name}) for name in "abab"]
    more = [event(f"u{number}", True) for number in range(70)]
    path = tmp_path / "events.ndjson"
    path.write_text(lines(*more, hinted[0], *more, *hinted[1:], *more))
    Importer(workspace.ledger, opened, ReadOptions()).run([str(path)])
    assert workspace.audience().cohort_id == "a"


def test_an_unlinked_audience_is_not_linked_again_by_an_event(workspace: Workspace) -> None:
    from amp_console.sync.audience_settings import SettingsChange, change

    linked = event("u1", True, personas={"external_audience_id": "26umsb5"})
    workspace.read([linked])
    change(
        workspace.ledger, workspace.connection, workspace.audience(), SettingsChange(unlink=True)
    )
    workspace.read([linked])
    assert workspace.audience().cohort_id is None


def test_an_audience_known_by_its_key_becomes_the_one_events_speak_of(
    workspace: Workspace, tmp_path: Path
) -> None:
    download = tmp_path / "download.csv"
    download.write_text("user_id\nu1\n")
    options = ReadOptions(audience="shoppers", taken_at=1)
    Importer(workspace.ledger, open_reader, options).run([str(download)])
    workspace.read([event("u2", True)])
    (audience,) = workspace.ledger.read(all_audiences)
    assert (audience.space_id, audience.computation_id) == ("spa_1", "aud_shoppers")


@pytest.mark.both_engines
@pytest.mark.parametrize("count", [1, 100])
@pytest.mark.parametrize(
    "odd",
    [
        {"computation_key": "é" * 600},
        {"computation_id": "ID" * 400, "space_id": "ID" * 400},
        {"computation_key": "a\0b"},
    ],
    ids=["key", "IDs", "NUL"],
)
def test_an_audience_that_no_ledger_can_keep_is_refused_and_holds_up_no_other(
    workspace: Workspace, odd: dict[str, str], count: int
) -> None:
    """PostgreSQL's index has no room for it: everything merged with it kept failing."""
    key = odd.get("computation_key", "shoppers")
    refused = [event(f"v{n}", True, audience=key, personas=odd) for n in range(count)]
    report = workspace.read([*refused, event("u1", True)])
    assert (report.tally.valid, report.tally.invalid) == (1, count)
    (audience,) = workspace.ledger.read(all_audiences)
    assert audience.key == "shoppers"
    assert all(
        item.reason.startswith("the audience's key with its IDs ")
        for item in workspace.ledger.read(invalid_events)
    )


def test_an_import_that_is_prepared_waits_for_no_ledger(workspace: Workspace) -> None:
    """The console prepares it in the event loop, while the ledger may be busy for seconds."""
    may_end = Event()
    busy = workspace.ledger.submit(lambda _: may_end.wait(10))
    Importer(workspace.ledger, open_reader, ReadOptions())
    assert not busy.done()
    may_end.set()
    assert busy.result()


def test_progress_is_shown_and_a_stop_keeps_what_was_read(
    workspace: Workspace, tmp_path: Path
) -> None:
    path = tmp_path / "events.ndjson"
    path.write_text(lines(*(event(f"user-{n}", True) for n in range(8_000))))
    seen: list[ImportProgress] = []

    def stop_at_once(now: ImportProgress) -> None:
        seen.append(now)
        importer.stop()

    importer = Importer(workspace.ledger, open_reader, ReadOptions(), on_progress=stop_at_once)
    report = importer.run([str(path)])
    assert report.was_stopped
    assert len(seen) == 1
    assert 0 < report.tally.read < 8_000
    assert seen[0].size == path.stat().st_size


def test_a_full_disk_is_reported_and_harms_nothing(tmp_path: Path) -> None:
    """A limit on file sizes simulates a full disk."""
    path = tmp_path / "events.ndjson"
    path.write_text(lines(*(event(f"user-{n:06}", True) for n in range(20_000))))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ledger_file = tmp_path / "ledger.db"
    with open_ledger(ledger_file) as ledger:
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, hard))
        try:
            with pytest.raises(LedgerError, match="is full"):
                Importer(ledger, open_reader, ReadOptions()).run([str(path)])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with open_ledger(ledger_file) as ledger:
        assert Importer(ledger, open_reader, ReadOptions()).run([str(path)]).tally.valid == 20_000


def test_an_event_that_means_several_audiences_is_refused_alone(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_text(
        lines(
            event("u1", True, personas={"computation_id": "one"}),
            event("u2", True, personas={"computation_id": "two"}),
            event("u3", True, personas={"computation_id": ""}),
            event("u4", True, personas={"computation_id": "one"}),
        )
    )
    with open_ledger(tmp_path / "ledger.db") as ledger:
        report = Importer(ledger, open_reader, ReadOptions()).run([str(path)])
        kept = ledger.read(lambda db: db.execute("SELECT id FROM member ORDER BY id").fetchall())
        (invalid,) = ledger.read(invalid_events)
    assert (report.tally.read, report.tally.valid, report.tally.invalid) == (4, 3, 1)
    assert [id_ for (id_,) in kept] == ["u1", "u2", "u4"]
    assert (invalid.line, invalid.reason) == (3, AMBIGUOUS)


def test_a_file_that_is_named_twice_is_counted_once(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_text(lines(event("u1", True), event(None, True), {"type": "page"}))
    other = tmp_path / "other.ndjson"
    other.write_text(lines(event("u2", True)))
    names = [str(name) for name in (path, other, path)]
    Importer(workspace.ledger, open_reader, ReadOptions()).run(names)
    counts = workspace.ledger.read(
        lambda db: db.execute("SELECT read, changes, filtered, invalid FROM source").fetchall()
    )
    assert sorted(counts) == [(1, 1, 0, 0), (3, 1, 1, 1)]
    (invalid,) = workspace.ledger.read(invalid_events)
    assert invalid.line == 2


def test_after_a_transaction_that_failed_no_checkpoint_says_that_everything_was_read(
    workspace: Workspace,
) -> None:
    ledger, audiences = workspace.ledger, KnownAudiences(workspace.ledger)
    ledger.write(fail, "INSERT", "member", "NEW.id = 'u1'")
    source_id = ledger.write(begin_source, "/events", "/events", 1)
    merges = MergeQueue(ledger, ahead=1, gathered=1)
    buffer = ChangeBuffer(merges, audiences, source_id, lambda: 1)

    def read(user: str, line: int) -> None:
        change = Change(AudienceRef("", "", "vip"), user, None, True, 1, line)
        buffer.add(EventBatch([change]))

    read("u1", 1)
    buffer.merge()
    read("u2", 2)
    with pytest.raises(LedgerError):
        buffer.merge(Checkpoint("/events", "{}"))
    read("u3", 3)
    with pytest.raises(LedgerError):
        buffer.merge(Checkpoint("/events", "{}"))
    with pytest.raises(LedgerError):
        merges.flush()
    assert ledger.read(checkpoints_below, "/events") == []
    assert ledger.read(lambda db: db.execute("SELECT id FROM member").fetchall()) == []
