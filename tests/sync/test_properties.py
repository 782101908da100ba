"""Whatever comes in and whatever breaks, the cohort ends as a plain model says."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amp_console.ledger import open_ledger
from amp_console.ledger.runs import RunStatus
from amp_console.simulator import (
    Answer,
    Behaviour,
    Call,
    Cut,
    RefuseIds,
    Reset,
    Rule,
    Simulator,
    TooLarge,
    World,
)
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.queries.status import Status, audience_summary
from tests.ledgers import EmptyLedger
from tests.sync.workspace import Workspace, event

USERS = ["u1", "u2", "u3", "u4", "u5", "u6", "poison", "ghost-1", "é😀", "007"]
UNDELIVERABLE = {"ghost-1", "poison"}

Events = st.lists(st.tuples(st.sampled_from(USERS), st.booleans(), st.integers(0, 50)), max_size=12)
Faults = st.lists(
    st.builds(
        Rule,
        st.one_of(
            st.builds(Answer, st.sampled_from([403, 429, 500, 502, 504]), html=st.booleans()),
            st.builds(Reset, st.booleans()),
            st.just(Cut()),
            st.builds(TooLarge, st.integers(1, 4)),
        ),
        every=st.integers(1, 4),
        times=st.integers(1, 4),
        calls=st.sets(st.sampled_from([Call.UPLOAD, Call.MEMBERSHIP, Call.LIST])).map(frozenset),
    ),
    max_size=3,
)
Rounds = st.lists(st.tuples(Events, Faults), min_size=1, max_size=4)


def check_numbers(workspace: Workspace, strangers: int) -> None:
    """What is in the cohort by the ledger is what the plan says and Amplitude holds."""
    found = workspace.ledger.read(audience_summary, workspace.connection, workspace.audience().id)
    plan = workspace.plan().audiences[0]
    assert found.held is not None
    assert not plan.remove or plan.in_cohort == found.held.at_most
    size = len(workspace.cohort())
    assert found.held.delivered <= size - strangers <= found.held.at_most
    states = {state.status for state in found.states(size - strangers)}
    assert Status.SIZE_DIFFERS not in states


@pytest.mark.both_engines
@settings(max_examples=20, suppress_health_check=[*HealthCheck])
@given(rounds=Rounds, is_existing=st.booleans(), batch=st.integers(1, 5))
def test_the_cohort_ends_as_the_events_say(
    rounds: list[tuple[list[tuple[str, bool, int]], list[Rule]]],
    is_existing: bool,
    batch: int,
    empty_ledger: EmptyLedger,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    poison = Rule(RefuseIds(frozenset({"poison"})), calls=frozenset({Call.MEMBERSHIP, Call.UPLOAD}))
    newest: dict[str, tuple[tuple[int, int, int], bool]] = {}
    folder = tmp_path_factory.mktemp("workspace")
    world = World()
    world.add_user("seed")
    with (
        Simulator(world, behaviour=Behaviour(numeric_skipped_ids=True)) as simulator,
        open_ledger(empty_ledger()) as ledger,
    ):
        workspace = Workspace(simulator, ledger, folder)
        workspace.limit(first_batch=batch, largest_batch=batch, tries=3, quiet_time=0)
        workspace.leave("seed", at=0)
        workspace.change(SettingsChange(seed_user="seed"))
        if is_existing:
            there = world.create_cohort("There before", "ana@acme.example", {world.add_user("u0")})
            workspace.change(SettingsChange(cohort_id=there.id))
        for number, (events, rules) in enumerate(rounds):
            workspace.read(event(user, is_member, at) for user, is_member, at in events)
            for line, (user, is_member, at) in enumerate(events):
                entry = ((at, number, line), is_member)
                newest[user] = max(newest.get(user, entry), entry)
            workspace.set_faults(poison, *rules)
            asyncio.run(workspace.sync())
            if workspace.audience().cohort_id is not None:
                check_numbers(workspace, strangers=int(is_existing))
        workspace.set_faults(poison)
        report = asyncio.run(workspace.sync())

        truth = {user for user, (_, is_member) in newest.items() if is_member}
        if workspace.audience().cohort_id is None:
            # Amplitude accepted no user. One refused without a name stays pending, with its words.
            assert truth <= UNDELIVERABLE
            left = report.audiences[0].left
            assert left.pending + left.rejected == len(truth)
            assert bool(left.pending) == bool(report.audiences[0].note)
            return
        assert report.audiences[0].left.pending == 0, report.audiences[0].note
        assert {user.id for user in workspace.rejected()} >= truth & UNDELIVERABLE
        assert len(world.cohorts()) == (1 if is_existing or workspace.audience().cohort_id else 0)
        assert workspace.cohort() - {"u0"} == truth - UNDELIVERABLE
        assert report.status in {RunStatus.DELIVERED, RunStatus.PARTIAL}
        if not is_existing:
            assert workspace.ever() - {"seed"} <= set(newest)
