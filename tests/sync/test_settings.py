"""Settings of audiences: links with and without a name, and two who change the same audience."""

from contextlib import ExitStack

import pytest

from amp_console.ledger import open_ledger
from amp_console.ledger.audiences import Audience, Link
from amp_console.ledger.locks import AudienceBusy
from amp_console.sync.audience_settings import (
    LEASE_SECONDS,
    SettingsChange,
    SettingsConflict,
    change,
)
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


def changed_by_ben(workspace: Workspace, requested: SettingsChange) -> Audience:
    """Let a colleague change the audience; return it as the workspace saw it before."""
    seen = workspace.audience()
    with open_ledger(workspace.ledger.url, operator="Ben") as his:
        change(his, workspace.connection, seen, requested)
    return seen


@pytest.mark.both_engines
@pytest.mark.parametrize(
    ("theirs", "mine", "says"),
    [
        (
            SettingsChange(cohort_name="VIPs"),
            SettingsChange(cohort_name="Best"),
            "cohort name is VIPs now",
        ),
        (
            SettingsChange(owner_email="ben@acme.example"),
            SettingsChange(owner_email="ana@acme.example"),
            "cohort owner is ben@acme.example now",
        ),
        (
            SettingsChange(cohort_id="abc12345", linked_name="Churn risk"),
            SettingsChange(cohort_id="def67890"),
            "cohort is Churn risk now",
        ),
        (
            SettingsChange(cohort_id="abc12345"),
            SettingsChange(unlink=True),
            "cohort is abc12345 now",
        ),
    ],
)
def test_what_another_has_set_meanwhile_is_not_replaced_unasked(
    workspace: Workspace, theirs: SettingsChange, mine: SettingsChange, says: str
) -> None:
    workspace.enter("u1")
    seen = changed_by_ben(workspace, theirs)
    before = workspace.audience()
    with pytest.raises(SettingsConflict) as caught:
        change(workspace.ledger, workspace.connection, seen, mine)
    told = f"Ben has changed “shoppers” meanwhile: {says}. Nothing was changed."
    assert str(caught.value).startswith(told)
    assert workspace.audience() == before
    change(workspace.ledger, workspace.connection, caught.value.now, mine)
    assert workspace.audience() != before


@pytest.mark.both_engines
@pytest.mark.parametrize(
    "mine", [SettingsChange(seed_user="u-7"), SettingsChange(cohort_name="VIPs", enabled=False)]
)
def test_other_settings_and_the_same_value_are_no_conflict(
    workspace: Workspace, mine: SettingsChange
) -> None:
    workspace.enter("u1")
    seen = changed_by_ben(workspace, SettingsChange(cohort_name="VIPs", enabled=False))
    now = change(workspace.ledger, workspace.connection, seen, mine)
    assert (now.cohort_name, now.enabled, now.seed_user) == ("VIPs", False, mine.seed_user)


@pytest.mark.both_engines
def test_a_setting_is_changed_as_soon_as_a_window_of_a_live_session_ends(
    workspace: Workspace,
) -> None:
    workspace.enter("u1")
    with ExitStack() as window, open_ledger(workspace.ledger.url) as other:
        window.enter_context(other.lease(workspace.audience().id))
        waits: list[float] = []

        def sleep(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 3:
                window.close()

        changed = change(
            workspace.ledger,
            workspace.connection,
            workspace.audience(),
            SettingsChange(enabled=False),
            sleep=sleep,
        )
    assert not changed.enabled
    assert len(waits) == 3


@pytest.mark.both_engines
def test_an_audience_that_a_long_sync_delivers_is_waited_for_in_vain(workspace: Workspace) -> None:
    workspace.enter("u1")
    known, waits = workspace.audience(), list[float]()
    with (
        open_ledger(workspace.ledger.url) as other,
        other.lease(known.id),
        pytest.raises(AudienceBusy, match="this audience"),
    ):
        change(
            workspace.ledger,
            workspace.connection,
            known,
            SettingsChange(enabled=False),
            sleep=waits.append,
        )
    assert sum(waits) == pytest.approx(LEASE_SECONDS)
    assert workspace.audience().enabled
