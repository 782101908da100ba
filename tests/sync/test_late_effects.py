"""Requests that take effect after being given up: every user is confirmed again in the end."""

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
from amp_console.sync.queries.status import Status, audience_summary
from amp_console.sync.timing import Stop
from amp_console.values import IdType, Operation
from tests.sync.test_live import Session, is_in, until
from tests.sync.workspace import Clock, Workspace, event, lines

pytestmark = pytest.mark.anyio

QUIET = 600.0
MEMBERSHIP = frozenset({Call.MEMBERSHIP})
LATE = Rule(Late(504), MEMBERSHIP, times=1)


def land(workspace: Workspace) -> None:
    """The requests that were given up take effect."""
    assert workspace.simulator.faults.release()


def status(workspace: Workspace) -> Status:
    connection, audience_id = workspace.connection, workspace.audience().id
    return workspace.ledger.read(audience_summary, connection, audience_id).status


async def entered_late_and_left(workspace: Workspace) -> None:
    """Adding u1 is given up and repeated; then u1 leaves, and that is confirmed."""
    workspace.enter("u0")
    await workspace.sync()
    workspace.enter("u1", at=1)
    workspace.set_faults(LATE)
    await workspace.sync()
    workspace.leave("u1", at=2)


async def left_late_and_entered(workspace: Workspace) -> None:
    """Removing u1 is given up and repeated; then u1 enters, and that is confirmed."""
    workspace.enter("u0", "u1")
    await workspace.sync()
    workspace.leave("u1", at=1)
    workspace.set_faults(LATE)
    await workspace.sync()
    workspace.enter("u1", at=2)


@pytest.mark.parametrize(
    ("prepare", "right"),
    [(entered_late_and_left, {"u0"}), (left_late_and_entered, {"u0", "u1"})],
)
@pytest.mark.parametrize("when", ["at once", "before the quiet time is over", "never"])
async def test_the_opposite_is_confirmed_again_after_the_quiet_time(
    workspace: Workspace, clock: Clock, prepare: object, right: set[str], when: str
) -> None:
    assert callable(prepare)
    await prepare(workspace)
    report = await workspace.sync()
    assert workspace.cohort() == right
    assert report.status is RunStatus.STOPPED
    assert (report.audiences[0].left.pending, report.audiences[0].left.uncertain) == (0, 1)
    assert "1 user not yet certain" in report.audiences[0].note
    if when == "at once":
        land(workspace)
        assert workspace.cohort() != right

    clock.advance(QUIET - 1)
    if when == "before the quiet time is over":
        land(workspace)
    sent = len(workspace.simulator.requests)
    assert (await workspace.sync()).status is RunStatus.STOPPED
    assert len(workspace.simulator.requests) == sent  # it would be too early

    clock.advance(2)
    (plan,) = workspace.plan().audiences
    assert (plan.add + plan.remove, plan.again, plan.uncertain) == (1, 1, 0)
    report = await workspace.sync()
    assert report.status is RunStatus.DELIVERED
    assert report.audiences[0].counts.requests == plan.requests == 1
    assert workspace.cohort() == right
    sent = len(workspace.simulator.requests)
    clock.advance(QUIET)
    assert (await workspace.sync()).status is RunStatus.DELIVERED
    assert len(workspace.simulator.requests) == sent


async def test_nothing_is_confirmed_again_where_the_late_effect_is_what_is_wanted(
    workspace: Workspace, clock: Clock
) -> None:
    workspace.enter("u1", "u2")
    workspace.set_faults(LATE)
    assert (await workspace.sync()).status is RunStatus.DELIVERED
    clock.advance(QUIET + 1)
    sent = len(workspace.simulator.requests)
    assert (await workspace.sync()).status is RunStatus.DELIVERED
    assert len(workspace.simulator.requests) == sent


@pytest.mark.parametrize("lost", [Reset(applied=False), Late(0), Late(500)], ids=str)
async def test_a_confirmation_that_is_lost_is_sent_again(
    workspace: Workspace, clock: Clock, lost: Reset | Late
) -> None:
    await entered_late_and_left(workspace)
    await workspace.sync()
    land(workspace)
    clock.advance(QUIET + 1)
    workspace.limit(tries=1)
    workspace.set_faults(Rule(lost, MEMBERSHIP, times=1))
    report = await workspace.sync()
    assert (report.status, report.audiences[0].left.pending) == (RunStatus.STOPPED, 1)
    assert (await workspace.sync()).status is RunStatus.DELIVERED
    assert workspace.cohort() == {"u0"}


async def test_what_a_dead_process_sent_may_land_late(workspace: Workspace, clock: Clock) -> None:
    workspace.enter("u0")
    await workspace.sync()
    workspace.enter("u1", at=1)
    audience_id = workspace.audience().id
    workspace.ledger.write(
        deliveries.open_batch, 9, audience_id, IdType.USER_ID, Operation.ADD, 10, clock()
    )
    workspace.leave("u1", at=2)
    assert (await workspace.sync()).audiences[0].left.uncertain == 1
    workspace.add_in_amplitude("u1")
    clock.advance(QUIET + 1)
    assert (await workspace.sync()).status is RunStatus.DELIVERED
    assert workspace.cohort() == {"u0"}


async def test_a_clock_that_is_set_back_delays_nothing_for_ever(
    workspace: Workspace, clock: Clock
) -> None:
    await entered_late_and_left(workspace)
    await workspace.sync()
    land(workspace)
    clock.advance(-86_400)
    await workspace.sync()
    clock.advance(QUIET + 1)
    assert (await workspace.sync()).status is RunStatus.DELIVERED
    assert workspace.cohort() == {"u0"}


async def test_a_user_unknown_to_amplitude_is_not_waited_for(
    workspace: Workspace, clock: Clock
) -> None:
    workspace.enter("u0")
    await workspace.sync()
    workspace.enter("ghost-1", at=1)
    workspace.set_faults(LATE)
    await workspace.sync()
    workspace.leave("ghost-1", at=2)
    assert (await workspace.sync()).status is RunStatus.DELIVERED
    clock.advance(QUIET + 1)
    assert (await workspace.sync()).status is RunStatus.DELIVERED
    assert workspace.rejected() == []


async def test_a_user_refused_later_may_still_be_added(workspace: Workspace, clock: Clock) -> None:
    workspace.limit(tries=1)
    workspace.enter("u0")
    await workspace.sync()
    workspace.enter("bad", at=1)
    workspace.set_faults(LATE)
    await workspace.sync()
    workspace.set_faults(Rule(RefuseIds(frozenset({"bad"})), MEMBERSHIP))
    await workspace.sync()
    assert [user.id for user in workspace.rejected()] == ["bad"]
    workspace.set_faults()
    workspace.leave("bad", at=2)
    assert (await workspace.sync()).audiences[0].left.uncertain == 1
    land(workspace)
    clock.advance(QUIET + 1)
    await workspace.sync()
    assert workspace.cohort() == {"u0"}


async def test_what_was_sent_to_another_cohort_is_no_doubt_about_this_one(
    workspace: Workspace, clock: Clock
) -> None:
    await entered_late_and_left(workspace)
    await workspace.sync()
    first = workspace.audience().cohort_id
    workspace.change(SettingsChange(unlink=True))
    assert (await workspace.sync()).status is RunStatus.DELIVERED
    workspace.change(SettingsChange(cohort_id=first))
    await workspace.sync()
    assert status(workspace) is Status.UNCERTAIN
    land(workspace)
    clock.advance(QUIET + 1)
    await workspace.sync()
    assert workspace.cohort() == {"u0"}


async def test_a_late_removal_by_the_former_id_type_is_made_good(
    workspace: Workspace, clock: Clock
) -> None:
    number = workspace.simulator.world.add_user("u1")
    workspace.map_amplitude_ids()
    traits = {"amplitude_id": number}
    workspace.enter("u0")
    workspace.read([event("u1", True, traits=traits)])
    await workspace.sync()
    workspace.change(SettingsChange(id_type=IdType.AMPLITUDE_ID))
    workspace.set_faults(LATE)
    await workspace.sync()
    assert workspace.cohort() == {"u1"}
    land(workspace)
    assert workspace.cohort() == set()
    assert status(workspace) is Status.UNCERTAIN
    clock.advance(QUIET + 1)
    await workspace.sync()
    assert workspace.cohort() == {"u1"}
    assert status(workspace) is not Status.UNCERTAIN


async def test_a_late_replacement_is_made_good(workspace: Workspace, clock: Clock) -> None:
    workspace.enter("u0", "u1", "u2")
    await workspace.sync()
    workspace.add_in_amplitude("stranger")
    workspace.remove_in_amplitude("u1")
    workspace.leave("u2", at=1)
    found = await workspace.compare()
    workspace.set_faults(Rule(Late(504), frozenset({Call.UPLOAD}), times=1))
    await workspace.apply(found, replace=True, verify=False)
    assert workspace.cohort() == {"u0", "u1"}
    workspace.leave("u1", at=2)
    workspace.enter("u2", "u3", at=2)
    await workspace.sync()
    assert workspace.cohort() == {"u0", "u2", "u3"}
    await workspace.sync()  # u3 came after the replacement was given up
    land(workspace)
    assert workspace.cohort() == {"u0", "u1"}
    assert workspace.ledger.read(audience_summary, workspace.connection, 1).left.uncertain == 3
    clock.advance(QUIET + 1)
    assert (await workspace.sync()).status is RunStatus.DELIVERED
    assert workspace.cohort() == {"u0", "u2", "u3"}


async def test_a_seed_user_who_is_put_in_late_is_removed_again(
    workspace: Workspace, clock: Clock
) -> None:
    workspace.leave("u1")
    workspace.change(SettingsChange(seed_user="seed"))
    workspace.set_faults(Rule(Reset(applied=True), frozenset({Call.UPLOAD}), times=1))
    await workspace.sync()
    workspace.add_in_amplitude("seed")
    clock.advance(QUIET + 1)
    assert (await workspace.sync()).status is RunStatus.DELIVERED
    assert workspace.cohort() == set()


async def test_a_comparison_does_not_settle_what_may_still_happen(
    workspace: Workspace, clock: Clock
) -> None:
    await entered_late_and_left(workspace)
    await workspace.sync()
    await workspace.compare()
    land(workspace)
    clock.advance(QUIET + 1)
    await workspace.sync()
    assert workspace.cohort() == {"u0"}


async def test_an_audience_that_is_off_is_confirmed_once_it_is_on(
    workspace: Workspace, clock: Clock
) -> None:
    await entered_late_and_left(workspace)
    await workspace.sync()
    land(workspace)
    workspace.change(SettingsChange(enabled=False))
    clock.advance(3 * QUIET)
    workspace.change(SettingsChange(enabled=True))
    await workspace.sync()
    assert workspace.cohort() == {"u0"}


async def test_it_is_said_wherever_the_audience_is_shown(
    workspace: Workspace, clock: Clock
) -> None:
    await entered_late_and_left(workspace)
    await workspace.sync()
    assert status(workspace) is Status.UNCERTAIN
    (answer,) = workspace.ledger.read(explain_person, "u1")
    assert answer.verdict is PersonVerdict.UNCERTAIN
    assert "may still take effect and undo this" in answer.sentence
    (plan,) = workspace.plan().audiences
    assert plan.is_idle
    assert again_text(plan).startswith("1 user to confirm again after 2026-")
    (run, *_) = workspace.ledger.read(all_runs)
    assert run.status is RunStatus.STOPPED
    clock.advance(QUIET + 1)
    (plan,) = workspace.plan().audiences
    assert again_text(plan) == "1 user to confirm again"
    await workspace.sync()
    assert status(workspace) is Status.NOT_COMPARED
    (answer,) = workspace.ledger.read(explain_person, "u1")
    assert answer.verdict is PersonVerdict.OUT


async def test_with_a_quiet_time_of_0_nothing_lands_late(workspace: Workspace) -> None:
    workspace.limit(quiet_time=0)
    await entered_late_and_left(workspace)
    assert (await workspace.sync()).status is RunStatus.DELIVERED


async def test_time_that_passes_is_enough_for_many(workspace: Workspace, clock: Clock) -> None:
    """One request confirms all users again, however many requests were given up."""
    users = [f"u{n}" for n in range(12)]
    workspace.limit(first_batch=3, largest_batch=3)
    workspace.enter("founder")
    await workspace.sync()
    workspace.enter(*users, at=1)
    workspace.set_faults(Rule(Late(504), MEMBERSHIP, times=3))
    await workspace.sync()
    workspace.leave(*users, at=2)
    await workspace.sync()
    land(workspace)
    assert workspace.cohort() != {"founder"}
    workspace.limit(first_batch=100)
    clock.advance(QUIET + 1)
    report = await workspace.sync()
    assert (report.status, report.audiences[0].counts.requests) == (RunStatus.DELIVERED, 1)
    assert workspace.cohort() == {"founder"}


async def test_two_directions_at_once_are_both_made_good(
    workspace: Workspace, clock: Clock
) -> None:
    workspace.enter("u0")
    await workspace.sync()
    for at, enters in enumerate((True, False, True, False), start=1):
        workspace.read([event("u1", enters, at)])
        workspace.set_faults(LATE)
        await workspace.sync()
        clock.advance(10)
    assert workspace.simulator.faults.held == 4
    assert await asyncio.to_thread(workspace.simulator.faults.release) == 4
    clock.advance(QUIET + 1)
    assert (await workspace.sync()).status is RunStatus.DELIVERED
    assert workspace.cohort() == {"u0"}


class TestLive:
    """A session confirms on its own, whether or not events come."""

    @pytest.fixture
    def passed(self, workspace: Workspace) -> asyncio.Event:
        """Once set, the quiet time is over; shorter waits are over at once."""
        clock, passed = Clock(), asyncio.Event()

        async def sleep(seconds: float) -> None:
            if seconds < QUIET / 2:
                await asyncio.sleep(0)
                return
            await passed.wait()
            clock.advance(QUIET + 1)
            passed.clear()

        workspace.timing = dataclasses.replace(workspace.timing, now=clock, sleep=sleep)
        return passed

    async def _doubtful(self, workspace: Workspace, session: Session) -> None:
        session.write(lines("u0"))
        await until(is_in(workspace, "u0"))
        await until(lambda: session.now().queue == 0)
        workspace.set_faults(LATE)
        session.write(lines("u1", at=1))
        await until(is_in(workspace, "u0", "u1"))
        session.write(lines("u1", is_member=False, at=2))
        await until(is_in(workspace, "u0"))
        await until(lambda: status(workspace) is Status.UNCERTAIN)
        land(workspace)
        assert workspace.cohort() == {"u0", "u1"}

    async def test_wakes_when_the_quiet_time_is_over(
        self, workspace: Workspace, tmp_path: Path, passed: asyncio.Event
    ) -> None:
        async with Session(workspace, tmp_path) as session:
            await self._doubtful(workspace, session)
            passed.set()
            await until(is_in(workspace, "u0"))
            await until(lambda: status(workspace) is Status.NOT_COMPARED)
            report = await session.end()
        assert (report.pending, report.uncertain) == (0, 0)

    async def test_ends_as_not_certain_and_the_next_session_confirms(
        self, workspace: Workspace, tmp_path: Path, passed: asyncio.Event
    ) -> None:
        async with Session(workspace, tmp_path) as session:
            await self._doubtful(workspace, session)
            report = await session.end()
        assert (report.pending, report.uncertain) == (0, 1)
        assert workspace.ledger.read(all_runs)[0].status is RunStatus.STOPPED
        async with Session(workspace, tmp_path) as session:
            passed.set()
            await until(is_in(workspace, "u0"))
            await until(lambda: status(workspace) is Status.NOT_COMPARED)
            assert (await session.end()).uncertain == 0


async def test_a_refused_user_who_was_added_late_is_removed_when_they_leave(
    workspace: Workspace, clock: Clock
) -> None:
    workspace.enter("u0")
    await workspace.sync()
    workspace.enter("u1", at=1)
    refuse = Rule(RefuseIds(frozenset({"u1"})), MEMBERSHIP)
    workspace.set_faults(LATE, refuse)
    await workspace.sync()
    assert [user.id for user in workspace.rejected()] == ["u1"]
    land(workspace)
    clock.advance(QUIET + 1)
    await workspace.sync()
    workspace.set_faults()
    workspace.leave("u1", at=2)
    await workspace.sync()
    assert workspace.cohort() == {"u0"}


async def test_a_user_who_was_found_out_and_was_added_late_is_removed_when_they_leave(
    workspace: Workspace, clock: Clock
) -> None:
    workspace.enter("u0")
    await workspace.sync()
    workspace.enter("u1", at=1)
    workspace.limit(tries=1)
    workspace.set_faults(LATE)
    await workspace.sync()
    assert (await workspace.compare()).missing == 1
    land(workspace)
    clock.advance(QUIET + 1)
    stop = Stop()
    stop.ask()
    await workspace.sync(stop)  # it sends nothing more
    workspace.leave("u1", at=2)
    await workspace.sync()
    assert workspace.cohort() == {"u0"}


async def test_users_who_enter_after_a_lost_replacement_are_not_yet_certain_at_once(
    workspace: Workspace, clock: Clock
) -> None:
    workspace.enter("u0")
    await workspace.sync()
    workspace.remove_in_amplitude("u0")
    workspace.add_in_amplitude("stranger")
    found = await workspace.compare()
    workspace.limit(tries=1)
    workspace.set_faults(Rule(Late(504), frozenset({Call.UPLOAD}), times=1))
    done = await workspace.apply(found, replace=True, verify=False)
    assert done.plan.replace

    def enter(snapshot: RunSnapshot) -> None:
        if not workspace.ledger.read(find_person, "u9"):
            workspace.enter("u9", at=9)

    workspace.enter("u1", at=2)
    report = await workspace.sync(observe=enter)
    assert workspace.cohort() == {"u0", "u1", "u9"}
    assert report.audiences[0].left.uncertain == 2
