import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from amp_console.console import import_report
from amp_console.console.background import in_thread
from amp_console.console.dialogs.quit import NOTHING, QuitDialog
from amp_console.console.screens.audiences.list import AudiencesScreen
from amp_console.console.screens.audiences.settings import AudienceSettings
from amp_console.console.screens.runs.view import RunScreen
from amp_console.ledger.counts import outstanding
from tests.console.gate import rate_limited_sync
from tests.console.harness import ConsoleHarness, console, picture, until, until_on, until_shown
from tests.console.sample_audiences import SHOPPERS, connect_with_audiences
from tests.console.test_live import follow
from tests.sync.workspace import event, ndjson

pytestmark = pytest.mark.anyio


async def test_going_on_leaves_the_sync_alone(harness: ConsoleHarness) -> None:
    async with rate_limited_sync(harness, harness.connect(), "u-1", "u-2") as (pilot, gate):
        await pilot.press("ctrl+q")
        await until_shown(pilot, "A sync is under way: 2 changes not delivered yet.")
        await until_shown(pilot, "y/Enter Quit when done  s Stop and quit  Esc Stay")
        await pilot.press("escape")
        assert not isinstance(pilot.app.screen, QuitDialog)

        gate.open()

        await until_shown(pilot, "All changes to shoppers were delivered.")


async def test_stopping_keeps_the_rest_pending(harness: ConsoleHarness) -> None:
    connection = harness.connect()
    async with rate_limited_sync(harness, connection, "u-1", "u-2") as (pilot, _):
        await pilot.press("ctrl+q")
        await until_shown(pilot, "Stop and quit")
        await pilot.press("s")

        await until(pilot, lambda: pilot.app._exit)
    with harness.workspace(connection) as workspace:
        assert workspace.ledger.read(outstanding, workspace.audience()).add == 2


async def test_waiting_quits_when_everything_is_delivered(harness: ConsoleHarness) -> None:
    connection = harness.connect()
    async with rate_limited_sync(harness, connection, "u-1", "u-2") as (pilot, gate):
        await pilot.press("ctrl+q")
        await until_shown(pilot, "Quit when done")
        await pilot.press("enter")  # the first answer has the focus
        await until_shown(pilot, "Quitting when it is done", "closes when this is done")

        gate.open()

        await until(pilot, lambda: pilot.app._exit)
    with harness.workspace(connection) as workspace:
        assert workspace.ledger.read(outstanding, workspace.audience()).pending == 0


async def test_one_may_stay_after_all_while_one_waits(harness: ConsoleHarness) -> None:
    """A second Enter does nothing: the operator is impatient."""
    async with rate_limited_sync(harness, harness.connect(), "u-1", "u-2") as (pilot, gate):
        await pilot.press("q")
        await until_shown(pilot, "Quit when done")
        await pilot.press("enter", "enter", "enter")
        await until_shown(pilot, "Quitting when it is done", " Esc Stay")

        await pilot.press("escape")

        await until_on(pilot, RunScreen)
        gate.open()
        await until_shown(pilot, "All changes to shoppers were delivered.")
        assert pilot.app.is_running
        await pilot.press("q")
        await until_shown(pilot, NOTHING)


async def test_a_paused_sync_is_resumed_to_quit_when_it_is_done(harness: ConsoleHarness) -> None:
    connection = harness.connect()
    async with rate_limited_sync(harness, connection, "u-1", "u-2") as (pilot, gate):
        await pilot.press("p")
        await until_shown(pilot, "p Resume")
        gate.open()
        await pilot.press("q")
        await until_shown(
            pilot,
            "A sync is paused: 2 changes not delivered yet.",
            "y/Enter Resume, then quit  s Stop and quit  Esc Stay",
        )
        await pilot.press("y")
        await until(pilot, lambda: pilot.app._exit)
    with harness.workspace(connection) as workspace:
        assert workspace.ledger.read(outstanding, workspace.audience()).pending == 0


async def test_one_may_stop_after_all_what_one_waits_for(harness: ConsoleHarness) -> None:
    async with rate_limited_sync(harness, harness.connect(), "u-1") as (pilot, _):
        await pilot.press("ctrl+q")
        await until_shown(pilot, "Quit when done")
        await pilot.press("y")
        await until_shown(pilot, "Quitting when it is done")

        await pilot.press("s")

        await until(pilot, lambda: pilot.app._exit)


async def test_an_import_is_stopped_and_what_was_read_is_kept(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    connection = harness.connect()
    pipe = tmp_path / "events.ndjson"
    os.mkfifo(pipe)
    async with harness.open() as pilot:
        app = console(pilot)
        await until(pilot, lambda: app.services.session)
        await import_report.start(app.services, [str(pipe)], "", is_snapshot=False)
        with await in_thread(
            pipe.open, "w"
        ) as writer:  # while it is open, the reader waits for more
            writer.write(json.dumps(event("u-1", True)) + "\n")
            writer.flush()
            await pilot.press("ctrl+q")
            await until_shown(pilot, "Events are being imported", "everything delivered or read is")
            await pilot.press("s")
            await until_shown(pilot, "The current request finishes")
        await until(pilot, lambda: pilot.app._exit)
    with harness.workspace(connection) as workspace:
        assert workspace.ledger.read(outstanding, workspace.audience()).add == 1


@pytest.mark.parametrize("key", ["q", "ctrl+q", "ctrl+c"])
async def test_all_keys_ask_the_same_question_once(harness: ConsoleHarness, key: str) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, SHOPPERS, "? Help  q Quit")
        await pilot.press(key)
        await until_on(pilot, QuitDialog)
        await until_shown(pilot, "Quit amp-console?", NOTHING, "y/Enter Quit  Esc Stay")
        await pilot.press("ctrl+q", "escape")
        await until_on(pilot, AudiencesScreen)
        await pilot.press(key)
        await until_on(pilot, QuitDialog)
        await pilot.press("enter")  # the named action has the focus
        await until(pilot, lambda: not pilot.app.is_running)
        assert pilot.app.return_code == 0


async def test_the_help_has_both_keys_in_one_row_and_a_line_of_text_the_one_that_works(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, SHOPPERS)
        await pilot.press("question_mark")
        await until_shown(pilot, "q ^q")
        assert picture(pilot).count("Quit") == 1
        await pilot.press("escape", "e")
        await until_shown(pilot, "Settings of", "q Quit")
        await pilot.press("tab")
        await until_shown(pilot, "^q Quit")


async def test_q_asks_as_ctrl_q_does_while_a_sync_is_under_way(harness: ConsoleHarness) -> None:
    async with rate_limited_sync(harness, harness.connect(), "u-1") as (pilot, gate):
        await pilot.press("q")
        await until_on(pilot, QuitDialog)
        await pilot.press("n")
        gate.open()
        await until_shown(pilot, "All changes to shoppers were delivered.")


async def test_a_live_session_counts_the_pending_users_of_home(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    """Changes of an audience that is waiting for a cohort are pending, too."""
    harness.connect()
    file = tmp_path / "live.ndjson"
    file.write_text(ndjson(event(user, True) for user in ("u1", "u2")))
    async with harness.open() as pilot:
        await follow(pilot, file, create=False)
        await until_shown(pilot, "waiting: no cohort")
        await pilot.press("1")
        await until_shown(pilot, "2 changes pending")
        await pilot.press("q")
        await until_shown(pilot, "A live session is running: 2 changes pending.")


@pytest.mark.parametrize("key", ["q", "ctrl+q"])
async def test_what_was_entered_is_lost_only_after_one_question(
    harness: ConsoleHarness, key: str
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, SHOPPERS)
        await pilot.press("e")
        await until_shown(pilot, "Settings of", "ID type")
        await pilot.press("right", key)
        await until_shown(pilot, "Discard changes?")
        await pilot.press("ctrl+q", "enter")  # keeping them has the focus
        await until_on(pilot, AudienceSettings)
        await pilot.press(key)
        await until_shown(pilot, "Discard changes?")
        await pilot.press("y")
        await until(pilot, lambda: not pilot.app.is_running)


async def test_a_key_that_came_too_soon_is_spoken_of_and_confirms_the_second_time(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    seconds = [0.0]
    timing = replace(harness.environment.timing, monotonic=lambda: seconds[0])
    harness.environment = replace(harness.environment, timing=timing, confirm_after=0.4)
    async with harness.open() as pilot:
        await until_shown(pilot, SHOPPERS)
        await pilot.press("e")
        await until_shown(pilot, "Settings of", "ID type")
        await pilot.press("right", "escape")
        await until_shown(pilot, "Discard changes?")
        await pilot.press("y")
        await until_shown(pilot, "The question had only just appeared", "Give the same answer")
        seconds[0] = 0.5
        await pilot.press("y")
        await until_on(pilot, AudiencesScreen)


async def test_entries_below_another_screen_are_asked_about_too(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, SHOPPERS)
        await pilot.press("e")
        await until_shown(pilot, "Settings of", "ID type")
        await pilot.press("right")
        pilot.app.push_screen(AudiencesScreen())
        await until_on(pilot, AudiencesScreen)
        await pilot.press("q")
        await until_shown(pilot, "Discard changes?")
