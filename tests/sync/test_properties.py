"""Whatever arrives and whatever breaks, the cohort ends as a plain model says."""

import asyncio
import enum
from pathlib import Path
from typing import NamedTuple

from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from amp_console.ledger import deliveries, open_ledger
from amp_console.ledger.rejected import retry_rejected
from amp_console.ledger.runs import RunStatus
from amp_console.simulator import (
    Answer,
    Behavior,
    Call,
    Cut,
    Known,
    RefuseIds,
    Reset,
    Rule,
    Simulator,
    TooLarge,
    World,
)
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.queries.status import Status, audience_summary
from amp_console.values import IdType, Operation
from tests.examples import examples
from tests.ledgers import EmptyLedger, postgresql_only
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
ROUNDS = st.lists(st.tuples(Events, Faults), min_size=1, max_size=4)


def check_numbers(workspace: Workspace, strangers: int) -> None:
    """The cohort's members by the ledger are those of the plan and of Amplitude."""
    found = workspace.ledger.read(audience_summary, workspace.connection, workspace.audience().id)
    plan = workspace.plan().audiences[0]
    assert found.held is not None
    assert not plan.remove or plan.in_cohort == found.held.at_most
    size = len(workspace.cohort())
    assert found.held.delivered <= size - strangers <= found.held.at_most
    states = {state.status for state in found.states(size - strangers)}
    assert Status.SIZE_DIFFERS not in states


Rounds = list[tuple[list[tuple[str, bool, int]], list[Rule]]]
HISTORIES = given(rounds=ROUNDS, is_existing=st.booleans(), batch=st.integers(1, 5))


@examples(20, suppress_health_check=[*HealthCheck])
@HISTORIES
def test_the_cohort_ends_as_the_events_say(
    rounds: Rounds, is_existing: bool, batch: int, empty_ledger: EmptyLedger, tmp_path: Path
) -> None:
    check_history(rounds, is_existing, batch, empty_ledger(), tmp_path)


@postgresql_only
@examples(6, suppress_health_check=[*HealthCheck])
@HISTORIES
def test_the_cohort_ends_as_the_events_say_with_a_ledger_on_a_server(
    rounds: Rounds, is_existing: bool, batch: int, empty_ledger: EmptyLedger, tmp_path: Path
) -> None:
    check_history(rounds, is_existing, batch, empty_ledger(), tmp_path)


def check_history(rounds: Rounds, is_existing: bool, batch: int, url: str, folder: Path) -> None:
    """Sync after each round of events, in its trouble, and compare the end with the events."""
    poison = Rule(RefuseIds(frozenset({"poison"})), calls=frozenset({Call.MEMBERSHIP, Call.UPLOAD}))
    newest: dict[str, tuple[tuple[int, int, int], bool]] = {}
    world = World()
    world.add_user("seed")
    with (
        Simulator(world, behavior=Behavior(numeric_skipped_ids=True)) as simulator,
        open_ledger(url) as ledger,
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


AMPLITUDE_IDS = {"founder": 100, "u1": 101, "u2": 102, "u3": 103, "poison": 104, "ghost": 105}
POISON = Rule(
    RefuseIds(frozenset({"poison", str(AMPLITUDE_IDS["poison"])})),
    calls=frozenset({Call.MEMBERSHIP, Call.UPLOAD}),
)


class Act(enum.Enum):
    """What is done after some events."""

    SYNC = enum.auto()
    REPLACE = enum.auto()  # compare, and replace the cohort's content
    CRASH = enum.auto()  # a process dies before it sends a request


class Turn(NamedTuple):
    """Users who enter or leave, perhaps by another ID type from now on, and the next actions."""

    flips: set[str]
    is_switched: bool
    act: Act
    rules: list[Rule]


TROUBLE = st.builds(
    Rule,
    st.one_of(
        st.sampled_from(
            [Answer(403), Answer(500), Reset(applied=False), Reset(applied=True), Cut()]
        ),
        st.builds(
            lambda users: RefuseIds(frozenset({*users, *(str(AMPLITUDE_IDS[u]) for u in users)})),
            st.sets(st.sampled_from(["u1", "u2"]), min_size=1),
        ),
    ),
    every=st.integers(1, 3),
    times=st.integers(1, 4),
    calls=st.sampled_from([frozenset({Call.UPLOAD}), frozenset({Call.MEMBERSHIP})]),
)
TURNS = st.lists(
    st.builds(
        Turn,
        st.sets(st.sampled_from(sorted(AMPLITUDE_IDS.keys() - {"founder"}))),
        st.booleans(),
        st.sampled_from(Act),
        st.lists(TROUBLE, max_size=2),
    ),
    min_size=2,
    max_size=6,
)


class Switching:
    """An audience whose events have both identifiers, beside the model of who is wanted."""

    def __init__(self, workspace: Workspace) -> None:
        self.wanted = {"founder"}
        self.workspace = workspace
        self._at = 0

    def enter(self) -> None:
        self.workspace.map_amplitude_ids()
        self._read({"founder"})
        asyncio.run(self.workspace.sync())

    def take(self, turn: Turn) -> None:
        workspace = self.workspace
        self.wanted ^= turn.flips
        self._read(turn.flips)
        if turn.is_switched:
            workspace.change(SettingsChange(id_type=workspace.audience().id_type.other))
        workspace.set_faults(POISON, *turn.rules)
        match turn.act:
            case Act.SYNC:
                asyncio.run(workspace.sync())
            case Act.CRASH:
                self._crash()
            case Act.REPLACE:
                self._replace()

    def _read(self, users: set[str]) -> None:
        self._at += 1
        self.workspace.read(
            event(user, user in self.wanted, self._at, traits={"amplitude_id": AMPLITUDE_IDS[user]})
            for user in sorted(users)
        )

    def _crash(self) -> None:
        known = self.workspace.audience()
        for id_type in IdType:
            for operation in Operation:
                self.workspace.ledger.write(
                    deliveries.open_batch, 99, known.id, id_type, operation, 1, self._at
                )

    def _replace(self) -> None:
        report = asyncio.run(self.workspace.compare_report())
        for found in report.comparisons.values():
            asyncio.run(self.workspace.apply_report(found, replace=True, verify=False))


HISTORIES_OF_SWITCHES = given(turns=TURNS, batch=st.integers(1, 3))
REFUSED_REMOVAL = example(  # a user whose removal is refused is added by the other identifier
    turns=[
        Turn({"ghost", "poison", "u1"}, False, Act.SYNC, []),
        Turn(
            set(),
            True,
            Act.SYNC,
            [
                Rule(
                    RefuseIds(frozenset({"101", "u1"}), named=False),
                    times=2,
                    calls=frozenset({Call.MEMBERSHIP}),
                )
            ],
        ),
    ],
    batch=1,
)


@examples(15, suppress_health_check=[*HealthCheck])
@example(
    turns=[
        Turn({"u1", "ghost"}, False, Act.CRASH, []),
        Turn(
            set(),
            False,
            Act.REPLACE,
            [Rule(RefuseIds(frozenset({"u1"})), times=2, calls=frozenset({Call.MEMBERSHIP}))],
        ),
    ],
    batch=1,
)
@example(  # the first user for a control request is one that Amplitude refuses
    turns=[
        Turn({"ghost", "poison"}, False, Act.SYNC, []),
        Turn({"ghost", "u1"}, False, Act.REPLACE, []),
        Turn(set(), False, Act.CRASH, []),
        Turn(set(), True, Act.SYNC, []),
        Turn({"ghost", "poison"}, False, Act.SYNC, []),
    ],
    batch=1,
)
@REFUSED_REMOVAL
@HISTORIES_OF_SWITCHES
def test_the_cohort_ends_right_whatever_id_type_is_used_and_however_it_is_replaced(
    turns: list[Turn], batch: int, empty_ledger: EmptyLedger, tmp_path: Path
) -> None:
    check_switches(turns, batch, empty_ledger(), tmp_path)


@postgresql_only
@examples(5, suppress_health_check=[*HealthCheck])
@REFUSED_REMOVAL
@HISTORIES_OF_SWITCHES
def test_the_cohort_ends_right_whatever_id_type_is_used_with_a_ledger_on_a_server(
    turns: list[Turn], batch: int, empty_ledger: EmptyLedger, tmp_path: Path
) -> None:
    check_switches(turns, batch, empty_ledger(), tmp_path)


def check_switches(turns: list[Turn], batch: int, url: str, folder: Path) -> None:
    """Take all turns, then sync without trouble, and compare the cohort with the model."""
    world = World(Known.REGISTERED)
    for user, amplitude_id in AMPLITUDE_IDS.items():
        if user != "ghost":
            world.add_user(user, amplitude_id)
    with Simulator(world) as simulator, open_ledger(url) as ledger:
        workspace = Workspace(simulator, ledger, folder)
        workspace.limit(first_batch=batch, largest_batch=batch, tries=3, quiet_time=0)
        switching = Switching(workspace)
        switching.enter()
        for turn in turns:
            switching.take(turn)
            check_numbers(workspace, strangers=0)
        workspace.set_faults(POISON)
        ledger.write(retry_rejected)
        report = asyncio.run(workspace.sync())
        assert report.audiences[0].left.pending == 0, report.audiences[0].note
        assert workspace.cohort() == switching.wanted - {"poison", "ghost"}
