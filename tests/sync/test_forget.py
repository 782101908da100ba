"""Deletion requests: out of every cohort, then out of the ledger, its files and its backups."""

import itertools
import json
import sqlite3
from pathlib import Path

import msgspec
import pytest

from amp_console.connections.read_only import ReadOnly
from amp_console.engage import EventBatch
from amp_console.engage.membership import FilterReason
from amp_console.ledger import deliveries, erasures, open_ledger, staged_changes
from amp_console.ledger.audience_queries import AudienceQuery
from amp_console.ledger.backups import BackupOptions, list_backups
from amp_console.ledger.compare import ComparisonSpec
from amp_console.ledger.erased_text import COUNTED, NAMES, TEXTS, Eraser
from amp_console.ledger.erasures import PairedTooOften
from amp_console.ledger.event_log import LogFilter, LogKind, log_page
from amp_console.ledger.forgotten import Identity
from amp_console.ledger.runs import RunKind, RunStatus, all_runs
from amp_console.ledger.sources import begin_source
from amp_console.ledger.staged_changes import StagedChanges
from amp_console.simulator import Answer, Body, Call, Late, RefuseIds, Reset, Rule
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.forget import (
    ForgetReport,
    IdTypeUnclear,
    forget,
    plan_forget,
    plan_sentences,
    plan_unfinished,
)
from amp_console.sync.ingest.buffer import ChangeBuffer, KnownAudiences, MergeQueue
from amp_console.sync.ingest.snapshot import SnapshotReader
from amp_console.sync.ingest.stream import StreamIngestor
from amp_console.sync.queries.person import explain_person
from amp_console.values import AudienceRef, Change, IdType, Operation
from tests.ledger.exports import compared as compare_exported
from tests.ledgers import sqlite_only
from tests.sync.webhook_sender import leave_received
from tests.sync.workspace import Clock, Workspace, event

pytestmark = [pytest.mark.anyio, pytest.mark.both_engines]

MEMBERSHIP = frozenset({Call.MEMBERSHIP})
ANA = "ana-7c41@acme.example"
ANAS_DEVICE = "884422117733"


def delete_in_amplitude(workspace: Workspace, user: str) -> None:
    """From now on, Amplitude skips the user, who is in no cohort."""
    cohort_id = workspace.audience().cohort_id
    workspace.remove_in_amplitude(user)
    skipped = [{"skipped_ids": [user], "operation": "REMOVE"}]
    answer = {"cohort_id": cohort_id, "memberships_result": skipped}
    workspace.set_faults(Rule(Body(json.dumps(answer)), MEMBERSHIP))


async def forget_all(
    workspace: Workspace, *ids: str, id_type: IdType | None = None, is_exact: bool = False
) -> ForgetReport:
    """Forget these people; without any, finish the earlier requests."""
    ledger = workspace.ledger
    plan = (
        ledger.read(plan_forget, ids, id_type, is_exact=is_exact)
        if ids
        else ledger.read(plan_unfinished)
    )
    async with workspace.opened() as context:
        return await forget(plan, workspace.connection, ledger, context, now=workspace.timing.now)


def files_with(folder: Path, *texts: str) -> list[str]:
    """Which files contain one of the texts, as UTF-8 or UTF-16, except event files."""
    forms = [text.encode(encoding) for text in texts for encoding in ("utf-8", "utf-16-le")]
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    contents = {
        path.name: path.read_bytes() for path in paths if path.suffix not in {".ndjson", ".txt"}
    }
    return [name for name, content in contents.items() if any(form in content for form in forms)]


async def test_only_backups_that_are_made_here_are_said_to_be_replaced(
    workspace: Workspace, engine: str
) -> None:
    workspace.enter(ANA)
    says = {
        "sqlite": "All backups of the ledger are replaced by a new one.",
        "postgresql": "The server's backups still contain what is erased: ask its administrator to "
        "delete them.",
    }
    assert plan_sentences(workspace.ledger.read(plan_forget, [ANA]))[-1] == says[engine]
    assert plan_sentences(workspace.ledger.read(plan_unfinished))[-1] == says[engine]


async def test_someone_is_removed_from_every_cohort_and_then_unknown(workspace: Workspace) -> None:
    workspace.enter(ANA, "u2")
    workspace.read([event(ANA, True, audience="buyers"), event("u3", True, audience="buyers")])
    await workspace.sync()
    report = await forget_all(workspace, ANA)
    assert report.is_done
    assert workspace.cohort() == {"u2"}
    assert workspace.cohort("buyers") == {"u3"}
    assert workspace.ledger.read(explain_person, ANA) == []
    (request,) = workspace.ledger.read(erasures.all_erasures)
    assert request.cohorts == 2
    assert request.identities == ()
    assert "@" in request.operator
    newest, *_ = workspace.ledger.read(all_runs)
    assert (newest.kind, newest.status, newest.removed) == (RunKind.FORGET, RunStatus.DELIVERED, 2)


async def test_nothing_else_that_is_pending_is_sent(workspace: Workspace) -> None:
    workspace.enter(ANA, "u2", "u3")
    await workspace.sync()
    workspace.leave("u3")
    workspace.enter("u4", at=2)
    assert (await forget_all(workspace, ANA)).is_done
    assert workspace.cohort() == {"u2", "u3"}
    await workspace.sync()
    assert workspace.cohort() == {"u2", "u4"}


async def test_nothing_else_is_sent_where_amplitude_refuses_to_remove_someone(
    workspace: Workspace,
) -> None:
    """Other pending users would show whether it refuses everything, but they must not be sent."""
    there = workspace.simulator.world.create_cohort("There before", "ana@acme.example")
    workspace.enter(ANA)
    workspace.change(SettingsChange(cohort_id=there.id))
    workspace.set_faults(Rule(Answer(500), MEMBERSHIP))
    workspace.limit(tries=1, quiet_time=0)
    await workspace.sync()  # it may have been applied
    workspace.enter("u2", at=2)
    workspace.set_faults(Rule(RefuseIds(frozenset({ANA}))))
    report = await forget_all(workspace, ANA)
    assert not report.is_done
    assert workspace.cohort() == set()
    workspace.set_faults()
    assert (await forget_all(workspace)).is_done
    assert workspace.cohort() == set()
    await workspace.sync()
    assert workspace.cohort() == {"u2"}


async def test_all_identifiers_that_events_paired_are_forgotten(workspace: Workspace) -> None:
    workspace.map_amplitude_ids()
    workspace.read(
        [
            event(ANA, True, traits={"amplitude_id": ANAS_DEVICE}),
            event("u2", True, traits={"amplitude_id": "55"}),
            event(None, True, audience="buyers", traits={"amplitude_id": ANAS_DEVICE}),
        ]
    )
    workspace.change(SettingsChange(id_type=IdType.AMPLITUDE_ID), "buyers")
    workspace.simulator.world.add_user(ANA, int(ANAS_DEVICE))
    await workspace.sync()
    assert workspace.cohort("buyers") == {ANA}
    assert (await forget_all(workspace, ANA)).is_done
    assert workspace.cohort("buyers") == set()
    for id_ in (ANA, ANAS_DEVICE):
        assert workspace.ledger.read(explain_person, id_) == []
        assert files_with(Path(workspace.ledger.url).parent, id_) == []
    assert len(workspace.ledger.read(explain_person, "55")) == 1


async def test_old_files_do_not_bring_them_back_but_a_newer_event_does(
    workspace: Workspace, clock: Clock
) -> None:
    workspace.enter(ANA, "u2")
    await workspace.sync()
    await forget_all(workspace, ANA)
    report = workspace.read([event(ANA, True, at=5), event("u4", True, at=5)])
    assert report.filtered == {FilterReason.FORGOTTEN: 1}
    await workspace.sync()
    assert workspace.cohort() == {"u2", "u4"}
    workspace.read([event(ANA, True) | {"timestamp": "2026-08-01T00:00:00.000Z"}])
    await workspace.sync()
    assert workspace.cohort() == {ANA, "u2", "u4"}


async def test_an_event_dated_ahead_is_history_like_all_that_was_read_before(
    workspace: Workspace, clock: Clock
) -> None:
    ahead = event(ANA, True) | {"timestamp": "2026-06-01T00:00:00.000Z"}
    workspace.read([ahead])
    await workspace.sync()
    assert (await forget_all(workspace, ANA)).is_done
    workspace.read([ahead])
    assert workspace.ledger.read(explain_person, ANA) == []


async def test_a_removal_by_the_other_id_type_makes_no_one_else_uncertain(
    workspace: Workspace,
) -> None:
    """After a switch of the ID type, other removals by the former type make everyone uncertain."""
    workspace.map_amplitude_ids()
    workspace.simulator.world.add_user(ANA, int(ANAS_DEVICE))
    workspace.enter("u2")
    workspace.read([event(ANA, True, traits={"amplitude_id": ANAS_DEVICE})])
    await workspace.sync()
    workspace.ledger.write(
        lambda db: db.execute("UPDATE member SET delivered = 1 WHERE id = ?", (ANAS_DEVICE,))
    )
    assert (await forget_all(workspace, ANA)).is_done
    assert workspace.cohort() == {"u2"}
    assert workspace.plan().requests == 0


async def test_an_event_of_two_identifiers_is_history_for_both(
    workspace: Workspace, clock: Clock
) -> None:
    """The ledger never saw the other identifier, which an old file pairs with it."""
    workspace.enter(ANA, "u2")
    await workspace.sync()
    await forget_all(workspace, ANA)
    workspace.map_amplitude_ids()
    workspace.read([event(ANA, True, traits={"amplitude_id": ANAS_DEVICE})])
    assert workspace.ledger.read(explain_person, ANAS_DEVICE) == []


async def test_lists_of_members_do_not_bring_them_back(workspace: Workspace, clock: Clock) -> None:
    workspace.enter(ANA, "u2")
    await workspace.sync()
    await forget_all(workspace, ANA)
    compared = await workspace.compare(against=workspace.write_member_list(ANA, "u2", "u5", at=60))
    assert compared.missing == 1
    await workspace.apply(compared, verify=False)
    assert workspace.ledger.read(explain_person, ANA) == []


async def test_an_unconfirmed_removal_erases_nothing_and_is_finished_later(
    workspace: Workspace,
) -> None:
    workspace.limit(tries=1, quiet_time=0)
    workspace.enter(ANA, "u2")
    await workspace.sync()
    workspace.set_faults(Rule(Answer(status=500), MEMBERSHIP))
    report = await forget_all(workspace, ANA)
    assert not report.is_done
    (left,) = report.obstacles
    assert left.audience.key == "shoppers"
    assert "500" in left.reason
    (person,) = workspace.ledger.read(explain_person, ANA)
    assert not person.record.wanted
    workspace.set_faults()
    assert (await forget_all(workspace)).is_done
    assert workspace.cohort() == {"u2"}
    assert workspace.ledger.read(explain_person, ANA) == []


async def test_a_late_addition_is_waited_for(workspace: Workspace, clock: Clock) -> None:
    workspace.limit(tries=1, quiet_time=600.0)
    workspace.enter("u2")
    await workspace.sync()
    workspace.set_faults(Rule(Late(504), MEMBERSHIP, times=1))
    workspace.enter(ANA, at=1)
    await workspace.sync()
    report = await forget_all(workspace, ANA)
    (left,) = report.obstacles
    assert "may still add them until" in left.reason
    assert workspace.simulator.faults.release()
    assert workspace.cohort() == {ANA, "u2"}
    clock.advance(601)
    assert (await forget_all(workspace)).is_done
    assert workspace.cohort() == {"u2"}


async def test_a_user_that_amplitude_does_not_know_any_more_is_in_no_cohort(
    workspace: Workspace,
) -> None:
    workspace.enter(ANA, "u2")
    await workspace.sync()
    delete_in_amplitude(workspace, ANA)
    assert (await forget_all(workspace, ANA)).is_done


async def test_a_refused_removal_is_listed_with_its_reason(workspace: Workspace) -> None:
    workspace.enter(ANA, "u2", "u3")
    await workspace.sync()
    workspace.set_faults(Rule(RefuseIds(frozenset({ANA})), MEMBERSHIP))
    report = await forget_all(workspace, ANA)
    assert [left.identity.id for left in report.obstacles] == [ANA]
    assert workspace.ledger.read(explain_person, ANA)


async def test_someone_in_no_audience_is_forgotten_for_later(
    workspace: Workspace, clock: Clock
) -> None:
    assert (await forget_all(workspace, ANA)).is_done
    workspace.enter(ANA, "u2")
    assert workspace.ledger.read(explain_person, ANA) == []
    assert workspace.ledger.read(explain_person, "u2")


async def test_a_stranger_that_a_comparison_found_is_removed(workspace: Workspace) -> None:
    workspace.enter("u2")
    await workspace.sync()
    workspace.simulator.world.add_user(ANA)
    workspace.add_in_amplitude(ANA)
    await workspace.compare()
    assert (await forget_all(workspace, ANA)).is_done
    assert workspace.cohort() == {"u2"}
    assert files_with(Path(workspace.ledger.url).parent, ANA) == []


@sqlite_only
async def test_no_file_of_the_ledger_holds_the_identifier(workspace: Workspace) -> None:
    """Not in the ledger, its -wal file or a backup, nor in anything deleted or moved before."""
    # Some builds of SQLite overwrite what is deleted, others do not.
    workspace.ledger.read(lambda db: db.execute("PRAGMA secure_delete = OFF"))
    workspace.enter(*(f"user-{number:05}" for number in range(3_000)), ANA)
    await workspace.sync()
    delete_in_amplitude(workspace, ANA)
    workspace.leave(ANA)
    await workspace.sync()  # Amplitude's answer names the users that it does not know
    workspace.set_faults()
    workspace.leave(*(f"user-{number:05}" for number in range(0, 3_000, 2)), at=3)
    workspace.read([event("u1", True) | {"timestamp": f"no time {ANA}"}])
    await workspace.compare()
    backups = workspace.ledger.backups
    assert backups is not None
    backups.make("daily", workspace.timing.now())
    folder = Path(workspace.ledger.url).parent
    assert files_with(folder, ANA)
    report = await forget_all(workspace, ANA)
    assert report.is_done, report
    assert report.backups == 1
    assert files_with(folder, ANA) == []
    (backup,) = list_backups(Path(workspace.ledger.url))
    assert backup.reason == "after-erasure"


async def test_the_log_says_that_it_was_done_and_not_of_anyone(workspace: Workspace) -> None:
    workspace.enter(ANA)
    await workspace.sync()
    await forget_all(workspace, ANA)
    entries = workspace.ledger.read(log_page, LogFilter(kinds=(LogKind.FORGET,)))
    assert any("removed from 1 cohort and erased" in entry.text for entry in entries)
    assert not any(ANA in entry.text for entry in entries)


async def test_a_number_that_may_be_two_people_is_not_guessed(workspace: Workspace) -> None:
    workspace.map_amplitude_ids()
    workspace.read([event("123", True), event(None, True, traits={"amplitude_id": "123"})])
    with pytest.raises(IdTypeUnclear):
        workspace.ledger.read(plan_forget, ["123"])
    assert (await forget_all(workspace, "123", id_type=IdType.USER_ID)).is_done
    (other,) = workspace.ledger.read(explain_person, "123")
    assert other.record.id_type is IdType.AMPLITUDE_ID


async def test_a_wrong_mapping_forgets_no_crowd(workspace: Workspace) -> None:
    workspace.map_amplitude_ids()
    workspace.read(event(f"u{n}", True, traits={"amplitude_id": "7"}) for n in range(30))
    with pytest.raises(PairedTooOften):
        workspace.ledger.read(plan_forget, ["u1"])
    assert (await forget_all(workspace, "u1", is_exact=True)).is_done
    assert workspace.ledger.read(explain_person, "u2")


async def test_read_only_forgets_no_one(workspace: Workspace) -> None:
    workspace.enter(ANA)
    workspace.connection = msgspec.structs.replace(workspace.connection, read_only=True)
    with pytest.raises(ReadOnly):
        await forget_all(workspace, ANA)
    assert workspace.ledger.read(erasures.all_erasures) == []


@sqlite_only
async def test_a_reader_that_holds_up_the_cleaning_is_named_and_it_is_done_later(
    workspace: Workspace,
) -> None:
    workspace.enter(ANA)
    await workspace.sync()
    reader = sqlite3.connect(workspace.ledger.url, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM member").fetchone()
    assert workspace.ledger.backups is not None
    workspace.ledger.backups.options = BackupOptions(patience=0.01)
    report = await forget_all(workspace, ANA)
    assert "Another program is reading the ledger" in report.trouble
    assert report.obstacles == ()
    reader.close()
    assert (await forget_all(workspace)).is_done
    assert files_with(Path(workspace.ledger.url).parent, ANA) == []


async def test_what_another_process_erases_during_a_cleaning_is_cleaned_later(
    workspace: Workspace,
) -> None:
    workspace.enter(ANA)
    await workspace.sync()
    ben = Identity(IdType.USER_ID, "ben")
    with open_ledger(workspace.ledger.url) as other:

        def erase_another() -> int:
            now = workspace.timing.now()
            if len(other.read(erasures.unclean_erasures)) == 1:  # Ana, before the files are cleaned
                erasure_id = other.write(erasures.begin_erasure, [ben], now)
                other.write(erasures.erase, erasure_id, now, [])
            return now

        async with workspace.opened() as context:
            plan = workspace.ledger.read(plan_forget, [ANA])
            connection, ledger = workspace.connection, workspace.ledger
            assert (await forget(plan, connection, ledger, context, now=erase_another)).is_done
    assert workspace.ledger.read(plan_unfinished).unclean == 1
    assert (await forget_all(workspace)).is_done
    assert workspace.ledger.read(plan_unfinished).unclean == 0


@pytest.mark.parametrize("is_finished", [False, True])
async def test_a_request_that_another_process_takes_over_is_carried_out_once(
    workspace: Workspace, is_finished: bool
) -> None:
    workspace.enter(ANA, "u2")
    await workspace.sync()
    ana = Identity(IdType.USER_ID, ANA)
    with open_ledger(workspace.ledger.url) as other:
        moments = itertools.count()

        def take_over() -> int:
            now = workspace.timing.now()
            if next(moments) == 1:  # once the person is in no cohort anymore
                erasure_id = other.write(erasures.begin_erasure, [ana], now)
                if is_finished:
                    other.write(erasures.erase, erasure_id, now, [])
            return now

        async with workspace.opened() as context:
            plan = workspace.ledger.read(plan_forget, [ANA])
            connection, ledger = workspace.connection, workspace.ledger
            report = await forget(plan, connection, ledger, context, now=take_over)
    assert report.is_done
    assert workspace.cohort() == {"u2"}
    assert workspace.ledger.read(erasures.unfinished_erasures) == []
    assert len(workspace.ledger.read(erasures.all_erasures)) == 1


async def test_an_audience_that_another_process_delivers_is_left_for_the_next_request(
    workspace: Workspace,
) -> None:
    workspace.enter(ANA, "u2")
    await workspace.sync()
    with open_ledger(workspace.ledger.url) as other, other.lease(workspace.audience().id):
        report = await forget_all(workspace, ANA)
    (left,) = report.obstacles
    assert "is syncing this audience" in left.reason or "is delivering this audience" in left.reason
    assert workspace.cohort() == {ANA, "u2"}
    assert (await forget_all(workspace)).is_done
    assert workspace.cohort() == {"u2"}


async def test_someone_whose_request_has_no_answer_yet_is_not_erased(workspace: Workspace) -> None:
    workspace.limit(quiet_time=0.0)
    workspace.enter("u2")
    await workspace.sync()
    workspace.enter(ANA, at=1)
    ledger, known = workspace.ledger, workspace.audience()
    with open_ledger(ledger.url) as other, other.lease(known.id):
        batch = (known.id, IdType.USER_ID, Operation.ADD, 9, workspace.timing.now())
        assert other.write(deliveries.open_batch, 1, *batch) is not None
        report = await forget_all(workspace, ANA)
    assert [left.reason for left in report.obstacles] == ["A request about them has no answer yet."]
    assert (await forget_all(workspace)).is_done


async def test_a_removal_that_a_process_sent_before_it_died_is_sent_again(
    workspace: Workspace,
) -> None:
    workspace.enter(ANA, "u2")
    await workspace.sync()
    workspace.leave(ANA, at=1)
    ledger, known = workspace.ledger, workspace.audience()
    batch = (known.id, IdType.USER_ID, Operation.REMOVE, 9, workspace.timing.now())
    assert ledger.write(deliveries.open_batch, 1, *batch) is not None
    report = await forget_all(workspace, ANA)
    assert report.is_done, report.obstacles
    assert [item.cohorts for item in ledger.read(erasures.all_erasures)] == [1]
    assert workspace.cohort() == {"u2"}


async def test_someone_in_a_cohort_that_may_have_been_created_is_not_erased(
    workspace: Workspace,
) -> None:
    workspace.limit(tries=1, quiet_time=0.0)
    workspace.enter(ANA, "u2")
    workspace.set_faults(Rule(Reset(), frozenset({Call.UPLOAD})))
    await workspace.sync()
    report = await forget_all(workspace, ANA)
    assert ["The cohort is being created" in left.reason for left in report.obstacles] == [True]
    workspace.set_faults()
    await workspace.sync()
    assert (await forget_all(workspace)).is_done
    assert workspace.cohort() == {"u2"}


async def test_a_cohort_that_is_gone_confirms_no_removal_until_it_is_unlinked(
    workspace: Workspace,
) -> None:
    workspace.enter(ANA, "u2")
    await workspace.sync()
    cohort_id = workspace.audience().cohort_id
    assert cohort_id is not None
    workspace.simulator.world.drop_cohort(cohort_id)
    report = await forget_all(workspace, ANA)
    (left,) = report.obstacles
    assert cohort_id in left.reason
    workspace.change(SettingsChange(unlink=True))
    assert (await forget_all(workspace)).is_done


async def test_a_live_stream_does_not_bring_them_back(workspace: Workspace, clock: Clock) -> None:
    workspace.enter("u2")
    ingestor = StreamIngestor(workspace.ledger, workspace.read_options(), workspace.timing)
    assert (await forget_all(workspace, ANA)).is_done
    changes = [change(ANA), change("u3", line=2)]
    result = ingestor.ingest(ingestor.begin("hook"), [EventBatch(changes)])
    assert [recent.id for recent in result.latest] == ["u3"]
    assert (result.tally.valid, result.tally.filtered) == (1, 1)
    assert workspace.ledger.read(explain_person, ANA) == []


async def test_what_was_received_and_not_merged_is_history_whatever_its_time(
    workspace: Workspace, clock: Clock
) -> None:
    workspace.enter("u2")
    ledger = workspace.ledger
    ahead = change(ANA)._replace(at=clock() + 3_600_000_000)
    await leave_received(ledger, ahead, change("u3", line=2))
    assert (await forget_all(workspace, ANA)).is_done
    assert workspace.ledger.read(explain_person, ANA) == []
    assert [len(ledger.read(explain_person, user)) for user in ("u2", "u3")] == [1, 1]
    assert files_with(workspace.folder, ANA) == []


async def test_a_snapshot_read_after_the_request_counts_no_one_who_was_forgotten(
    workspace: Workspace, clock: Clock
) -> None:
    workspace.enter("u1")
    assert (await forget_all(workspace, ANA)).is_done
    ledger = workspace.ledger
    reader = SnapshotReader(ledger)
    source = ledger.write(begin_source, "list.csv", None, 1)
    reader.begin(workspace.audience().id, source, 10, [IdType.USER_ID])
    reader.add(EventBatch([change(ANA), change("u2", line=2)]))
    assert reader.entering() == 1
    assert reader.removal().listed == 1


async def test_a_query_of_changes_counts_no_one_who_was_forgotten(
    workspace: Workspace, clock: Clock
) -> None:
    workspace.enter("u1")
    assert (await forget_all(workspace, ANA)).is_done
    ledger, known = workspace.ledger, workspace.audience()
    staging = ledger.stage(staged_changes.begin_changes)
    ledger.stage(staged_changes.add_changes, staging, [change(ANA), change("u2", line=2)])
    query = AudienceQuery(known.id, "lake", "SELECT", 1, is_changes=True)
    staged = StagedChanges(query, staging, 1, 2, None)
    assert ledger.stage(staged_changes.flips, staged).entering == 1


async def test_the_place_of_someone_erased_hides_no_one_from_a_late_replacement(
    workspace: Workspace,
) -> None:
    """The ledger knows from the row numbers who came after a replacement was given up."""
    workspace.enter("u2")
    workspace.read([event(ANA, True, audience="buyers")])
    await workspace.sync()
    shoppers = workspace.audience().id
    workspace.ledger.write(
        lambda db: db.execute(
            "INSERT INTO late_replacement (audience_id, cohort_id, after_n, until) "
            "SELECT ?, 'c', max(n), 9 FROM member",
            (shoppers,),
        )
    )
    assert (await forget_all(workspace, ANA)).is_done
    workspace.enter("u3", at=1)
    query = "SELECT n > after_n FROM member, late_replacement WHERE member.id = 'u3'"
    assert workspace.ledger.read(lambda db: db.execute(query).fetchone()) == (1,)


# What was read or staged before a request, and is merged after it.


def change(user: str | None, amplitude_id: str | None = None, line: int = 1) -> Change:
    return Change(
        AudienceRef("spa_1", "aud_shoppers", "shoppers"), user, amplitude_id, True, 9, line
    )


async def test_what_an_import_read_before_the_request_is_history(workspace: Workspace) -> None:
    workspace.enter("u1")
    ledger = workspace.ledger
    merges = MergeQueue(ledger)
    source = ledger.write(begin_source, "stdin", None, 1)
    buffer = ChangeBuffer(merges, KnownAudiences(ledger), source, workspace.timing.now)
    buffer.add(EventBatch([change(ANA, ANAS_DEVICE), change("u2", "55", 2)]))
    assert (await forget_all(workspace, ANA)).is_done
    buffer.merge()
    merges.flush()
    for id_ in (ANA, ANAS_DEVICE):
        assert ledger.read(explain_person, id_) == []
    for id_ in ("u2", "55"):
        assert len(ledger.read(explain_person, id_)) == 1


async def test_what_a_snapshot_staged_before_the_request_is_history(workspace: Workspace) -> None:
    workspace.enter("u1", ANA)
    ledger = workspace.ledger
    source = ledger.write(begin_source, "list.csv", None, 1)
    reader = SnapshotReader(ledger)
    reader.begin(workspace.audience().id, source, 10, [IdType.USER_ID])
    reader.add(EventBatch([change(ANA), change("u2", line=2)]))
    assert reader.entering() == 1
    assert (await forget_all(workspace, ANA)).is_done
    report = reader.finish()
    assert report is not None
    assert ledger.read(explain_person, ANA) == []
    assert len(ledger.read(explain_person, "u2")) == 1


async def test_a_comparison_with_an_older_export_does_not_list_them(
    workspace: Workspace, clock: Clock
) -> None:
    workspace.enter("u1", ANA)
    await workspace.sync()
    ledger, known = workspace.ledger, workspace.audience()
    found = {"1": "u1", ANAS_DEVICE: ANA, "3": "stranger"}
    exported_at = clock.now
    clock.advance(5)
    assert (await forget_all(workspace, ANA)).is_done
    spec = ComparisonSpec(run_id=1, audience_id=known.id, at=exported_at)
    compared = compare_exported(ledger, spec, found)
    assert (compared.strangers, compared.missing, compared.has_left) == (1, 0, 0)
    assert ledger.read(explain_person, ANA) == []


# Texts.


@pytest.mark.parametrize(
    ("id_", "text", "erased"),
    [
        (
            "ana",
            "Amplitude refused ana: banana, (ana)",
            "Amplitude refused [erased]: banana, ([erased])",
        ),
        ('a"b', r'{"skipped_ids":["a\"b"]}', '{"skipped_ids":["[erased]"]}'),
        ("jürgen", r'{"skipped_ids":["j\u00fcrgen"]}', '{"skipped_ids":["[erased]"]}'),
        ("tab\there", r"Retried tab\there.", "Retried [erased]."),
        ("12", "12 users, user 123, user 12", "[erased] users, user 123, user [erased]"),
        ("x" * 90, f"Refused: {'x' * 59}…", "Refused: [erased]"),
        ("ana-7c41@acme.example", "a" * 1_990 + " ana-7c41@", "a" * 1_990 + " [erased]"),
        (
            "ana-7c41@acme.example",
            "Nothing is cut after ana-7c41@",
            "Nothing is cut after ana-7c41@",
        ),
        (".", "Refused “.” and . at 1.5 s.", "Refused “[erased]” and [erased] at 1.5 s."),
        ("…", '{"skipped_ids":["…"]} is cut here…', '{"skipped_ids":["[erased]"]} is cut here…'),
        ("", "12 users", "12 users"),
        (" ", "12 users", "12 users"),
        ("\n", r"12 users\n", r"12 users\n"),
    ],
)
def test_an_identifier_is_erased_however_it_is_spelled(id_: str, text: str, erased: str) -> None:
    assert Eraser([id_]).erased(text) == erased


STRUCTURE = {
    *("applied_list", "creation", "download", "lease", "membership_day", "late_effect", "hold"),
    *("member", "difference", "erasure_identifier", "erasure", "segment_space", "forgotten"),
    *("late_replacement", "checkpoint", "comparison", "moved"),
}
"""Tables whose texts are identifiers, which are erased as such, or machine-written words."""
WORDS_OF_THE_MACHINE = {
    *(("source", "path"), ("unread_source", "key"), ("audience", "space_id")),
    *(("audience", "computation_id"), ("audience", "key"), ("audience", "owner_email")),
    *(("audience", "seed_user"), ("audience", "cohort_id"), ("audience", "link")),
    *(("run", "status"), ("run", "lock"), ("run", "host"), ("run", "kind")),
    *(("run", "operator"), ("log_entry", "operator")),
    *(("run_audience", "outcome"), ("request", "kind"), ("request", "operation")),
    *(("request", "state"), ("rejection", "operation"), ("rejection", "code")),
    *(("refused_requests", "reason"), ("log_entry", "kind"), ("log_entry", "process")),
    *(("audience_query", "source"), ("audience_query", "outcome")),
    *(("audience_query", "column_types"), ("segment_audience", "space_id")),
    *(("segment_audience", "id"), ("segment_audience", "key"), ("segment_audience", "name")),
    *(("segment_audience", "status"), ("segment_audience", "unit")),
    ("segment_audience", "destinations"),
}


@sqlite_only
def test_every_text_of_the_ledger_is_erased_or_known_to_hold_no_identifier(
    workspace: Workspace,
) -> None:
    """A new column has to be listed in `erased_text.py`, or here."""
    columns = workspace.ledger.read(
        lambda db: db.execute(
            "SELECT m.name, c.name FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c "
            "WHERE m.type = 'table' AND c.type = 'TEXT'"
        ).fetchall()
    )
    listed = {
        *TEXTS,
        *((table, column) for table, column, _ in NAMES),
        *((table, "reason") for table in COUNTED),
        *WORDS_OF_THE_MACHINE,
    }
    assert {item for item in columns if item[0] not in STRUCTURE} - listed == set()
