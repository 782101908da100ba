"""The history says what was done with a ledger, whichever process did it."""

import pytest

from amp_console.ledger import Db
from amp_console.ledger.event_log import MAX_ENTRIES, LogEntry, LogKind, add_log_entry, log_entries
from amp_console.ledger.runs import RunKind, RunStatus, begin_run, end_run
from amp_console.ledger.sources import ReadCounts
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.queries.history import HistoryEntry, history
from amp_console.values import IdType
from tests.sync.workspace import Workspace, event

pytestmark = pytest.mark.anyio
CHANGED_BACK = (
    "Settings of “shoppers” changed: cohort name reset to the default; enabled; "
    "linked to cohort 26umsb5."
)
LATER = 5_000_000_000_000_000  # microseconds; later than anything a workspace does


def texts(workspace: Workspace) -> list[str]:
    """What the history says, the newest first."""
    return [item.text for item in workspace.ledger.read(history, 100)]


async def test_imports_and_runs_are_told_the_newest_first(workspace: Workspace) -> None:
    workspace.read([event("u-1", True), event(None, True), event("ghost-1", True)])
    await workspace.sync()
    ended, started, read = workspace.ledger.read(history, 100)
    assert read.text.endswith(": 3 events, 2 changes, 0 filtered, 1 invalid.")
    assert read.text.startswith("Import of ")
    assert read.is_bad
    assert started.text == "Sync of 1 audience started: run 1."
    assert ended.text.startswith("Sync ended: run 1, partial. 1 added, 1 rejected, ")
    assert (started.run_id, ended.run_id, read.run_id) == (1, 1, None)
    assert ended.at >= started.at >= read.at


async def test_settings_that_are_changed_are_told_and_those_that_are_not_are_not(
    workspace: Workspace,
) -> None:
    workspace.enter("u-1")
    before = len(texts(workspace))
    workspace.change(SettingsChange(cohort_name="VIPs", enabled=False, id_type=IdType.AMPLITUDE_ID))
    workspace.change(SettingsChange(cohort_name="VIPs"))
    workspace.change(SettingsChange(cohort_name="", cohort_id="26umsb5", enabled=True))
    told = texts(workspace)[: len(texts(workspace)) - before]
    assert sorted(told) == [
        "Settings of “shoppers” changed: ID type Amplitude ID; cohort name VIPs; disabled.",
        CHANGED_BACK,
    ]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (RunKind.LIVE, "Live session"),
        (RunKind.COMPARE, "Comparison"),
        (RunKind.RECONCILE, "Repair"),
    ],
)
async def test_each_kind_of_run_is_told_when_it_starts_and_when_it_ends(
    workspace: Workspace, kind: RunKind, name: str
) -> None:
    with workspace.ledger.hold_run() as lock:
        run_id = workspace.ledger.write(begin_run, ReadCounts(), LATER, lock, kind)
        (going,) = workspace.ledger.read(history, 100)
        assert going.text == f"{name} started: run 1."
        workspace.ledger.write(end_run, run_id, RunStatus.STOPPED, "No network.", LATER + 1)
    ended, _ = workspace.ledger.read(history, 100)
    assert ended == HistoryEntry(
        LATER + 1, f"{name} ended: run 1, stopped. 0 requests. No network.", True, 1
    )


async def test_a_run_of_another_process_names_it(workspace: Workspace) -> None:
    workspace.enter("u-1")
    await workspace.sync()
    workspace.ledger.write(lambda db: db.execute("UPDATE run SET pid = 71, host = 'desk'"))
    assert "Sync of 1 audience started: run 1, process 71 on desk." in texts(workspace)


def test_the_log_keeps_its_newest_entries(workspace: Workspace) -> None:
    def fill(db: Db) -> None:
        for number in range(MAX_ENTRIES + 5):
            add_log_entry(db, LogEntry(number, LogKind.IMPORT, f"Import {number}"))

    workspace.ledger.write(fill)
    kept = workspace.ledger.read(log_entries, MAX_ENTRIES + 10)
    assert len(kept) == MAX_ENTRIES
    assert (kept[0].at, kept[-1].at) == (MAX_ENTRIES + 4, 5)
