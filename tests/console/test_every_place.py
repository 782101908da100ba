"""What is true of every screen: one walk makes all the checks, in every size."""

from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input

from amp_console.console.commands import screen_commands
from amp_console.console.dialogs.help import HelpScreen
from amp_console.console.screens.base import BaseScreen
from amp_console.console.widgets.grid import Grid
from amp_console.console.widgets.key_footer import KeyFooter
from tests.console.harness import ConsoleHarness, console, picture, services, until, until_on
from tests.console.sample_audiences import broken_events, connect_with_audiences
from tests.console.test_focus import check_focus
from tests.console.test_footers import USUAL, places, walk
from tests.console.test_offered_keys import try_keys_of

pytestmark = pytest.mark.anyio

Check = Callable[[Pilot[None], str], Awaitable[None]]
"""Checks the screen with this name, and leaves it as it was."""


async def footer_fits_and_shows_the_place_s_own_keys(pilot: Pilot[None], place: str) -> None:
    width = pilot.app.size.width
    keys = list(pilot.app.screen.query_one(KeyFooter).links())
    footer = picture(pilot).splitlines()[-1]
    texts = [link.text.plain for link, _ in keys]
    assert all(region.right <= width for _, region in keys), f"{place} is cut off: {footer}"
    assert all(text in footer for text in texts), f"{place} is cut off: {footer}"
    is_typing = isinstance(pilot.app.focused, Input)
    assert is_typing or texts[0] not in USUAL, f"{place} offers nothing: {footer}"
    assert len({*texts}) == len(texts), f"{place}: {footer}"
    usual = texts[:-1] if texts[-1] in {"q Quit", "^q Quit"} else texts
    assert usual[-2] == "^p Commands", f"{place}: {footer}"
    assert usual[-1] in {"? Help", "F1 Help"}, f"{place}: {footer}"


async def the_footer_says_how_to_leave(pilot: Pilot[None], place: str) -> None:
    texts = [link.text.plain for link, _ in pilot.app.screen.query_one(KeyFooter).links()]
    esc = [text for text in texts if text.startswith("Esc ")]
    can_leave = len(pilot.app.screen_stack) > 2
    assert len(esc) == can_leave, f"{place}: {texts}"


async def each_key_that_does_nothing_says_so(pilot: Pilot[None], place: str) -> None:
    screen, focused, notices = pilot.app.screen, pilot.app.focused, services(pilot).notifications
    shown, bindings_of = notices.shown, services(pilot).appearance.bindings_of
    screen.set_focus(next(iter(lists_of(screen)), None))  # where no letter is typed
    bound = bindings_of(screen).key_to_bindings
    for key, bindings in bound.items():
        names = [item.action.partition("(")[0] for item in bindings]
        hidden = all(screen.check_action(name, ()) is False for name in names)
        is_everywhere = key in bindings_of(pilot.app).key_to_bindings
        if not hidden or not bindings[0].id or is_everywhere or key in {"enter", "tab"}:
            continue
        shown.clear()
        await pilot.press(key)
        await until(pilot, lambda: shown.current)
        assert pilot.app.screen is screen, f"{place}: {key}"
    shown.clear()
    screen.set_focus(focused)
    await pilot.pause()


async def all_keys_that_work_are_seen_at_once_and_once_only(pilot: Pilot[None], place: str) -> None:
    console(pilot).action_help()
    await until_on(pilot, HelpScreen)
    sheet = pilot.app.screen
    assert isinstance(sheet, HelpScreen)
    titles = [section.title for section in sheet.sections]
    assert titles[-2:] == ["In lists", "Everywhere"] or "In lists" not in titles
    await until(pilot, lambda: any(keys.region for keys in sheet.query("#keys")))
    keys = sheet.query_one("#keys").region
    assert sheet.query_one("#help").region.contains_region(keys), place
    rows = [row for section in sheet.sections for row in section.rows]
    twice = [key for key, count in Counter(row.key for row in rows).items() if count > 1]
    assert not twice, f"{place}: {twice} in {rows}"
    assert "Make trouble" not in [row.what for row in rows]
    await pilot.press("escape")
    await until(pilot, lambda: not isinstance(pilot.app.screen, HelpScreen))


async def what_has_the_focus_is_seen(pilot: Pilot[None], place: str) -> None:
    before = pilot.app.screen.focused
    await check_focus(pilot, place)
    for _ in range(6):
        await pilot.press("tab")
        await check_focus(pilot, place)
    pilot.app.screen.set_focus(before)


async def every_command_says_what_it_does(pilot: Pilot[None], place: str) -> None:
    assert isinstance(pilot.app.screen, BaseScreen)
    entries = screen_commands(pilot.app, services(pilot), pilot.app.screen)
    assert [found.name for found in entries if not found.about] == [], place


def lists_of(screen: Screen[object]) -> list[Grid]:
    """The visible lists that have rows."""
    return [grid for grid in screen.query(Grid) if grid.region and len(grid.rows)]


async def each_key_that_a_list_offers_works_in_it(pilot: Pilot[None], _: str) -> None:
    screen, focused = pilot.app.screen, pilot.app.focused
    for grid in lists_of(screen):
        await try_keys_of(pilot, grid)
    if focused is not None:
        focused.focus()
        await pilot.pause()


CHECKS: dict[tuple[int, int], tuple[Check, ...]] = {
    (80, 24): (
        footer_fits_and_shows_the_place_s_own_keys,
        the_footer_says_how_to_leave,
        each_key_that_does_nothing_says_so,
        all_keys_that_work_are_seen_at_once_and_once_only,
        what_has_the_focus_is_seen,
    ),
    (120, 36): (
        all_keys_that_work_are_seen_at_once_and_once_only,
        what_has_the_focus_is_seen,
        every_command_says_what_it_does,
        each_key_that_a_list_offers_works_in_it,
    ),
    (200, 50): (what_has_the_focus_is_seen,),
}


async def test_every_place_is_as_it_should_be(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness, broken_events)
    seen, lists = set(), 0
    async with harness.open(size=next(iter(CHECKS))) as pilot:
        async for place in walk(pilot):
            seen.add(place)
            for size, checks in CHECKS.items():
                await pilot.resize_terminal(*size)
                await pilot.pause()
                await pilot.pause()
                lists += len(lists_of(pilot.app.screen))
                for check in checks:
                    await check(pilot, f"{place} at {size}")
    assert seen == {item.__name__ for item in places()}
    assert lists > 10 * len(CHECKS)
