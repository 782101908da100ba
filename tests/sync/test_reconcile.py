"""Reconciling against the simulated Amplitude: drift is found to the person, and repaired."""

import gzip
from pathlib import Path

import msgspec
import pytest

from amp_console.amplitude.members_file import AT_ONCE
from amp_console.connections.read_only import ReadOnly
from amp_console.ledger.cohorts import break_link
from amp_console.ledger.comparisons import (
    Comparison,
    Difference,
    DifferenceFilter,
    DifferenceKind,
    PriorState,
    comparisons_in,
    count_differences,
    differences,
    last_finding,
    resolved_since,
)
from amp_console.ledger.downloads import (
    REUSE_FOR,
    begin_download,
    close_download,
    downloads_needed,
    note_request,
)
from amp_console.ledger.repairs import RepairChoice
from amp_console.ledger.runs import RunKind, RunStatus, all_runs
from amp_console.simulator import Answer, Behavior, Call, Rule
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.queries.person import PersonVerdict, explain_person
from amp_console.sync.reconcile.descriptions import comparison_outcome, describe_comparison
from amp_console.sync.reconcile.member_list import IncompleteList, read_member_list
from amp_console.sync.reconcile.plan import plan_repair
from amp_console.sync.sources.registry import open_reader
from amp_console.values import IdType, Operation
from tests.ledgers import sqlite_only
from tests.sync.workspace import BOTH, Workspace, event

pytestmark = [pytest.mark.anyio, pytest.mark.both_engines]

USERS = [f"u{n:02}" for n in range(20)]


def who(
    workspace: Workspace, comparison: Comparison, *kinds: DifferenceKind
) -> dict[str, PriorState]:
    """Who differs, and what the ledger knew about them."""
    found = workspace.ledger.read(
        differences, DifferenceFilter(comparison.id, kinds or tuple(DifferenceKind))
    )
    return {item.id: item.prior_state for item in found}


async def test_what_is_equal_is_told_to_be(workspace: Workspace) -> None:
    workspace.enter(*USERS)
    await workspace.sync()
    found = await workspace.compare()
    assert (found.in_audience, found.in_cohort, found.in_both) == (20, 20, 20)
    assert found.is_equal
    assert who(workspace, found) == {}
    run = workspace.ledger.read(all_runs)[0]
    assert (run.kind, run.status) == (RunKind.COMPARE, RunStatus.DELIVERED)


async def test_a_file_of_several_pieces_is_compared_whole(workspace: Workspace) -> None:
    """Each piece of a megabyte is staged while the next one is read."""
    long_ids = [f"{n:04}-{'x' * 200}" for n in range(2 * AT_ONCE // 200)]
    workspace.enter(*USERS)
    await workspace.sync()
    workspace.simulator.world.add_users(long_ids)
    workspace.add_in_amplitude(*long_ids)
    found = await workspace.compare()
    assert (found.in_both, found.strangers) == (len(USERS), len(long_ids))
    assert set(who(workspace, found, DifferenceKind.STRANGER)) == set(long_ids)


async def test_every_kind_of_drift_is_found_and_repaired(workspace: Workspace) -> None:
    """Everything at once: changes in Amplitude, pending changes, and unknown users."""
    workspace.enter(*USERS, "ghost-1", "Caps", "0042", "gone", at=0)
    workspace.leave("gone", at=1)
    await workspace.sync()
    assert [item.id for item in workspace.rejected()] == ["ghost-1"]
    workspace.remove_in_amplitude("u00", "u01", "Caps", "0042")
    workspace.add_in_amplitude("stranger", "caps", "42", "gone")
    nameless = workspace.simulator.world.add_user(None)
    cohort_id = workspace.audience().cohort_id
    assert cohort_id is not None
    workspace.simulator.world.change(cohort_id, Operation.ADD, {nameless})
    workspace.enter("new", at=2)
    workspace.leave("u02", at=2)
    found = await workspace.compare()
    assert who(workspace, found, DifferenceKind.MISSING) == {
        "u00": PriorState.DELIVERED,
        "u01": PriorState.DELIVERED,
        "Caps": PriorState.DELIVERED,
        "0042": PriorState.DELIVERED,
        "ghost-1": PriorState.REJECTED,
        "new": PriorState.PENDING,
    }
    assert who(workspace, found, DifferenceKind.LEFT) == {
        "gone": PriorState.DELIVERED,
        "u02": PriorState.PENDING,
    }
    assert set(who(workspace, found, DifferenceKind.STRANGER)) == {"stranger", "caps", "42"}
    assert set(who(workspace, found, DifferenceKind.NO_ID_IN_COHORT)) == {str(nameless)}
    assert (found.in_audience, found.in_cohort, found.in_both) == (23, 23, 17)
    assert (found.missing, found.missing_drifted, found.missing_rejected) == (6, 4, 1)
    assert (found.has_left, found.strangers, found.not_comparable) == (2, 3, 1)
    alike = workspace.ledger.read(differences, DifferenceFilter(found.id))
    assert {item.id: item.resembles for item in alike if item.resembles} == {
        "Caps": "caps",
        "caps": "Caps",
        "0042": "42",
        "42": "0042",
    }

    done = await workspace.apply(found)
    assert workspace.cohort() == {*USERS, "Caps", "0042", "new", str(nameless)} - {"u02"}
    assert done.after is not None
    assert (done.after.missing, done.after.extra) == (1, 0)
    assert who(workspace, done.after) == {
        "ghost-1": PriorState.REJECTED,
        str(nameless): PriorState.NOTHING,
    }
    assert (done.counts.added, done.counts.removed, done.counts.rejected) == (5, 5, 1)
    assert (done.pending, done.verified) == (0, False)
    assert [item.id for item in workspace.rejected()] == ["ghost-1"]
    run = workspace.ledger.read(all_runs)[0]
    assert (run.kind, run.status, run.added) == (RunKind.REPAIR, RunStatus.PARTIAL, 5)
    assert workspace.ledger.read(comparisons_in, run.id) == [done.after]


async def test_a_comparison_alone_sends_nothing_and_the_next_sync_is_right(
    workspace: Workspace,
) -> None:
    workspace.enter(*USERS, "gone")
    workspace.leave("gone")
    await workspace.sync()
    workspace.remove_in_amplitude("u00")
    workspace.add_in_amplitude("gone", "stranger")
    before = workspace.cohort()
    await workspace.compare()
    assert workspace.cohort() == before
    report = await workspace.sync()
    assert (report.audiences[0].counts.added, report.audiences[0].counts.removed) == (1, 1)
    assert workspace.cohort() == {*USERS, "stranger"}


async def test_what_a_sync_has_delivered_since_is_neither_repaired_again_nor_left(
    workspace: Workspace,
) -> None:
    workspace.enter(*USERS)
    await workspace.sync()
    workspace.remove_in_amplitude("u00", "u01")
    workspace.add_in_amplitude("stranger")
    found = await workspace.compare()
    assert workspace.ledger.read(resolved_since, found.id).due == 2
    await workspace.sync()
    since = workspace.ledger.read(resolved_since, found.id)
    assert (since.due, since.repaired) == (0, {DifferenceKind.MISSING: 2})
    plan = workspace.ledger.read(plan_repair, workspace.connection, found, BOTH)
    assert (plan.add, plan.remove) == (0, 1)
    done = await workspace.apply(found, verify=False)
    assert done.left == 0


async def test_only_pending_and_rejected_users_make_no_difference(workspace: Workspace) -> None:
    workspace.enter(*USERS, "ghost-1")
    await workspace.sync()
    workspace.enter("new", at=1)
    found = await workspace.compare()
    assert (found.differing, found.pending, found.missing_rejected) == (0, 1, 1)
    assert comparison_outcome(found) == "as expected, 1 pending, 1 rejected"
    assert workspace.ledger.read(all_runs)[0].status is RunStatus.DELIVERED


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
async def test_only_what_is_chosen_is_repaired(
    workspace: Workspace, choice: RepairChoice, cohort: set[str]
) -> None:
    workspace.enter(*USERS, "gone")
    workspace.leave("gone")
    await workspace.sync()
    workspace.remove_in_amplitude("u00", "u01")
    workspace.add_in_amplitude("gone", "stranger")
    done = await workspace.apply(await workspace.compare(), choice)
    assert workspace.cohort() == cohort
    assert not done.is_equal


async def test_a_list_outweighs_what_the_ledger_wants(workspace: Workspace) -> None:
    workspace.enter(*USERS, "older")
    await workspace.sync()
    listed = workspace.write_member_list("u00", "u01", "brand-new", "older")
    found = await workspace.compare(against=listed)
    assert set(who(workspace, found, DifferenceKind.MISSING)) == {"brand-new"}
    assert set(who(workspace, found, DifferenceKind.LEFT)) == set(USERS) - {"u00", "u01"}
    assert workspace.plan().audiences[0].is_idle
    done = await workspace.apply(found)
    assert done.verified
    assert workspace.cohort() == {"u00", "u01", "brand-new", "older"}
    assert workspace.plan().audiences[0].is_idle


async def test_events_that_are_newer_than_a_list_outweigh_it(workspace: Workspace) -> None:
    workspace.enter(*USERS)
    await workspace.sync()
    listed = workspace.write_member_list("u00", at=1)
    workspace.enter(*USERS[1:], at=2)
    found = await workspace.compare(against=listed)
    assert found.is_equal


async def test_people_in_by_their_former_identifier_are_found_by_it(workspace: Workspace) -> None:
    workspace.map_amplitude_ids()
    world = workspace.simulator.world
    pairs = {name: world.add_user(name) for name in ("ana", "ben")}
    nameless = world.add_user(None)
    workspace.read(
        [
            *(event(name, True, traits={"amplitude_id": n}) for name, n in pairs.items()),
            event(None, True, traits={"amplitude_id": nameless}),
        ]
    )
    workspace.change(SettingsChange(id_type=IdType.AMPLITUDE_ID))
    await workspace.sync()
    assert workspace.cohort() == {"ana", "ben", str(nameless)}
    workspace.change(SettingsChange(id_type=IdType.USER_ID))
    found = await workspace.compare()
    assert (found.missing, found.in_both, found.strangers) == (0, 2, 0)
    assert who(workspace, found, DifferenceKind.LEFT) == {str(nameless): PriorState.PENDING}
    done = await workspace.apply(found)
    assert workspace.cohort() == {"ana", "ben"}
    assert done.verified
    assert workspace.plan().audiences[0].is_idle


@pytest.mark.parametrize("ghosts", [(), ("ghost-1",)])
async def test_a_small_cohort_can_be_replaced_in_one_request(
    workspace: Workspace, ghosts: tuple[str, ...]
) -> None:
    workspace.enter(*USERS, *ghosts)
    await workspace.sync()
    workspace.remove_in_amplitude("u00", "u01")
    workspace.add_in_amplitude("stranger")
    found = await workspace.compare()
    before = len(workspace.simulator.requests)
    done = await workspace.apply(found, replace=True)
    assert done.plan.replace
    assert workspace.cohort() == set(USERS)
    calls = [seen.call for seen in workspace.simulator.requests[before:]]
    assert calls.count(Call.UPLOAD) == 1
    assert calls.count(Call.MEMBERSHIP) == (1 if ghosts else 0)
    assert done.verified is not bool(ghosts)
    assert (done.counts.added, done.counts.removed) == (2, 1)
    assert done.size is not None
    assert done.size.agrees
    assert [item.id for item in workspace.rejected()] == list(ghosts)


@sqlite_only
async def test_sizes_that_disagree_are_reported_without_a_download(workspace: Workspace) -> None:
    workspace.enter(*USERS)
    await workspace.sync()
    workspace.remove_in_amplitude("u00")
    found = await workspace.compare()
    workspace.add_in_amplitude("stranger")
    done = await workspace.apply(found, verify=False)
    assert done.size is not None
    assert (done.size.expected, done.size.found) == (20, 21)
    assert done.verified is False
    assert not done.is_equal


@sqlite_only
async def test_without_a_second_look_nothing_is_proven(workspace: Workspace) -> None:
    workspace.enter(*USERS)
    await workspace.sync()
    workspace.remove_in_amplitude("u00")
    done = await workspace.apply(await workspace.compare(), verify=False)
    assert (done.verified, done.is_equal) == (None, True)


@sqlite_only
async def test_large_files_come_by_a_link_and_with_tabs(workspace: Workspace) -> None:
    workspace.simulator.behavior = Behavior(redirect_above=3, tabbed_cells=True)
    workspace.enter(*USERS)
    await workspace.sync()
    workspace.add_in_amplitude("stranger")
    assert (await workspace.compare()).strangers == 1


@sqlite_only
async def test_more_than_would_stay_is_asked_for_whatever_share_is_allowed(
    workspace: Workspace,
) -> None:
    workspace.limit(largest_removal=1.0)
    workspace.enter(*USERS)
    await workspace.sync()
    workspace.add_in_amplitude("stranger")
    plan = workspace.ledger.read(plan_repair, workspace.connection, await workspace.compare(), BOTH)

    def removes(count: int, without_id: int = 0, *, replaces: bool = False) -> bool:
        replace = msgspec.structs.replace(plan.comparison, in_cohort=10, cohort_no_id=without_id)
        changed = msgspec.structs.replace(plan, comparison=replace, remove=count, replace=replaces)
        return changed.is_large_removal and changed.removal_warning is not None

    assert (removes(5), removes(6)) == (False, True)
    assert (removes(4, 2), removes(4, 2, replaces=True)) == (False, True), "they go, too"


@sqlite_only
async def test_a_read_only_connection_compares_and_applies_nothing(workspace: Workspace) -> None:
    workspace.enter(*USERS)
    await workspace.sync()
    workspace.remove_in_amplitude("u00")
    workspace.connection = msgspec.structs.replace(workspace.connection, read_only=True)
    found = await workspace.compare()
    with pytest.raises(ReadOnly):
        await workspace.apply(found)
    assert "u00" not in workspace.cohort()


async def test_differences_are_found_page_by_page(workspace: Workspace) -> None:
    workspace.enter(*USERS)
    await workspace.sync()
    workspace.remove_in_amplitude(*USERS[:7])
    found = await workspace.compare()
    query = DifferenceFilter(found.id, (DifferenceKind.MISSING,))
    assert workspace.ledger.read(count_differences, query) == 7
    page = workspace.ledger.read(differences, query, 5, 5)
    assert [item.id for item in page] == USERS[5:7]
    some = DifferenceFilter(found.id, (DifferenceKind.MISSING,), "U03")
    assert [difference.id for difference in workspace.ledger.read(differences, some)] == ["u03"]
    assert isinstance(page[0], Difference)


async def test_a_stranger_who_will_be_removed_is_reported(workspace: Workspace) -> None:
    workspace.enter(*USERS)
    await workspace.sync()
    workspace.add_in_amplitude("stranger")
    found = await workspace.compare()
    workspace.set_faults(Rule(Answer(503), frozenset({Call.MEMBERSHIP})))
    await workspace.apply_report(found)
    (answer,) = workspace.ledger.read(explain_person, "stranger")
    assert answer.verdict is PersonVerdict.LEAVES
    assert "in the cohort, and in no event: no such user" in answer.sentence
    workspace.set_faults()
    await workspace.sync()
    (answer,) = workspace.ledger.read(explain_person, "stranger")
    assert "found in it when it was compared" in answer.sentence
    assert answer.sentence.endswith("and removed by run 4.")


async def test_what_list_and_cohort_agree_on_the_ledger_follows_once_applied(
    workspace: Workspace,
) -> None:
    workspace.enter(*USERS)
    await workspace.sync()
    workspace.remove_in_amplitude("u00")
    workspace.add_in_amplitude("brand-new")
    found = await workspace.compare(against=workspace.write_member_list(*USERS[1:], "brand-new"))
    assert found.is_equal
    assert found.disagreeing == 2
    assert not workspace.plan().audiences[0].is_idle
    await workspace.apply(found)
    assert workspace.plan().audiences[0].is_idle
    assert workspace.cohort() == {*USERS[1:], "brand-new"}


async def test_those_that_no_sync_touches_stay_apart_from_the_list_until_a_repair(
    workspace: Workspace,
) -> None:
    workspace.enter(*USERS, "ghost-1")
    await workspace.sync()
    workspace.add_in_amplitude("stranger")
    found = await workspace.compare(against=workspace.write_member_list(*USERS, "stranger"))
    assert (found.is_equal, found.disagreeing) == (True, 2)
    assert workspace.plan().audiences[0].is_idle
    (sentence,) = describe_comparison(found)
    assert sentence == (
        "The ledger and the list disagree about 2 people: a sync may change them. "
        "A repair makes the ledger follow the list."
    )
    await workspace.apply(found)
    assert workspace.rejected() == []


async def test_those_the_ledger_follows_the_list_about_are_no_repaired_differences(
    workspace: Workspace,
) -> None:
    workspace.enter(*USERS)
    await workspace.sync()
    workspace.remove_in_amplitude("u00")
    workspace.add_in_amplitude("brand-new")
    found = await workspace.compare(against=workspace.write_member_list(*USERS, "brand-new"))
    assert (found.missing, found.extra, found.disagreeing) == (1, 0, 1)
    await workspace.apply(found)
    resolved = workspace.ledger.read(resolved_since, found.id)
    assert resolved.repaired == {DifferenceKind.MISSING: 1}


async def test_a_repair_names_only_those_who_still_differ(workspace: Workspace) -> None:
    workspace.enter(*USERS)
    await workspace.sync()
    workspace.remove_in_amplitude("u00", "u01")
    workspace.add_in_amplitude("stranger")
    found = await workspace.compare()
    await workspace.sync()
    plan = workspace.ledger.read(plan_repair, workspace.connection, found, BOTH)
    assert (plan.add, plan.remove) == (0, 1)
    assert [person.id for person in plan.samples] == ["stranger"]


async def test_a_stranger_that_a_sync_removed_is_no_finding_any_more(workspace: Workspace) -> None:
    workspace.enter(*USERS)
    await workspace.sync()
    workspace.add_in_amplitude("stranger", "other")
    await workspace.compare()
    workspace.enter("stranger", at=2)
    await workspace.sync()
    workspace.leave("stranger", at=3)
    await workspace.sync()
    assert workspace.cohort() == {*USERS, "other"}
    finding = workspace.ledger.read(last_finding, workspace.audience().id)
    assert finding is not None
    assert finding.strangers == 1


INCOMPLETE_LISTS = {
    "a row without its identifier": b"user_id,city\nu00,Graz\n,Linz\n",
    "an identifier that is not UTF-8": b"u00\nu\xff1\n",
    "a ragged row": b"user_id,city\nu00,Graz\nu01\n",
    "an unclosed quote": b'user_id,city\nu00,Graz\nu01,"Linz\n',
    "a gzip file that ends early": gzip.compress(b"user_id\n" + b"u00\nu01\n" * 99)[:-9],
}


@sqlite_only
@pytest.mark.parametrize("content", INCOMPLETE_LISTS.values(), ids=INCOMPLETE_LISTS)
def test_an_incomplete_list_is_compared_with_only_where_the_operator_insists(
    workspace: Workspace, tmp_path: Path, content: bytes
) -> None:
    workspace.enter(*USERS)
    path = tmp_path / "list.csv"
    path.write_bytes(content)
    audience = workspace.audience()
    with pytest.raises(IncompleteList, match="Can't compare with"):
        read_member_list(workspace.ledger, open_reader, audience, str(path))
    listing = read_member_list(
        workspace.ledger, open_reader, audience, str(path), allow_incomplete=True
    )
    assert (listing.refused, listing.known) == (1, listing.members)


@sqlite_only
@pytest.mark.parametrize(
    "content",
    [
        "user_id,user_id_2,amplitude_id\nu1,u1-old,71\nu2,,\n,,73\n",
        """external_ids
"{""user_id"":[""u1"",""u1-old""],""amplitude_id"":[""71""]}"
"{""user_id"":[""u2""]}"
"{""amplitude_id"":[73]}"
""",
    ],
    ids=["columns", "external_ids"],
)
def test_a_member_that_a_list_names_by_the_other_id_type_alone_makes_it_incomplete(
    workspace: Workspace, tmp_path: Path, content: str
) -> None:
    """Otherwise, a repair would remove them: their identity in the cohort is unknown."""
    workspace.enter("u1")
    workspace.change(SettingsChange(id_type=IdType.AMPLITUDE_ID))
    path = tmp_path / "list.csv"
    path.write_text(content)
    audience = workspace.audience()
    with pytest.raises(IncompleteList, match=r"first line 3 \(no amplitude_id in this row\)"):
        read_member_list(workspace.ledger, open_reader, audience, str(path))
    listing = read_member_list(
        workspace.ledger, open_reader, audience, str(path), allow_incomplete=True
    )
    assert (listing.refused, listing.members) == (1, 2)


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
async def test_a_list_that_shares_no_identifier_is_distinguished(
    workspace: Workspace, users: tuple[str, ...], in_cohort: tuple[str, ...], overlap: int
) -> None:
    workspace.enter(*USERS, "gone")
    workspace.leave("gone")
    await workspace.sync()
    workspace.add_in_amplitude(*in_cohort)
    listed = workspace.write_member_list(*users, at=100)
    workspace.enter("newer", at=200)
    found = await workspace.compare(against=listed)
    assert found.list_overlap == overlap
    assert found.is_foreign_list is (overlap == 0)
    assert not (await workspace.compare()).is_foreign_list
    plan = workspace.ledger.read(plan_repair, workspace.connection, found, BOTH)
    assert (plan.foreign_list_warning is not None) is (overlap == 0)


async def test_the_downloads_of_a_comparison_are_known_before_it(workspace: Workspace) -> None:
    workspace.enter("u1")
    await workspace.sync()
    now = workspace.timing.now()

    def needed(later: int = 0) -> int:
        return workspace.ledger.read(downloads_needed, [workspace.audience()], now + later)

    assert needed() == 1
    audience = workspace.audience()
    assert audience.cohort_id is not None
    begun = workspace.ledger.write(begin_download, audience.id, audience.cohort_id, now)
    workspace.ledger.write(note_request, begun, "paid-for")
    assert needed() == 0
    assert needed(REUSE_FOR + 1) == 1
    assert needed(-1) == 1  # the clock was set back: it may be of any age
    workspace.ledger.write(close_download, begun)
    assert needed() == 1
    workspace.ledger.write(break_link, audience.id, "Amplitude has no such cohort.")
    assert needed() == 0
