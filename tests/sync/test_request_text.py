"""A request is shown with the identifiers still known, and says what it leaves out."""

import json

import pytest

from amp_console.ledger import Db
from amp_console.ledger.rejected import ALL_REJECTED
from amp_console.simulator import RefuseIds, Rule
from amp_console.sync.delivery.retry import retry
from amp_console.sync.queries.request import RequestText, request_text
from tests.sync.workspace import Workspace

pytestmark = pytest.mark.anyio


def shown(workspace: Workspace, number: int) -> RequestText:
    found = workspace.ledger.read(request_text, number)
    assert found is not None
    return found


def listed(text: RequestText) -> list[str]:
    (entry,) = json.loads(text.body)["memberships"]
    return list(entry["ids"])


async def additions(workspace: Workspace, *users: str) -> int:
    """Sync these users to a cohort that exists; return the number of the request."""
    workspace.enter("first")
    await workspace.sync()
    before = len(workspace.ledger.read(all_requests))
    workspace.enter(*users)
    await workspace.sync()
    return before + 1


def all_requests(db: Db) -> list[object]:
    return db.execute("SELECT id FROM request").fetchall()


async def test_a_request_lists_all_that_it_sent(workspace: Workspace) -> None:
    number = await additions(workspace, "ghost-1", "u1", "u2")
    text = shown(workspace, number)
    assert (listed(text), text.gaps) == (["ghost-1", "u1", "u2"], "")


async def test_users_named_by_the_answer_are_listed_after_a_retry(workspace: Workspace) -> None:
    number = await additions(workspace, "ghost-1", "u1", "u2")
    retry(workspace.ledger, workspace.connection, ALL_REJECTED)
    await workspace.sync()
    text = shown(workspace, number)
    assert text.record.skipped == 1
    assert (listed(text), text.gaps) == (["ghost-1", "u1", "u2"], "")


async def test_users_of_a_later_request_are_counted_and_not_listed(workspace: Workspace) -> None:
    number = await additions(workspace, "u1", "u2", "u3")
    workspace.leave("u2")
    await workspace.sync()
    text = shown(workspace, number)
    assert listed(text) == ["u1", "u3"]
    assert text.gaps == (
        "This lists 2 of the 3 User IDs sent. "
        "Later requests sent 1 of them again: only those requests list them."
    )


async def test_without_any_known_user_no_request_is_made_up(workspace: Workspace) -> None:
    workspace.set_faults(Rule(RefuseIds(frozenset({"bad"}), named=True)))
    number = await additions(workspace, "bad", "u1", "u2")
    text = shown(workspace, number)
    assert (text.record.status, text.record.size, text.body) == (400, 3, "")
    assert text.gaps == (
        "It sent 3 User IDs. Later requests sent all of them again: only those requests list them."
    )


async def test_of_a_large_request_the_first_are_listed(workspace: Workspace) -> None:
    users = [f"u{number:03}" for number in range(120)]
    number = await additions(workspace, *users)
    workspace.leave("u000", "u119")
    await workspace.sync()
    text = shown(workspace, number)
    assert listed(text) == users[1:51]
    assert text.gaps.startswith("This lists the first 50 of the 120 User IDs sent. Later requests ")
    assert "2 of them again" in text.gaps
