"""Linking an audience to a cohort that was there before, with and without knowing its name."""

import pytest

from amp_console.ledger.audiences import Link
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.queries.status import audience_summaries
from tests.sync.workspace import Workspace

pytestmark = pytest.mark.anyio


def shown(workspace: Workspace) -> str:
    """What the cohort of the one audience is called."""
    (found,) = workspace.ledger.read(audience_summaries, workspace.connection)
    return found.cohort_name


def test_a_cohort_linked_by_name_is_called_by_its_own(workspace: Workspace) -> None:
    workspace.enter("u1")
    workspace.change(SettingsChange(cohort_id="abc12345", linked_name="Churn risk"))
    linked = workspace.audience()
    assert (linked.link, linked.cohort_id, linked.linked_name) == (
        Link.EXISTING,
        "abc12345",
        "Churn risk",
    )
    assert shown(workspace) == "Churn risk"
    assert workspace.plan().audiences[0].cohort_name == "Churn risk"


def test_of_a_cohort_linked_by_its_id_no_name_is_known(workspace: Workspace) -> None:
    workspace.enter("u1")
    workspace.change(SettingsChange(cohort_id="abc12345"))
    assert workspace.audience().linked_name is None
    assert shown(workspace) == "shoppers"


def test_linked_once_more_it_keeps_the_name_that_is_known(workspace: Workspace) -> None:
    workspace.enter("u1")
    workspace.change(SettingsChange(cohort_id="abc12345", linked_name="Churn risk"))
    workspace.change(SettingsChange(cohort_id="abc12345"))
    assert shown(workspace) == "Churn risk"
    workspace.change(SettingsChange(cohort_id="def67890"))
    assert workspace.audience().linked_name is None


async def test_unlinked_it_forgets_the_name(workspace: Workspace) -> None:
    workspace.enter("u1")
    workspace.change(SettingsChange(cohort_id="abc12345", linked_name="Churn risk"))
    workspace.change(SettingsChange(unlink=True))
    assert shown(workspace) == "shoppers"
    await workspace.sync()
    assert workspace.audience().linked_name == "shoppers"
