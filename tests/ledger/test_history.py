"""What is kept about runs and requests, and when people entered and left."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from amp_console.ledger import Db, deliveries, open_ledger
from amp_console.ledger.database import Ledger, revision
from amp_console.ledger.db import Cursor
from amp_console.ledger.deliveries import RequestKind
from amp_console.ledger.outcomes import runs_of_audience
from amp_console.ledger.pruning import prune
from amp_console.ledger.requests import (
    RequestState,
    count_requests,
    delete_requests,
    forgettable_requests,
    request,
    requests_page,
)
from amp_console.ledger.run_log import run_reason
from amp_console.ledger.runs import (
    AudienceCounts,
    RunStatus,
    all_runs,
    run,
    run_audiences,
    total_of,
)
from amp_console.ledger.sources import (
    OTHER,
    InvalidLimits,
    ReadCounts,
    account,
    begin_source,
    count_invalid,
    invalid_events,
    invalid_groups,
    invalid_page,
)
from amp_console.simulator import Answer, Call, Rule
from amp_console.values import IdType, Operation, Refusal
from tests.sync.conftest import simulator, workspace  # noqa: F401  # fixtures
from tests.sync.workspace import Workspace, event

pytestmark = [pytest.mark.anyio, pytest.mark.both_engines]
MINUTE = 60_000_000
START = 1_777_834_800_000_000  # 2026-05-03T19:00:00Z, the start of the workspace's hour


async def test_a_run_is_found_with_what_it_did(workspace: Workspace) -> None:  # noqa: F811
    workspace.enter("u1", "u2", "ghost-1")
    workspace.read([event("v1", True, audience="others")])
    await workspace.sync()
    await workspace.sync()
    found = workspace.ledger.read(run, 1)
    assert found is not None
    assert (found.status, found.added, found.rejected) == (RunStatus.PARTIAL, 3, 1)
    assert [item.id for item in workspace.ledger.read(all_runs)] == [2, 1]
    assert [item.id for item in workspace.ledger.read(all_runs, 1)] == [2]
    assert workspace.ledger.read(run, 99) is None
    target = workspace.ledger.read(run_audiences, 1)
    assert [(item.key, item.counts.added) for item in target] == [("others", 1), ("shoppers", 2)]
    assert total_of(item.counts for item in target).added == 3
    history = workspace.ledger.read(runs_of_audience, workspace.audience().id, 5)
    assert [(item.run.id, item.counts.added) for item in history] == [(2, 0), (1, 2)]
    own = workspace.ledger.read(runs_of_audience, workspace.audience("others").id, 5)
    assert [(item.run.status, item.status) for item in own] == [
        (RunStatus.DELIVERED, RunStatus.DELIVERED),
        (RunStatus.PARTIAL, RunStatus.DELIVERED),
    ]
    assert [item.status for item in history] == [RunStatus.DELIVERED, RunStatus.PARTIAL]


async def test_who_is_pending_after_a_run_is_kept(workspace: Workspace) -> None:  # noqa: F811
    workspace.enter("u1", "u2")
    workspace.set_faults(Rule(Answer(500), frozenset({Call.MEMBERSHIP})))
    await workspace.sync()
    workspace.set_faults()
    await workspace.sync()
    assert [workspace.ledger.read(run_audiences, n)[0].pending for n in (1, 2)] == [2, 0]
    second, first = workspace.ledger.read(all_runs)
    assert (first.pending, second.pending) == (2, 0)
    assert run_reason(first).startswith("2 pending: ")
    assert run_reason(second) == ""


async def test_a_run_that_was_partial_has_a_reason(workspace: Workspace) -> None:  # noqa: F811
    workspace.enter("u1", "ghost-1")
    await workspace.sync()
    await workspace.sync()
    reasons = [run_reason(item) for item in workspace.ledger.read(all_runs)]
    assert reasons == ["1 rejected earlier", "1 rejected"]


def forget_requests(there: Workspace, run_id: int, before: int) -> int:
    ids = there.ledger.read(forgettable_requests, str(run_id), before)
    return there.ledger.write(delete_requests, ids)


async def test_requests_that_explain_no_one_any_more_are_forgotten(workspace: Workspace) -> None:  # noqa: F811
    workspace.enter("u1", "ghost-1")
    await workspace.sync()
    workspace.leave("u1", at=1)
    await workspace.sync()
    workspace.enter("u1", "u2", at=2)
    await workspace.sync()
    kept = {item.id for item in workspace.ledger.read(requests_page, 2, 0, 10)}
    last = workspace.timing.now() + 1

    def request_count(run_id: int) -> int:
        return workspace.ledger.read(count_requests, run_id)

    before = [request_count(n) for n in (1, 2, 3)]
    assert forget_requests(workspace, 2, 0) == 0
    assert forget_requests(workspace, 1, last) == before[0] - 1  # the rejection's
    assert forget_requests(workspace, 3, last) == 0
    assert forget_requests(workspace, 2, last) == len(kept) == 1
    assert [request_count(n) for n in (1, 2, 3)] == [1, 0, before[2]]
    assert workspace.rejected()[0].request_id is not None
    await workspace.sync()
    assert workspace.cohort() == {"u1", "u2"}


async def test_an_open_request_is_not_forgotten(workspace: Workspace) -> None:  # noqa: F811
    workspace.enter("u1")
    await workspace.sync()
    workspace.enter("u2", at=1)
    batch = workspace.ledger.write(
        deliveries.open_batch, 1, workspace.audience().id, IdType.USER_ID, Operation.ADD, 10, 1
    )
    assert batch is not None
    workspace.ledger.write(lambda db: db.execute("UPDATE member SET request_id = NULL"))
    forget_requests(workspace, 1, workspace.timing.now() + 1)
    assert workspace.ledger.read(request, batch.request_id) is not None


async def test_what_a_batch_refers_to_again_that_is_not_sent_is_kept(
    workspace: Workspace,  # noqa: F811
) -> None:
    workspace.enter("u1")
    await workspace.sync()
    workspace.leave("u1", at=1)
    (before,) = workspace.ledger.read(_requests_of_members)
    batch = workspace.ledger.write(
        deliveries.open_batch, 2, workspace.audience().id, IdType.USER_ID, Operation.REMOVE, 10, 1
    )
    assert batch is not None
    assert forget_requests(workspace, 1, workspace.timing.now() + 1) == 0
    workspace.ledger.write(deliveries.withdraw, batch)
    assert workspace.ledger.read(_requests_of_members) == [before]
    assert workspace.ledger.read(request, before) is not None


def _requests_of_members(db: Db) -> list[int]:
    return [row[0] for row in db.execute("SELECT request_id FROM member").fetchall()]


class RecordingDb:
    """Records the statements that it passes on."""

    def __init__(self, db: Db) -> None:
        self.statements: list[str] = []
        self._db = db

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = (), /) -> Cursor:
        self.statements.append(sql)
        return self._db.execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any, /) -> Cursor:
        self.statements.append(sql)
        return self._db.executemany(sql, parameters)


async def test_who_prunes_reads_no_member_while_others_wait(workspace: Workspace) -> None:  # noqa: F811
    """A billion of them take many minutes, and a write is waited for half a minute."""
    workspace.enter("u1")
    await workspace.sync()

    def statements(db: Db) -> list[str]:
        recording = RecordingDb(db)
        prune(recording, 1, 1, [1])
        return recording.statements

    found = workspace.ledger.write(statements)
    assert len(found) > 5
    # Those who are rejected are few, and found in an index.
    assert [sql for sql in found if "member" in sql and "rejection_id IS NOT NULL" not in sql] == []


def test_nothing_adds_up_to_nothing() -> None:
    assert total_of([]) == AudienceCounts()


async def test_requests_are_kept_the_newest_first(workspace: Workspace) -> None:  # noqa: F811
    workspace.limit(first_batch=2, largest_batch=2)
    workspace.enter("u1", "u2", "u3", "ghost-1")
    workspace.set_faults(Rule(Answer(500), frozenset({Call.MEMBERSHIP}), times=1))
    await workspace.sync()
    count = workspace.ledger.read(count_requests, 1)
    page = workspace.ledger.read(requests_page, 1, 0, 100)
    assert len(page) == count
    assert page[-1].kind is RequestKind.UPLOAD
    assert [item.id for item in page] == sorted((item.id for item in page), reverse=True)
    assert page[0].audience_name == "shoppers"
    assert [item.state for item in page].count(RequestState.VOID) == 1
    assert page[0].status == 200
    assert workspace.ledger.read(requests_page, 1, 1, 1) == page[1:2]
    assert workspace.ledger.read(request, page[0].id) == page[0]
    assert workspace.ledger.read(request, 999) is None
    assert workspace.ledger.read(count_requests, 1, workspace.audience().id) == count
    assert workspace.ledger.read(count_requests, 2) == 0


def test_the_revision_moves_when_someone_else_has_written(workspace: Workspace) -> None:  # noqa: F811
    with open_ledger(workspace.ledger.url) as looking:
        before = looking.read(revision)
        assert looking.read(revision) == before
        workspace.enter("u1")
        assert looking.read(revision) != before


def test_invalid_events_come_in_pages(workspace: Workspace) -> None:  # noqa: F811
    workspace.read([event(None, True) for _ in range(5)])
    workspace.read([event("  ", True)])
    everything = workspace.ledger.read(invalid_events)
    assert len(everything) == workspace.ledger.read(count_invalid) == 6
    pages = [workspace.ledger.read(invalid_page, offset, 4) for offset in (0, 4, 8)]
    assert [item for page in pages for item in page] == everything
    assert workspace.ledger.read(count_invalid, "EVENTS-2") == 1
    assert workspace.ledger.read(count_invalid, "%") == 0


def invalid_source(ledger: Ledger, *refusals: Refusal, **more: Any) -> None:
    source_id = ledger.write(begin_source, "noise.ndjson", "/noise.ndjson", 1)
    ledger.write(account, source_id, ReadCounts(invalid=len(refusals)), {}, refusals, **more)


def test_invalid_events_past_the_limit_are_counted_and_not_kept(ledger: Ledger) -> None:
    limits = InvalidLimits(of_source=5, of_reason=2, reasons=3)
    noise = [Refusal(line, "no identifier") for line in range(1, 1_001)]
    invalid_source(ledger, *noise, Refusal(2_000, "not JSON"), limits=limits)
    (source_id,) = ledger.read(lambda db: db.execute("SELECT id FROM source").fetchone())
    more: dict[str, Any] = {"unlisted": {"no identifier": 40}, "limits": limits}
    ledger.write(account, source_id, ReadCounts(), {}, [Refusal(3_000, "no identifier")], **more)
    groups = ledger.read(invalid_groups)
    assert [(group.reason, group.count, group.sources) for group in groups] == [
        ("no identifier", 1_041, 1),
        ("not JSON", 1, 1),
    ]
    assert [sample.line for sample in groups[0].samples] == [1, 2, 3]
    assert [invalid_event.line for invalid_event in ledger.read(invalid_events)] == [
        1,
        2,
        3,
        4,
        5,
        2_000,
    ]
    assert ledger.read(count_invalid) == 1_042


def test_a_source_with_a_reason_for_each_line_keeps_few_reasons(ledger: Ledger) -> None:
    limits = InvalidLimits(of_source=5, of_reason=2, reasons=3)
    invalid_source(ledger, *(Refusal(n, f"odd {n}") for n in range(1, 101)), limits=limits)
    groups = ledger.read(invalid_groups)
    assert {group.reason: group.count for group in groups} == {
        OTHER: 97, "odd 1": 1, "odd 2": 1, "odd 3": 1,
    }  # fmt: skip
    assert len(ledger.read(invalid_events)) == 5


def test_reading_a_source_again_recounts_its_invalid_events(ledger: Ledger) -> None:
    for _ in range(2):
        invalid_source(ledger, Refusal(1, "not JSON"))
    assert ledger.read(count_invalid) == 1
    assert ledger.read(count_invalid, "NOISE") == 1
    assert ledger.read(count_invalid, "%") == 0
