"""Reconciling with failures: each step fails in each way, reports it, and the next run recovers."""

import asyncio
import dataclasses
import resource
from pathlib import Path

import pytest

from amp_console.amplitude.client import AmplitudeClient
from amp_console.ledger import LedgerError
from amp_console.ledger.audiences import Link
from amp_console.ledger.comparisons import (
    DifferenceFilter,
    DifferenceKind,
    differences,
    keeps_differences,
    last_comparison,
)
from amp_console.ledger.downloads import starts_since
from amp_console.ledger.repairs import RepairChoice
from amp_console.ledger.runs import RunStatus
from amp_console.simulator import Answer, Behavior, Call, Cut, RefuseIds, Reset, Rule
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.delivery.progress import RunSnapshot
from amp_console.sync.reconcile.compare import CompareReport, compare_audiences
from amp_console.sync.reconcile.download import EXPIRED_LINKS, STARTS, STARTS_WINDOW
from amp_console.sync.reconcile.plan import plan_repair
from amp_console.sync.reconcile.quota import Quota, ask_quota, reset_day
from amp_console.sync.reconcile.repair import repair
from amp_console.sync.timing import Stop
from amp_console.values import Credentials, Secret
from tests.ledgers import sqlite_only
from tests.sync.workspace import BOTH, Workspace

pytestmark = pytest.mark.anyio

USERS = [f"u{n:02}" for n in range(20)]
DOWNLOADS = (Call.DOWNLOAD_START, Call.DOWNLOAD_STATUS, Call.DOWNLOAD_FILE)


@pytest.fixture
async def differing(workspace: Workspace) -> Workspace:
    """An audience that was delivered; two of its people are out of the cohort, a stranger is in."""
    workspace.enter(*USERS)
    await workspace.sync()
    workspace.remove_in_amplitude("u00", "u01")
    workspace.add_in_amplitude("stranger")
    return workspace


def downloads_counted(workspace: Workspace) -> int:
    """How many downloads Amplitude has counted."""
    return workspace.simulator.downloads


def note(report: CompareReport) -> str:
    (target,) = report.run.audiences
    return target.note


async def recovers(workspace: Workspace) -> None:
    """Without failures, the next comparison is correct, and repairs the cohort."""
    workspace.set_faults()
    workspace.simulator.behavior = Behavior()
    found = await workspace.compare()
    assert (found.missing, found.extra) == (2, 1)
    done = await workspace.apply(found)
    assert done.verified
    assert workspace.cohort() == set(USERS)


PASSING = (
    Answer(429, retry_after="7"),
    Answer(429),
    Answer(500),
    Answer(502, html=True),
    Reset(),
    Cut(),
)


@pytest.mark.parametrize("call", DOWNLOADS)
async def test_passing_trouble_is_waited_out(differing: Workspace, call: Call) -> None:
    for trouble in PASSING:
        differing.waits.seconds.clear()
        differing.set_faults(Rule(trouble, frozenset({call}), times=2))
        found = await differing.compare()
        assert (found.missing, found.extra, found.in_both) == (2, 1, 18), trouble
        assert len(differing.waits.seconds) >= 2, trouble


@pytest.mark.parametrize("call", DOWNLOADS)
async def test_lasting_trouble_is_reported_and_nothing_is_changed(
    differing: Workspace, call: Call
) -> None:
    before = differing.cohort()
    differing.set_faults(Rule(Answer(500), frozenset({call})))
    report = await differing.compare_report()
    assert report.comparisons == {}
    assert report.run.status is RunStatus.STOPPED
    assert "Gave up after 8 failures in a row." in note(report)
    assert differing.plan().audiences[0].is_idle
    assert differing.cohort() == before
    await recovers(differing)


async def test_a_spent_allowance_is_reported_and_nothing_is_asked_for(differing: Workspace) -> None:
    differing.simulator.behavior = Behavior(downloads_per_month=0)
    report = await differing.compare_report()
    assert (
        "This month's downloads are used up (0 of 0 downloads used; the count resets on 1 "
        in note(report)
    )
    assert not any(seen.call is Call.DOWNLOAD_START for seen in differing.simulator.requests)
    await recovers(differing)


async def test_an_allowance_that_only_the_start_tells_of_is_not_waited_for(
    differing: Workspace,
) -> None:
    differing.simulator.behavior = Behavior(downloads_per_month=0)
    differing.set_faults(Rule(Answer(404), frozenset({Call.USAGE})))
    report = await differing.compare_report()
    assert "This month's downloads are used up" in note(report)
    assert differing.waits.seconds == []
    assert differing.ledger.read(starts_since, 0) == []
    await recovers(differing)


async def test_if_amplitude_does_not_say_our_own_downloads_are_counted(
    differing: Workspace,
) -> None:
    await differing.compare()
    differing.set_faults(Rule(Answer(404), frozenset({Call.USAGE})))
    async with differing.client() as client:
        quota = await ask_quota(client, differing.ledger, differing.timing.now())
    assert (quota.used, quota.limit, quota.is_own_count) == (1, 500, True)
    assert "1 of 500 downloads used by this connection; the count resets on 1 " in str(quota)


@pytest.mark.parametrize(
    ("resets_at", "day"),
    [("2026-12-01T00:00:00Z", "1 Dec"), ("soon", ""), (None, ""), ("2026-12-01", "1 Dec")],
)
def test_the_day_of_a_new_allowance(resets_at: str | None, day: str) -> None:
    assert reset_day(resets_at) == day
    assert str(Quota(1, 2, resets_at)).endswith(day)


async def test_sixty_starts_in_ten_minutes_are_not_passed(differing: Workspace) -> None:
    now = differing.timing.now()
    audience = differing.audience()

    def start_many(db: object) -> None:
        for n in range(STARTS):
            db.execute(  # type: ignore[attr-defined]
                "INSERT INTO download (audience_id, cohort_id, started_at, is_over) "
                "VALUES (?, 'other', ?, 1)",
                (audience.id, now - STARTS_WINDOW + (n + 1) * 1_000_000),
            )

    differing.ledger.write(start_many)
    clock = [now]

    async def sleep(seconds: float) -> None:
        clock[0] += int(seconds * 1_000_000)

    differing.timing = dataclasses.replace(differing.timing, now=lambda: clock[0], sleep=sleep)
    found = await differing.compare()
    assert found.at >= now + 1_000_000


async def test_a_start_whose_answer_was_lost_counts(differing: Workspace) -> None:
    differing.set_faults(Rule(Reset(applied=True), frozenset({Call.DOWNLOAD_START}), times=1))
    await differing.compare()
    assert downloads_counted(differing) == 2
    assert len(differing.ledger.read(starts_since, 0)) == 2


async def test_an_export_that_failed_is_reported_and_another_is_asked_for_next(
    differing: Workspace,
) -> None:
    differing.set_faults(Rule(Answer(400, words="Job failed"), frozenset({Call.DOWNLOAD_STATUS})))
    report = await differing.compare_report()
    assert "Amplitude's export of the cohort failed: Job failed. Nothing was changed." in note(
        report
    )
    await recovers(differing)


async def test_an_export_that_is_never_ready_is_kept(differing: Workspace) -> None:
    differing.simulator.behavior = Behavior(job_polls=1 << 30)
    differing.show_every_step()  # a second with each reading of the clock
    report = await differing.compare_report()
    assert "is not ready after 30 minutes" in note(report)
    differing.simulator.behavior = Behavior()
    found = await differing.compare()
    assert found.missing == 2
    assert downloads_counted(differing) == 1


async def test_an_export_is_not_continued_once_something_was_sent(differing: Workspace) -> None:
    differing.simulator.behavior = Behavior(job_polls=1 << 30)
    differing.show_every_step()
    await differing.compare_report()
    differing.enter("new", at=9)
    await differing.sync()
    differing.simulator.behavior = Behavior()
    found = await differing.compare()
    assert (found.missing, found.in_audience) == (2, 21)
    assert downloads_counted(differing) == 2


async def test_a_link_that_expired_is_asked_for_again(differing: Workspace) -> None:
    differing.simulator.behavior = Behavior(redirect_above=0)
    differing.set_faults(Rule(Answer(403), frozenset({Call.DOWNLOAD_LINK}), times=2))
    assert (await differing.compare()).missing == 2
    assert downloads_counted(differing) == 1


async def test_links_that_always_expire_are_given_up(differing: Workspace) -> None:
    differing.simulator.behavior = Behavior(redirect_above=0, link_seconds=-1)
    report = await differing.compare_report()
    assert f"{EXPIRED_LINKS} links in a row expired before the file arrived." in note(report)
    differing.simulator.behavior = Behavior()
    await differing.compare()
    assert downloads_counted(differing) == 1


@pytest.mark.parametrize("call", [None, *DOWNLOADS])
async def test_refused_keys_are_reported_at_each_step(
    differing: Workspace, call: Call | None
) -> None:
    if call is None:
        wrong = Credentials(Secret("not-a-key"), Secret("not-a-secret"))
        base_url = differing.simulator.base_url
        differing.client = lambda: AmplitudeClient(base_url, wrong)  # type: ignore[method-assign]
    else:
        differing.set_faults(Rule(Answer(403, words="Invalid API Key"), frozenset({call})))
    report = await differing.compare_report()
    assert report.run.keys_refused
    assert "Amplitude refused the keys" in report.run.keys_refused
    assert differing.plan().audiences[0].is_idle


async def test_keys_refused_while_repairing_leave_it_pending(differing: Workspace) -> None:
    found = await differing.compare()
    differing.set_faults(Rule(Answer(403, words="Invalid API Key"), frozenset({Call.MEMBERSHIP})))
    report = await differing.apply_report(found)
    assert report.run.keys_refused
    (applied,) = report.results.values()
    assert (applied.pending, applied.left, applied.is_equal) == (3, 3, False)
    differing.set_faults()
    done = await differing.apply(found)
    assert done.verified
    assert differing.cohort() == set(USERS)


async def test_a_cohort_that_is_gone_breaks_the_link(differing: Workspace) -> None:
    cohort_id = differing.audience().cohort_id
    assert cohort_id is not None
    differing.simulator.world.drop_cohort(cohort_id)
    report = await differing.compare_report()
    assert f"Amplitude has no cohort {cohort_id} anymore" in note(report)
    assert differing.audience().broken
    assert downloads_counted(differing) == 0


async def test_without_a_cohort_there_is_nothing_to_compare(workspace: Workspace) -> None:
    workspace.enter(*USERS)
    report = await workspace.compare_report()
    assert "It has no cohort" in note(report)
    assert workspace.audience().link is Link.NONE


async def test_amplitude_down_while_repairing_leaves_the_rest_pending(
    differing: Workspace,
) -> None:
    found = await differing.compare()
    differing.set_faults(Rule(Answer(503), frozenset({Call.MEMBERSHIP}), times=None))
    report = await differing.apply_report(found)
    assert report.run.status is RunStatus.STOPPED
    differing.set_faults()
    await differing.sync()
    assert differing.cohort() == set(USERS)


@pytest.mark.parametrize("applied", [False, True])
async def test_lost_answers_while_repairing_lose_no_one(
    differing: Workspace, applied: bool
) -> None:
    found = await differing.compare()
    differing.set_faults(Rule(Reset(applied=applied), frozenset({Call.MEMBERSHIP}), every=2))
    done = await differing.apply(found)
    assert done.verified
    assert differing.cohort() == set(USERS)


async def test_a_user_that_amplitude_refuses_is_found_and_the_rest_is_repaired(
    differing: Workspace,
) -> None:
    found = await differing.compare()
    differing.set_faults(Rule(RefuseIds(frozenset({"u00"})), frozenset({Call.MEMBERSHIP})))
    done = await differing.apply(found)
    assert differing.cohort() == set(USERS) - {"u00"}
    assert (done.counts.rejected, done.verified) == (1, False)
    assert [item.id for item in differing.rejected()] == ["u00"]


@pytest.mark.parametrize("applied", [False, True])
async def test_a_lost_answer_to_a_replacement_is_mended(
    differing: Workspace, applied: bool
) -> None:
    found = await differing.compare()
    differing.set_faults(Rule(Reset(applied=applied), frozenset({Call.UPLOAD}), times=1))
    done = await differing.apply(found, replace=True)
    assert done.verified
    assert differing.cohort() == set(USERS)


@pytest.mark.parametrize("knows_all", [True, False])
async def test_events_that_come_during_a_replacement_are_delivered_after_it(
    differing: Workspace, knows_all: bool
) -> None:
    differing.leave("u02", at=1)
    if not knows_all:
        differing.enter("ghost-1")
    found = await differing.compare()
    plan = differing.ledger.read(plan_repair, differing.connection, found, BOTH, replace=True)

    def observe(snapshot: RunSnapshot) -> None:
        if any(audience.state.startswith("replacing") for audience in snapshot.audiences):
            differing.leave("u03", at=2)  # the replacement includes this user
            differing.enter("u02", at=2)  # but not this one

    differing.show_every_step()
    async with differing.opened(observe=observe) as context:
        await repair([plan], context)
    await differing.sync()
    assert differing.cohort() == set(USERS) - {"u03"}


async def test_a_stranger_who_has_moved_since_the_comparison_ends_where_events_say(
    differing: Workspace,
) -> None:
    found = await differing.compare()
    for at, move in enumerate((differing.enter, differing.leave), 1):
        move("stranger", at=at)
        await differing.sync()
    differing.enter("stranger", at=3)
    await differing.apply(found, verify=False)
    await differing.sync()
    assert differing.cohort() == {*USERS, "stranger"}


async def test_a_replacement_that_is_refused_leaves_it_pending(differing: Workspace) -> None:
    found = await differing.compare()
    differing.set_faults(Rule(Answer(400, words="Not a static cohort"), frozenset({Call.UPLOAD})))
    report = await differing.apply_report(found, replace=True)
    (target,) = report.run.audiences
    assert "refused to replace the cohort's content: Not a static cohort" in target.note
    differing.set_faults()
    await differing.sync()
    assert differing.cohort() == set(USERS)


async def test_another_run_at_the_audience_is_reported(differing: Workspace) -> None:
    with differing.ledger.lease(differing.audience().id):
        report = await differing.compare_report()
    assert "delivering this audience" in note(report)
    assert downloads_counted(differing) == 0


STEPS = (
    "waiting for a free",
    "asking Amplitude",
    "waiting for Amplitude's export",
    "comparing",
    "removing",
    "adding",
    "checking the cohort's size",
)


@pytest.mark.parametrize("step", STEPS)
async def test_a_stop_at_each_step_leaves_nothing_half_done(
    differing: Workspace, step: str
) -> None:
    differing.show_every_step()
    stop = Stop()

    def stop_at(now: RunSnapshot) -> None:
        if now.audiences[0].state.startswith(step):
            stop.ask()

    audience = differing.audience()
    async with differing.opened(stop, stop_at) as context:
        report = await compare_audiences([audience], context)
        if report.comparisons and not stop.is_asked:
            plan = differing.ledger.read(
                plan_repair, differing.connection, report.comparisons[audience.id], BOTH
            )
            await repair([plan], context)
    assert stop.is_asked
    assert differing.cohort() <= {*USERS, "stranger"}
    found = await differing.compare()
    if not found.is_equal:
        await differing.apply(found)
    assert differing.cohort() == set(USERS)


async def test_a_plan_that_is_made_meanwhile_changes_nothing_of_a_repair(
    differing: Workspace,
) -> None:
    """One operator repairs while another one views a different choice."""
    differing.show_every_step()
    found = await differing.compare()
    removes = RepairChoice(add=False, remove=True)
    plan = differing.ledger.read(plan_repair, differing.connection, found, removes)
    adds, planned = RepairChoice(add=True, remove=False), []

    def plan_another(now: RunSnapshot) -> None:
        if now.audiences[0].state.startswith("removing"):
            planned.append(
                differing.ledger.read(plan_repair, differing.connection, found, adds).add
            )

    async with differing.opened(Stop(), plan_another) as context:
        report = await repair([plan], context)
    assert {*planned} == {2}
    assert differing.cohort() == {*USERS} - {"u00", "u01"}, "no one else chose these"
    (done,) = report.results.values()
    assert (done.counts.added, done.counts.removed) == (0, 1)


async def test_everyone_who_leaves_or_enters_in_the_meantime_is_neither_added_nor_removed(
    differing: Workspace,
) -> None:
    found = await differing.compare()
    differing.leave("u00", at=9)
    differing.enter("stranger", at=9)
    await differing.apply(found, verify=False)
    assert differing.cohort() == {*USERS, "stranger"} - {"u00"}
    await differing.sync()
    assert differing.cohort() == {*USERS, "stranger"} - {"u00"}


async def test_a_comparison_of_another_cohort_repairs_nothing(differing: Workspace) -> None:
    found = await differing.compare()
    other = differing.simulator.world.create_cohort("other", "ana@acme.example")
    differing.change(SettingsChange(cohort_id=other.id))
    report = await differing.apply_report(found)
    (target,) = report.run.audiences
    assert "has changed since it was compared" in target.note
    assert differing.ledger.read(last_comparison, differing.audience().id) is None


async def test_two_comparisons_at_once_exclude_each_other(differing: Workspace) -> None:
    audience = differing.audience()
    async with differing.opened() as one, differing.opened() as other:
        first, second = await asyncio.gather(
            compare_audiences([audience], one), compare_audiences([audience], other)
        )
    assert len(first.comparisons) + len(second.comparisons) == 1


async def test_only_the_last_ten_comparisons_keep_their_people(differing: Workspace) -> None:
    first, *_, last = [await differing.compare() for _ in range(11)]
    assert differing.ledger.read(differences, DifferenceFilter(first.id)) == []
    assert len(differing.ledger.read(differences, DifferenceFilter(last.id))) == 3
    assert differing.ledger.read(last_comparison, differing.audience().id) == last


async def test_a_comparison_whose_people_are_forgotten_says_so_whatever_they_were(
    workspace: Workspace,
) -> None:
    workspace.enter(*USERS)
    await workspace.sync()
    workspace.add_in_amplitude("stranger")
    listed = workspace.write_member_list(*USERS, "stranger")
    first, *_, last = [await workspace.compare(against=listed) for _ in range(11)]
    assert first.is_equal
    assert [workspace.ledger.read(keeps_differences, item) for item in (first, last)] == [
        False,
        True,
    ]


async def test_a_choice_of_no_one_sends_nothing(differing: Workspace) -> None:
    found = await differing.compare()
    no_one = RepairChoice(
        add=True, remove=True, only=frozenset({(DifferenceKind.MISSING, 1, "no_one")})
    )
    before = len(differing.simulator.requests)
    await differing.apply(found, no_one, verify=False)
    calls = {seen.call for seen in differing.simulator.requests[before:]}
    assert calls == {Call.LIST}


@sqlite_only
async def test_a_full_disk_while_comparing_is_reported_and_harms_nothing(
    differing: Workspace,
) -> None:
    """A limit on file sizes simulates a full disk."""
    before = differing.plan()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = Path(differing.ledger.url).with_name("ledger.db-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1_000, hard))
    try:
        with pytest.raises(LedgerError, match="full"):
            await differing.compare()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert differing.plan() == before
    await recovers(differing)
