"""A run has one outcome per audience; its own is the worst of them."""

import dataclasses

import msgspec
import pytest

from amp_console.ledger.cohorts import COHORT_GONE
from amp_console.ledger.counts import InCohort, headcount, held_by_cohort, pending_members
from amp_console.ledger.event_log import LogFilter, log_page
from amp_console.ledger.outcomes import audience_outcome, runs_of_audience, worst
from amp_console.ledger.run_log import run_reason
from amp_console.ledger.runs import (
    AudienceCounts,
    Run,
    RunKind,
    RunStatus,
    all_runs,
    begin_run,
    end_run,
    record_audience,
)
from amp_console.ledger.sources import ReadCounts
from amp_console.simulator import RefuseIds, Rule
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.delivery.progress import RunSnapshot
from amp_console.sync.delivery.run import end_abandoned
from amp_console.values import IdType
from tests.sync.workspace import Clock, Workspace, event

pytestmark = [pytest.mark.anyio, pytest.mark.both_engines]


def test_an_outcome_follows_from_what_is_left() -> None:
    none, stuck = AudienceCounts(), AudienceCounts(note="Link another cohort.", is_stuck=True)
    sync, live = RunKind.SYNC, RunKind.LIVE
    assert audience_outcome(sync, none) is RunStatus.DELIVERED
    rejected = AudienceCounts(rejected=3)
    assert audience_outcome(sync, rejected) is RunStatus.PARTIAL
    assert audience_outcome(live, rejected) is RunStatus.PARTIAL
    assert audience_outcome(sync, stuck) is RunStatus.STOPPED
    assert audience_outcome(live, stuck) is RunStatus.STOPPED
    assert audience_outcome(RunKind.COMPARE, none) is RunStatus.DELIVERED
    assert audience_outcome(RunKind.COMPARE, none, differs=True) is RunStatus.PARTIAL


def test_the_worst_outcome_is_that_of_the_run() -> None:
    assert worst([]) is RunStatus.DELIVERED
    assert worst([], invalid=1) is RunStatus.PARTIAL
    assert worst([RunStatus.STOPPED, RunStatus.DELIVERED], invalid=1) is RunStatus.STOPPED


async def test_a_run_that_has_ended_is_not_ended_again(workspace: Workspace) -> None:
    """A console gives up a run after a while, when it may already be over."""
    workspace.enter("u1")
    seen: list[RunSnapshot] = []
    await workspace.sync(observe=seen.append)
    (before,) = workspace.ledger.read(all_runs)
    await end_abandoned(workspace.ledger, seen[-1], "Given up.", workspace.timing.now())
    assert workspace.ledger.read(all_runs) == [before]
    assert before.status is RunStatus.DELIVERED


async def test_a_run_is_delivered_although_earlier_runs_rejected_users(
    workspace: Workspace,
) -> None:
    workspace.enter("u1", "ghost-1")
    workspace.read([event("v1", True, audience="others")])
    await workspace.sync()
    workspace.enter("u2")
    workspace.read([event("v2", True, audience="others")])
    await workspace.sync()
    newest = workspace.ledger.read(all_runs)[0]
    assert (newest.status, newest.rejected, newest.rejected_after) == (RunStatus.DELIVERED, 0, 1)
    assert run_reason(newest) == "1 rejected earlier"
    assert [_newest(workspace, key) for key in ("shoppers", "others")] == [
        RunStatus.DELIVERED,
        RunStatus.DELIVERED,
    ]


async def test_members_without_an_identifier_are_not_rejected_by_an_earlier_run(
    workspace: Workspace,
) -> None:
    workspace.map_amplitude_ids()
    workspace.enter("ghost-1", "u1")
    workspace.read([event("v1", True, traits={"amplitude_id": "412"}, audience="by_number")])
    workspace.read([event(f"v{n}", True, audience="by_number") for n in (2, 3)])
    workspace.change(SettingsChange(id_type=IdType.AMPLITUDE_ID), "by_number")
    await workspace.sync()
    await workspace.sync()
    newest, first = workspace.ledger.read(all_runs)
    assert (newest.rejected_after, newest.unidentified_after) == (3, 2)
    assert newest.status is RunStatus.DELIVERED
    assert run_reason(newest) == "1 rejected earlier, 2 missing IDs"
    assert first.status is RunStatus.PARTIAL
    assert run_reason(first) == "1 rejected, 2 missing IDs"


@pytest.mark.parametrize(
    ("kind", "after", "unidentified", "why", "reason"),
    [
        (RunKind.LIVE, 0, 0, "waiting: no cohort", "no cohort"),
        (RunKind.LIVE, 3, 3, "waiting: no cohort", "3 missing IDs: no cohort"),
        (RunKind.SYNC, 5, None, "", "rejected earlier or with missing IDs"),
        (RunKind.SYNC, None, None, "", "rejected earlier or with missing IDs"),
        (RunKind.REPAIR, 5, 5, "", ""),
    ],
)
def test_a_partial_run_names_only_what_it_knows(
    kind: RunKind, after: int | None, unidentified: int | None, why: str, reason: str
) -> None:
    ended = Run(1, kind, 1, 2, RunStatus.PARTIAL, "", ReadCounts(), 1, 2, 0, 0, 1, 0, "")
    counted = {"rejected_after": after, "unidentified_after": unidentified, "why": why}
    assert run_reason(msgspec.structs.replace(ended, **counted)) == reason


def test_a_reason_says_of_which_users_it_is() -> None:
    ended = Run(
        1, RunKind.LIVE, 1, 2, RunStatus.PARTIAL, "", ReadCounts(), 1, 2, 0, 0, 1, 0, "",
        pending=9, why="waiting: no cohort", rejected_after=3, unidentified_after=0,
    )  # fmt: skip
    assert run_reason(ended) == "9 pending: no cohort; 3 rejected earlier"
    said = msgspec.structs.replace(ended, why="Amplitude has no such cohort anymore.")
    text = "9 pending: Amplitude has no such cohort anymore; 3 rejected earlier"
    assert run_reason(said) == text
    gone = msgspec.structs.replace(ended, why=f"{COHORT_GONE} abc anymore. Link another.")
    assert run_reason(gone) == "9 pending: broken link; 3 rejected earlier"


def test_a_reason_counts_who_is_pending_for_each_of_several(workspace: Workspace) -> None:
    counts = {"shoppers": "waiting: no cohort", "others": COHORT_GONE, "third": ""}
    workspace.enter("u1", "u2", "u3")
    workspace.read([event("v1", True, audience="others"), event("w1", True, audience="third")])
    with workspace.ledger.hold_run() as lock:
        run_id = workspace.ledger.write(begin_run, ReadCounts(), 1, lock, RunKind.LIVE)
    for key, note in counts.items():
        known = workspace.audience(key).id
        workspace.ledger.write(record_audience, run_id, known, AudienceCounts(note=note), 2)
    workspace.ledger.write(end_run, run_id, RunStatus.STOPPED, "", 3)
    (ended,) = workspace.ledger.read(all_runs)
    assert run_reason(ended) == "5 pending: 3 no cohort, 1 broken link"


async def test_a_comparison_that_explains_all_differences_is_the_same_everywhere(
    workspace: Workspace,
) -> None:
    workspace.enter("u1", "ghost-1")
    await workspace.sync()
    workspace.enter("u2")
    await workspace.compare()
    assert workspace.ledger.read(all_runs)[0].status is RunStatus.DELIVERED
    assert _newest(workspace, "shoppers") is RunStatus.DELIVERED


async def test_runs_say_how_many_users_differed_also_after_a_repair(workspace: Workspace) -> None:
    workspace.enter("u1", "u2", "u3")
    await workspace.sync()
    workspace.remove_in_amplitude("u1")
    workspace.add_in_amplitude("by-hand")
    await workspace.apply(await workspace.compare())
    repair, comparison, _ = workspace.ledger.read(all_runs)
    assert (comparison.kind, run_reason(comparison)) == (RunKind.COMPARE, "2 users differ")
    assert (repair.kind, run_reason(repair)) == (RunKind.REPAIR, "compared again: no user differs")
    (ended, *_) = workspace.ledger.read(log_page, LogFilter("Repair of"))
    assert ended.text.endswith("1 added, 1 removed, 2 requests, compared again: no user differs.")


async def test_a_run_took_as_long_as_the_history_says(workspace: Workspace) -> None:
    clock = Clock()

    def now() -> int:
        clock.advance(1)
        return clock.now

    workspace.timing = dataclasses.replace(workspace.timing, now=now)
    workspace.enter("u1")
    report = await workspace.sync()
    (kept,) = workspace.ledger.read(all_runs)
    assert kept.ended_at is not None
    assert report.elapsed == (kept.ended_at - kept.started_at) / 1_000_000 > 0


async def test_users_that_amplitude_refused_are_not_in_the_cohort(workspace: Workspace) -> None:
    workspace.enter("u1")
    await workspace.sync()
    workspace.set_faults(Rule(RefuseIds(frozenset({"u-bad"}), named=True)))
    workspace.enter("u2", "u-bad")
    await workspace.sync()
    known = workspace.audience()
    counted = workspace.ledger.read(headcount, known, 2**62)
    assert workspace.ledger.read(held_by_cohort, known) == counted.held == InCohort(2, 0)


async def test_members_who_are_only_pending_are_no_part_of_what_a_plan_removes(
    workspace: Workspace,
) -> None:
    workspace.map_amplitude_ids()
    workspace.enter("u0")
    await workspace.sync()
    cohort_id = workspace.audience().cohort_id
    workspace.change(SettingsChange(unlink=True))
    workspace.change(SettingsChange(cohort_id=cohort_id))
    workspace.read(event(f"u{n}", True, traits={"amplitude_id": 1000 + n}) for n in range(1, 4))
    workspace.leave("u0", at=9)
    before = workspace.plan().audiences[0]
    assert not before.is_large_removal  # others may have filled it
    assert before.removed_members == "1 of 4 cohort members known to the ledger"
    await workspace.sync()

    workspace.change(SettingsChange(id_type=IdType.AMPLITUDE_ID))

    plan = workspace.plan()
    assert (plan.audiences[0].add, plan.audiences[0].remove) == (3, 3)
    removes = "removes all 3 cohort members delivered by User ID from “shoppers”"
    assert plan.concerns == (f"{removes} and adds 3 users by Amplitude ID",)
    pending = workspace.ledger.read(pending_members, plan.audiences[0].audience_id, 2)
    assert [(member.id, member.id_type) for member in pending] == [
        ("1001", IdType.AMPLITUDE_ID),
        ("1002", IdType.AMPLITUDE_ID),
        ("u1", IdType.USER_ID),
        ("u2", IdType.USER_ID),
    ]


def _newest(workspace: Workspace, key: str) -> RunStatus:
    return workspace.ledger.read(runs_of_audience, workspace.audience(key).id, 1)[0].status
