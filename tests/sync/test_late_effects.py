"""Requests that take effect after they were given up: every user is confirmed again in the end."""

import asyncio
import dataclasses
from pathlib import Path

import pytest

from amp_console.ledger import deliveries
from amp_console.ledger.people import find_person
from amp_console.ledger.runs import RunStatus, all_runs
from amp_console.simulator import Call, Late, RefuseIds, Reset, Rule
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.delivery.plan import again_text
from amp_console.sync.delivery.progress import RunSnapshot
from amp_console.sync.queries.person import PersonVerdict, explain_person
from amp_console.sync.queries.status import Status, standing
from amp_console.sync.timing import Stop
from amp_console.values import IdType, Operation
from tests.sync.office import Clock, Office, event
from tests.sync.test_live import Session, is_in, lines, until

pytestmark = pytest.mark.anyio

QUIET = 600.0
MEMBERSHIP = frozenset({Call.MEMBERSHIP})
LATE = Rule(Late(504), MEMBERSHIP, times=1)


@pytest.fixture
def clock(office: Office) -> Clock:
    clock = Clock()
    office.timing = dataclasses.replace(office.timing, now=clock)
    return clock


def land(office: Office) -> None:
    """What was given up takes effect."""
    assert office.simulator.faults.release()


def status(office: Office) -> Status:
    connection, of = office.connection, office.audience().id
    return office.ledger.read(standing, connection, of).status


async def entered_late_and_left(office: Office) -> None:
    """Adding u1 is given up and repeated; then u1 leaves, and that is confirmed."""
    office.enter("u0")
    await office.sync()
    office.enter("u1", at=1)
    office.trouble(LATE)
    await office.sync()
    office.leave("u1", at=2)


async def left_late_and_entered(office: Office) -> None:
    """Removing u1 is given up and repeated; then u1 enters, and that is confirmed."""
    office.enter("u0", "u1")
    await office.sync()
    office.leave("u1", at=1)
    office.trouble(LATE)
    await office.sync()
    office.enter("u1", at=2)


@pytest.mark.parametrize(
    ("prepare", "right"),
    [(entered_late_and_left, {"u0"}), (left_late_and_entered, {"u0", "u1"})],
)
@pytest.mark.parametrize("when", ["at once", "before the quiet time is over", "never"])
async def test_the_opposite_is_confirmed_again_after_the_quiet_time(
    office: Office, clock: Clock, prepare: object, right: set[str], when: str
) -> None:
    assert callable(prepare)
    await prepare(office)
    report = await office.sync()
    assert office.cohort() == right
    assert report.status is RunStatus.STOPPED
    assert (report.audiences[0].left.pending, report.audiences[0].left.uncertain) == (0, 1)
    assert "1 user not yet certain" in report.audiences[0].note
    if when == "at once":
        land(office)
        assert office.cohort() != right

    clock.advance(QUIET - 1)
    if when == "before the quiet time is over":
        land(office)
    sent = len(office.simulator.requests)
    assert (await office.sync()).status is RunStatus.STOPPED
    assert len(office.simulator.requests) == sent  # it would be too early

    clock.advance(2)
    (plan,) = office.plan().audiences
    assert (plan.add + plan.remove, plan.again, plan.uncertain) == (1, 1, 0)
    report = await office.sync()
    assert report.status is RunStatus.DELIVERED
    assert report.audiences[0].counts.requests == plan.requests == 1
    assert office.cohort() == right
    sent = len(office.simulator.requests)
    clock.advance(QUIET)
    assert (await office.sync()).status is RunStatus.DELIVERED
    assert len(office.simulator.requests) == sent


async def test_nothing_is_confirmed_again_where_the_late_effect_is_what_is_wanted(
    office: Office, clock: Clock
) -> None:
    office.enter("u1", "u2")
    office.trouble(LATE)
    assert (await office.sync()).status is RunStatus.DELIVERED
    clock.advance(QUIET + 1)
    sent = len(office.simulator.requests)
    assert (await office.sync()).status is RunStatus.DELIVERED
    assert len(office.simulator.requests) == sent


@pytest.mark.parametrize("lost", [Reset(applied=False), Late(0), Late(500)], ids=str)
async def test_a_confirmation_that_is_lost_is_sent_again(
    office: Office, clock: Clock, lost: Reset | Late
) -> None:
    await entered_late_and_left(office)
    await office.sync()
    land(office)
    clock.advance(QUIET + 1)
    office.limit(tries=1)
    office.trouble(Rule(lost, MEMBERSHIP, times=1))
    report = await office.sync()
    assert (report.status, report.audiences[0].left.pending) == (RunStatus.STOPPED, 1)
    assert (await office.sync()).status is RunStatus.DELIVERED
    assert office.cohort() == {"u0"}


async def test_what_a_dead_process_sent_may_land_late(office: Office, clock: Clock) -> None:
    office.enter("u0")
    await office.sync()
    office.enter("u1", at=1)
    of = office.audience()
    office.ledger.write(deliveries.take, 9, of.id, IdType.USER_ID, Operation.ADD, 10, clock())
    office.leave("u1", at=2)
    assert (await office.sync()).audiences[0].left.uncertain == 1
    office.put_in("u1")
    clock.advance(QUIET + 1)
    assert (await office.sync()).status is RunStatus.DELIVERED
    assert office.cohort() == {"u0"}


async def test_a_clock_that_is_set_back_delays_nothing_for_ever(
    office: Office, clock: Clock
) -> None:
    await entered_late_and_left(office)
    await office.sync()
    land(office)
    clock.advance(-86_400)
    await office.sync()
    clock.advance(QUIET + 1)
    assert (await office.sync()).status is RunStatus.DELIVERED
    assert office.cohort() == {"u0"}


async def test_a_user_whom_amplitude_does_not_know_is_not_waited_for(
    office: Office, clock: Clock
) -> None:
    office.enter("u0")
    await office.sync()
    office.enter("ghost-1", at=1)
    office.trouble(LATE)
    await office.sync()
    office.leave("ghost-1", at=2)
    assert (await office.sync()).status is RunStatus.DELIVERED
    clock.advance(QUIET + 1)
    assert (await office.sync()).status is RunStatus.DELIVERED
    assert office.rejected() == []


async def test_a_user_whom_amplitude_refuses_later_may_still_be_put_in(
    office: Office, clock: Clock
) -> None:
    office.limit(tries=1)
    office.enter("u0")
    await office.sync()
    office.enter("bad", at=1)
    office.trouble(LATE)
    await office.sync()
    office.trouble(Rule(RefuseIds(frozenset({"bad"})), MEMBERSHIP))
    await office.sync()
    assert [item.id for item in office.rejected()] == ["bad"]
    office.trouble()
    office.leave("bad", at=2)
    assert (await office.sync()).audiences[0].left.uncertain == 1
    land(office)
    clock.advance(QUIET + 1)
    await office.sync()
    assert office.cohort() == {"u0"}


async def test_what_was_sent_to_another_cohort_is_no_doubt_about_this_one(
    office: Office, clock: Clock
) -> None:
    await entered_late_and_left(office)
    await office.sync()
    first = office.audience().cohort_id
    office.change(SettingsChange(unlink=True))
    assert (await office.sync()).status is RunStatus.DELIVERED
    office.change(SettingsChange(cohort_id=first))
    await office.sync()
    assert status(office) is Status.UNCERTAIN
    land(office)
    clock.advance(QUIET + 1)
    await office.sync()
    assert office.cohort() == {"u0"}


async def test_a_late_removal_by_the_former_id_type_is_made_good(
    office: Office, clock: Clock
) -> None:
    number = office.simulator.world.add_user("u1")
    office.map_amplitude_ids()
    traits = {"amplitude_id": number}
    office.enter("u0")
    office.read([event("u1", True, traits=traits)])
    await office.sync()
    office.change(SettingsChange(id_type=IdType.AMPLITUDE_ID))
    office.trouble(LATE)
    await office.sync()
    assert office.cohort() == {"u1"}
    land(office)
    assert office.cohort() == set()
    assert status(office) is Status.UNCERTAIN
    clock.advance(QUIET + 1)
    await office.sync()
    assert office.cohort() == {"u1"}
    assert status(office) is not Status.UNCERTAIN


async def test_a_late_replacement_is_made_good(office: Office, clock: Clock) -> None:
    office.enter("u0", "u1", "u2")
    await office.sync()
    office.put_in("stranger")
    office.take_out("u1")
    office.leave("u2", at=1)
    found = await office.compare()
    office.trouble(Rule(Late(504), frozenset({Call.UPLOAD}), times=1))
    await office.apply(found, replace=True, verify=False)
    assert office.cohort() == {"u0", "u1"}
    office.leave("u1", at=2)
    office.enter("u2", "u3", at=2)
    await office.sync()
    assert office.cohort() == {"u0", "u2", "u3"}
    await office.sync()  # u3 came after the replacement was given up
    land(office)
    assert office.cohort() == {"u0", "u1"}
    assert office.ledger.read(standing, office.connection, 1).left.uncertain == 3
    clock.advance(QUIET + 1)
    assert (await office.sync()).status is RunStatus.DELIVERED
    assert office.cohort() == {"u0", "u2", "u3"}


async def test_a_seed_user_who_is_put_in_late_is_removed_again(
    office: Office, clock: Clock
) -> None:
    office.leave("u1")
    office.change(SettingsChange(seed_user="seed"))
    office.trouble(Rule(Reset(applied=True), frozenset({Call.UPLOAD}), times=1))
    await office.sync()
    office.put_in("seed")
    clock.advance(QUIET + 1)
    assert (await office.sync()).status is RunStatus.DELIVERED
    assert office.cohort() == set()


async def test_a_comparison_does_not_settle_what_may_still_happen(
    office: Office, clock: Clock
) -> None:
    await entered_late_and_left(office)
    await office.sync()
    await office.compare()
    land(office)
    clock.advance(QUIET + 1)
    await office.sync()
    assert office.cohort() == {"u0"}


async def test_an_audience_that_is_off_is_confirmed_once_it_is_on(
    office: Office, clock: Clock
) -> None:
    await entered_late_and_left(office)
    await office.sync()
    land(office)
    office.change(SettingsChange(enabled=False))
    clock.advance(3 * QUIET)
    office.change(SettingsChange(enabled=True))
    await office.sync()
    assert office.cohort() == {"u0"}


async def test_it_is_told_wherever_the_audience_is_shown(office: Office, clock: Clock) -> None:
    await entered_late_and_left(office)
    await office.sync()
    assert status(office) is Status.UNCERTAIN
    (answer,) = office.ledger.read(explain_person, "u1")
    assert answer.verdict is PersonVerdict.UNCERTAIN
    assert "may still take effect and undo this" in answer.sentence
    (plan,) = office.plan().audiences
    assert plan.is_idle
    assert again_text(plan).startswith("1 user to confirm again after 2026-")
    (run, *_) = office.ledger.read(all_runs)
    assert run.status is RunStatus.STOPPED
    clock.advance(QUIET + 1)
    (plan,) = office.plan().audiences
    assert again_text(plan) == "1 user to confirm again"
    await office.sync()
    assert status(office) is Status.IN_SYNC
    (answer,) = office.ledger.read(explain_person, "u1")
    assert answer.verdict is PersonVerdict.OUT


async def test_with_a_quiet_time_of_0_nothing_lands_late(office: Office) -> None:
    office.limit(quiet_time=0)
    await entered_late_and_left(office)
    assert (await office.sync()).status is RunStatus.DELIVERED


async def test_time_that_passes_is_enough_for_many(office: Office, clock: Clock) -> None:
    """One request confirms everybody again, however many requests were given up."""
    users = [f"u{n}" for n in range(12)]
    office.limit(first_batch=3, largest_batch=3)
    office.enter("founder")
    await office.sync()
    office.enter(*users, at=1)
    office.trouble(Rule(Late(504), MEMBERSHIP, times=3))
    await office.sync()
    office.leave(*users, at=2)
    await office.sync()
    land(office)
    assert office.cohort() != {"founder"}
    office.limit(first_batch=100)
    clock.advance(QUIET + 1)
    report = await office.sync()
    assert (report.status, report.audiences[0].counts.requests) == (RunStatus.DELIVERED, 1)
    assert office.cohort() == {"founder"}


async def test_two_directions_at_once_are_both_made_good(office: Office, clock: Clock) -> None:
    office.enter("u0")
    await office.sync()
    for at, enters in enumerate((True, False, True, False), start=1):
        office.read([event("u1", enters, at)])
        office.trouble(LATE)
        await office.sync()
        clock.advance(10)
    assert office.simulator.faults.held == 4
    assert await asyncio.to_thread(office.simulator.faults.release) == 4
    clock.advance(QUIET + 1)
    assert (await office.sync()).status is RunStatus.DELIVERED
    assert office.cohort() == {"u0"}


class TestLive:
    """A session confirms by itself, whether or not events come."""

    @pytest.fixture
    def passed(self, office: Office) -> asyncio.Event:
        """Set it, and the quiet time is over; shorter waits are over at once."""
        clock, passed = Clock(), asyncio.Event()

        async def sleep(seconds: float) -> None:
            if seconds < QUIET / 2:
                await asyncio.sleep(0)
                return
            await passed.wait()
            clock.advance(QUIET + 1)
            passed.clear()

        office.timing = dataclasses.replace(office.timing, now=clock, sleep=sleep)
        return passed

    async def _doubtful(self, office: Office, session: Session) -> None:
        session.write(lines("u0"))
        await until(is_in(office, "u0"))
        await until(lambda: session.now().queue == 0)
        office.trouble(LATE)
        session.write(lines("u1", at=1))
        await until(is_in(office, "u0", "u1"))
        session.write(lines("u1", is_member=False, at=2))
        await until(is_in(office, "u0"))
        await until(lambda: status(office) is Status.UNCERTAIN)
        land(office)
        assert office.cohort() == {"u0", "u1"}

    async def test_wakes_when_the_quiet_time_is_over(
        self, office: Office, tmp_path: Path, passed: asyncio.Event
    ) -> None:
        async with Session(office, tmp_path) as session:
            await self._doubtful(office, session)
            passed.set()
            await until(is_in(office, "u0"))
            await until(lambda: status(office) is Status.IN_SYNC)
            report = await session.end()
        assert (report.pending, report.uncertain) == (0, 0)

    async def test_ends_as_not_certain_and_the_next_session_confirms(
        self, office: Office, tmp_path: Path, passed: asyncio.Event
    ) -> None:
        async with Session(office, tmp_path) as session:
            await self._doubtful(office, session)
            report = await session.end()
        assert (report.pending, report.uncertain) == (0, 1)
        assert office.ledger.read(all_runs)[0].status is RunStatus.STOPPED
        async with Session(office, tmp_path) as session:
            passed.set()
            await until(is_in(office, "u0"))
            await until(lambda: status(office) is Status.IN_SYNC)
            assert (await session.end()).uncertain == 0


async def test_a_refused_user_who_was_added_late_is_removed_when_they_leave(
    office: Office, clock: Clock
) -> None:
    office.enter("u0")
    await office.sync()
    office.enter("u1", at=1)
    refuse = Rule(RefuseIds(frozenset({"u1"})), MEMBERSHIP)
    office.trouble(LATE, refuse)
    await office.sync()
    assert [item.id for item in office.rejected()] == ["u1"]
    land(office)
    clock.advance(QUIET + 1)
    await office.sync()
    office.trouble()
    office.leave("u1", at=2)
    await office.sync()
    assert office.cohort() == {"u0"}


async def test_a_user_who_was_found_out_and_was_added_late_is_removed_when_they_leave(
    office: Office, clock: Clock
) -> None:
    office.enter("u0")
    await office.sync()
    office.enter("u1", at=1)
    office.limit(tries=1)
    office.trouble(LATE)
    await office.sync()
    assert (await office.compare()).missing == 1
    land(office)
    clock.advance(QUIET + 1)
    stop = Stop()
    stop.ask()
    await office.sync(stop)  # it sends nothing any more
    office.leave("u1", at=2)
    await office.sync()
    assert office.cohort() == {"u0"}


async def test_users_who_enter_after_a_lost_replacement_are_not_yet_certain_at_once(
    office: Office, clock: Clock
) -> None:
    office.enter("u0")
    await office.sync()
    office.take_out("u0")
    office.put_in("stranger")
    found = await office.compare()
    office.limit(tries=1)
    office.trouble(Rule(Late(504), frozenset({Call.UPLOAD}), times=1))
    done = await office.apply(found, replace=True, verify=False)
    assert done.plan.replace

    def enter(snapshot: RunSnapshot) -> None:
        if not office.ledger.read(find_person, "u9"):
            office.enter("u9", at=9)

    office.enter("u1", at=2)
    report = await office.sync(observe=enter)
    assert office.cohort() == {"u0", "u1", "u9"}
    assert report.audiences[0].left.uncertain == 2
