"""A list that is still being read says so, and claims nothing about its content."""

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from textual.pilot import Pilot

from amp_console.connections import ConnectionStore
from amp_console.console import DemoTrouble
from amp_console.console.dialogs.imports.dialog import ImportDialog
from amp_console.console.screens.base import BaseScreen
from amp_console.console.screens.runs.list import RunsScreen
from amp_console.console.widgets.grid import Grid, RowsState
from amp_console.console.widgets.grid.widget import READING
from amp_console.ledger import LedgerError
from tests.console.gate import blocked_reads
from tests.console.harness import (
    ConsoleHarness,
    picture,
    services,
    until,
    until_gone,
    until_notified,
    until_on,
    until_shown,
)
from tests.console.host import hosted
from tests.console.sample_audiences import GHOSTS, connect_with_audiences
from tests.sync.workspace import event

pytestmark = pytest.mark.anyio

CLAIMS = (
    "No audience yet",
    "No Amplitude project",
    "No connection yet",
    "matches “",
    "No one",
    "No differences",
    "No run yet",
    "No request yet",
    "No request was sent",
    "No audience is chosen",
    "No event was invalid",
    "No static cohort",
    "Nothing has happened",
    "Nothing here holds",
    "same as",
)
"""What lists say once they are known to be empty."""
SCREENS = {
    "r": "ReconcileScreen",
    "a r": "ReconcileAllScreen",
    "s": "PlanScreen",
    "2": "ErrorsScreen",
    "2 i": "ErrorsScreen",
    "3": "RunsScreen",
    "4": "LiveScreen",
}


def shown(pilot: Pilot[None]) -> list[Grid]:
    """The visible lists."""
    return [item for item in pilot.app.screen.query(Grid) if item.region and item.visible]


@pytest.mark.parametrize(("keys", "screen"), SCREENS.items())
async def test_a_list_says_that_it_is_being_read(
    harness: ConsoleHarness, keys: str, screen: str
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        with blocked_reads(pilot):
            await pilot.press(*keys.split())
            await until(pilot, lambda: type(pilot.app.screen).__name__ == screen)
            await until(pilot, lambda: shown(pilot))
            for grid in shown(pilot):
                assert grid.state is RowsState.LOADING, grid
            await until_shown(pilot, READING)
            told = picture(pilot)
            assert not [claim for claim in CLAIMS if claim in told], told
        await until(
            pilot, lambda: all(item.state is not RowsState.LOADING for item in shown(pilot))
        )


async def test_a_run_and_its_requests_are_read_before_they_are_said_to_be_none(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("3")
        await until_shown(pilot, "Outcome", "partial")
        with blocked_reads(pilot):
            await pilot.press("w")
            await until(pilot, lambda: type(pilot.app.screen).__name__ == "RunScreen")
            await until_shown(pilot, READING)
            await until_gone(pilot, "No request")
            await until_gone(pilot, "No one is rejected")
        await until_shown(pilot, "create", "add")


async def test_a_detail_that_is_being_read_says_so_as_a_list_does(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        with blocked_reads(pilot):
            await pilot.press("5")
            await until_shown(pilot, "1 connection", READING)
        await until_shown(pilot, "last run")
        await until_gone(pilot, READING)


async def test_a_person_is_not_unknown_before_a_ledger_was_asked(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("f")
        await until_shown(pilot, "Type a User ID")
        with blocked_reads(pilot):
            await pilot.press("s", "1", "enter")
            await until_shown(pilot, READING)
            await until_gone(pilot, "No event contains")
        await until_shown(pilot, "In the cohort")


async def test_what_cannot_be_read_says_why_in_its_list(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        session = services(pilot).session
        assert session is not None
        session.screen_ledger.read(lambda db: db.execute("DROP TABLE run_audience"))
        await pilot.press("3")
        await until_shown(pilot, "✖ The ledger", "failed")
        (grid,) = shown(pilot)
        assert grid.state is RowsState.FAILED


def lose(pilot: Pilot[None], table: str) -> None:
    """Make the ledger fail whenever it reads this table."""
    session = services(pilot).session
    assert session is not None
    session.screen_ledger.read(lambda db: db.execute(f"ALTER TABLE {table} RENAME TO lost"))


@pytest.mark.parametrize(
    ("keys", "last", "table"),
    [
        (("2", "tab"), "R", "rejection"),  # before a question
        (("f", *"ghost-1", "enter"), "U", "rejection"),
        ((), "i", "audience"),  # before a dialog
    ],
)
async def test_what_a_key_reads_may_fail_and_the_console_continues(
    harness: ConsoleHarness, keys: tuple[str, ...], last: str, table: str
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        for key in keys:
            await pilot.press(key)
            await until(pilot, lambda: all(worker.is_finished for worker in pilot.app.workers))
        lose(pilot, table)
        await pilot.press(last)
        await until_notified(pilot, "The ledger", "failed")
        await until(pilot, lambda: all(worker.is_finished for worker in pilot.app.workers))
        assert pilot.app.is_running


class Slow:
    """A demo whose ledger is being filled."""

    has_traffic = False

    def __init__(self) -> None:
        self.share = 0.0
        self.failure: Exception | None = None

    def open(self) -> None: ...

    def is_ready(self) -> bool:
        if self.failure is not None:
            raise self.failure
        return self.share >= 1.0

    def progress(self) -> float:
        return self.share

    def troubles(self) -> tuple[DemoTrouble, ...]:
        return ()

    def toggle(self, name: str) -> str:
        return name


async def test_a_demo_shows_how_far_its_scene_is_and_then_all_of_the_scene(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    demo = Slow()
    harness.environment = replace(harness.environment, demo=demo)
    async with harness.open() as pilot:
        await until_shown(pilot, "Preparing the demo… 0%")
        await until_gone(pilot, "No audience yet")
        await until_gone(pilot, "No Amplitude project")
        await pilot.press("s")
        await until_shown(pilot, "The connection is still being opened.")
        demo.share = 0.4
        await until_shown(pilot, "Preparing the demo… 40%")
        assert services(pilot).session is None
        demo.share = 1.0
        await until_shown(pilot, GHOSTS, "pending")


async def test_while_a_connection_is_opened_none_is_said_to_be_missing(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    demo = Slow()
    harness.environment = replace(harness.environment, demo=demo)
    assert isinstance(harness.environment.connections, ConnectionStore)
    async with harness.open() as pilot:
        await pilot.press("3")
        await until_shown(pilot, "The connection is still being opened.")
        demo.share = 1.0
        await until_shown(pilot, GHOSTS)
        await pilot.press("3")
        await until_shown(pilot, "partial")


async def test_of_a_cursor_that_moves_on_only_the_newest_position_is_read(tmp_path: Path) -> None:
    async with hosted(tmp_path, BaseScreen) as (host, pilot):
        screen = host.screen
        assert isinstance(screen, BaseScreen)
        gate, done = asyncio.Event(), list[int]()

        async def read(position: int) -> None:
            await gate.wait()
            done.append(position)

        for position in range(100):
            screen.loader.follow("detail", partial(read, position))
            await pilot.pause()
        gate.set()
        await until(pilot, lambda: done == [0, 99])
        screen.loader.follow("detail", partial(read, 100))
        await until(pilot, lambda: done == [0, 99, 100])


async def test_a_read_of_a_ledger_that_was_closed_meanwhile_reports_nothing(tmp_path: Path) -> None:
    async with hosted(tmp_path, BaseScreen) as (host, _):
        screen, services = host.screen, host.services
        assert isinstance(screen, BaseScreen)

        async def read() -> None:
            raise LedgerError("The ledger can't be read.")

        async def read_too_late() -> None:
            await services.sessions.close()
            await read()

        await screen.loader.run(read_too_late)
        assert services.notifications.shown.current is None
        await screen.loader.run(read)
        assert services.notifications.shown.current is not None


async def test_a_screen_is_kept_up_to_date_while_it_is_seen(harness: ConsoleHarness) -> None:
    """Behind another screen, each change would repaint the whole screen in front."""
    connection = connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        home = pilot.app.screen
        await pilot.press("3")
        await until_on(pilot, RunsScreen)
        assert not home.is_current
        with harness.workspace(connection) as workspace:
            workspace.files = 100
            workspace.read([event("new-1", True, audience="newcomers")])
        services(pilot).publish_ledger_change()
        await pilot.pause()
        assert len(home.query_one(Grid).rows) == 4
        await pilot.press("escape")
        await until_shown(pilot, "newcomers")
        await pilot.press("i")
        await until_on(pilot, ImportDialog)
        assert home.is_current
