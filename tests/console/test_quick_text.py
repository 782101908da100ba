"""The code that speeds up the console's tests changes no text of a screen."""

import pytest
from textual.app import App, ComposeResult
from textual.containers import Container
from textual.pilot import Pilot
from textual.screen import ModalScreen
from textual.widgets import Static

from amp_console.console.dialogs.help import HelpScreen
from amp_console.console.dialogs.palette import Palette
from amp_console.console.screens.connections.form import ConnectionForm
from amp_console.console.screens.errors.list import ErrorsScreen
from tests.console.harness import ConsoleHarness, until_on, until_shown
from tests.console.headless import rendered, text_of_screen
from tests.console.sample_audiences import GHOSTS, connect_with_audiences, hostile_audience

pytestmark = pytest.mark.anyio


async def errors_of_a_person(pilot: Pilot[None]) -> None:
    await pilot.press("2")
    await until_shown(pilot, "All reasons")
    await pilot.press("j", "enter", "enter")


async def sheet(pilot: Pilot[None]) -> None:
    await pilot.press("4", "question_mark")


async def palette_before_settings(pilot: Pilot[None]) -> None:
    await pilot.press("escape", "1")
    await until_shown(pilot, GHOSTS)
    await pilot.press("e", "ctrl+p", "q")


async def form(pilot: Pilot[None]) -> None:
    await pilot.press("escape", "escape", "5", "n", "tab", "x")


async def test_a_screen_has_the_text_that_textual_renders_and_keeps_its_colors(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness, hostile_audience)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await check_text(pilot)
        for go, shown in (
            (errors_of_a_person, ErrorsScreen),
            (sheet, HelpScreen),
            (palette_before_settings, Palette),
            (form, ConnectionForm),
        ):
            await pilot.resize_terminal(120, 36)
            await go(pilot)
            await until_on(pilot, shown)
            await check_text(pilot)


async def check_text(pilot: Pilot[None]) -> None:
    for size in ((120, 36), (160, 40), (70, 20), (30, 8)):
        await pilot.resize_terminal(*size)
        await pilot.pause()
        text = text_of_screen(pilot.app)
        assert len("".join(text)) > 50
        painted = rendered(pilot.app)
        assert text == [strip.text.rstrip() for strip in painted]
        for screen in pilot.app.screen_stack:
            for widget in screen.walk_children(with_self=True):
                widget.refresh()
        assert rendered(pilot.app) == painted


class Panel(ModalScreen[None]):
    """A box in front of the middle of what is behind it."""

    DEFAULT_CSS = """
    Panel { align: center middle; }
    Panel Static { width: 11; height: 3; border: round white; text-align: center; }
    """

    def compose(self) -> ComposeResult:
        yield Static("語言 e\u0301")


class WideText(App[None]):
    """Characters two cells wide, some of which the edge of a widget cuts in half."""

    DEFAULT_CSS = """
    #narrow { width: 7; height: 2; text-wrap: nowrap; text-overflow: clip; }
    #faint { text-opacity: 60%; text-align: right; }
    #moved { width: 15; height: 3; overflow: hidden; Static { width: 30; text-opacity: 60%; } }
    """

    def compose(self) -> ComposeResult:
        yield Static("漢字" * 100)
        yield Static("a漢字漢字\ta", id="narrow")
        yield Static("語 faint", id="faint")
        with Container(id="moved"):
            yield Static("漢字" * 8)
        yield Static("b" + "漢字" * 100)


async def test_wide_characters_are_cut_where_textual_cuts_them() -> None:
    app = WideText()
    async with app.run_test() as pilot:
        await app.push_screen(Panel())
        for size in ((40, 20), (41, 19), (44, 16), (12, 9), (9, 4)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            app.screen_stack[0].query_one("#moved").scroll_to(
                size[0] % 3, animate=False, force=True
            )
            await pilot.pause()
            text = text_of_screen(app)
            assert len("".join(text)) > 10
            assert text == [strip.text.rstrip() for strip in rendered(app)]


async def test_a_widget_that_was_removed_is_not_drawn_before_the_next_layout() -> None:
    app = WideText()
    async with app.run_test():
        narrow = app.query_one("#narrow")
        await narrow.remove()
        assert narrow in app.screen._compositor.visible_widgets
        text = "\n".join(text_of_screen(app))
    assert "faint" in text
    assert "\ta" not in text
