"""A screen can be left at any moment: its unfinished reads no longer matter."""

import asyncio

import pytest
from textual.app import ComposeResult
from textual.events import Resize
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Static

from amp_console.console.screens.audiences.list import AudiencesScreen
from amp_console.console.screens.base import BaseScreen
from amp_console.console.screens.errors.list import ErrorsScreen
from amp_console.console.screens.live.layout import LiveBody
from amp_console.console.screens.live.view import LiveScreen
from amp_console.console.screens.runs.panels import RequestsPanel
from amp_console.simulator import Rule, Slow
from tests.console.harness import ConsoleHarness, services, until, until_on, until_shown
from tests.console.sample_audiences import FRESH, connect_with_audiences

pytestmark = pytest.mark.anyio


async def until_left(pilot: Pilot[None], screen: Screen[object]) -> None:
    await until(pilot, lambda: pilot.app.screen is not screen)


async def until_back_on(pilot: Pilot[None], screen: Screen[object]) -> None:
    await until(pilot, lambda: pilot.app.screen is screen)


async def test_a_run_under_way_is_left_and_come_back_to_again_and_again(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(80, 24)) as pilot:
        await until_shown(pilot, FRESH)
        harness.simulator.faults.set([Rule(Slow(0.05))])
        await pilot.press("S")
        await until_shown(pilot, "Before you send")
        await pilot.press("y")
        await until(pilot, lambda: services(pilot).jobs.sync is not None)
        for _ in range(5):
            services(pilot).publish_ledger_change()
            await pilot.press("escape")
            services(pilot).publish_ledger_change()
            await pilot.press("w")
        sync = services(pilot).jobs.sync
        assert sync is not None
        await until(pilot, lambda: sync.is_over)
        assert sync.failure is None


async def test_every_screen_is_left_before_it_has_loaded_anything(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, FRESH)
        for key in ("2", "3", "4", "5", "6", "f", "e", "l", "m", "s", "i"):
            for _ in range(2):
                await pilot.press(key)
                services(pilot).publish_ledger_change()
                await pilot.press("escape")
            await until_on(pilot, AudiencesScreen)
        await until_shown(pilot, FRESH)


async def test_esc_leads_back_to_where_one_came_from(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, FRESH)
        for first in "234567":
            await pilot.press(first)
            await until(pilot, lambda: len(pilot.app.screen_stack) == 3)
            came_from = pilot.app.screen
            for key in ("x" if first == "4" else "2", "3", "6"):
                if key != first:
                    await pilot.press(key)
                    await until_left(pilot, came_from)
                    await pilot.press("escape")
                    await until_back_on(pilot, came_from)
            await pilot.press("3", "6", "2", first)  # a screen on the way is not opened twice
            if first not in "26":
                await until_back_on(pilot, came_from)
            await pilot.press("escape", "escape", "escape", "1")
            await until_on(pilot, AudiencesScreen)
            assert len(pilot.app.screen_stack) == 2, first


async def test_a_form_that_was_left_for_another_place_is_not_come_back_to(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, FRESH)
        await pilot.press("e")
        await until_shown(pilot, "Settings of", "Esc Back")
        await pilot.press("right", "2")
        await until_shown(pilot, "Discard changes?")
        await pilot.press("y")
        await until_on(pilot, ErrorsScreen)
        await pilot.press("escape")
        await until_on(pilot, AudiencesScreen)


async def test_live_is_left_before_its_lines_are_shared_out(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, FRESH)
        await pilot.press("4")
        await until_on(pilot, LiveScreen)
        body = pilot.app.screen.query_one(LiveBody)
        await pilot.app.pop_screen()
        body.on_resize(Resize(body.size, body.size))
        pilot.app.call_later(body._fit_lines)
        await until_on(pilot, AudiencesScreen)


class SlowScreen(BaseScreen):
    """A screen that is still loading when its widgets are gone."""

    def __init__(self) -> None:
        super().__init__()
        self.is_emptied = asyncio.Event()
        self.has_loaded = asyncio.Event()

    def body(self) -> ComposeResult:
        yield Last()

    async def load(self) -> None:
        await self.is_emptied.wait()
        try:
            self.query_one("#list")
        finally:
            self.has_loaded.set()


class Last(Static):
    async def on_unmount(self) -> None:
        screen = self.screen
        assert isinstance(screen, SlowScreen)
        screen.is_emptied.set()
        await screen.has_loaded.wait()


async def test_the_console_ends_while_a_screen_is_still_loading(harness: ConsoleHarness) -> None:
    screen = SlowScreen()
    async with harness.open() as pilot:
        await pilot.app.push_screen(screen)
        await pilot.pause()
    assert screen.has_loaded.is_set()


class Emptied(RequestsPanel):
    """Its lists are removed before it is mounted, like those of a screen that was left."""

    def compose(self) -> ComposeResult:
        return iter(())


class RequestsScreen(BaseScreen):
    def body(self) -> ComposeResult:
        yield Emptied()


async def test_a_run_can_be_left_while_the_panel_of_its_requests_is_mounted(
    harness: ConsoleHarness,
) -> None:
    async with harness.open() as pilot:
        await pilot.app.push_screen(RequestsScreen())
        await until(pilot, lambda: pilot.app.screen.query_one(Emptied).is_mounted)
        await pilot.app.pop_screen()
