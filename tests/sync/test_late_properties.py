"""Late, lost, refused and empty answers in any order: the cohort ends as a plain model says.

The model is the set of users who are wanted; what Amplitude applied is what the simulator did.
After each step, every user who is wrongly in or out is listed as pending, rejected or not yet
certain.
"""

import asyncio
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from amp_console.ledger import Db, deliveries, late_effects, open_ledger
from amp_console.ledger.rejected import retry_rejected
from amp_console.simulator import (
    Answer,
    Body,
    Call,
    Cut,
    Late,
    RefuseIds,
    Reset,
    Rule,
    Simulator,
    World,
)
from amp_console.values import IdType, Operation
from tests.examples import examples
from tests.ledgers import EmptyLedger, postgresql_only
from tests.sync.workspace import Clock, Workspace, event

QUIET = 600.0
UNDELIVERABLE = {"ghost-1", "poison"}
USERS = ["u1", "u2", "u3", *sorted(UNDELIVERABLE)]
POISON = Rule(RefuseIds(frozenset({"poison"})), calls=frozenset({Call.MEMBERSHIP}))
ODD = [
    "{}",
    '{"success":false}',
    '{"error":{"message":"Try later"}}',
    '{"cohort_id":"zzzz9999","memberships_result":[{"skipped_ids":[],"operation":"$operation"}]}',
    '{"cohort_id":"$cohort_id","memberships_result":null}',
    '{"cohort_id":"$cohort_id","memberships_result":[{"skipped_ids":[" u1"],"operation":"ADD"}]}',
]


class Flip(NamedTuple):
    """These users enter if they are out, and leave if they are in."""

    users: set[str]


class Run(NamedTuple):
    """A sync with trouble."""

    rules: list[Rule]


class Kill(NamedTuple):
    """A process that dies with a request on its way: applied at once, later, or never."""

    operation: Operation
    applied: bool | None


class Wait(NamedTuple):
    """Time passes; what is late takes effect before the quiet time is over."""

    seconds: float


class Land(NamedTuple):
    """Late requests take effect."""


Step = Flip | Run | Kill | Wait | Land

LATE = [Late(status, after) for status in (504, 0) for after in (None, None, 0, 1, 2)]
OTHER = [
    Reset(applied=True),
    Reset(),
    Cut(),
    *(Answer(status, html=html) for status in (400, 500) for html in (True, False)),
    *(Body(text, applied=applied) for text in ODD for applied in (True, False)),
]
RULES = st.builds(
    Rule,
    st.booleans().flatmap(lambda is_late: st.sampled_from(LATE if is_late else OTHER)),
    calls=st.just(frozenset({Call.MEMBERSHIP})),
    times=st.integers(1, 3),
)
THEN = [
    Land(),
    Wait(1.0),
    Wait(QUIET + 1),
    Run([]),
    *(Kill(operation, applied) for operation in Operation for applied in (True, False, None)),
]
ROUNDS = st.lists(
    st.tuples(
        st.builds(Flip, st.sets(st.sampled_from(USERS), min_size=1)),
        st.builds(Run, st.lists(RULES, max_size=2)),
        st.sampled_from(THEN),
    ),
    min_size=3,
    max_size=6,
)


class History:
    """One audience through a history, beside the model of who is wanted."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        self.workspace = workspace
        self.clock = clock
        self.wanted = {"founder"}
        self._flips = 0

    def take(self, step: Step) -> None:
        workspace = self.workspace
        match step:
            case Flip(users):
                self._flips += 1
                self.wanted ^= users
                workspace.read(
                    event(user, user in self.wanted, self._flips) for user in sorted(users)
                )
            case Run(rules):
                workspace.set_faults(POISON, *rules)
                asyncio.run(workspace.sync())
            case Kill(operation, applied):
                self._kill(operation, applied)
            case Wait(seconds):
                if seconds >= QUIET:
                    workspace.simulator.faults.release()
                self.clock.advance(seconds)
            case Land():
                workspace.simulator.faults.release()

    def _kill(self, operation: Operation, applied: bool | None) -> None:
        workspace, audience = self.workspace, self.workspace.audience()
        batch = workspace.ledger.write(
            deliveries.open_batch, 99, audience.id, IdType.USER_ID, operation, 2, self.clock()
        )
        if batch is None or POISON.concerns(Call.MEMBERSHIP, batch.identifiers()):
            return
        world, cohort_id = workspace.simulator.world, audience.cohort_id
        assert cohort_id is not None
        found = world.resolve(batch.identifiers(), IdType.USER_ID).found

        def work() -> None:
            world.change(cohort_id, operation, found)

        if applied:
            work()
        elif applied is None:
            workspace.simulator.faults.hold(Late(), cohort_id, work)

    def listed(self) -> set[str]:
        """Who is pending, rejected or not yet certain."""
        return self.workspace.ledger.read(_listed, self.workspace.audience().id)

    def wrong(self) -> set[str]:
        """Who is in the cohort and should not be, or the other way round."""
        return self.workspace.cohort() ^ self.wanted


def _listed(db: Db, audience_id: int) -> set[str]:
    rows = db.execute(
        "SELECT member.id, rejection_id IS NOT NULL OR wanted IS NOT delivered "
        "OR request.state = 'open' FROM member LEFT JOIN request ON request.id = request_id "
        "WHERE member.audience_id = ?",
        (audience_id,),
    ).fetchall()
    return {
        id_
        for id_, is_open in rows
        if is_open or late_effects.uncertain_until(db, audience_id, IdType.USER_ID, id_) is not None
    }


@pytest.fixture(scope="module")
def amplitude() -> Iterator[Simulator]:
    with Simulator(World(unknown=lambda text: text.startswith("ghost-"))) as simulator:
        yield simulator


Rounds = list[tuple[Step, Step, Step]]
HISTORIES = given(rounds=ROUNDS, batch=st.integers(1, 3))


@examples(15, suppress_health_check=[*HealthCheck])
@HISTORIES
def test_the_cohort_ends_right_and_in_between_every_doubt_is_listed(
    rounds: Rounds, batch: int, amplitude: Simulator, empty_ledger: EmptyLedger, tmp_path: Path
) -> None:
    check_history(rounds, batch, amplitude, empty_ledger(), tmp_path)


@postgresql_only
@examples(5, suppress_health_check=[*HealthCheck])
@HISTORIES
def test_every_doubt_is_listed_in_a_ledger_on_a_server(
    rounds: Rounds, batch: int, amplitude: Simulator, empty_ledger: EmptyLedger, tmp_path: Path
) -> None:
    check_history(rounds, batch, amplitude, empty_ledger(), tmp_path)


def check_history(rounds: Rounds, batch: int, amplitude: Simulator, url: str, folder: Path) -> None:
    """Check the lists after each step; then let all be retried and certain, and check the end."""
    amplitude.faults.release()
    amplitude.faults.clear()
    with open_ledger(url) as ledger:
        clock = Clock()
        workspace = Workspace(amplitude, ledger, folder)
        workspace.timing = dataclasses.replace(workspace.timing, now=clock)
        workspace.limit(first_batch=batch, largest_batch=batch, tries=3, quiet_time=QUIET)
        workspace.enter("founder")
        asyncio.run(workspace.sync())
        history = History(workspace, clock)
        for step in (step for steps in rounds for step in steps):
            history.take(step)
            assert history.wrong() <= history.listed()

        history.take(Wait(QUIET + 1))
        history.take(Run([]))
        assert history.wrong() <= history.listed()
        ledger.write(retry_rejected)
        for _ in range(3):  # the last ones were given up in the run before
            history.take(Wait(QUIET + 1))
            history.take(Run([]))
        assert history.wrong() <= UNDELIVERABLE
        assert history.listed() <= UNDELIVERABLE
