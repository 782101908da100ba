"""Rejected users in groups and pages: always the same people."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from amp_console.ledger import Ledger, open_ledger
from amp_console.ledger.deliveries import Reason
from amp_console.ledger.rejected import (
    RejectedFilter,
    count_rejected,
    rejected_page,
    rejected_users,
    rejection_groups,
    retry_rejected,
    retry_users,
)
from amp_console.simulator import RefuseIds, Rule, Simulator
from amp_console.sync.audience_settings import SettingsChange
from amp_console.values import IdType, Operation
from tests.ledger.helpers import deliver, enters, leaves, read
from tests.ledgers import EmptyLedger
from tests.sync.workspace import Workspace, event

pytestmark = pytest.mark.both_engines

OWN = 41  # a ledger of these tests alone
ODD = ["ghost-%", "ghost-_", "ghost-é😀", "ghost-[red]", 'ghost-"', "ghost-AbC"]


@pytest.fixture(scope="module")
def made() -> Iterator[tuple[dict[str, Workspace], ExitStack]]:
    """The workspace of each engine, created by the first test."""
    with ExitStack() as opened:
        yield {}, opened


@pytest.fixture
def workspace(
    made: tuple[dict[str, Workspace], ExitStack],
    engine: str,
    empty_ledger: EmptyLedger,
    tmp_path_factory: pytest.TempPathFactory,
) -> Workspace:
    """Two audiences with ghosts, one refused by name, and one without the identifier."""
    workspaces, opened = made
    if engine not in workspaces:
        simulator = opened.enter_context(Simulator())
        ledger = opened.enter_context(open_ledger(empty_ledger(OWN)))
        folder = tmp_path_factory.mktemp("rejected")
        workspaces[engine] = _filled(Workspace(simulator, ledger, folder))
    return workspaces[engine]


def _filled(workspace: Workspace) -> Workspace:
    workspace.read(event(f"ghost-{n}", True) for n in range(450))
    workspace.read(event(user, True) for user in [*ODD, "u1", "poison"])
    workspace.read(event(f"ghost-{n}", True, audience="others") for n in range(30))
    workspace.read([event("u1", True, audience="others")])
    workspace.read([event("u2", True, audience="by_number")])
    workspace.change(SettingsChange(id_type=IdType.AMPLITUDE_ID), "by_number")
    workspace.set_faults(Rule(RefuseIds(frozenset({"poison"}), named=True)))
    asyncio.run(workspace.sync())
    return workspace


def ids(workspace: Workspace, query: RejectedFilter, size: int = 100) -> list[str]:
    """All pages together."""
    found: list[str] = []
    while page := workspace.ledger.read(rejected_page, query, len(found), size):
        found += [item.id for item in page]
        assert len(found) < 10_000, "the pages do not end"
    return found


def test_the_one_that_amplitude_knows_is_in_the_cohort(workspace: Workspace) -> None:
    """Although they were uploaded together with many it does not know, and one it refuses."""
    assert workspace.cohort() == {"u1"}


def test_the_pages_are_every_user_once(workspace: Workspace) -> None:
    every_user = [rejected_user.id for rejected_user in workspace.ledger.read(rejected_users)]
    assert len(every_user) == 450 + len(ODD) + 1 + 30 + 1
    for size in (1000, 97, 7):
        assert ids(workspace, RejectedFilter(), size) == every_user
    assert workspace.ledger.read(count_rejected) == len(every_user)


def test_the_groups_add_up_and_the_largest_comes_first(workspace: Workspace) -> None:
    groups = workspace.ledger.read(rejection_groups)
    assert [(g.audience, g.code, g.count) for g in groups] == [
        ("shoppers", Reason.UNKNOWN, 450 + len(ODD)),
        ("others", Reason.UNKNOWN, 30),
        ("by_number", Reason.NO_IDENTIFIER, 1),
        ("shoppers", Reason.REFUSED, 1),
    ]
    for group in groups:
        assert len(ids(workspace, group.filter)) == group.count
        assert workspace.ledger.read(count_rejected, group.filter) == group.count


def test_a_run_has_its_own(workspace: Workspace) -> None:
    assert len(ids(workspace, RejectedFilter(run_id=1))) == 450 + len(ODD) + 1 + 30
    assert ids(workspace, RejectedFilter(run_id=2)) == []


@pytest.mark.parametrize("text", [*ODD, "%", "_", "abc", "ABC"])
def test_text_is_looked_for_as_it_is(workspace: Workspace, text: str) -> None:
    found = ids(workspace, RejectedFilter(text=text))
    assert sorted(found) == sorted(item for item in ODD if text.lower() in item.lower())


def test_operation_and_audience_narrow_it_down(workspace: Workspace) -> None:
    others = workspace.audience("others").id
    assert len(ids(workspace, RejectedFilter(audience_id=others))) == 30
    assert ids(workspace, RejectedFilter(operation=Operation.REMOVE)) == []


def test_retrying_makes_exactly_those_pending(workspace: Workspace) -> None:
    others, before = workspace.audience("others"), workspace.ledger.read(count_rejected)
    assert workspace.ledger.write(retry_users, [(others.id, IdType.USER_ID, "ghost-3")]) == 1
    assert workspace.ledger.write(retry_users, [(others.id, IdType.USER_ID, "ghost-3")]) == 0
    assert workspace.ledger.write(retry_rejected, RejectedFilter(text="ghost-%")) == 1
    assert workspace.ledger.read(count_rejected) == before - 2
    assert "ghost-%" not in ids(workspace, RejectedFilter())


def test_who_has_no_identifier_is_not_made_pending(workspace: Workspace) -> None:
    assert workspace.ledger.write(retry_rejected, RejectedFilter(code=Reason.NO_IDENTIFIER)) == 0


def test_a_second_rejection_keeps_the_time_of_the_first(ledger: Ledger) -> None:
    read(ledger, [enters("ghost-1", 1)])
    deliver(ledger, skipped=["ghost-1"], at=40)
    (first,) = ledger.read(rejected_users)
    assert (first.since, first.at, first.tries) == (40, 40, 1)
    ledger.write(retry_rejected)
    deliver(ledger, skipped=["ghost-1"], at=90)
    (again,) = ledger.read(rejected_users)
    assert (again.since, again.at, again.tries) == (40, 90, 2)
    read(ledger, [leaves("ghost-1", 2)])
    read(ledger, [enters("ghost-1", 3)])
    deliver(ledger, skipped=["ghost-1"], at=95)
    (anew,) = ledger.read(rejected_users)
    assert (anew.since, anew.at, anew.tries) == (95, 95, 1)
