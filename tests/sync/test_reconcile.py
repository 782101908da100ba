"""Reconciling against the simulated Amplitude: drift is found to the person, and put right."""

import gzip
from pathlib import Path

import msgspec
import pytest

from amp_console.ledger.comparisons import (
    Comparison,
    Difference,
    DifferenceFilter,
    DifferenceKind,
    PriorState,
    comparisons_in,
    count_differences,
    differences,
)
from amp_console.ledger.reconciling import RepairChoice
from amp_console.ledger.runs import RunKind, RunStatus, all_runs
from amp_console.simulator import Answer, Behaviour, Call, Rule
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.queries.person import PersonVerdict, explain_person
from amp_console.sync.read_only import ReadOnly
from amp_console.sync.reconcile.member_list import IncompleteList, read_listing
from amp_console.sync.reconcile.plan import plan_reconcile
from amp_console.values import IdType, Operation
from tests.sync.office import BOTH, Office, event

pytestmark = pytest.mark.anyio

USERS = [f"u{n:02}" for n in range(20)]


def who(office: Office, of: Comparison, *kinds: DifferenceKind) -> dict[str, PriorState]:
    """Who differs, and what the ledger knew of them."""
    found = office.ledger.read(differences, DifferenceFilter(of.id, kinds or tuple(DifferenceKind)))
    return {item.id: item.knew for item in found}


async def test_what_is_equal_is_told_to_be(office: Office) -> None:
    office.enter(*USERS)
    await office.sync()
    found = await office.compare()
    assert (found.in_audience, found.in_cohort, found.in_both) == (20, 20, 20)
    assert found.is_equal
    assert who(office, found) == {}
    run = office.ledger.read(all_runs)[0]
    assert (run.kind, run.status) == (RunKind.COMPARE, RunStatus.DELIVERED)


async def test_every_kind_of_drift_is_found_and_put_right(office: Office) -> None:
    """The whole of it: behind our back, left-overs, and what Amplitude does not know."""
    office.enter(*USERS, "ghost-1", "Caps", "0042", "gone", at=0)
    office.leave("gone", at=1)
    await office.sync()
    assert [item.id for item in office.rejected()] == ["ghost-1"]
    office.take_out("u00", "u01", "Caps", "0042")
    office.put_in("stranger", "caps", "42", "gone")
    nameless = office.simulator.world.add_user(None)
    cohort_id = office.audience().cohort_id
    assert cohort_id is not None
    office.simulator.world.change(cohort_id, Operation.ADD, {nameless})
    office.enter("new", at=2)
    office.leave("u02", at=2)
    found = await office.compare()
    assert who(office, found, DifferenceKind.MISSING) == {
        "u00": PriorState.DELIVERED,
        "u01": PriorState.DELIVERED,
        "Caps": PriorState.DELIVERED,
        "0042": PriorState.DELIVERED,
        "ghost-1": PriorState.REJECTED,
        "new": PriorState.PENDING,
    }
    assert who(office, found, DifferenceKind.LEFT) == {
        "gone": PriorState.DELIVERED,
        "u02": PriorState.PENDING,
    }
    assert set(who(office, found, DifferenceKind.STRANGER)) == {"stranger", "caps", "42"}
    assert set(who(office, found, DifferenceKind.NO_ID_IN_COHORT)) == {str(nameless)}
    assert (found.in_audience, found.in_cohort, found.in_both) == (23, 23, 17)
    assert (found.missing, found.missing_drifted, found.missing_rejected) == (6, 4, 1)
    assert (found.has_left, found.strangers, found.not_comparable) == (2, 3, 1)
    alike = office.ledger.read(differences, DifferenceFilter(found.id))
    assert {item.id: item.resembles for item in alike if item.resembles} == {
        "Caps": "caps",
        "caps": "Caps",
        "0042": "42",
        "42": "0042",
    }

    done = await office.apply(found)
    assert office.cohort() == {*USERS, "Caps", "0042", "new", str(nameless)} - {"u02"}
    assert done.after is not None
    assert (done.after.missing, done.after.extra) == (1, 0)
    assert who(office, done.after) == {
        "ghost-1": PriorState.REJECTED,
        str(nameless): PriorState.NOTHING,
    }
    assert (done.counts.added, done.counts.removed, done.counts.rejected) == (5, 5, 1)
    assert (done.pending, done.verified) == (0, False)
    assert [item.id for item in office.rejected()] == ["ghost-1"]
    run = office.ledger.read(all_runs)[0]
    assert (run.kind, run.status, run.added) == (RunKind.RECONCILE, RunStatus.PARTIAL, 5)
    assert office.ledger.read(comparisons_in, run.id) == [done.after]


async def test_a_comparison_alone_sends_nothing_and_the_next_sync_is_right(office: Office) -> None:
    office.enter(*USERS, "gone")
    office.leave("gone")
    await office.sync()
    office.take_out("u00")
    office.put_in("gone", "stranger")
    before = office.cohort()
    await office.compare()
    assert office.cohort() == before
    report = await office.sync()
    assert (report.audiences[0].counts.added, report.audiences[0].counts.removed) == (1, 1)
    assert office.cohort() == {*USERS, "stranger"}


@pytest.mark.parametrize(
    ("choice", "cohort"),
    [
        (RepairChoice(add=True, remove=False), {*USERS, "stranger", "gone"}),
        (RepairChoice(add=False, remove=True), {*USERS} - {"u00", "u01"}),
        (
            RepairChoice(
                add=True,
                remove=True,
                only=frozenset(
                    {(DifferenceKind.MISSING, 1, "u01"), (DifferenceKind.STRANGER, 1, "stranger")}
                ),
            ),
            {*USERS, "gone"} - {"u00"},
        ),
    ],
)
async def test_only_what_is_chosen_is_put_right(
    office: Office, choice: RepairChoice, cohort: set[str]
) -> None:
    office.enter(*USERS, "gone")
    office.leave("gone")
    await office.sync()
    office.take_out("u00", "u01")
    office.put_in("gone", "stranger")
    done = await office.apply(await office.compare(), choice)
    assert office.cohort() == cohort
    assert not done.is_equal


async def test_a_list_outweighs_what_the_ledger_wants(office: Office) -> None:
    office.enter(*USERS, "older")
    await office.sync()
    listed = office.listed("u00", "u01", "brand-new", "older")
    found = await office.compare(against=listed)
    assert set(who(office, found, DifferenceKind.MISSING)) == {"brand-new"}
    assert set(who(office, found, DifferenceKind.LEFT)) == set(USERS) - {"u00", "u01"}
    assert office.plan().audiences[0].is_idle
    done = await office.apply(found)
    assert done.verified
    assert office.cohort() == {"u00", "u01", "brand-new", "older"}
    assert office.plan().audiences[0].is_idle


async def test_events_that_are_newer_than_a_list_outweigh_it(office: Office) -> None:
    office.enter(*USERS)
    await office.sync()
    listed = office.listed("u00", at=1)
    office.enter(*USERS[1:], at=2)
    found = await office.compare(against=listed)
    assert found.is_equal


async def test_people_in_by_their_former_identifier_are_found_by_it(office: Office) -> None:
    office.map_amplitude_ids()
    world = office.simulator.world
    pairs = {name: world.add_user(name) for name in ("ana", "ben")}
    nameless = world.add_user(None)
    office.read(
        [
            *(event(name, True, traits={"amplitude_id": n}) for name, n in pairs.items()),
            event(None, True, traits={"amplitude_id": nameless}),
        ]
    )
    office.change(SettingsChange(id_type=IdType.AMPLITUDE_ID))
    await office.sync()
    assert office.cohort() == {"ana", "ben", str(nameless)}
    office.change(SettingsChange(id_type=IdType.USER_ID))
    found = await office.compare()
    assert (found.missing, found.in_both, found.strangers) == (0, 2, 0)
    assert who(office, found, DifferenceKind.LEFT) == {str(nameless): PriorState.PENDING}
    done = await office.apply(found)
    assert office.cohort() == {"ana", "ben"}
    assert done.verified
    assert office.plan().audiences[0].is_idle


@pytest.mark.parametrize("ghosts", [(), ("ghost-1",)])
async def test_a_small_cohort_can_be_replaced_in_one_request(
    office: Office, ghosts: tuple[str, ...]
) -> None:
    office.enter(*USERS, *ghosts)
    await office.sync()
    office.take_out("u00", "u01")
    office.put_in("stranger")
    found = await office.compare()
    before = len(office.simulator.requests)
    done = await office.apply(found, replace=True)
    assert done.plan.replace
    assert office.cohort() == set(USERS)
    calls = [seen.call for seen in office.simulator.requests[before:]]
    assert calls.count(Call.UPLOAD) == 1
    assert calls.count(Call.MEMBERSHIP) == (1 if ghosts else 0)
    assert done.verified is not bool(ghosts)
    assert (done.counts.added, done.counts.removed) == (2, 1)
    assert done.size is not None
    assert done.size.agrees
    assert [item.id for item in office.rejected()] == list(ghosts)


async def test_sizes_that_disagree_are_told_without_a_download(office: Office) -> None:
    office.enter(*USERS)
    await office.sync()
    office.take_out("u00")
    found = await office.compare()
    office.put_in("stranger")
    done = await office.apply(found, verify=False)
    assert done.size is not None
    assert (done.size.expected, done.size.found) == (20, 21)
    assert done.verified is False
    assert not done.is_equal


async def test_without_a_second_look_nothing_is_proven(office: Office) -> None:
    office.enter(*USERS)
    await office.sync()
    office.take_out("u00")
    done = await office.apply(await office.compare(), verify=False)
    assert (done.verified, done.is_equal) == (None, True)


async def test_large_files_come_by_a_link_and_with_tabs(office: Office) -> None:
    office.simulator.behaviour = Behaviour(redirect_above=3, tabbed_cells=True)
    office.enter(*USERS)
    await office.sync()
    office.put_in("stranger")
    assert (await office.compare()).strangers == 1


async def test_more_than_would_stay_is_asked_for_whatever_share_is_allowed(office: Office) -> None:
    office.limit(largest_removal=1.0)
    office.enter(*USERS)
    await office.sync()
    office.put_in("stranger")
    plan = office.ledger.write(plan_reconcile, office.connection, await office.compare(), BOTH)

    def removes(count: int, without_id: int = 0, *, replaces: bool = False) -> bool:
        of = msgspec.structs.replace(plan.comparison, in_cohort=10, cohort_no_id=without_id)
        changed = msgspec.structs.replace(plan, comparison=of, remove=count, replace=replaces)
        return changed.is_large_removal and changed.concern is not None

    assert (removes(5), removes(6)) == (False, True)
    assert (removes(4, 2), removes(4, 2, replaces=True)) == (False, True), "they go, too"


async def test_a_read_only_connection_compares_and_applies_nothing(office: Office) -> None:
    office.enter(*USERS)
    await office.sync()
    office.take_out("u00")
    office.connection = msgspec.structs.replace(office.connection, read_only=True)
    found = await office.compare()
    with pytest.raises(ReadOnly):
        await office.apply(found)
    assert "u00" not in office.cohort()


async def test_differences_are_found_page_by_page(office: Office) -> None:
    office.enter(*USERS)
    await office.sync()
    office.take_out(*USERS[:7])
    found = await office.compare()
    wish = DifferenceFilter(found.id, (DifferenceKind.MISSING,))
    assert office.ledger.read(count_differences, wish) == 7
    page = office.ledger.read(differences, wish, 5, 5)
    assert [item.id for item in page] == USERS[5:7]
    some = DifferenceFilter(found.id, (DifferenceKind.MISSING,), "U03")
    assert [difference.id for difference in office.ledger.read(differences, some)] == ["u03"]
    assert isinstance(page[0], Difference)


async def test_a_stranger_who_is_to_be_taken_out_is_told_of(office: Office) -> None:
    office.enter(*USERS)
    await office.sync()
    office.put_in("stranger")
    found = await office.compare()
    office.trouble(Rule(Answer(503), frozenset({Call.MEMBERSHIP})))
    await office.apply_report(found)
    (answer,) = office.ledger.read(explain_person, "stranger")
    assert answer.verdict is PersonVerdict.LEAVES
    assert "in the cohort, and in no event: nobody of that name" in answer.sentence
    office.trouble()
    await office.sync()
    (answer,) = office.ledger.read(explain_person, "stranger")
    assert "or were found in it and taken out" in answer.sentence


async def test_what_list_and_cohort_agree_on_the_ledger_follows_once_applied(
    office: Office,
) -> None:
    office.enter(*USERS)
    await office.sync()
    office.take_out("u00")
    office.put_in("brand-new")
    found = await office.compare(against=office.listed(*USERS[1:], "brand-new"))
    assert found.is_equal
    assert found.disagreeing == 2
    assert not office.plan().audiences[0].is_idle
    await office.apply(found)
    assert office.plan().audiences[0].is_idle
    assert office.cohort() == {*USERS[1:], "brand-new"}


INCOMPLETE_LISTS = {
    "a row without its identifier": b"user_id,city\nu00,Graz\n,Linz\n",
    "an identifier that is not UTF-8": b"u00\nu\xff1\n",
    "a ragged row": b"user_id,city\nu00,Graz\nu01\n",
    "an unclosed quote": b'user_id,city\nu00,Graz\nu01,"Linz\n',
    "a gzip file that ends early": gzip.compress(b"user_id\n" + b"u00\nu01\n" * 99)[:-9],
}


@pytest.mark.parametrize("content", INCOMPLETE_LISTS.values(), ids=INCOMPLETE_LISTS)
def test_an_incomplete_list_is_compared_with_only_where_the_operator_insists(
    office: Office, tmp_path: Path, content: bytes
) -> None:
    office.enter(*USERS)
    path = tmp_path / "list.csv"
    path.write_bytes(content)
    of = office.audience()
    with pytest.raises(IncompleteList, match="can't be compared with"):
        read_listing(office.ledger, of, str(path))
    listing = read_listing(office.ledger, of, str(path), allow_incomplete=True)
    assert (listing.refused, listing.known) == (1, listing.listed)


@pytest.mark.parametrize(
    ("users", "in_cohort", "overlap"),
    [
        (("x-1", "x-2"), (), 0),
        (("x-1", "u01"), (), 1),
        (("x-1", "stranger"), ("stranger",), 1),
        (("x-1", "gone"), (), 1),
        (("x-1",), ("newer",), 0),
    ],
)
async def test_a_list_that_shares_no_identifier_is_told_apart(
    office: Office, users: tuple[str, ...], in_cohort: tuple[str, ...], overlap: int
) -> None:
    office.enter(*USERS, "gone")
    office.leave("gone")
    await office.sync()
    office.put_in(*in_cohort)
    listed = office.listed(*users, at=100)
    office.enter("newer", at=200)
    found = await office.compare(against=listed)
    assert found.list_overlap == overlap
    assert found.is_foreign_list is (overlap == 0)
    assert not (await office.compare()).is_foreign_list
    plan = office.ledger.write(plan_reconcile, office.connection, found, BOTH)
    assert (plan.foreign_list is not None) is (overlap == 0)
