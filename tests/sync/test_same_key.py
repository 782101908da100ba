"""Of an audience without a cohort, a plan says which others have its key."""

from amp_console.ledger.audiences import all_audiences
from amp_console.sync.delivery.plan import same_key_words
from tests.sync.workspace import Workspace, event


def words(workspace: Workspace) -> list[str]:
    """What is said of each audience, in the order in which they were first read."""
    known = workspace.ledger.read(all_audiences)
    found = sorted(known, key=lambda item: item.id)
    return [workspace.ledger.read(same_key_words, item) for item in found]


def enters(workspace: Workspace, computation_id: str, space_id: str = "spa_1") -> None:
    """Read an event of an audience with the key `shoppers`."""
    personas = {"computation_id": computation_id, "space_id": space_id}
    workspace.read([event("u1", True, personas=personas)])


def test_it_says_what_differs(workspace: Workspace) -> None:
    enters(workspace, "aud_1")
    assert words(workspace) == [""]
    enters(workspace, "aud_2")
    same = "has the same key but another computation ID"
    assert words(workspace) == [f"“shoppers (aud_2)” {same}", f"“shoppers (aud_1)” {same}"]


def test_of_several_it_says_only_what_is_true_of_all(workspace: Workspace) -> None:
    enters(workspace, "aud_1")
    enters(workspace, "aud_2")
    enters(workspace, "aud_3", space_id="spa_2")
    first, second, third = words(workspace)
    assert first == "“shoppers (aud_2)” and 1 more have the same key"
    assert second == "“shoppers (aud_1)” and 1 more have the same key"
    assert third == "“shoppers (aud_1)” and 1 more have the same key but belong to another space"
