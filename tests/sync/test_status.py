"""The status of audiences: the same for all at once as for each alone."""

from pathlib import Path

import msgspec
import pytest

from amp_console.ledger import open_ledger, runs
from amp_console.ledger.audiences import all_audiences
from amp_console.ledger.cohorts import break_link
from amp_console.ledger.comparisons import CohortFinding
from amp_console.ledger.counts import InCohort, outstanding, outstanding_of_all, pending_of
from amp_console.ledger.outcomes import NO_COHORT, OFF, PAUSED, STOPPED
from amp_console.ledger.sources import ReadCounts
from amp_console.simulator import Answer, Call, Rule
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.queries.audience_detail import LastError, audience_trend
from amp_console.sync.queries.status import (
    NOTHING_LEFT,
    AudienceSummary,
    State,
    Status,
    audience_summaries,
    audience_summary,
    keys_refused_at,
    needs_attention,
    overview,
)
from amp_console.values import IdType, Operation
from tests.sync.test_live import Session, is_in, until
from tests.sync.workspace import Workspace, event, lines

pytestmark = pytest.mark.anyio


def summary(workspace: Workspace, key: str) -> AudienceSummary:
    found = workspace.ledger.read(audience_summaries, workspace.connection)
    return next(item for item in found if item.audience.key == key)


async def import_sample_audiences(workspace: Workspace) -> None:
    """One audience of each kind."""
    for key in ("synced", "waiting", "ghosts", "off", "gone"):
        workspace.read(event(f"{key}-{n}", True, audience=key) for n in range(3))
    workspace.read([event("ghost-1", True, audience="ghosts")])
    await workspace.sync()
    workspace.read([event("new", True, 9, audience="waiting")])
    workspace.read([event("waiting-1", False, 9, audience="waiting")])
    workspace.read([event("u1", True, audience="fresh")])
    workspace.change(SettingsChange(enabled=False), "off")
    cohort = workspace.audience("gone").cohort_id
    assert cohort is not None
    workspace.simulator.world.drop_cohort(cohort)
    workspace.read([event("late", True, 9, audience="gone")])
    await workspace.sync()
    workspace.read([event("newer", True, 10, audience="waiting")])
    workspace.mapping = workspace.mapping.parse("$.userId", "$.traits.amplitude_id")
    workspace.read([event("u2", True, audience="by_number")])
    workspace.change(SettingsChange(id_type=IdType.AMPLITUDE_ID), "by_number")


async def test_each_audience_is_reported_in_one_word(workspace: Workspace) -> None:
    await import_sample_audiences(workspace)
    workspace.read([event("last", True, audience="unlinked")])
    assert {
        key: summary(workspace, key).status for key in ("synced", "waiting", "ghosts", "off")
    } == {
        "synced": Status.NOT_COMPARED,
        "waiting": Status.PENDING,
        "ghosts": Status.REJECTED,
        "off": Status.OFF,
    }
    assert summary(workspace, "gone").status is Status.BROKEN
    assert summary(workspace, "unlinked").status is Status.NO_COHORT


async def test_no_state_hides_another_and_the_most_dangerous_comes_first(
    workspace: Workspace,
) -> None:
    await import_sample_audiences(workspace)
    workspace.read([event("ghost-2", True, 12, audience="ghosts")])
    await workspace.sync()
    workspace.read([event("more", True, 13, audience="ghosts")])
    ghosts, gone, off = (
        summary(workspace, "ghosts"),
        summary(workspace, "gone"),
        summary(workspace, "off"),
    )
    assert [str(state) for state in ghosts.states()] == ["2 rejected", "1 pending"]
    assert ghosts.held == InCohort(3, 0)
    told = [str(state) for state in ghosts.states(size=1_009)]
    assert told == ["1,006 more in Amplitude", "2 rejected", "1 pending"]
    assert [str(state) for state in ghosts.states(size=3)] == ["2 rejected", "1 pending"]
    assert [str(state) for state in gone.states()] == ["broken link", "1 pending"]
    assert [str(state) for state in off.states()] == ["disabled", "not compared"]
    rejecting = (State(Status.REJECTED, 3),)
    disabled = (State(Status.OFF), *rejecting)
    assert [needs_attention(states) for states in (rejecting, disabled)] == [True, False]
    both = overview([rejecting, disabled])
    assert (both.attention, both.rejected, both.reasons) == (1, 3, ("1 with rejected users",))
    synced = summary(workspace, "synced")
    assert [str(state) for state in synced.states()] == ["not compared"]
    assert [str(state) for state in synced.states(size=3)] == ["same size, not compared"]


async def test_a_live_session_of_another_operator_is_named(workspace: Workspace) -> None:
    workspace.enter("u-1")
    await workspace.sync()
    for operator, told in (("Ben", "live by Ben"), (None, "live")):
        opened = open_ledger(workspace.ledger.url, operator=operator)
        with opened as other, other.hold_run() as lock:
            run_id = other.write(runs.begin_run, ReadCounts(), 1, lock, runs.RunKind.LIVE)
            assert told in [str(state) for state in summary(workspace, "shoppers").states()]
            other.write(runs.end_run, run_id, runs.RunStatus.DELIVERED, "", 2)


async def test_no_size_is_judged_while_a_run_changes_the_cohort(workspace: Workspace) -> None:
    workspace.enter("u-1")
    await workspace.sync()
    workspace.enter("u-2", "u-3", at=5)
    workspace.limit(first_batch=1, largest_batch=1)
    workspace.set_faults(Rule(Answer(429), frozenset({Call.MEMBERSHIP}), every=2, times=1))
    held: list[InCohort | None] = []
    told: list[str] = []

    def see() -> None:
        known = summary(workspace, "shoppers")
        held.append(known.held)
        told.extend(str(state) for state in known.states(size=1))

    workspace.on_sleep(see)
    await workspace.sync()
    assert held == [InCohort(2, 0)]
    assert told == ["sync 50%", "1 pending"]
    states = summary(workspace, "shoppers").states(size=1)
    assert [str(state) for state in states] == ["2 fewer in Amplitude"]


async def test_strangers_that_a_comparison_found_are_reported_until_they_are_removed(
    workspace: Workspace,
) -> None:
    workspace.enter("u-1", "u-2")
    await workspace.sync()
    world, cohort = workspace.simulator.world, workspace.audience().cohort_id
    assert cohort is not None
    world.change(cohort, Operation.ADD, {world.add_user("stranger")})
    await workspace.compare()
    (only,) = workspace.ledger.read(audience_summaries, workspace.connection)
    assert [str(state) for state in only.states()] == ["1 extra"]
    assert only.status is Status.IN_SYNC
    # By size: the two who were delivered, and the stranger.
    assert [str(state) for state in only.states(size=3)] == ["1 extra"]
    told = [str(state) for state in only.states(size=2)]
    assert told == ["1 extra", "1 fewer in Amplitude"]


async def test_a_cohort_is_never_compared_until_it_is_whatever_else_is_to_be_said_of_it(
    workspace: Workspace,
) -> None:
    workspace.enter("u-1")
    assert not summary(workspace, "shoppers").is_never_compared  # it has no cohort
    await workspace.sync()
    assert summary(workspace, "shoppers").is_never_compared
    workspace.enter("u-2", at=5)  # now it is pending
    assert summary(workspace, "shoppers").is_never_compared
    await workspace.compare()
    assert not summary(workspace, "shoppers").is_never_compared


async def test_missing_and_extra_users_of_a_comparison_are_reported_together_until_delivered(
    workspace: Workspace,
) -> None:
    workspace.enter("u-1", "u-2", "u-3")
    await workspace.sync()
    workspace.remove_in_amplitude("u-1", "u-2")
    workspace.add_in_amplitude("stranger")
    await workspace.compare()
    workspace.enter("u-4", at=5)
    (only,) = workspace.ledger.read(audience_summaries, workspace.connection)
    assert [str(state) for state in only.states()] == ["3 differ", "3 pending"]
    assert overview([only.states()]).reasons == ("1 with differing users",)
    await workspace.sync()
    (only,) = workspace.ledger.read(audience_summaries, workspace.connection)
    assert [str(state) for state in only.states()] == ["1 extra"]


@pytest.mark.parametrize("count_members", [True, False])
async def test_users_who_left_and_were_found_in_the_cohort_differ_until_delivered(
    workspace: Workspace, *, count_members: bool
) -> None:
    workspace.enter("u-1", "u-2", "u-3", "gone-1", "gone-2")
    workspace.leave("gone-1", "gone-2")
    await workspace.sync()
    workspace.add_in_amplitude("gone-1", "gone-2")
    await workspace.compare()

    def states() -> list[str]:
        found = workspace.ledger.read(
            audience_summaries, workspace.connection, count_members=count_members
        )
        return [str(state) for state in found[0].states()]

    assert states() == ["2 differ", "2 pending"]
    await workspace.sync()
    assert states() == ["in sync"]


async def test_users_without_an_identifier_are_no_difference_in_size(workspace: Workspace) -> None:
    workspace.enter("u-1")
    await workspace.sync()
    world, cohort = workspace.simulator.world, workspace.audience().cohort_id
    assert cohort is not None
    world.change(cohort, Operation.ADD, {world.add_user(None)})
    (before,) = workspace.ledger.read(audience_summaries, workspace.connection)
    assert [str(state) for state in before.states(size=2)] == ["1 more in Amplitude"]
    assert before.finding is None
    await workspace.compare()
    (after,) = workspace.ledger.read(audience_summaries, workspace.connection)
    assert [str(state) for state in after.states(size=2)] == ["in sync"]
    assert after.finding is not None


async def test_all_at_once_are_as_each_alone(workspace: Workspace) -> None:
    await import_sample_audiences(workspace)
    together = workspace.ledger.read(outstanding_of_all)
    known = workspace.ledger.read(all_audiences)
    pending = workspace.ledger.read(pending_of, [audience.id for audience in known[1:]])
    assert pending.keys() <= {audience.id for audience in known[1:]}
    for audience in known:
        alone = workspace.ledger.read(outstanding, audience)
        assert together.get(audience.id, NOTHING_LEFT) == alone, audience.key
        assert audience == known[0] or pending[audience.id] == alone.pending, audience.key
    assert together[workspace.audience("by_number").id].unidentified == 1


async def test_without_the_identifier_are_those_with_none_in_any_event(
    workspace: Workspace,
) -> None:
    workspace.mapping = workspace.mapping.parse("$.userId", "$.traits.amplitude_id")
    both = [event(f"b{n}", True, traits={"amplitude_id": f"4{n}"}) for n in range(3)]
    workspace.read([*both, event("u1", True), event("u2", True)])
    workspace.read([event(None, True, traits={"amplitude_id": "77"})])
    workspace.read([event("u2", False, at=5)])
    kinds = []
    for id_type in (IdType.AMPLITUDE_ID, IdType.USER_ID, IdType.AMPLITUDE_ID):
        workspace.change(SettingsChange(id_type=id_type))
        found = workspace.rejected()
        left = summary(workspace, "shoppers").left
        assert (left.rejected, left.unidentified, left.failed) == (0, len(found), len(found))
        kinds.append([item.id for item in found])
        assert summary(workspace, "shoppers").members == 5
    assert kinds == [["u1"], ["77"], ["u1"]]


async def test_members_are_those_in_the_cohort_pending_rejected_and_without_identifier(
    workspace: Workspace,
) -> None:
    workspace.mapping = workspace.mapping.parse("$.userId", "$.traits.amplitude_id")
    workspace.enter("u1", "u2", "left", "ghost-1")
    await workspace.sync()
    workspace.enter("u3")
    workspace.leave("left")
    workspace.read([event(None, True, traits={"amplitude_id": "77"})])
    count = summary(workspace, "shoppers").count
    assert count is not None
    assert (count.in_cohort, count.pending, count.rejected, count.unidentified) == (2, 1, 1, 1)
    assert (count.members, count.held) == (5, InCohort(3, 0))


async def test_delivered_is_what_the_cohort_holds(workspace: Workspace) -> None:
    await import_sample_audiences(workspace)
    for key in ("synced", "waiting", "ghosts"):
        assert summary(workspace, key).held == InCohort(len(workspace.cohort(key)), 0)
    waiting = summary(workspace, "waiting")
    assert (waiting.members, waiting.left.add, waiting.left.remove) == (4, 1, 0)


async def test_one_alone_is_as_in_the_list(workspace: Workspace) -> None:
    await import_sample_audiences(workspace)
    known = workspace.audience("ghosts")
    assert workspace.ledger.read(audience_summary, workspace.connection, known.id) == summary(
        workspace, "ghosts"
    )


def test_members_may_be_left_uncounted(workspace: Workspace) -> None:
    workspace.enter("u1")
    found = workspace.ledger.read(audience_summaries, workspace.connection, count_members=False)
    assert [(item.members, item.held) for item in found] == [(None, None)]
    workspace.connection = msgspec.structs.replace(workspace.connection, prefix=True)
    assert summary(workspace, "shoppers").cohort_name == "[Segment] shoppers"


def test_states_come_worst_first_whichever_apply(workspace: Workspace) -> None:
    workspace.enter("u1", "u2")
    known = summary(workspace, "shoppers")
    audience = msgspec.structs.replace(known.audience, cohort_id="c1", enabled=False)
    left = msgspec.structs.replace(NOTHING_LEFT, add=312, rejected=10)
    item = msgspec.structs.replace(
        known, audience=audience, left=left, finding=CohortFinding(1, 0, 6, 0)
    )
    told = [str(state) for state in item.states(is_live=True)]
    assert told == ["disabled", "6 extra", "10 rejected", "312 pending", "live"]


def test_an_overview_says_how_many_need_attention_and_why() -> None:
    calm = [State(Status.PENDING, 12), State(Status.LIVE)]
    broken, twice = [State(Status.BROKEN), State(Status.PENDING, 3)], [State(Status.DIFFERS, 1)]
    now = overview([calm, broken, [*twice, State(Status.REJECTED, 9)], [State(Status.REJECTED, 1)]])
    assert (now.audiences, now.attention, now.pending) == (4, 3, 15)
    assert now.reasons == (
        "1 broken link",
        "1 with differing users",
        "1 more with rejected users",
    )
    refused = [State(Status.KEYS_REFUSED), State(Status.REJECTED, 9)]
    now = overview([refused, refused])
    assert now.reasons == ("keys refused for 2", "also 2 with rejected users")
    assert overview([[State(Status.REJECTED, 9)]] * 2).reasons == ("2 with rejected users",)
    smaller, larger = (
        [State(Status.SIZE_DIFFERS, 175, is_fewer=is_fewer)] for is_fewer in (True, False)
    )
    assert overview([smaller, smaller]).reasons == ("2 cohorts too small",)
    assert overview([smaller, larger]).reasons == ("2 cohorts too large or too small",)
    unsent = [State(Status.NO_IDENTIFIER, 3)]
    now = overview([unsent, [State(Status.REJECTED, 9)]])
    assert (now.attention, now.rejected, now.unidentified) == (2, 9, 3)
    assert now.reasons == ("1 with rejected users", "1 with missing IDs")
    empty, waiting = [State(Status.NO_COHORT)], [State(Status.NO_COHORT), State(Status.PENDING, 12)]
    now = overview([empty, waiting])
    assert (now.attention, now.without_cohort) == (1, 1)
    assert now.reasons == ("1 with no cohort",)
    assert not needs_attention([*waiting, State(Status.OFF)])
    assert overview([calm]).reasons == ()


def large_removal(workspace: Workspace) -> list[str]:
    return [str(state) for state in summary(workspace, "shoppers").states()]


async def test_what_removes_more_than_half_of_a_cohort_needs_attention_in_the_words_of_its_plan(
    workspace: Workspace,
) -> None:
    workspace.enter("u1", "u2", "u3", "u4")
    await workspace.sync()
    workspace.leave("u1", "u2")
    assert large_removal(workspace) == ["2 pending"]  # exactly half
    workspace.leave("u3")
    assert large_removal(workspace) == ["removes 3 of 4 cohort members", "3 pending"]
    known = summary(workspace, "shoppers")
    assert needs_attention(known.states())
    (planned,) = workspace.plan().audiences
    assert known.large_removal is not None
    assert known.large_removal.removed_members == planned.removed_members == "3 of 4 cohort members"
    assert overview([known.states()]).reasons == ("1 large removal",)
    workspace.ledger.write(break_link, known.audience.id, "It is gone.")
    assert large_removal(workspace) == ["broken link", "3 pending"]


async def test_refused_keys_need_attention_until_a_request_succeeds(workspace: Workspace) -> None:
    workspace.enter("u1")
    await workspace.sync()
    workspace.enter("u2", at=5)
    workspace.set_faults(Rule(Answer(403, words="Invalid API Key")))
    report = await workspace.sync()
    assert report.status is runs.RunStatus.STOPPED
    refused_at = workspace.ledger.read(keys_refused_at)
    assert refused_at is not None
    states = summary(workspace, "shoppers").states(are_keys_refused=True)
    assert [str(state) for state in states] == ["keys refused", "1 pending"]
    assert needs_attention(states)
    known = summary(workspace, "shoppers")
    for change in ({"enabled": False}, {"broken": "It is gone."}):  # no sync sends it
        unsent = msgspec.structs.replace(
            known, audience=msgspec.structs.replace(known.audience, **change)
        )
        found = unsent.states(are_keys_refused=True)
        assert Status.KEYS_REFUSED not in [state.status for state in found]
    workspace.set_faults()
    await workspace.sync()
    assert workspace.ledger.read(keys_refused_at) is None
    states = summary(workspace, "shoppers").states(are_keys_refused=True)
    assert Status.KEYS_REFUSED not in [state.status for state in states]  # no one waits for them


async def test_keys_that_a_session_under_way_delivers_with_are_not_refused(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.enter("u1")
    await workspace.sync()
    workspace.enter("u2", at=5)
    workspace.set_faults(Rule(Answer(403, words="Invalid API Key")))
    await workspace.sync()
    workspace.set_faults()
    assert workspace.ledger.read(keys_refused_at) is not None
    async with Session(workspace, tmp_path):
        await until(is_in(workspace, "u1", "u2"))
        await until(lambda: workspace.ledger.read(keys_refused_at) is None)


async def test_keys_refused_while_a_session_is_idle_stay_refused_when_it_ends(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.enter("u1")
    await workspace.sync()
    async with Session(workspace, tmp_path) as session:
        session.write(lines("u2", at=1))
        await until(is_in(workspace, "u1", "u2"))
        await until(lambda: session.now().queue == 0)
        workspace.set_faults(Rule(Answer(403, words="Invalid API Key")))
        workspace.read([event("b1", True, audience="buyers")])
        await workspace.sync()
        workspace.change(SettingsChange(enabled=False), "buyers")
        workspace.set_faults()
        await session.end()
    assert workspace.ledger.read(keys_refused_at) is not None


def test_an_audience_is_live_while_a_session_that_delivers_for_it_is_alive(
    workspace: Workspace,
) -> None:
    workspace.enter("u1")
    ledger, audience_id = workspace.ledger, workspace.audience().id

    def live(dead: frozenset[int] = frozenset()) -> bool:
        (item,) = ledger.read(audience_summaries, workspace.connection, dead=dead)
        return item.is_live

    with ledger.hold_run() as lock:
        run_id = ledger.write(runs.begin_run, ReadCounts(), 1, lock, runs.RunKind.LIVE)
        assert not live()
        ledger.write(runs.record_audience, run_id, audience_id, runs.AudienceCounts(added=1), 2)
        assert live()
        assert not live(frozenset({run_id}))
        waiting = runs.AudienceCounts(added=1, note=NO_COHORT)
        ledger.write(runs.record_audience, run_id, audience_id, waiting, 2)
        assert not live()
        ledger.write(runs.record_audience, run_id, audience_id, runs.AudienceCounts(added=1), 2)
        ledger.write(runs.end_run, run_id, runs.RunStatus.DELIVERED, "", 3)
        assert not live()


async def test_the_last_error_is_the_newest_one_with_its_time(workspace: Workspace) -> None:
    def error() -> tuple[str, int | None] | None:
        found = workspace.ledger.read(audience_trend, workspace.audience(), 0).error
        return (found.text, found.at) if found else None

    workspace.enter("u1")
    assert error() is None
    workspace.enter("ghost-1")
    await workspace.sync()
    rejected = error()
    assert rejected is not None
    assert rejected[0] == "Amplitude did not know this User ID"
    later = (rejected[1] or 0) + 1
    ledger = workspace.ledger
    with ledger.hold_run() as lock:
        run_id = ledger.write(runs.begin_run, ReadCounts(), later, lock)
        counts = runs.AudienceCounts(note="No network.")
        ledger.write(runs.record_audience, run_id, workspace.audience().id, counts, later)
        ledger.write(runs.end_run, run_id, runs.RunStatus.STOPPED, "", later)
    assert error() == ("No network.", later)


@pytest.mark.parametrize("asked", [STOPPED, PAUSED, OFF])
async def test_what_an_operator_asked_for_is_no_error_and_hides_none(
    workspace: Workspace, asked: str
) -> None:
    def end_with(note: str, at: int) -> str | None:
        with ledger.hold_run() as lock:
            run_id = ledger.write(runs.begin_run, ReadCounts(), at, lock)
            counts = runs.AudienceCounts(note=note, requests=1)
            ledger.write(runs.record_audience, run_id, workspace.audience().id, counts, at)
            ledger.write(runs.end_run, run_id, runs.RunStatus.STOPPED, "", at)
        found = ledger.read(audience_trend, workspace.audience(), 0).error
        return found.text if found else None

    workspace.enter("u1")
    ledger = workspace.ledger
    assert end_with(asked, 10) is None
    assert end_with("No network.", 20) == "No network."
    assert end_with(asked, 30) == "No network."


async def test_an_error_is_past_once_a_later_run_has_delivered(workspace: Workspace) -> None:
    def is_past() -> bool | None:
        found = workspace.ledger.read(audience_trend, workspace.audience(), 0).error
        return found.is_past if found else None

    workspace.enter("u1", "u2")
    await workspace.sync()
    workspace.enter("u3")
    workspace.set_faults(Rule(Answer(401, words="Invalid API Key"), frozenset({Call.MEMBERSHIP})))
    await workspace.sync()
    assert is_past() is False
    workspace.set_faults()
    await workspace.compare()
    assert is_past() is False  # a comparison delivers nothing
    await workspace.sync()
    assert is_past() is True
    workspace.enter("ghost-1")
    await workspace.sync()
    assert is_past() is False


async def test_an_error_that_is_past_is_the_last_one_although_users_were_rejected_before_it(
    workspace: Workspace,
) -> None:
    workspace.enter("u1", "ghost-1")
    await workspace.sync()
    workspace.enter("u2")
    workspace.set_faults(Rule(Answer(401, words="Invalid API Key"), frozenset({Call.MEMBERSHIP})))
    await workspace.sync()
    workspace.set_faults()
    await workspace.sync()
    found = workspace.ledger.read(audience_trend, workspace.audience(), 0).error
    assert found is not None
    assert found.text.startswith("Amplitude refused")
    assert found.is_past


async def test_a_cohort_that_is_gone_is_no_error_of_the_audience_once_it_is_unlinked(
    workspace: Workspace,
) -> None:
    def error() -> LastError | None:
        return workspace.ledger.read(audience_trend, workspace.audience(), 0).error

    workspace.enter("u1")
    await workspace.sync()
    workspace.simulator.world.drop_cohort(workspace.audience().cohort_id or "")
    workspace.enter("u2", at=9)
    await workspace.sync()
    found = error()
    assert found is not None
    assert found.text.startswith("Amplitude has no cohort")
    assert " anymore. The audience's users stay pending." in found.text
    workspace.change(SettingsChange(unlink=True))
    assert error() is None


async def test_keys_that_were_refused_to_others_are_no_error_of_an_audience_that_was_finished(
    workspace: Workspace,
) -> None:
    workspace.enter("u1")
    workspace.read([event("v1", True, audience="others")])
    await workspace.sync()
    workspace.read([event("v2", True, audience="others")])
    workspace.set_faults(Rule(Answer(403, words="Invalid API Key"), frozenset({Call.MEMBERSHIP})))
    await workspace.sync()

    def error(key: str) -> LastError | None:
        return workspace.ledger.read(audience_trend, workspace.audience(key), 0).error

    assert error("shoppers") is None
    found = error("others")
    assert found is not None
    assert found.text.startswith("Amplitude refused the keys")
    workspace.read([event("v2", False, 9, audience="others")])
    await workspace.sync()
    found = error("others")
    assert found is not None
    assert (found.is_past, found.was_delivered) == (True, False)  # there was nothing to send


async def test_a_cohort_that_was_compared_has_a_known_size_until_a_run_changes_it(
    workspace: Workspace,
) -> None:
    def size() -> int | None:
        finding = summary(workspace, "shoppers").finding
        return finding.size if finding is not None else None

    workspace.enter("u1", "u2")
    await workspace.sync()
    workspace.add_in_amplitude("by-hand")
    comparison = await workspace.compare()
    assert size() == 3
    await workspace.apply(comparison)
    assert size() == 2
    await workspace.sync()
    assert size() == 2
    workspace.enter("u3", at=9)
    await workspace.sync()
    assert size() is None


def test_lag_counts_from_the_oldest_pending_change(workspace: Workspace) -> None:
    workspace.enter("u1", at=5)
    workspace.enter("u2", at=9)
    first = summary(workspace, "shoppers").count
    assert first is not None
    workspace.leave("u1", at=20)  # never delivered, so nothing is pending for u1 anymore
    second = summary(workspace, "shoppers").count
    assert second is not None
    assert second.pending_since is not None
    assert first.pending_since is not None
    assert second.pending_since - first.pending_since == 4_000_000


def test_a_list_says_in_few_words_what_its_other_columns_count() -> None:
    removal = State(Status.LARGE_REMOVAL, 1_503, members=1_503)
    unchecked = State(Status.NOT_COMPARED, has_same_size=True)

    assert (removal.brief, unchecked.brief) == ("large removal", "not compared")
    assert State(Status.REJECTED, 10).brief == "10 rejected"
