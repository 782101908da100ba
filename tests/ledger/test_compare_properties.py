"""Comparing against a plain model: whatever the ledger knows, whatever the export contains."""

from collections.abc import Mapping
from itertools import islice
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from amp_console.ledger import Db, Ledger, open_ledger
from amp_console.ledger.audiences import link_existing
from amp_console.ledger.compare import ComparisonSpec
from amp_console.ledger.comparisons import (
    DifferenceFilter,
    DifferenceKind,
    PriorState,
    differences,
)
from amp_console.values import MAX_IDENTIFIER_BYTES
from tests.examples import examples
from tests.ledger.exports import compared
from tests.ledger.helpers import start
from tests.ledgers import EmptyLedger, postgresql_only, temporary_tables

HOSTILE = (
    *("u1", "U1", " u1", "01", "1", "\t", "a\tb", "a\nb", "\n", "a\r", "\\", "\\N", "\\.", "a\\nb"),
    *(
        '"',
        '","',
        '":"',
        "'",
        "''",
        "é",
        "e\u0301",
        "日本",
        "😀",
        "\x1f",
        "\x7f",
        "[]",
        "{}",
        "null",
    ),
    *("a" * MAX_IDENTIFIER_BYTES, "é" * (MAX_IDENTIFIER_BYTES // 2)),
)
UNSTORABLE = ("a\0b", "a" * (MAX_IDENTIFIER_BYTES + 1))


class State(NamedTuple):
    """What the ledger knows of a member."""

    wanted: int
    delivered: int | None
    is_rejected: bool

    @property
    def prior(self) -> PriorState:
        if self.is_rejected:
            return PriorState.REJECTED
        return PriorState.DELIVERED if self.wanted == self.delivered else PriorState.PENDING


class Case(NamedTuple):
    """Members, how many rows they are apart, and User IDs by Amplitude ID.

    The export contains the users once and then, in another part, the first ones `again`.
    """

    members: dict[str, State]
    gap: int
    users: dict[str, str]
    again: int

    @property
    def parts(self) -> list[dict[str, str]]:
        return [self.users, dict(islice(self.users.items(), self.again))]


STATES = st.builds(
    State, st.integers(0, 1), st.none() | st.integers(0, 1), st.integers(0, 3).map(lambda n: n == 0)
)
IDS = st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=["Cs"]), min_size=1).map(
    lambda text: text.replace("\0", "0")
)
USERS = st.dictionaries(
    st.integers(1, 30).map(str), st.just("") | st.sampled_from(UNSTORABLE) | IDS, max_size=20
)
CASES = st.builds(
    Case,
    st.dictionaries(IDS, STATES, max_size=20),
    st.sampled_from([1, 1_000]),
    USERS,
    st.integers(0, 3),
)


@examples(100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(case=Case({"u1": State(0, None, True), "a\tb": State(1, None, False)}, 1, {}, 0))
@given(case=CASES)
def test_it_finds_what_differs(case: Case, empty_ledger: EmptyLedger) -> None:
    check(case, empty_ledger())


@postgresql_only
@examples(25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(case=Case({"u1": State(0, None, True), "a\tb": State(1, None, False)}, 1, {}, 0))
@given(case=CASES)
def test_it_does_so_on_a_server(case: Case, empty_ledger: EmptyLedger) -> None:
    check(case, empty_ledger())


def check(case: Case, url: str) -> None:
    """Compare, and check what is found and what the ledger knows then against the model."""
    with open_ledger(url) as ledger:
        known = start(ledger)
        ledger.write(link_existing, known.id, "cohort1")
        ledger.write(add_members, known.id, case.members, case.gap)
        made = compared(ledger, ComparisonSpec(1, known.id, 1), *case.parts)
        recorded = {
            (item.kind, item.id): item.prior_state
            for item in ledger.read(differences, DifferenceFilter(made.id))
        }
        assert ledger.read(states) == states_after(case)
        assert ledger.stage(temporary_tables) == []
    assert recorded == expected(case)
    found, wanted = found_in(case), {id_ for id_, state in case.members.items() if state.wanted}
    assert (made.in_cohort, made.in_both) == (len(case.users), len(wanted & found))
    assert (made.in_audience, made.cohort_no_id) == (len(wanted), len(without_id(case)))
    assert (made.missing, made.extra) == (len(wanted - found), len(found - wanted))
    assert made.strangers == len(found - set(case.members))


def found_in(case: Case) -> set[str]:
    """Model: the User IDs in the export that a ledger can store."""
    return set(case.users.values()) - {"", *UNSTORABLE}


def without_id(case: Case) -> set[str]:
    """Model: the Amplitude IDs of users without such a User ID."""
    return {id_ for id_, user in case.users.items() if user in {"", *UNSTORABLE}}


def expected(case: Case) -> dict[tuple[DifferenceKind, str], PriorState]:
    """Model: who differs."""
    found = found_in(case)
    result = {
        (DifferenceKind.MISSING if state.wanted else DifferenceKind.LEFT, id_): state.prior
        for id_, state in case.members.items()
        if bool(state.wanted) != (id_ in found)
    }
    for stranger in found - set(case.members):
        result[DifferenceKind.STRANGER, stranger] = PriorState.NOTHING
    for amplitude_id in without_id(case):
        result[DifferenceKind.NO_ID_IN_COHORT, amplitude_id] = PriorState.NOTHING
    return result


def states_after(case: Case) -> dict[str, State]:
    """Model: `delivered` is what was found; who turns out to be as wanted is not rejected."""
    result = {}
    for id_, state in case.members.items():
        now = int(id_ in found_in(case))
        is_settled = now == state.wanted and now != state.delivered
        result[id_] = State(state.wanted, now, state.is_rejected and not is_settled)
    return result


def add_members(db: Db, audience_id: int, members: Mapping[str, State], gap: int) -> None:
    """Add members that are so many rows apart."""
    db.executemany(
        "INSERT INTO member (n, audience_id, id_type, id, is_member, wanted, event_at, source_id, "
        "line, delivered, rejection_id) VALUES (?, ?, 1, ?, ?, ?, 1, 1, ?, ?, ?)",
        [
            (n * gap, audience_id, id_, wanted, wanted, n, delivered, 1 if is_rejected else None)
            for n, (id_, (wanted, delivered, is_rejected)) in enumerate(members.items(), 1)
        ],
    )


def states(db: Db) -> dict[str, State]:
    """What the ledger knows of the members."""
    rows = db.execute("SELECT id, wanted, delivered, rejection_id IS NOT NULL FROM member")
    return {id_: State(wanted, now, bool(rejected)) for id_, wanted, now, rejected in rows}


@pytest.mark.both_engines
def test_members_are_read_to_the_last_one(ledger: Ledger) -> None:
    """They are read 100,000 rows at once."""
    known = start(ledger)
    ledger.write(link_existing, known.id, "cohort1")
    members = {f"u{n}": State(1, 1, False) for n in range(1, 10_001)}
    ledger.write(add_members, known.id, members, 15)
    made = compared(
        ledger, ComparisonSpec(1, known.id, 1), {"1": "u1", "2": "u6667", "3": "u10000"}
    )
    assert (made.in_both, made.missing, made.missing_drifted) == (3, 9_997, 9_997)
