"""Keys typed before a screen can handle them act on what they were meant for."""

from dataclasses import replace

import pytest
from textual import events
from textual.geometry import Region
from textual.keys import _character_to_key
from textual.pilot import Pilot
from textual.widgets import Input

from amp_console.console.dialogs.base import Confirm
from amp_console.console.screens.audiences.list import AudiencesScreen
from amp_console.console.screens.base import BaseScreen
from amp_console.console.screens.errors.list import ErrorsScreen
from amp_console.console.screens.errors.retry_question import RetryDialog
from amp_console.console.screens.person import PersonScreen
from amp_console.console.screens.plan.view import PlanScreen
from amp_console.console.screens.runs.list import RunsScreen
from amp_console.console.screens.runs.view import RunScreen
from amp_console.console.screens.sources.list import SourcesScreen
from amp_console.console.widgets.key_footer import KeyFooter
from amp_console.ledger.audiences import all_audiences
from amp_console.ledger.rejected import RejectedFilter
from amp_console.simulator import Simulator
from amp_console.simulator.calls import Call
from amp_console.simulator.faults import Rule, Slow
from amp_console.sync.audience_settings import SettingsChange, change
from amp_console.sync.delivery.retry import retry
from tests.console.gate import blocked_reads
from tests.console.harness import (
    ConsoleHarness,
    picture,
    services,
    until,
    until_notified,
    until_on,
    until_shown,
)
from tests.console.sample_audiences import GHOSTS, SHOPPERS, connect_with_audiences, select

pytestmark = pytest.mark.anyio


def type_at_once(pilot: Pilot[None], *keys: str) -> None:
    """Type keys faster than any screen can answer: nothing is waited for in between."""
    for key in keys:
        character = key if len(key) == 1 else None
        pilot.app.post_message(events.Key(_character_to_key(key) if character else key, character))


def click_at_once(pilot: Pilot[None], region: Region, times: int = 1) -> None:
    """Click as a terminal does, faster than any screen can answer."""
    x, y = region.x + 1, region.y
    for kind in (events.MouseDown, events.MouseUp) * times:
        pilot.app.post_message(kind(None, x, y, 0, 0, 1, False, False, False, x, y))


def gate_time(harness: ConsoleHarness) -> None:
    """Let no time pass, so that every question has only just been asked."""
    timing = replace(harness.environment.timing, monotonic=lambda: 0.0)
    harness.environment = replace(harness.environment, timing=timing, confirm_after=0.4)


async def test_keys_typed_while_cohorts_load_choose_the_row_that_was_meant(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    connect_with_audiences(harness)
    for name in ("A one", "B two", "C three", "D four", "E five", "F six"):
        simulator.world.create_cohort(name, "noor@acme.example")
    simulator.faults.set([Rule(Slow(0.3), frozenset({Call.LIST}))])
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        type_at_once(pilot, "l", "g", "j", "j", "j", "j", "enter")
        await until_on(pilot, Confirm)
        await until_shown(pilot, "“E five”, a cohort")


async def test_a_key_to_the_last_row_waits_for_the_rows(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    connect_with_audiences(harness)
    for name in ("A one", "B two", "C three", "D four", "E five", "F six"):
        simulator.world.create_cohort(name, "noor@acme.example")
    simulator.faults.set([Rule(Slow(0.3), frozenset({Call.LIST}))])
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        type_at_once(pilot, "l", "g", "j", "j", "k", "enter", "y")
        await until_notified(pilot, "is linked to “B two”")


async def test_keys_typed_while_the_ledger_is_read_act_on_the_rows(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        with blocked_reads(pilot):
            await pilot.press("2")
            await until_on(pilot, ErrorsScreen)
            await pilot.press("tab", "U")
            assert "No one is rejected" not in picture(pilot)
        await until_on(pilot, RetryDialog)
        await until_shown(pilot, "Retry 1 user?")


async def test_keys_typed_on_the_way_back_act_on_the_list_as_it_is_by_now(
    harness: ConsoleHarness,
) -> None:
    harness.environment = replace(harness.environment, keys_wait=60.0)
    connection = connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("3")
        await until_on(pilot, RunsScreen)
        with harness.workspace(connection) as workspace:
            for item in workspace.ledger.read(all_audiences):
                wanted = SettingsChange(enabled=item.key == SHOPPERS)
                change(workspace.ledger, connection, item, wanted)
        services(pilot).publish_ledger_change()
        with blocked_reads(pilot):
            await pilot.press("escape")
            await until_on(pilot, AudiencesScreen)
            type_at_once(pilot, "S")
            await pilot.pause()
        await until_on(pilot, PlanScreen)
        await until_shown(pilot, f"Sync {SHOPPERS}: 4 changes")


async def test_a_key_does_nothing_where_the_row_it_was_typed_at_is_gone(
    harness: ConsoleHarness,
) -> None:
    harness.environment = replace(harness.environment, keys_wait=60.0)
    connection = connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("2")
        await until_shown(pilot, "2 users")
        await pilot.press("tab", "f")
        await until_on(pilot, PersonScreen)
        with harness.workspace(connection) as workspace:
            retry(workspace.ledger, connection, RejectedFilter())
        services(pilot).publish_ledger_change()
        with blocked_reads(pilot):
            await pilot.press("escape")
            await until_on(pilot, ErrorsScreen)
            type_at_once(pilot, "U")
            await pilot.pause()
        await until_notified(pilot, "the row under the cursor is not in the list anymore")
        assert isinstance(pilot.app.screen, ErrorsScreen)


async def test_keys_on_the_way_back_do_not_wait_long_for_a_slow_ledger(
    harness: ConsoleHarness,
) -> None:
    harness.environment = replace(harness.environment, keys_wait=0.01)
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("3")
        await until_on(pilot, RunsScreen)
        services(pilot).publish_ledger_change()
        with blocked_reads(pilot):
            await pilot.press("escape")
            await until_on(pilot, AudiencesScreen)
            await pilot.press("S")
            await until_on(pilot, PlanScreen)


@pytest.mark.parametrize("screen", [RunScreen, RunsScreen, SourcesScreen, PersonScreen])
async def test_a_key_of_one_screen_waits_until_the_next_one_has_its_parts(
    harness: ConsoleHarness, screen: type[BaseScreen]
) -> None:
    """Esc bubbled up from a list while another screen opened, and the console crashed."""
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        opened, key = screen(), events.Key("escape", None)
        key._set_forwarded()
        pilot.app.post_message(key)
        pilot.app.push_screen(opened)
        await until(pilot, lambda: opened.is_mounted and not opened.is_attached)
        await until_on(pilot, AudiencesScreen)


async def test_letters_typed_while_the_search_opens_are_in_its_line(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        type_at_once(pilot, "f", *"s12q", "enter")
        await until_shown(pilot, "Not found")
        assert pilot.app.screen.query_one("#who", Input).value == "s12q"


async def test_the_answer_to_a_question_waits_for_it_and_the_next_key_for_what_it_opens(
    harness: ConsoleHarness,
) -> None:
    gate_time(harness)
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("2")
        await until_shown(pilot, "2 users")
        type_at_once(pilot, "tab", "U", "s", "y")
        await until_on(pilot, PlanScreen)
        await until_notified(pilot, "Press y again to send this plan.")
        assert services(pilot).jobs.sync is None


async def test_a_plan_that_was_not_read_is_not_sent(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        type_at_once(pilot, "S", "y")
        await until_on(pilot, PlanScreen)
        await until_notified(pilot, "Press y again to send this plan.")
        assert services(pilot).jobs.sync is None
        await pilot.press("y")
        await until(pilot, lambda: services(pilot).jobs.sync is not None)


async def test_esc_drops_the_keys_that_wait(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        with blocked_reads(pilot):
            await pilot.press("2")
            await until_on(pilot, ErrorsScreen)
            await pilot.press("tab", "U", "escape")
        await pilot.press("3")
        await until_on(pilot, RunsScreen)


async def test_rows_that_are_left_get_no_keys(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("2")
        await until_on(pilot, ErrorsScreen)
        await until_shown(pilot, "2 users")
        await pilot.press("1")
        with blocked_reads(pilot):
            await pilot.press("3")
            await until_on(pilot, RunsScreen)
            await pilot.press("enter", "ctrl+p")
            await until_shown(pilot, "an action, an audience or an identifier")
        await until_shown(pilot, "recently_")
        await pilot.pause()
        assert "an action, an audience or an identifier" in picture(pilot)


async def test_the_key_that_led_to_a_question_does_not_answer_it_and_says_so(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    gate_time(harness)
    connect_with_audiences(harness)
    simulator.world.create_cohort("A one", "noor@acme.example")
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        select(pilot, SHOPPERS)
        type_at_once(pilot, "l", "g", "enter", "enter")
        await until_notified(pilot, "Give the same answer again")
        assert isinstance(pilot.app.screen, Confirm)


async def test_a_click_answers_a_question_that_an_early_key_opened(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        with blocked_reads(pilot):
            await pilot.press("2")
            await until_on(pilot, ErrorsScreen)
            await pilot.press("tab", "U")
        await until_on(pilot, RetryDialog)
        await until_shown(pilot, "Retry 1 user?")
        click_at_once(pilot, pilot.app.screen.query_one("#retry").region)
        await until_notified(pilot, "1 user pending again")


async def test_two_clicks_on_an_answer_close_the_question_and_nothing_else(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("2")
        await until_shown(pilot, "2 users")
        await pilot.press("tab", "U")
        await until_on(pilot, RetryDialog)
        await until_shown(pilot, "Esc Cancel")
        links = pilot.app.screen.query_one(KeyFooter).links()
        cancel = next(region for link, region in links if link.text.plain == "Esc Cancel")
        click_at_once(pilot, cancel, times=2)
        await until(pilot, lambda: not isinstance(pilot.app.screen, RetryDialog))
        await pilot.pause()
        assert isinstance(pilot.app.screen, ErrorsScreen)


async def test_a_key_that_repeats_faster_than_it_can_act_moves_as_often_and_holds_no_other(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    connect_with_audiences(harness)
    for number in range(300):
        simulator.world.create_cohort(f"Cohort {number:03}", "noor@acme.example")
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        select(pilot, SHOPPERS)
        await pilot.press("l")
        await until_shown(pilot, "this audience")
        type_at_once(pilot, "g", *"j" * 200, *"k" * 50, "enter")
        await until_on(pilot, Confirm)
        await until_shown(pilot, "“Cohort 150”, a cohort")


async def test_no_key_waits_for_amplitude_before_a_question(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    connect_with_audiences(harness)
    simulator.faults.set([Rule(Slow(20), frozenset({Call.SEARCH}))])
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("2")
        await until_shown(pilot, "2 users")
        await pilot.press("tab", "U")
        await until_shown(pilot, "Ask Amplitude [a]")
        await pilot.press("a")
        await until_shown(pilot, "Asking Amplitude about 1 user")
        await pilot.press("3")
        await until_on(pilot, RunsScreen)
        assert Call.SEARCH not in {item.call for item in simulator.requests}
