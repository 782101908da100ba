"""The log on screen: live, filtered, copied, exported, and kept after the console quits."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from textual.pilot import Pilot

from amp_console.console.routes import OpenAudienceSettings, OpenErrors, OpenReconcile, OpenRun
from amp_console.console.screens.log.view import LogScreen
from amp_console.console.widgets.grid import Grid
from amp_console.ledger import Db, open_ledger
from amp_console.ledger.event_log import (
    LogEntry,
    LogFilter,
    LogKind,
    Severity,
    add_log_entry,
    log_page,
)
from amp_console.sync.audience_settings import SettingsChange
from tests.console.harness import (
    ConsoleHarness,
    console,
    picture,
    services,
    until,
    until_gone,
    until_shown,
)
from tests.console.host import NOW, ScreenHost, hosted
from tests.console.sample_audiences import GHOSTS, connect_with_audiences

pytestmark = pytest.mark.anyio
MINUTE = 60_000_000
LONG = "The reason is " + "very " * 60 + "long."
ENTRIES = (
    LogEntry(NOW - 5 * MINUTE, LogKind.IMPORT, "Import of a.ndjson: 3 events."),
    LogEntry(NOW - 4 * MINUTE, LogKind.SYNC, "Sync started: run 7.", run_id=7, audience_id=2),
    LogEntry(NOW - 3 * MINUTE, LogKind.COMPARE, "Compared.", run_id=8, audience_id=2),
    LogEntry(NOW - 2 * MINUTE, LogKind.SETTINGS, "Settings changed.", audience_id=2),
    LogEntry(NOW - MINUTE, LogKind.BACKUP, LONG, Severity.WARNING, process="process 71 on desk"),
)


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[tuple[ScreenHost, Pilot[None]]]:
    """The log over a ledger with five entries."""
    async with hosted(tmp_path, LogScreen) as (host, pilot):
        keep(host, *ENTRIES)
        host.services.publish_ledger_change()
        await until_shown(pilot, "5 entries")
        yield host, pilot


def keep(host: ScreenHost, *entries: LogEntry) -> None:
    """Write entries as another process would."""
    session = host.services.session
    assert session is not None

    def write(db: Db) -> None:
        for entry in entries:
            add_log_entry(db, entry)

    with open_ledger(session.ledger.url) as ledger:
        ledger.write(write)


async def test_shows_the_newest_first_with_who_did_it(
    log: tuple[ScreenHost, Pilot[None]],
) -> None:
    _, pilot = log
    rows = [line for line in picture(pilot).splitlines() if " process 71 " in line]
    assert rows[0].startswith("│▸")
    assert "!" in rows[0]
    shown = picture(pilot)
    assert shown.index("Settings changed.") < shown.index("Compared.") < shown.index("Import of a")
    assert "this console" in shown


async def test_a_long_line_is_whole_below_and_on_enter(
    log: tuple[ScreenHost, Pilot[None]],
) -> None:
    _, pilot = log
    await until_shown(pilot, "process 71 on desk")
    await until_shown(pilot, "long.")
    await pilot.press("enter")
    await until_shown(pilot, "Esc Close")
    await pilot.press("y")
    await until(pilot, lambda: pilot.app.clipboard == LONG)


async def test_enter_opens_what_a_line_is_about(log: tuple[ScreenHost, Pilot[None]]) -> None:
    host, pilot = log
    for _ in range(3):
        await pilot.press("down", "enter")
    assert host.routes == [OpenAudienceSettings(2), OpenReconcile(2), OpenRun(7)]
    keep(host, LogEntry(NOW, LogKind.RETRY, "2 users retried.", audience_id=2))
    host.services.publish_ledger_change()
    await until_shown(pilot, "2 users retried.")
    await pilot.press("g", "enter")
    assert host.routes[-1] == OpenErrors(2)


async def test_new_lines_appear_while_it_is_open(log: tuple[ScreenHost, Pilot[None]]) -> None:
    host, pilot = log
    keep(host, LogEntry(NOW, LogKind.LIVE, "No event has come for 10 minutes."))
    host.services.publish_ledger_change()
    await until_shown(pilot, "6 entries", "No event has come")
    assert pilot.app.screen.query_one(Grid).cursor == 0
    await pilot.press("down")
    chosen = pilot.app.screen.query_one(Grid).key
    keep(host, LogEntry(NOW + 1, LogKind.LIVE, "Events come again."))
    host.services.publish_ledger_change()
    await until_shown(pilot, "7 entries")
    assert pilot.app.screen.query_one(Grid).key == chosen


async def test_one_kind_is_chosen_by_key_and_by_click(
    log: tuple[ScreenHost, Pilot[None]],
) -> None:
    _, pilot = log
    await until_shown(pilot, "All 5   Imports 1   Runs 2   Settings 1   Backups 1")
    await pilot.press("v")
    await until_shown(pilot, "Log · imports", "1 entry")
    await until_gone(pilot, "Compared.")
    await pilot.press("v")
    await until_shown(pilot, "Log · runs", "2 entries", "Compared.")
    await pilot.press("V", "V")
    await until_shown(pilot, "5 entries")
    bar = pilot.app.screen.query_one("KindBar")
    await pilot.click(bar, offset=(picture(pilot).splitlines()[bar.region.y].index("Settings"), 0))
    await until_shown(pilot, "Log · settings", "1 entry")


async def test_a_text_filters_the_lines_and_the_counts(
    log: tuple[ScreenHost, Pilot[None]],
) -> None:
    _, pilot = log
    await pilot.press("slash", *"SETTINGS", "enter")
    await until_shown(pilot, "1 entry", "All 1   Settings 1", "Settings changed.")
    await until_gone(pilot, "Import of")


async def test_one_line_marked_lines_and_all_lines_are_copied(
    log: tuple[ScreenHost, Pilot[None]],
) -> None:
    _, pilot = log
    await pilot.press("down", "y")
    await until(pilot, lambda: pilot.app.clipboard.endswith("Settings changed.\tthis console"))
    await pilot.press("Y")
    await until(pilot, lambda: len(pilot.app.clipboard.splitlines()) == len(ENTRIES))
    assert LONG in pilot.app.clipboard.splitlines()[0]
    await pilot.press("space", "down", "space", "Y")
    await until(pilot, lambda: len(pilot.app.clipboard.splitlines()) == 2)


async def test_all_that_is_shown_is_exported(
    log: tuple[ScreenHost, Pilot[None]], tmp_path: Path
) -> None:
    host, pilot = log
    await pilot.press("v", "v")
    await until_shown(pilot, "Log · runs")
    await pilot.press("E")
    await until_shown(pilot, "Export the log")
    await pilot.press("ctrl+a", "ctrl+k", *str(tmp_path / "log.ndjson"), "enter")
    said = host.services.notifications  # a notification itself is shown for seconds only
    await until(pilot, lambda: any("Wrote 2 rows" in entry.text for entry in said.entries))
    documents = [json.loads(row) for row in (tmp_path / "log.ndjson").read_text().splitlines()]
    assert [(item["kind"], item["run"]) for item in documents] == [("compare", "8"), ("sync", "7")]


async def test_a_hundred_thousand_lines_come_page_by_page(tmp_path: Path) -> None:
    async with hosted(tmp_path, LogScreen) as (host, pilot):
        assert host.services.session is not None

        def fill(db: Db) -> None:
            db.execute(
                "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 100000) "
                "INSERT INTO log_entry (at, kind, text, severity) "
                "SELECT n, 'import', 'Import number ' || n, 0 FROM n"
            )

        host.services.session.ledger.write(fill)
        host.services.publish_ledger_change()
        await until_shown(pilot, "100,000 entries", "Import number 100000")
        await pilot.press("G")
        await until_shown(pilot, "Import number 1 ")
        await pilot.press("slash", *"number 77777", "enter")
        await until_shown(pilot, "1 entry", "Import number 77777")


async def test_without_anything_done_it_says_what_will_be_here(tmp_path: Path) -> None:
    async with hosted(tmp_path, LogScreen, size=(80, 24)) as (_, pilot):
        await until_shown(pilot, "Nothing has happened yet.", "All 0")
        await pilot.press("E")
        await until_shown(pilot, "The log is empty.")


async def test_what_the_console_said_is_kept_when_it_quits(tmp_path: Path) -> None:
    async with hosted(tmp_path, LogScreen) as (host, pilot):
        host.services.notifications.post("[red]Something[/foo] happened.\nTwice.", "error")
        host.services.notifications.post("Copied.", is_kept=False)
        await until_shown(pilot, "[red]Something[/foo] happened.\\nTwice.", "Messages 1")
        assert host.services.session is not None
        url = host.services.session.ledger.url
    with open_ledger(url) as ledger:
        (entry,) = ledger.read(log_page, LogFilter())
    assert (entry.kind, entry.severity, entry.at) == (LogKind.MESSAGE, Severity.ERROR, NOW)


async def test_a_message_without_a_connection_waits_for_one(tmp_path: Path) -> None:
    async with hosted(tmp_path, LogScreen) as (host, pilot):
        session = host.services.session
        assert session is not None
        await host.services.sessions.close()
        host.services.notifications.post("The settings are damaged.", "warning")
        await until_shown(pilot, "The settings are damaged.", "1 entry")
        await host.services.sessions.open(session.connection)
        opened = host.services.session
        assert opened is not None
        await until(pilot, lambda: not host.services.messages.unsaved)
        (entry,) = opened.ledger.read(log_page, LogFilter())
        assert entry.text == "The settings are damaged."


async def test_the_same_message_is_kept_once_while_it_is_shown(tmp_path: Path) -> None:
    async with hosted(tmp_path, LogScreen) as (host, _):
        await host.push_screen(LogScreen())
        for _ in range(3):
            host.services.notifications.post("Amplitude can't be reached.", "error")
        assert host.services.session is not None
        found = await host.services.session.ledger.aread(log_page, LogFilter())
        assert len(found) == 1


async def test_what_other_processes_do_appears_in_the_console(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        services(pilot).notifications.post("Said before.")
        console(pilot).action_go("events")
        await until_shown(pilot, "Import of ", "Sync of 3 audiences ended: run 1")
        assert services(pilot).notifications.shown.current is None
        with harness.workspace(harness.environment.connections.pick(None)) as workspace:
            workspace.change(SettingsChange(cohort_name="VIPs"), GHOSTS)
        await until_shown(pilot, f"Settings of “{GHOSTS}” changed: cohort name VIPs.")
        await pilot.press("slash", *"ended", "enter")
        await until_gone(pilot, "Import of")
        await pilot.press("enter")
        await until_shown(pilot, "run 1", "Requests")
