import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from amp_console.console.background import in_thread
from amp_console.console.dialogs.imports.dialog import ImportDialog
from amp_console.console.key_priority import KeyPriority
from amp_console.console.screens.audiences.list import AudiencesScreen
from amp_console.console.widgets.fields import Tick
from amp_console.ledger.counts import outstanding
from tests.console.harness import (
    ConsoleHarness,
    picture,
    services,
    until,
    until_notified,
    until_on,
    until_shown,
)
from tests.sync.workspace import event, ndjson

pytestmark = pytest.mark.anyio

SIZES = [(80, 24), (120, 36)]


def write(path: Path, *events: object) -> Path:
    path.write_text(ndjson(events))
    return path


async def open_dialog(pilot: Pilot[None], path: object, *shown: str) -> None:
    await until(pilot, lambda: services(pilot).session)
    await pilot.press("i")
    await until_on(pilot, ImportDialog)
    await until_shown(pilot, "Audience")
    pilot.app.screen.query_one("#path", Input).value = str(path)
    await until_shown(pilot, *shown)


@pytest.mark.parametrize("size", SIZES)
async def test_a_file_is_read_and_told_about(
    harness: ConsoleHarness, tmp_path: Path, size: tuple[int, int]
) -> None:
    harness.connect()
    file = write(tmp_path / "e.ndjson", event("u-1", True), {"type": "page"}, "nonsense")
    async with harness.open(size=size) as pilot:
        await open_dialog(pilot, file, "1 file, ", "press Enter to read")
        await pilot.press("enter")

        await until_shown(
            pilot,
            "Read 3 events: 1 valid (1 member updated), 1 filtered, 1 invalid.",
            "filtered: not an audience event (1)",
            "1 event is invalid: press x to see which, and why.",
            "Nothing was sent.",
        )
        await pilot.press("x")
        await until(pilot, lambda: not isinstance(pilot.app.screen, ImportDialog))
        await until_shown(pilot, "not a JSON object")


async def test_reading_waits_while_a_key_is_handled(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    harness.connect()
    file = write(tmp_path / "e.ndjson", event("u-1", True))
    keys = KeyPriority(max_seconds=60)
    harness.environment = replace(harness.environment, key_priority=keys)
    async with harness.open() as pilot:
        await open_dialog(pilot, file, "1 file, ", "press Enter to read")
        keys.begin()
        await pilot.press("enter")
        await until(pilot, lambda: (job := services(pilot).jobs.importing) and job.progress)
        await pilot.pause()
        job = services(pilot).jobs.importing
        assert job is not None
        assert not job.is_over

        keys.end()

        await until_shown(pilot, "Read 1 event: 1 valid")


async def test_a_pattern_reads_every_file_it_names(harness: ConsoleHarness, tmp_path: Path) -> None:
    harness.connect()
    for number in range(3):
        write(tmp_path / f"e{number}.ndjson", event(f"u-{number}", True))
    async with harness.open() as pilot:
        await open_dialog(pilot, tmp_path / "*.ndjson", "3 files")
        await pilot.press("enter")
        await until_shown(pilot, "Read 3 events: 3 valid")
        await pilot.press("escape")

        await until_shown(pilot, "shoppers", "+3")


async def test_tab_completes_and_files_are_chosen_below(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    harness.connect()
    (tmp_path / "deep").mkdir()
    write(tmp_path / "deep" / "events.ndjson", event("u-1", True))
    async with harness.open() as pilot:
        await open_dialog(pilot, tmp_path / "de", "deep/")
        await pilot.press("tab")
        await until_shown(pilot, "events.ndjson")
        await pilot.press("down", "enter")
        await until_shown(pilot, "1 file, ")
        await pilot.press("enter")

        await until_shown(pilot, "Read 1 event: 1 valid")


async def test_what_is_missing_is_said_at_once(harness: ConsoleHarness, tmp_path: Path) -> None:
    harness.connect()
    file = write(tmp_path / "e.ndjson", event("u-1", True))
    async with harness.open() as pilot:
        await open_dialog(pilot, tmp_path / "nothing", "There is no such file.")
        await pilot.press("enter")
        assert services(pilot).jobs.importing is None

        pilot.app.screen.query_one("#path", Input).value = str(file)
        await until_shown(pilot, "1 file, ")
        await pilot.click("#whole")
        await until_shown(pilot, "[x]")
        await pilot.click("#import")

        await until_shown(pilot, "A complete snapshot lists one audience: enter its key.")
        assert services(pilot).jobs.importing is None


async def _import_snapshot(pilot: Pilot[None], file: Path) -> None:
    await open_dialog(pilot, file, "1 file, ")
    pilot.app.screen.query_one("#key", Input).value = "shoppers"
    pilot.app.screen.query_one("#whole", Tick).value = True
    await until_shown(pilot, "[x]")
    await pilot.press("enter")


@pytest.mark.parametrize("is_confirmed", [True, False])
async def test_a_snapshot_that_removes_many_is_confirmed_first(
    harness: ConsoleHarness, tmp_path: Path, is_confirmed: bool
) -> None:
    connection = harness.connect()
    with harness.workspace(connection) as workspace:
        workspace.enter("u-1", "u-2", "u-3")
        await workspace.sync()
    file = tmp_path / "download.csv"
    file.write_text("user_id\nu-1\nnew\n")
    async with harness.open() as pilot:
        await _import_snapshot(pilot, file)
        await until_shown(
            pilot,
            "Apply this snapshot?",
            "The snapshot lists 2 members. It removes 2 of the 3 members",
        )
        with harness.workspace(connection) as workspace:
            left = workspace.ledger.read(outstanding, workspace.audience())
            assert (left.add, left.remove) == (0, 0)
        await pilot.press("y" if is_confirmed else "n")
        if is_confirmed:
            await until_shown(pilot, "2 members removed: the snapshot does not list them.")
        else:
            await until_shown(pilot, "The snapshot was not confirmed. Nothing was changed.")
    with harness.workspace(connection) as workspace:
        left = workspace.ledger.read(outstanding, workspace.audience())
        assert (left.add, left.remove) == ((1, 2) if is_confirmed else (0, 0))


async def test_what_happened_after_a_download_was_made_outweighs_it(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    connection = harness.connect()
    with harness.workspace(connection) as workspace:
        workspace.read([event("u-1", False)])  # left on 3 May
    file = tmp_path / "download.csv"
    file.write_text("user_id\nu-1\nu-2\n")
    async with harness.open() as pilot:
        await open_dialog(pilot, file, "1 file, ", "of the download, e.g. 2026-05-03 19:42")
        dialog = pilot.app.screen
        dialog.query_one("#key", Input).value = "shoppers"
        taken = dialog.query_one("#taken-at", Input)
        taken.focus()
        for wrong, why in (("in May", "is not a time"), ("2031-05-01", "is in the future")):
            taken.value = wrong
            await pilot.press("enter")
            await until_shown(pilot, f"'{wrong}' {why}")
            assert pilot.app.focused is taken
        taken.value = "2026-05-01T00:00:00Z"
        await pilot.press("enter")
        await until_shown(pilot, "Nothing was sent.")
    with harness.workspace(connection) as workspace:
        assert workspace.ledger.read(outstanding, workspace.audience()).add == 1


async def test_a_damaged_snapshot_removes_no_one_unless_the_operator_insists(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    connection = harness.connect()
    with harness.workspace(connection) as workspace:
        workspace.enter("u-1", "u-2")
        await workspace.sync()
    file = tmp_path / "download.csv"
    file.write_text("user_id,city\nu-1,Graz\n,Linz\n")
    async with harness.open() as pilot:
        await _import_snapshot(pilot, file)
        await until_shown(
            pilot, "The snapshot is incomplete: no one was removed.", "1 row was refused in"
        )
        with harness.workspace(connection) as workspace:
            assert workspace.ledger.read(outstanding, workspace.audience()).remove == 0
        await pilot.press("a")
        await until_shown(pilot, "Apply this snapshot?", "It removes 1 of the 2 members")
        await pilot.press("n")
        await until_shown(pilot, "The snapshot is incomplete: no one was removed.")
        await pilot.press("a")
        await until_shown(pilot, "Apply this snapshot?")
        await pilot.press("y")
        await until_shown(pilot, "1 member removed: the snapshot does not list them.")
    with harness.workspace(connection) as workspace:
        assert workspace.ledger.read(outstanding, workspace.audience()).remove == 1


async def test_an_incomplete_snapshot_is_dropped_once_another_file_is_imported(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    harness.connect()
    file = tmp_path / "download.csv"
    file.write_text("user_id,city\nu-1,Graz\n,Linz\n")
    async with harness.open() as pilot:

        def staged() -> int:
            session = services(pilot).session
            assert session is not None
            count = "SELECT count(*) FROM temp.sqlite_schema WHERE name LIKE 'snapshot%'"
            return int(session.ledger.stage(lambda db: db.execute(count).fetchone()[0]))

        await _import_snapshot(pilot, file)
        await until_shown(pilot, "The snapshot is incomplete: no one was removed.")
        assert staged() > 0  # the operator may still apply it
        file.write_text("user_id,city\nu-1,Graz\n")
        await pilot.press("i")
        await until_shown(pilot, "1 file, ")
        await pilot.press("enter")
        await until_shown(pilot, "Read 1 event: 1 valid")
        assert staged() == 0


async def test_audiences_of_one_key_are_distinguished_and_named_by_computation_id(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    connection = harness.connect()
    with harness.workspace(connection) as workspace:
        workspace.read(
            event(entry, True, personas={"computation_id": entry}) for entry in ("one", "two")
        )
    file = tmp_path / "download.csv"
    file.write_text("user_id\nu-1\nu-2\n")
    async with harness.open() as pilot:
        await until_shown(pilot, "shoppers (one)", "shoppers (two)")
        await open_dialog(pilot, file, "1 file, ")
        key = pilot.app.screen.query_one("#key", Input)
        key.value = "shoppers"
        await pilot.press("enter")
        await until_shown(pilot, "Name one by its computation ID: one, two.")
        key.value = "two"
        await pilot.press("enter")
        await until_shown(pilot, "Read 2 events: 2 valid")
        await pilot.press("escape")
        await until_shown(pilot, "shoppers (two)", "+3")


async def test_a_complete_snapshot_lets_the_others_leave(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    connection = harness.connect()
    with harness.workspace(connection) as workspace:
        workspace.enter("u-1", "u-2")
        await workspace.sync()
    file = tmp_path / "download.csv"
    file.write_text("user_id\nu-1\n")
    async with harness.open() as pilot:
        await open_dialog(pilot, file, "1 file, ")
        await pilot.press("enter")
        await until_shown(pilot, "with the key of its audience.")
        await pilot.press("i")
        await until_shown(pilot, "1 file, ")
        pilot.app.screen.query_one("#key", Input).value = "shoppers"
        await pilot.click("#whole")
        await pilot.click("#import")
        await until_shown(pilot, "It removes 1 of the 2 members")
        await pilot.press("y")

        await until_shown(pilot, "1 member removed: the snapshot does not list them.")
    with harness.workspace(connection) as workspace:
        assert workspace.ledger.read(outstanding, workspace.audience()).remove == 1


async def test_the_dialog_is_left_and_come_back_to_while_reading_continues(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    harness.connect()
    pipe = tmp_path / "events.ndjson"
    os.mkfifo(pipe)
    async with harness.open() as pilot:
        from amp_console.console import import_report

        await until(pilot, lambda: services(pilot).session)
        await import_report.start(services(pilot), [str(pipe)], "", is_snapshot=False)
        with await in_thread(pipe.open, "w") as writer:
            await pilot.press("i")
            await until_shown(pilot, "Opening…")
            await pilot.press("escape")
            await until_on(pilot, AudiencesScreen)
            await until_shown(pilot, "» importing")
            writer.write(json.dumps(event("u-1", True)) + "\n")

        await until_notified(
            pilot, "Read 1 event: 1 valid (1 member updated), 0 filtered, 0 invalid."
        )
        await pilot.press("i")
        await until_shown(pilot, "New audience: ")
        await pilot.press("escape", "i")
        await until_shown(pilot, "its key; leave empty")  # the form: the result was seen


async def test_stopping_keeps_what_was_read(harness: ConsoleHarness, tmp_path: Path) -> None:
    harness.connect()
    pipe = tmp_path / "events.ndjson"
    os.mkfifo(pipe)
    async with harness.open() as pilot:
        from amp_console.console import import_report

        await until(pilot, lambda: services(pilot).session)
        await import_report.start(services(pilot), [str(pipe)], "", is_snapshot=False)
        with await in_thread(pipe.open, "w") as writer:
            await pilot.press("i")
            await until_shown(pilot, "Opening…")
            writer.write(json.dumps(event("u-1", True)) + "\n")
            await pilot.press("c")
            await until_shown(pilot, "Stopping…")

        await until_shown(pilot, "Stopped. Everything read so far is kept: 1 event")


async def test_hostile_file_names_break_nothing(harness: ConsoleHarness, tmp_path: Path) -> None:
    harness.connect()
    names = ("[foo]", "[red]", "\x1b[31m", "\u202eolleh", "n" * 250)
    folder = tmp_path / "events"
    folder.mkdir()
    for name in names:
        write(folder / name, event("u-1", True))
    async with harness.open() as pilot:
        await open_dialog(pilot, f"{folder}/", "[foo]", "[red]")
        await pilot.press("down", "G", "enter")

        await until_shown(pilot, "1 file, ")
        assert "\x1b" not in picture(pilot)
        await pilot.press("enter")
        await until_shown(pilot, "Read 1 event")


async def test_before_a_path_is_typed_it_says_what_can_be_imported(
    harness: ConsoleHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    harness.connect()
    async with harness.open() as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("i")
        await until_shown(pilot, "There is no file in the current folder: type a path.")
        await until_shown(pilot, "NDJSON or JSON (also .gz)")
        assert "No file with this name" not in picture(pilot)
        assert "The folder is empty" not in picture(pilot)


async def test_a_demo_puts_the_folder_of_its_events_forward(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    write(tmp_path / "e.ndjson", event("u-1", True))
    harness.environment = replace(harness.environment, live_folder=str(tmp_path / "live"))
    harness.connect()
    async with harness.open() as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("i")
        await until_shown(pilot, "e.ndjson")
        assert pilot.app.screen.query_one("#path", Input).value == f"{tmp_path}/"
