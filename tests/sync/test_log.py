"""The log says what was done with a ledger, whichever process did it."""

import json
from pathlib import Path

import pytest

from amp_console.ledger import Db, open_ledger
from amp_console.ledger.event_log import (
    MAX_ENTRIES,
    LogEntry,
    LogFilter,
    LogKind,
    Severity,
    add_log_entry,
    count_log,
    log_counts,
    log_page,
    newest_log_id,
    this_process,
)
from amp_console.ledger.rejected import RejectedFilter
from amp_console.ledger.runs import RunKind, RunStatus, begin_run, run
from amp_console.ledger.sources import ReadCounts
from amp_console.simulator import Answer, Call
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.delivery.retry import retry, retry_these
from amp_console.sync.queries.log_export import write_log
from amp_console.values import IdType
from tests.sync.workspace import Workspace, event

pytestmark = pytest.mark.anyio
EVERYTHING = LogFilter()


def entries(workspace: Workspace, criteria: LogFilter = EVERYTHING) -> list[LogEntry]:
    """The texts in the log, the newest first."""
    return workspace.ledger.read(log_page, criteria)


def texts(workspace: Workspace, *kinds: LogKind) -> list[str]:
    return [entry.text for entry in entries(workspace, LogFilter(kinds=kinds))]


async def test_imports_and_runs_are_logged_the_newest_first(workspace: Workspace) -> None:
    workspace.read([event("u-1", True), event(None, True), event("ghost-1", True)])
    await workspace.sync()
    ended, created, started, read = entries(workspace)
    assert read.text.endswith(": 3 events, 2 valid (2 members updated), 0 filtered, 1 invalid.")
    assert read.text.startswith("Import of ")
    assert read.severity is Severity.WARNING
    assert started.text == "Sync of “shoppers” started: run 1."
    cohort = workspace.audience().cohort_id
    assert created.text == f"Cohort “shoppers” ({cohort}) created for “shoppers”."
    requests = workspace.ledger.read(run, 1)
    assert requests is not None
    assert ended.text == (
        "Sync of “shoppers” ended: run 1, partial. "
        f"1 added, 1 rejected, {requests.requests} requests."
    )
    assert [entry.run_id for entry in (ended, created, started, read)] == [1, 1, 1, None]
    assert {entry.audience_id for entry in (ended, created, started)} == {1}
    assert {entry.process for entry in entries(workspace)} == {this_process()}
    assert ended.at >= started.at >= read.at


async def test_a_run_of_several_audiences_counts_them(workspace: Workspace) -> None:
    workspace.read([event("u-1", True), event("u-2", True, audience="others")])
    await workspace.sync()
    ended, started = texts(workspace, LogKind.SYNC)
    assert started == "Sync of 2 audiences started: run 1."
    assert ended.startswith("Sync of 2 audiences ended: run 1, delivered. 2 added, ")


async def test_changed_settings_and_links_are_logged_and_unchanged_ones_are_not(
    workspace: Workspace,
) -> None:
    workspace.enter("u-1")
    workspace.change(SettingsChange(cohort_name="VIPs", enabled=False, id_type=IdType.AMPLITUDE_ID))
    workspace.change(SettingsChange(cohort_name="VIPs"))
    workspace.change(SettingsChange(cohort_name="", cohort_id="26umsb5", enabled=True))
    workspace.change(SettingsChange(unlink=True))
    assert texts(workspace, LogKind.SETTINGS) == [
        "Settings of “shoppers” changed: cohort name reset to the default; enabled.",
        "Settings of “shoppers” changed: ID type Amplitude ID; cohort name VIPs; disabled.",
    ]
    assert texts(workspace, LogKind.LINK) == [
        "“shoppers” unlinked.",
        "“shoppers” linked to cohort 26umsb5.",
    ]


async def test_a_link_that_breaks_is_logged_with_the_reason(workspace: Workspace) -> None:
    workspace.enter("u-1")
    await workspace.sync()
    workspace.simulator.world.drop_cohort(workspace.audience().cohort_id or "")
    workspace.enter("u-2")
    await workspace.sync()
    broken, _ = entries(workspace, LogFilter(kinds=(LogKind.LINK,)))
    assert broken.text == f"The link of “shoppers” is broken. {workspace.audience().broken}"
    assert (broken.severity, broken.run_id, broken.audience_id) == (Severity.WARNING, 2, 1)


async def test_a_comparison_says_what_it_found(workspace: Workspace) -> None:
    workspace.enter("u-1", "u-2")
    await workspace.sync()
    await workspace.compare()
    assert texts(workspace, LogKind.COMPARE)[0] == (
        "Comparison of “shoppers” ended: run 2, same. 1 cohort compared, no user differs."
    )


async def test_users_who_are_pending_do_not_differ(workspace: Workspace) -> None:
    workspace.enter("u-1", "u-2", "u-3")
    await workspace.sync()
    workspace.remove_in_amplitude("u-2")
    workspace.enter("u-4", "u-5", at=60)
    await workspace.compare()
    assert texts(workspace, LogKind.COMPARE)[0].endswith(
        "1 cohort compared, 1 user differs, 2 pending."
    )


async def test_a_retry_is_logged_with_how_many_users(workspace: Workspace) -> None:
    workspace.enter("u-1", "ghost-1", "ghost-2")
    await workspace.sync()
    assert retry(workspace.ledger, workspace.connection, RejectedFilter(audience_id=1)) == 2
    assert retry(workspace.ledger, workspace.connection, RejectedFilter(audience_id=1)) == 0
    (retried,) = entries(workspace, LogFilter(kinds=(LogKind.RETRY,)))
    assert retried.text == "2 rejected users of “shoppers” made pending again."
    assert retried.audience_id == 1


async def test_a_retry_of_chosen_users_names_the_first_of_them(workspace: Workspace) -> None:
    ghosts = [f"ghost-{n}" for n in range(7)]
    workspace.enter("u-1", *ghosts)
    await workspace.sync()
    users = [(1, IdType.USER_ID, ghost) for ghost in ghosts]
    assert retry_these(workspace.ledger, workspace.connection, users) == 7
    (retried,) = entries(workspace, LogFilter(kinds=(LogKind.RETRY,)))
    assert retried.text == (
        "7 rejected users of “shoppers” made pending again "
        "(ghost-0, ghost-1, ghost-2, ghost-3, ghost-4 and 2 more)."
    )


async def test_a_stopped_run_is_a_warning_with_its_note(workspace: Workspace) -> None:
    workspace.enter("u-1")
    workspace.simulator.faults.once(Answer(401, words="Invalid API Key"), Call.LIST)
    report = await workspace.sync()
    assert report.keys_refused
    ended = entries(workspace)[0]
    assert ended.severity is Severity.WARNING
    assert ended.text.endswith(report.keys_refused)


def test_a_run_whose_process_died_is_logged_as_interrupted(workspace: Workspace) -> None:
    with workspace.ledger.hold_run() as lock:
        workspace.ledger.write(begin_run, ReadCounts(), 5, lock, RunKind.LIVE)
    workspace.ledger.write(lambda db: db.execute("UPDATE run SET pid = 71, host = 'desk'"))
    with open_ledger(workspace.ledger.url):
        pass
    (ended,) = entries(workspace)
    assert ended.text == f"Live session ended: run 1, {RunStatus.INTERRUPTED}. 0 requests."
    assert (ended.at, ended.process) == (5, "process 71 on desk")


class TestTheTable:
    @pytest.fixture
    def workspace(self, workspace: Workspace) -> Workspace:
        """A log of imports, settings and messages, whose newest entry is not the last row."""

        def fill(db: Db) -> None:
            for at, kind, text in (
                (10, LogKind.IMPORT, "Import of a.ndjson"),
                (40, LogKind.SETTINGS, "Settings changed"),
                (20, LogKind.IMPORT, "Import of B.ndjson"),
                (30, LogKind.MESSAGE, "Copied"),
            ):
                add_log_entry(db, LogEntry(at, kind, text))

        workspace.ledger.write(fill)
        return workspace

    def test_comes_in_pages_by_time(self, workspace: Workspace) -> None:
        pages = [workspace.ledger.read(log_page, EVERYTHING, at, 3) for at in (0, 3)]
        assert [[entry.at for entry in page] for page in pages] == [[40, 30, 20], [10]]
        assert workspace.ledger.read(count_log, EVERYTHING) == 4

    def test_is_filtered_by_text_kind_and_time(self, workspace: Workspace) -> None:
        def found(criteria: LogFilter) -> list[int]:
            listed = [entry.at for entry in entries(workspace, criteria)]
            assert workspace.ledger.read(count_log, criteria) == len(listed)
            return listed

        assert found(LogFilter(text="b.NDJSON")) == [20]
        assert found(LogFilter(kinds=(LogKind.IMPORT, LogKind.MESSAGE))) == [30, 20, 10]
        assert found(LogFilter(since=20)) == [40, 30, 20]
        assert found(LogFilter(text="%")) == []

    def test_counts_every_kind_whatever_is_chosen(self, workspace: Workspace) -> None:
        chosen = LogFilter(text="import", kinds=(LogKind.MESSAGE,))
        assert workspace.ledger.read(log_counts, chosen) == {LogKind.IMPORT: 2}

    def test_says_what_came_after_an_entry(self, workspace: Workspace) -> None:
        before = workspace.ledger.read(newest_log_id)
        workspace.ledger.write(add_log_entry, LogEntry(1, LogKind.BACKUP, "late"))
        assert [e.text for e in entries(workspace, LogFilter(after=before))] == ["late"]

    def test_is_written_as_csv_and_as_ndjson(self, workspace: Workspace, tmp_path: Path) -> None:
        found = entries(workspace)
        assert write_log(tmp_path / "log.csv", found) == 4
        header, first, *_ = (tmp_path / "log.csv").read_text().splitlines()
        assert header == "at,kind,severity,text,run,audience_id,process,operator"
        assert first.startswith("1970-01-01T00:00:00Z,settings,information,Settings changed,,,")
        write_log(tmp_path / "log.ndjson", found)
        documents = [json.loads(row) for row in (tmp_path / "log.ndjson").read_text().splitlines()]
        assert [document["text"] for document in documents] == [entry.text for entry in found]


def test_the_log_keeps_its_newest_entries(workspace: Workspace) -> None:
    def fill(db: Db) -> None:
        db.execute(
            "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers "
            f"WHERE n < {MAX_ENTRIES + 3}) INSERT INTO log_entry (at, kind, text, severity) "
            "SELECT n, 'import', '', 0 FROM numbers"
        )
        add_log_entry(db, LogEntry(MAX_ENTRIES + 4, LogKind.IMPORT, "The last"))

    workspace.ledger.write(fill)
    found = [entry.at for entry in entries(workspace)]
    assert (len(found), found[0], found[-1]) == (MAX_ENTRIES, MAX_ENTRIES + 4, 5)
