"""Linking an audience to a cohort that was there before, with and without knowing its name."""

import pytest

from amp_console.ledger.audiences import Link
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.queries.status import standings
from tests.sync.office import Office

pytestmark = pytest.mark.anyio


def shown(office: Office) -> str:
    """What the cohort of the one audience is called."""
    (found,) = office.ledger.read(standings, office.connection)
    return found.cohort_name


def test_a_cohort_linked_by_name_is_called_by_its_own(office: Office) -> None:
    office.enter("u1")
    office.change(SettingsChange(cohort_id="abc12345", linked_name="Churn risk"))
    linked = office.audience()
    assert (linked.link, linked.cohort_id, linked.linked_name) == (
        Link.EXISTING,
        "abc12345",
        "Churn risk",
    )
    assert shown(office) == "Churn risk"
    assert office.plan().audiences[0].cohort_name == "Churn risk"


def test_of_a_cohort_linked_by_its_id_no_name_is_known(office: Office) -> None:
    office.enter("u1")
    office.change(SettingsChange(cohort_id="abc12345"))
    assert office.audience().linked_name is None
    assert shown(office) == "shoppers"


def test_linked_once_more_it_keeps_the_name_that_is_known(office: Office) -> None:
    office.enter("u1")
    office.change(SettingsChange(cohort_id="abc12345", linked_name="Churn risk"))
    office.change(SettingsChange(cohort_id="abc12345"))
    assert shown(office) == "Churn risk"
    office.change(SettingsChange(cohort_id="def67890"))
    assert office.audience().linked_name is None


async def test_unlinked_it_forgets_the_name(office: Office) -> None:
    office.enter("u1")
    office.change(SettingsChange(cohort_id="abc12345", linked_name="Churn risk"))
    office.change(SettingsChange(unlink=True))
    assert shown(office) == "shoppers"
    await office.sync()
    assert office.audience().linked_name == "shoppers"
