"""Reconciling in trouble: each step fails in each way, is told, and is mended by the next run."""

import asyncio
import dataclasses
import resource

import pytest

from amp_console.amplitude import AmplitudeClient
from amp_console.ledger import LedgerError
from amp_console.ledger.audiences import Link
from amp_console.ledger.comparisons import (
    DifferenceFilter,
    DifferenceKind,
    differences,
    last_comparison,
)
from amp_console.ledger.downloads import starts_since
from amp_console.ledger.leases import lease
from amp_console.ledger.reconciling import RepairChoice
from amp_console.ledger.runs import RunStatus
from amp_console.simulator import Answer, Behaviour, Call, Cut, RefuseIds, Reset, Rule
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.delivery.progress import RunSnapshot
from amp_console.sync.reconcile.compare import CompareReport, compare_audiences
from amp_console.sync.reconcile.download import EXPIRED_LINKS, STARTS, WINDOW
from amp_console.sync.reconcile.plan import plan_reconcile
from amp_console.sync.reconcile.quota import Quota, ask_quota, reset_day
from amp_console.sync.reconcile.repair import reconcile
from amp_console.sync.timing import Stop
from amp_console.values import Credentials, Secret
from tests.sync.office import BOTH, Office

pytestmark = pytest.mark.anyio

USERS = [f"u{n:02}" for n in range(20)]
DOWNLOADS = (Call.DOWNLOAD_START, Call.DOWNLOAD_STATUS, Call.DOWNLOAD_FILE)


@pytest.fixture
async def drifted(office: Office) -> Office:
    """An audience that was delivered; two of its people are out of the cohort, a stranger is in."""
    office.enter(*USERS)
    await office.sync()
    office.take_out("u00", "u01")
    office.put_in("stranger")
    return office


def spent(office: Office) -> int:
    """How many downloads Amplitude has counted."""
    return office.simulator.downloads


def note(report: CompareReport) -> str:
    (of,) = report.run.audiences
    return of.note


async def mends(office: Office) -> None:
    """Without trouble, the next comparison is right, and puts it right."""
    office.trouble()
    office.simulator.behaviour = Behaviour()
    found = await office.compare()
    assert (found.missing, found.extra) == (2, 1)
    done = await office.apply(found)
    assert done.verified
    assert office.cohort() == set(USERS)


@pytest.mark.parametrize("call", DOWNLOADS)
@pytest.mark.parametrize(
    "trouble",
    [
        Answer(429, retry_after="7"),
        Answer(429),
        Answer(500),
        Answer(502, html=True),
        Reset(),
        Cut(),
    ],
)
async def test_passing_trouble_is_waited_out(
    drifted: Office, call: Call, trouble: Answer | Reset | Cut
) -> None:
    drifted.trouble(Rule(trouble, frozenset({call}), times=2))
    found = await drifted.compare()
    assert (found.missing, found.extra, found.in_both) == (2, 1, 18)
    assert len(drifted.waits.seconds) >= 2


@pytest.mark.parametrize("call", DOWNLOADS)
async def test_lasting_trouble_is_told_and_nothing_is_changed(drifted: Office, call: Call) -> None:
    before = drifted.cohort()
    drifted.trouble(Rule(Answer(500), frozenset({call})))
    report = await drifted.compare_report()
    assert report.comparisons == {}
    assert report.run.status is RunStatus.STOPPED
    assert "Gave up after trouble 8 times in a row." in note(report)
    assert drifted.plan().audiences[0].is_idle
    assert drifted.cohort() == before
    await mends(drifted)


async def test_a_spent_allowance_is_told_and_nothing_is_asked_for(drifted: Office) -> None:
    drifted.simulator.behaviour = Behaviour(downloads_per_month=0)
    report = await drifted.compare_report()
    assert "The month's downloads are used up (0 of 0 downloads used, resets 1 " in note(report)
    assert not any(seen.call is Call.DOWNLOAD_START for seen in drifted.simulator.requests)
    await mends(drifted)


async def test_an_allowance_that_only_the_start_tells_of_is_not_waited_for(drifted: Office) -> None:
    drifted.simulator.behaviour = Behaviour(downloads_per_month=0)
    drifted.trouble(Rule(Answer(404), frozenset({Call.USAGE})))
    report = await drifted.compare_report()
    assert "The month's downloads are used up" in note(report)
    assert drifted.waits.seconds == []
    assert drifted.ledger.read(starts_since, 0) == []
    await mends(drifted)


async def test_where_amplitude_does_not_tell_our_own_downloads_are_counted(drifted: Office) -> None:
    await drifted.compare()
    drifted.trouble(Rule(Answer(404), frozenset({Call.USAGE})))
    async with drifted.client() as client:
        quota = await ask_quota(client, drifted.ledger, drifted.timing.now())
    assert (quota.used, quota.limit, quota.is_own_count) == (1, 500, True)
    assert "1 of 500 downloads used by this connection, resets 1 " in str(quota)


@pytest.mark.parametrize(
    ("resets_at", "day"),
    [("2026-12-01T00:00:00Z", "1 Dec"), ("soon", ""), (None, ""), ("2026-12-01", "1 Dec")],
)
def test_the_day_of_a_new_allowance(resets_at: str | None, day: str) -> None:
    assert reset_day(resets_at) == day
    assert str(Quota(1, 2, resets_at)).endswith(day)


async def test_sixty_starts_in_ten_minutes_are_not_passed(drifted: Office) -> None:
    now = drifted.timing.now()
    audience = drifted.audience()

    def start_many(db: object) -> None:
        for n in range(STARTS):
            db.execute(  # type: ignore[attr-defined]
                "INSERT INTO download (audience_id, cohort_id, started_at, is_over) "
                "VALUES (?, 'other', ?, 1)",
                (audience.id, now - WINDOW + (n + 1) * 1_000_000),
            )

    drifted.ledger.write(start_many)
    clock = [now]

    async def sleep(seconds: float) -> None:
        clock[0] += int(seconds * 1_000_000)

    drifted.timing = dataclasses.replace(drifted.timing, now=lambda: clock[0], sleep=sleep)
    found = await drifted.compare()
    assert found.at >= now + 1_000_000


async def test_a_start_whose_answer_was_lost_counts(drifted: Office) -> None:
    drifted.trouble(Rule(Reset(applied=True), frozenset({Call.DOWNLOAD_START}), times=1))
    await drifted.compare()
    assert spent(drifted) == 2
    assert len(drifted.ledger.read(starts_since, 0)) == 2


async def test_an_export_that_failed_is_told_and_another_is_asked_for_next(drifted: Office) -> None:
    drifted.trouble(Rule(Answer(400, words="Job failed"), frozenset({Call.DOWNLOAD_STATUS})))
    report = await drifted.compare_report()
    assert "Amplitude's export of the cohort failed: Job failed. Nothing was changed." in note(
        report
    )
    await mends(drifted)


async def test_an_export_that_is_never_ready_is_kept(drifted: Office) -> None:
    drifted.simulator.behaviour = Behaviour(job_polls=1 << 30)
    drifted.show_every_step()  # a second with each look at the clock
    report = await drifted.compare_report()
    assert "is not ready after 30 minutes" in note(report)
    drifted.simulator.behaviour = Behaviour()
    found = await drifted.compare()
    assert found.missing == 2
    assert spent(drifted) == 1


async def test_an_export_is_not_gone_on_with_once_something_was_sent(drifted: Office) -> None:
    drifted.simulator.behaviour = Behaviour(job_polls=1 << 30)
    drifted.show_every_step()
    await drifted.compare_report()
    drifted.enter("new", at=9)
    await drifted.sync()
    drifted.simulator.behaviour = Behaviour()
    found = await drifted.compare()
    assert (found.missing, found.in_audience) == (2, 21)
    assert spent(drifted) == 2


async def test_a_link_that_expired_is_asked_for_again(drifted: Office) -> None:
    drifted.simulator.behaviour = Behaviour(redirect_above=0)
    drifted.trouble(Rule(Answer(403), frozenset({Call.DOWNLOAD_LINK}), times=2))
    assert (await drifted.compare()).missing == 2
    assert spent(drifted) == 1


async def test_links_that_always_expire_are_given_up(drifted: Office) -> None:
    drifted.simulator.behaviour = Behaviour(redirect_above=0, link_seconds=-1)
    report = await drifted.compare_report()
    assert f"{EXPIRED_LINKS} links in a row were over before the file came." in note(report)
    drifted.simulator.behaviour = Behaviour()
    await drifted.compare()
    assert spent(drifted) == 1


@pytest.mark.parametrize("call", [None, *DOWNLOADS])
async def test_refused_keys_are_told_at_each_step(drifted: Office, call: Call | None) -> None:
    if call is None:
        wrong = Credentials(Secret("not-a-key"), Secret("not-a-secret"))
        base_url = drifted.simulator.base_url
        drifted.client = lambda: AmplitudeClient(base_url, wrong)  # type: ignore[method-assign]
    else:
        drifted.trouble(Rule(Answer(403, words="Invalid API Key"), frozenset({call})))
    report = await drifted.compare_report()
    assert report.run.keys_refused
    assert "Amplitude refused the keys" in report.run.keys_refused
    assert drifted.plan().audiences[0].is_idle


async def test_keys_refused_while_putting_right_leave_it_pending(drifted: Office) -> None:
    found = await drifted.compare()
    drifted.trouble(Rule(Answer(403, words="Invalid API Key"), frozenset({Call.MEMBERSHIP})))
    report = await drifted.apply_report(found)
    assert report.run.keys_refused
    (applied,) = report.applied.values()
    assert (applied.pending, applied.left, applied.is_equal) == (3, 3, False)
    drifted.trouble()
    done = await drifted.apply(found)
    assert done.verified
    assert drifted.cohort() == set(USERS)


async def test_a_cohort_that_is_gone_breaks_the_link(drifted: Office) -> None:
    cohort_id = drifted.audience().cohort_id
    assert cohort_id is not None
    drifted.simulator.world.drop_cohort(cohort_id)
    report = await drifted.compare_report()
    assert f"Amplitude has no cohort {cohort_id} any more" in note(report)
    assert drifted.audience().broken
    assert spent(drifted) == 0


async def test_without_a_cohort_there_is_nothing_to_compare(office: Office) -> None:
    office.enter(*USERS)
    report = await office.compare_report()
    assert "It has no cohort yet" in note(report)
    assert office.audience().link is Link.NONE


async def test_amplitude_down_while_putting_right_leaves_the_rest_pending(drifted: Office) -> None:
    found = await drifted.compare()
    drifted.trouble(Rule(Answer(503), frozenset({Call.MEMBERSHIP}), times=None))
    report = await drifted.apply_report(found)
    assert report.run.status is RunStatus.STOPPED
    drifted.trouble()
    await drifted.sync()
    assert drifted.cohort() == set(USERS)


@pytest.mark.parametrize("applied", [False, True])
async def test_lost_answers_while_putting_right_lose_nobody(drifted: Office, applied: bool) -> None:
    found = await drifted.compare()
    drifted.trouble(Rule(Reset(applied=applied), frozenset({Call.MEMBERSHIP}), every=2))
    done = await drifted.apply(found)
    assert done.verified
    assert drifted.cohort() == set(USERS)


async def test_whom_amplitude_refuses_is_found_and_the_rest_is_put_right(drifted: Office) -> None:
    found = await drifted.compare()
    drifted.trouble(Rule(RefuseIds(frozenset({"u00"})), frozenset({Call.MEMBERSHIP})))
    done = await drifted.apply(found)
    assert drifted.cohort() == set(USERS) - {"u00"}
    assert (done.counts.rejected, done.verified) == (1, False)
    assert [item.id for item in drifted.rejected()] == ["u00"]


@pytest.mark.parametrize("applied", [False, True])
async def test_a_lost_answer_to_a_replacement_is_mended(drifted: Office, applied: bool) -> None:
    found = await drifted.compare()
    drifted.trouble(Rule(Reset(applied=applied), frozenset({Call.UPLOAD}), times=1))
    done = await drifted.apply(found, replace=True)
    assert done.verified
    assert drifted.cohort() == set(USERS)


@pytest.mark.parametrize("knows_all", [True, False])
async def test_events_that_come_during_a_replacement_are_delivered_after_it(
    drifted: Office, knows_all: bool
) -> None:
    drifted.leave("u02", at=1)
    if not knows_all:
        drifted.enter("ghost-1")
    found = await drifted.compare()
    plan = drifted.ledger.write(plan_reconcile, drifted.connection, found, BOTH, replace=True)

    def observe(snapshot: RunSnapshot) -> None:
        if any(audience.state.startswith("replacing") for audience in snapshot.audiences):
            drifted.leave("u03", at=2)  # the replacement carries this user
            drifted.enter("u02", at=2)  # but not this one

    drifted.show_every_step()
    async with drifted.means(observe=observe) as means:
        await reconcile([plan], means)
    await drifted.sync()
    assert drifted.cohort() == set(USERS) - {"u03"}


async def test_a_stranger_who_has_moved_since_the_comparison_ends_where_events_say(
    drifted: Office,
) -> None:
    found = await drifted.compare()
    for at, move in enumerate((drifted.enter, drifted.leave), 1):
        move("stranger", at=at)
        await drifted.sync()
    drifted.enter("stranger", at=3)
    await drifted.apply(found, verify=False)
    await drifted.sync()
    assert drifted.cohort() == {*USERS, "stranger"}


async def test_a_replacement_that_is_refused_leaves_it_pending(drifted: Office) -> None:
    found = await drifted.compare()
    drifted.trouble(Rule(Answer(400, words="Not a static cohort"), frozenset({Call.UPLOAD})))
    report = await drifted.apply_report(found, replace=True)
    (of,) = report.run.audiences
    assert "refused to replace the cohort's content: Not a static cohort" in of.note
    drifted.trouble()
    await drifted.sync()
    assert drifted.cohort() == set(USERS)


async def test_another_run_at_the_audience_is_told(drifted: Office) -> None:
    with lease(drifted.ledger.path, drifted.audience().id):
        report = await drifted.compare_report()
    assert "delivering this audience" in note(report)
    assert spent(drifted) == 0


STEPS = (
    "waiting for a place",
    "asking Amplitude",
    "waiting for Amplitude's export",
    "comparing",
    "removing",
    "adding",
    "looking at the cohort's size",
)


@pytest.mark.parametrize("step", STEPS)
async def test_a_stop_at_each_step_leaves_nothing_half_done(drifted: Office, step: str) -> None:
    drifted.show_every_step()
    stop = Stop()

    def stop_at(now: RunSnapshot) -> None:
        if now.audiences[0].state.startswith(step):
            stop.ask()

    of = drifted.audience()
    async with drifted.means(stop, stop_at) as means:
        report = await compare_audiences([of], means)
        if report.comparisons and not stop.is_asked:
            plan = drifted.ledger.write(
                plan_reconcile, drifted.connection, report.comparisons[of.id], BOTH
            )
            await reconcile([plan], means)
    assert stop.is_asked
    assert drifted.cohort() <= {*USERS, "stranger"}
    found = await drifted.compare()
    if not found.is_equal:
        await drifted.apply(found)
    assert drifted.cohort() == set(USERS)


async def test_whoever_leaves_or_enters_meanwhile_is_not_put_in_or_taken_out(
    drifted: Office,
) -> None:
    found = await drifted.compare()
    drifted.leave("u00", at=9)
    drifted.enter("stranger", at=9)
    await drifted.apply(found, verify=False)
    assert drifted.cohort() == {*USERS, "stranger"} - {"u00"}
    await drifted.sync()
    assert drifted.cohort() == {*USERS, "stranger"} - {"u00"}


async def test_a_comparison_of_another_cohort_puts_nothing_right(drifted: Office) -> None:
    found = await drifted.compare()
    other = drifted.simulator.world.create_cohort("other", "ana@acme.example")
    drifted.change(SettingsChange(cohort_id=other.id))
    report = await drifted.apply_report(found)
    (of,) = report.run.audiences
    assert "is another one since it was compared" in of.note
    assert drifted.ledger.read(last_comparison, drifted.audience().id) is None


async def test_two_comparisons_at_once_exclude_each_other(drifted: Office) -> None:
    of = drifted.audience()
    async with drifted.means() as one, drifted.means() as other:
        first, second = await asyncio.gather(
            compare_audiences([of], one), compare_audiences([of], other)
        )
    assert len(first.comparisons) + len(second.comparisons) == 1


async def test_only_the_last_ten_comparisons_keep_their_people(drifted: Office) -> None:
    first, *_, last = [await drifted.compare() for _ in range(11)]
    assert drifted.ledger.read(differences, DifferenceFilter(first.id)) == []
    assert len(drifted.ledger.read(differences, DifferenceFilter(last.id))) == 3
    assert drifted.ledger.read(last_comparison, drifted.audience().id) == last


async def test_a_choice_of_nobody_sends_nothing(drifted: Office) -> None:
    found = await drifted.compare()
    nobody = RepairChoice(
        add=True, remove=True, only=frozenset({(DifferenceKind.MISSING, 1, "nobody")})
    )
    before = len(drifted.simulator.requests)
    await drifted.apply(found, nobody, verify=False)
    calls = {seen.call for seen in drifted.simulator.requests[before:]}
    assert calls == {Call.LIST}


async def test_a_full_disk_while_comparing_is_told_and_harms_nothing(drifted: Office) -> None:
    """A limit on the size of files stands in for a disk without room."""
    before = drifted.plan()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = drifted.ledger.path.with_name("ledger.db-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1_000, hard))
    try:
        with pytest.raises(LedgerError, match="full"):
            await drifted.compare()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert drifted.plan() == before
    await mends(drifted)
