"""Trouble can be made only in the demo; copied text is also in a file."""

from dataclasses import replace
from pathlib import Path

import pytest
from textual._context import active_app

from amp_console.console import DemoTrouble
from amp_console.console.widgets.grid import Grid
from amp_console.simulator import Simulator
from tests.console.gate import gate_sleeps, rate_limit, start_sync
from tests.console.harness import (
    ConsoleHarness,
    until,
    until_gone,
    until_shown,
)
from tests.console.sample_audiences import GHOSTS, SHOPPERS, connect_with_audiences, select
from tests.console.test_live import cancelled, follow

pytestmark = pytest.mark.anyio


class FakeDemo:
    """A demo session with two kinds of trouble."""

    has_traffic = False

    def __init__(self) -> None:
        self.on: set[str] = set()
        self.is_open = False

    def open(self) -> None:
        self.is_open = True

    def is_ready(self) -> bool:
        return True

    def progress(self) -> float:
        return 1.0

    def troubles(self) -> tuple[DemoTrouble, ...]:
        return tuple(DemoTrouble(name, f"[{name}]", name in self.on) for name in ("slow", "down"))

    def toggle(self, name: str) -> str:
        self.on ^= {name}
        return f"{name} is {'on' if name in self.on else 'off'} now."


class WidthRecordingDemo(FakeDemo):
    """A demo session that records the width of home's list when it opened."""

    width = 0

    def open(self) -> None:
        super().open()
        self.width = active_app.get().screen.query_one("#list", Grid).size.width


async def test_a_demo_fills_its_ledger_once_home_is_painted(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    demo = WidthRecordingDemo()
    harness.environment = replace(harness.environment, demo=demo)
    async with harness.open() as pilot:
        await until(pilot, lambda: demo.is_open)
    assert demo.width > 0


async def test_trouble_is_turned_on_and_off_by_number_and_by_enter(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    demo = FakeDemo()
    harness.environment = replace(harness.environment, demo=demo)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS, "keys: simulated")
        await until(pilot, lambda: demo.is_open)
        await pilot.press("exclamation_mark")
        await until_shown(pilot, "Make trouble", "Make the simulated Amplitude fail on purpose")
        await until_shown(pilot, "[slow]", "[down]")
        await pilot.press("2")
        await until_shown(pilot, "down is on now.")
        assert demo.on == {"down"}
        await pilot.press("enter")
        await until_shown(pilot, "slow is on now.")
        await pilot.press("2")
        await until_shown(pilot, "down is off now.")
        assert demo.on == {"slow"}
        await pilot.press("7", "escape", "6")
        await until_shown(pilot, "down is off now.", "slow is on now.", "down is on now.")


async def test_trouble_that_is_on_is_shown_after_its_dialog_is_closed(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    harness.environment = replace(harness.environment, demo=FakeDemo())
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS, "keys: simulated")
        await until_gone(pilot, "trouble:")
        await pilot.press("exclamation_mark")
        await until_shown(pilot, "Make trouble", "[slow]")
        await pilot.press("1", "2", "escape")
        await until_shown(pilot, "trouble: [slow], [down]")
        await pilot.press("3")
        await until_shown(pilot, "trouble: [slow], [down]", "Runs")
        await pilot.press("exclamation_mark")
        await until_shown(pilot, "Make trouble", "[slow]")
        await pilot.press("1", "2", "escape")
        await until_gone(pilot, "trouble:")


async def test_it_is_seen_how_a_sync_handles_trouble_and_that_it_recovers(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1", "u-2")
    harness.environment = replace(harness.environment, demo=FakeDemo())
    gate = gate_sleeps(harness)
    rate_limit(simulator)
    async with harness.open() as pilot:
        await until_shown(pilot, "keys: simulated")
        await pilot.press("exclamation_mark")
        await until_shown(pilot, "Start a sync to see how trouble is handled.")
        await pilot.press("escape")
        await start_sync(pilot, "rate limited")
        await pilot.press("exclamation_mark")
        await until_shown(pilot, "The sync now:", "rate limited, trying again in")
        gate.open()
        await until_shown(pilot, "The last sync, run 1, has ended. All changes to shoppers were")


async def test_outside_the_demo_no_trouble_is_made(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("exclamation_mark", "y")
        await until_shown(pilot, "Copied")
        await until_gone(pilot, "Make trouble")


async def test_what_was_copied_is_in_a_file_too(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        select(pilot, SHOPPERS)
        await pilot.press("y")
        await until_shown(pilot, "Copied “high_value_shoppers”")
        file = harness.environment.folders.data / "copied.txt"
        assert file.read_text().startswith("high_value_shoppers\t")
        assert file.stat().st_mode & 0o077 == 0


class BusyDemo(FakeDemo):
    """A demo session in which events keep arriving."""

    has_traffic = True


@pytest.mark.parametrize("width", [80, 120])
async def test_a_demo_says_that_its_events_are_its_own(
    harness: ConsoleHarness, tmp_path: Path, width: int
) -> None:
    connect_with_audiences(harness)
    harness.environment = replace(harness.environment, demo=BusyDemo())
    async with harness.open(size=(width, 36)) as pilot:
        await until_shown(pilot, GHOSTS, "demo: events keep arriving")
        await pilot.press("4")
        await until_shown(pilot, "No live session. Simulated events keep arriving: the demo")
        file = tmp_path / "live.ndjson"
        file.touch()
        work = await follow(pilot, file)
        await until_gone(pilot, "events keep arriving")
        await cancelled(pilot, work)
