"""The history says what was done with a ledger, whichever process did it."""

import pytest

from amp_console.ledger import Db
from amp_console.ledger.event_log import MOST, LogEntry, LogKind, add_log_entry, log_entries
from amp_console.ledger.run_locks import hold_run
from amp_console.ledger.runs import RunKind, RunStatus, begin_run, end_run
from amp_console.ledger.sources import ReadCounts
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.queries.history import HistoryEntry, history
from amp_console.values import IdType
from tests.sync.office import Office, event

pytestmark = pytest.mark.anyio
CHANGED_BACK = (
    "Settings of “shoppers” changed: cohort name reset to the default; enabled; "
    "linked to cohort 26umsb5."
)
LATER = 5_000_000_000_000_000  # microseconds; after everything that an office does


def texts(office: Office) -> list[str]:
    """What the history says, the newest first."""
    return [item.text for item in office.ledger.read(history, 100)]


async def test_imports_and_runs_are_told_the_newest_first(office: Office) -> None:
    office.read([event("u-1", True), event(None, True), event("ghost-1", True)])
    await office.sync()
    ended, started, read = office.ledger.read(history, 100)
    assert read.text.endswith(": 3 events, 2 changes, 0 filtered, 1 invalid.")
    assert read.text.startswith("Import of ")
    assert read.is_bad
    assert started.text == "Sync of 1 audience started: run 1."
    assert ended.text.startswith("Sync ended: run 1, partial. 1 added, 1 rejected, ")
    assert (started.run_id, ended.run_id, read.run_id) == (1, 1, None)
    assert ended.at >= started.at >= read.at


async def test_settings_that_are_changed_are_told_and_those_that_are_not_are_not(
    office: Office,
) -> None:
    office.enter("u-1")
    before = len(texts(office))
    office.change(SettingsChange(cohort_name="VIPs", enabled=False, id_type=IdType.AMPLITUDE_ID))
    office.change(SettingsChange(cohort_name="VIPs"))
    office.change(SettingsChange(cohort_name="", cohort_id="26umsb5", enabled=True))
    told = texts(office)[: len(texts(office)) - before]
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
    office: Office, kind: RunKind, name: str
) -> None:
    with hold_run(office.ledger.path) as lock:
        run_id = office.ledger.write(begin_run, ReadCounts(), LATER, lock, kind)
        (going,) = office.ledger.read(history, 100)
        assert going.text == f"{name} started: run 1."
        office.ledger.write(end_run, run_id, RunStatus.STOPPED, "No network.", LATER + 1)
    ended, _ = office.ledger.read(history, 100)
    assert ended == HistoryEntry(
        LATER + 1, f"{name} ended: run 1, stopped. 0 requests. No network.", True, 1
    )


async def test_a_run_of_another_process_names_it(office: Office) -> None:
    office.enter("u-1")
    await office.sync()
    office.ledger.write(lambda db: db.execute("UPDATE run SET pid = 71, host = 'desk'"))
    assert "Sync of 1 audience started: run 1, process 71 on desk." in texts(office)


def test_the_log_keeps_its_newest_entries(office: Office) -> None:
    def fill(db: Db) -> None:
        for number in range(MOST + 5):
            add_log_entry(db, LogEntry(number, LogKind.IMPORT, f"Import {number}"))

    office.ledger.write(fill)
    kept = office.ledger.read(log_entries, MOST + 10)
    assert len(kept) == MOST
    assert (kept[0].at, kept[-1].at) == (MOST + 4, 5)
