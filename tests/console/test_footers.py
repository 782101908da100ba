"""The footer of every screen: few keys, all legible, and all of them remappable."""

import pkgutil
from collections.abc import AsyncIterator, Iterator
from importlib import import_module

import pytest
from textual.binding import Binding, BindingsMap
from textual.dom import DOMNode
from textual.pilot import Pilot
from textual.widgets import Button

from amp_console.console import LaunchOptions, screens
from amp_console.console.app import ConsoleApp
from amp_console.console.screens.base import BaseScreen
from amp_console.console.widgets.grid import Grid
from amp_console.console.widgets.key_footer import KeyFooter
from tests.console.harness import (
    ConsoleHarness,
    picture,
    until,
    until_gone,
    until_notified,
    until_shown,
)
from tests.console.sample_audiences import (
    FRESH,
    SHOPPERS,
    connect_with_audiences,
    select,
)

pytestmark = pytest.mark.anyio
USUAL = {"/ Filter", "^p Commands", "? Help"}
TROUBLED = {"ctrl+h", "ctrl+i", "ctrl+j", "ctrl+m", "ctrl+s", "ctrl+q"}
"""Many terminals give these another meaning, or do not pass them on."""


async def walk(pilot: Pilot[None]) -> AsyncIterator[str]:
    """Go from screen to screen; yield the name of each once it is shown."""

    async def go(keys: str, place: str) -> str:
        await pilot.press(*keys.split())
        await until(pilot, lambda: type(pilot.app.screen).__name__ == place)
        await until(pilot, lambda: list(pilot.app.screen.query_one(KeyFooter).links()))
        await until(pilot, lambda: all(worker.is_finished for worker in pilot.app.workers))
        await pilot.pause()
        return place

    await until_shown(pilot, "pending")
    yield await go("1", "AudiencesScreen")
    yield await go("r", "ReconcileScreen")
    yield await go("1 a r", "ReconcileAllScreen")
    yield await go("1 a s", "PlanScreen")
    yield await go("1 e", "AudienceSettings")
    yield await go("escape l", "LinkScreen")
    yield await go("1 m", "MappingScreen")
    yield await go("escape 2", "ErrorsScreen")
    await until_shown(pilot, "ghost-1")
    yield await go("v", "ErrorsScreen")
    yield await go("v enter enter", "ErrorsScreen")
    yield await go("3", "RunsScreen")
    yield await go("b", "ReplayScreen")
    yield await go("escape w", "RunScreen")
    yield await go("5", "ConnectionsScreen")
    yield await go("n", "ConnectionForm")
    yield await go("escape f", "PersonScreen")
    yield await go("t 1 enter", "PersonScreen")
    yield await go("escape 6", "LogScreen")
    yield await go("7", "SourcesScreen")
    yield await go("A", "SourceForm")
    yield await go("escape 1 n", "QueryScreen")
    yield await go("escape 4", "LiveScreen")


def footer_texts(pilot: Pilot[None]) -> list[str]:
    return [link.text.plain for link, _ in pilot.app.screen.query_one(KeyFooter).links()]


async def until_keys(pilot: Pilot[None], keys: list[str]) -> None:
    """Wait until the footer shows these keys."""
    await until(pilot, lambda: footer_texts(pilot) == keys)


async def click_key(pilot: Pilot[None], text: str) -> None:
    """Click on a key in the footer."""
    links = pilot.app.screen.query_one(KeyFooter).links()
    region = next(region for link, region in links if link.text.plain == text)
    await pilot.click(offset=(region.x + 1, region.y))


async def test_an_empty_home_offers_what_fills_it(harness: ConsoleHarness) -> None:
    harness.connect()
    async with harness.open(size=(80, 24)) as pilot:
        await until_shown(pilot, "No audience yet")
        await until(pilot, lambda: footer_texts(pilot)[:2] == ["i Import", "4 Follow"])
        await until_gone(pilot, "s Sync")
        await click_key(pilot, "4 Follow")
        await until_shown(pilot, "No live session", "n Follow files  l Listen")


async def test_a_key_in_the_footer_can_be_clicked_and_says_why_it_does_nothing(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open(LaunchOptions(read_only=True)) as pilot:
        await until_shown(pilot, "pending", "▸ ")
        select(pilot, FRESH)
        await click_key(pilot, "s Sync")
        await until_shown(pilot, "Before you send", "y Send")
        send = next(iter(pilot.app.screen.query_one(KeyFooter).links()))[0]
        assert (send.text.plain, "bold" in str(send.text.spans)) == ("y Send", False)
        await click_key(pilot, "y Send")
        await until_notified(pilot, "--read-only")


async def test_while_a_line_is_typed_the_footer_shows_no_letter_that_would_be_typed(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, "pending", "s Sync", "/ Filter")
        await pilot.press("slash")
        await until(
            pilot,
            lambda: (
                footer_texts(pilot)
                == [
                    "Enter Keep the filter",
                    "Esc Clear the filter",
                    "^p Commands",
                    "F1 Help",
                    "^q Quit",
                ]
            ),
        )
        await pilot.press(*"trial")
        await click_key(pilot, "Enter Keep the filter")
        await until_shown(pilot, "s Sync", "trial")


async def test_what_fits_is_shown_and_no_key_is_cut(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    shown = {}
    for width in (50, 80, 120, 200):
        async with harness.open(size=(width, 24)) as pilot:
            await until_shown(pilot, "pending", "? Help")
            select(pilot, SHOPPERS)
            await until(pilot, lambda: all(worker.is_finished for worker in pilot.app.workers))
            await until(pilot, lambda: "x Errors" not in footer_texts(pilot)[:2])
            if width > 50:  # the key of the list comes with the row
                await until(pilot, lambda: "Enter Settings" in footer_texts(pilot))
            shown[width] = footer_texts(pilot)
            assert all(text in picture(pilot).splitlines()[-1] for text in shown[width])
    assert shown[50] == ["s Sync", "/ Filter", "^p Commands", "? Help"]
    assert len(shown[80]) < len(shown[120]) < len(shown[200])
    assert "i Import" in shown[200]


def places() -> list[type[BaseScreen]]:
    """Every screen of the console."""
    found = set()
    for module in pkgutil.walk_packages(screens.__path__, f"{screens.__name__}."):
        names = vars(import_module(module.name)).values()
        found |= {name for name in names if isinstance(name, type) and issubclass(name, BaseScreen)}
    return sorted((item for item in found if item.NAME), key=lambda item: item.__name__)


def own(kind: type[DOMNode]) -> Iterator[Binding]:
    """The console's own bindings of a widget, a screen or the application."""
    for item in kind.__mro__:
        if item.__module__.startswith("amp_console."):
            yield from (binding for _, binding in BindingsMap(vars(item).get("BINDINGS", [])))


MOVABLE: list[type[DOMNode]] = [
    ConsoleApp,
    Grid,
    *places(),
    *dict.fromkeys(pane for place in places() for pane in place.PANES),
]
"""Dialogs keep their keys: their buttons name them."""


@pytest.mark.parametrize("kind", MOVABLE)
def test_every_action_with_a_name_can_be_given_another_key(kind: type[DOMNode]) -> None:
    assert [item for item in own(kind) if item.description and item.id is None] == []


@pytest.mark.parametrize("kind", MOVABLE)
def test_no_action_is_had_by_a_troubled_key_alone(kind: type[DOMNode]) -> None:
    keys: dict[str, set[str]] = {}
    for item in own(kind):
        keys.setdefault(item.action, set()).add(item.key)

    assert {action for action, found in keys.items() if found <= TROUBLED} <= {"quit"}


def test_no_two_actions_of_a_place_have_one_id() -> None:
    for kind in MOVABLE:
        actions: dict[str | None, set[str]] = {}
        for item in own(kind):
            actions.setdefault(item.id, set()).add(item.action)
        actions.pop(None, None)
        assert {id_: found for id_, found in actions.items() if len(found) > 1} == {}, kind


MEANINGS = {
    "b": {"Play back"},
    "c": {"Cancel", "End session"},
    "e": {"Edit", "Settings"},
    "f": {"Person", "Why this person", "Find a person"},
    "i": {"Import"},
    "m": {"Field mapping"},
    "r": {"Reconcile", "Compare"},
    "t": {"Enable / disable"},
    "u": {
        "Update sizes",
        "Update from Amplitude",
        "Update the plan",
        "Ask Amplitude",
        "Refresh",
    },
    "v": {
        "Views and columns",
        "Invalid events",
        "Users",
        "Requests",
        "Last changes",
        "Kind",
    },
    "w": {
        "Watch the sync",
        "Last run",
        "Whole run",
        "Open run",
        "Requests",
        "Whole line",
    },
    "x": {"Errors"},
    "R": {"Retry", "Retry all"},
    "T": {"Test"},
    "U": {"Retry this user"},
    "W": {"Read-only on / off"},
}


def test_a_letter_means_the_same_in_every_place() -> None:
    found: dict[str, set[str]] = {}
    for kind in MOVABLE:
        for item in own(kind):
            found.setdefault(item.key, set()).add(item.description)
    assert {key: found[key] - known for key, known in MEANINGS.items() if found[key] - known} == {}


def on_buttons(pilot: Pilot[None]) -> set[str]:
    """The buttons in front, written as in the footer: "y Quit" for "Quit [y]"."""
    shown = [button for button in pilot.app.screen.query(Button) if button.region]
    said = [str(button.label).removesuffix("]").rpartition(" [") for button in shown]
    return {f"{key} {label}" for label, _, key in said}


async def test_a_form_has_the_same_keys_on_its_buttons_and_in_the_footer(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, "pending", "s Sync", "? Help")
        for keys, shown in {
            "4 n": ["F2/Enter Follow", "Esc Cancel"],
            "4 l": ["F2/Enter Listen", "Esc Cancel"],
            "6 E": ["F2/Enter Export", "Esc Cancel"],
        }.items():
            place, key = keys.split()
            await pilot.press(place)
            await until(pilot, lambda: "? Help" in footer_texts(pilot))
            await pilot.press(key)
            await until_keys(pilot, shown)
            assert on_buttons(pilot) == {key.replace("/Enter", "") for key in shown}
            await pilot.press("escape")
            await until(pilot, lambda: not pilot.app.screen.is_modal)


async def test_under_a_dialog_the_footer_shows_the_keys_of_the_dialog(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, "pending", "s Sync", "? Help")
        for key, keys in {
            "q": ["y/Enter Quit", "Esc Stay"],
            "question_mark": ["Esc Close"],
            "i": ["F2/Enter Import", "Esc Close"],
            "v": [
                "Enter Use",
                "n Save what is shown",
                "c Columns",
                "Esc Close",
            ],
        }.items():
            await pilot.press(key)
            await until(pilot, lambda: pilot.app.screen.is_modal)
            await until_keys(pilot, keys)
            await until_shown(pilot, "  ".join(keys))
            assert on_buttons(pilot) <= {key.replace("/Enter", "") for key in keys}
            assert "s Sync" not in picture(pilot).splitlines()[-1]
            await pilot.press("escape")
            await until(pilot, lambda: not pilot.app.screen.is_modal)


async def test_a_key_in_the_footer_of_a_dialog_can_be_clicked(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, "pending", "s Sync", "? Help")
        await pilot.press("q")
        await until_keys(pilot, ["y/Enter Quit", "Esc Stay"])
        await click_key(pilot, "Esc Stay")
        await until(pilot, lambda: not pilot.app.screen.is_modal)
        await click_key(pilot, "q Quit")
        await until_keys(pilot, ["y/Enter Quit", "Esc Stay"])
        await click_key(pilot, "y/Enter Quit")
        await until(pilot, lambda: not pilot.app.is_running)


async def test_where_a_detail_has_no_room_the_footer_says_which_key_shows_it(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(80, 16)) as pilot:
        await until_shown(pilot, SHOPPERS, "s Sync  Enter Details")
        await pilot.press("2")
        await until_shown(pilot, "ghost-1", "Enter Users")
        await pilot.press("tab")
        await until_shown(pilot, "Enter Details")
        await pilot.press("enter")
        await until_shown(pilot, "What to do")
        await until_gone(pilot, "Enter Details")


async def test_the_button_that_enter_presses_is_marked(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, "pending", "s Sync", "? Help")
        await pilot.press("q")
        await until_shown(pilot, "▸ Quit [y]", "y/Enter Quit")
        await pilot.press("left")
        await until_shown(pilot, "▸ Stay [Esc]", "Esc/Enter Stay")
        await until_gone(pilot, "▸ Quit [y]")
        await pilot.press("escape")
        await until(pilot, lambda: not pilot.app.screen.is_modal)
        select(pilot, SHOPPERS)
        await pilot.press("l")
        await until_shown(pilot, "Unlink")
        await pilot.press("n")
        await until_shown(pilot, "to continue:")
        assert "▸ Unlink" not in picture(pilot)
        await pilot.press(*SHOPPERS)
        await until_shown(pilot, "It matches.", "▸ Unlink", "Enter Unlink")


async def test_in_a_form_the_button_that_enter_presses_is_marked(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, "pending", "s Sync", "? Help")
        await pilot.press("6")
        await until_shown(pilot, "entries")
        await pilot.press("E")
        await until_shown(pilot, "▸ Export [F2]", "F2/Enter Export")
