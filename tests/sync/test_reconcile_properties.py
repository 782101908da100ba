"""Reconciling against a plain model: whatever happened before, whatever the cohort contains."""

import asyncio
import tempfile
from pathlib import Path
from typing import NamedTuple

from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from amp_console.ledger import Db, open_ledger
from amp_console.ledger.comparisons import DifferenceFilter, DifferenceKind, differences
from amp_console.simulator import Simulator, World
from amp_console.values import Operation
from tests.examples import examples
from tests.ledgers import EmptyLedger, postgresql_only
from tests.sync.workspace import Workspace, event

NAMES = ("ana", "Ana", "ben", "007", "7", "ghost-1", "cem", "dua", "eve")
KNOWN = [name for name in NAMES if not name.startswith("ghost-")]


class Scenario(NamedTuple):
    """What happens: events before a sync, after it, and who is in the cohort in the end.

    `listed` is a list to compare with, None to compare with the ledger.
    """

    before: list[tuple[str, bool]]
    after: list[tuple[str, bool]]
    cohort: set[str]
    nameless: int
    listed: set[str] | None
    replace: bool


STORIES = st.builds(
    Scenario,
    st.lists(st.tuples(st.sampled_from(NAMES), st.booleans()), max_size=8),
    st.lists(st.tuples(st.sampled_from(NAMES), st.booleans()), max_size=6),
    st.sets(st.sampled_from(KNOWN)),
    st.integers(0, 2),
    st.none() | st.sets(st.sampled_from(NAMES), min_size=1),
    st.booleans(),
)


def wanted_after(scenario: Scenario) -> set[str]:
    """The model: each user's last event decides; a list newer than all events outweighs them."""
    last = {"founder": True, **dict(scenario.before), **dict(scenario.after)}
    if scenario.listed is not None:
        return scenario.listed
    return {name for name, is_member in last.items() if is_member}


def prepare(workspace: Workspace, scenario: Scenario) -> set[str]:
    """Run the scenario up to the comparison; return who in the cohort has no user ID."""
    world = workspace.simulator.world
    workspace.read([event("founder", True)])
    workspace.read(event(name, value, at) for at, (name, value) in enumerate(scenario.before))
    asyncio.run(workspace.sync())
    workspace.read(event(name, value, 100 + at) for at, (name, value) in enumerate(scenario.after))
    cohort_id = workspace.audience().cohort_id
    assert cohort_id is not None
    everyone = {user.amplitude_id for user in world.users(cohort_id)}
    world.change(cohort_id, Operation.REMOVE, everyone)
    workspace.add_in_amplitude(*scenario.cohort)
    nameless = {world.add_user(None) for _ in range(scenario.nameless)}
    world.change(cohort_id, Operation.ADD, nameless)
    return {str(item) for item in nameless}


def delivered(db: Db) -> dict[str, int | None]:
    return dict(db.execute("SELECT id, delivered FROM member").fetchall())


@examples(20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(scenario=Scenario([], [], {"ana"}, 0, {"ghost-1"}, True))
@given(scenario=STORIES)
def test_it_finds_what_differs_and_repairs_it(
    scenario: Scenario, empty_ledger: EmptyLedger
) -> None:
    check(scenario, empty_ledger())


@postgresql_only
@examples(6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scenario=STORIES)
def test_it_does_so_with_a_ledger_on_a_server(
    scenario: Scenario, empty_ledger: EmptyLedger
) -> None:
    check(scenario, empty_ledger())


def check(scenario: Scenario, url: str) -> None:
    """Compare, repair and sync, and check each against the model."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Simulator(World(unknown=lambda text: text.startswith("ghost-"))) as simulator,
        open_ledger(url) as ledger,
    ):
        workspace = Workspace(simulator, ledger, Path(folder))
        nameless = prepare(workspace, scenario)
        against = (
            workspace.write_member_list(*scenario.listed) if scenario.listed is not None else None
        )
        wanted = wanted_after(scenario)

        found = asyncio.run(workspace.compare(against=against))
        people = ledger.read(differences, DifferenceFilter(found.id))
        missing = {person.id for person in people if person.kind is DifferenceKind.MISSING}
        extra = {
            person.id
            for person in people
            if person.kind in {DifferenceKind.LEFT, DifferenceKind.STRANGER}
        }
        assert (missing, extra) == (wanted - scenario.cohort, scenario.cohort - wanted)
        assert (found.in_cohort, found.cohort_no_id) == (
            len(scenario.cohort) + scenario.nameless,
            scenario.nameless,
        )
        assert (found.in_both, found.in_audience) == (len(wanted & scenario.cohort), len(wanted))
        assert (found.missing, found.extra) == (len(missing), len(extra))
        for name, is_in in ledger.read(delivered).items():
            assert is_in == (name in scenario.cohort)

        done = asyncio.run(workspace.apply(found, replace=scenario.replace))
        if done.plan.replace and wanted.isdisjoint({*KNOWN, "founder"}):
            # Amplitude refuses an upload in which it knows no one, and the note says what to do.
            assert workspace.cohort() - nameless == scenario.cohort
            assert done.after is None
            done = asyncio.run(workspace.apply(found))
        kept = set[str]() if done.plan.replace else nameless
        assert workspace.cohort() - kept == {name for name in wanted if name in {*KNOWN, "founder"}}
        ghosts = wanted - {*KNOWN, "founder"}
        assert done.after is not None
        assert (done.after.missing, done.after.extra) == (len(ghosts), 0)
        before = len(simulator.requests)
        asyncio.run(workspace.sync())
        assert len(simulator.requests) == before
