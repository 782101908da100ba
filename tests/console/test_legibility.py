"""Everything on the screen is legible: on buttons, without color, and in limited terminals."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rich.color_triplet import ColorTriplet
from textual.color import Color
from textual.pilot import Pilot
from textual.widgets import Button

from amp_console.console import LaunchOptions
from amp_console.console.appearance import DARK, LIGHT
from amp_console.console.dialogs.base import Confirm, Dialog
from amp_console.console.dialogs.form import ask_text
from amp_console.console.dialogs.quit import QuitDialog
from amp_console.console.widgets.grid import Grid
from amp_console.console.widgets.grid.palette import GROUNDS
from tests.console.harness import ConsoleHarness, until_shown
from tests.console.headless import rendered
from tests.console.sample_audiences import connect_with_audiences
from tests.console.terminal import Terminal

pytestmark = pytest.mark.anyio
COMMAND = str(Path(sys.executable).parent / "amp-console")
READABLE = 4.5  # WCAG 2.2, 1.4.3: the minimum contrast of text
FAINT_BUT_READABLE = 3.0  # the same, for large or incidental text


class Glyph(NamedTuple):
    """One piece of painted text."""

    text: str
    ink: ColorTriplet
    ground: ColorTriplet

    @property
    def contrast(self) -> float:
        """The contrast, from 1 (invisible) to 21 (black on white)."""
        low, high = sorted(_luminance(item) for item in (self.ink, self.ground))
        return (high + 0.05) / (low + 0.05)


def _luminance(color_triplet: ColorTriplet) -> float:
    """WCAG's relative luminance."""
    parts = [
        item / 12.92 if item <= 0.04045 else ((item + 0.055) / 1.055) ** 2.4
        for item in Color(*color_triplet).normalized
    ]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def glyphs(pilot: Pilot[None]) -> Iterator[tuple[int, int, Glyph]]:
    """All text on the screen, with the column and the line where it begins."""
    for line, strip in enumerate(rendered(pilot.app)):
        column = 0
        for segment in strip:
            style = segment.style
            if segment.text.strip() and style and style.color and style.bgcolor:
                ink, ground = style.color.get_truecolor(), style.bgcolor.get_truecolor()
                if style.reverse:
                    ink, ground = ground, ink
                yield column, line, Glyph(segment.text, ink, ground)
            column += segment.cell_length


def on_button(pilot: Pilot[None], button: Button) -> list[Glyph]:
    """The label of a button."""
    return [glyph for x, y, glyph in glyphs(pilot) if button.region.contains(x, y)]


DIALOGS: Mapping[str, Callable[[], Dialog[Any]]] = {
    "danger": lambda: Confirm("Delete?", ["It goes."], "Delete it", is_danger=True),
    "confirm": lambda: Confirm("Continue?", ["It continues."], "Continue"),
    "question": lambda: ask_text("Name", "Which?", "x", "Save"),
    "quit": lambda: QuitDialog(lambda _: None, has_jobs=True),
}


@pytest.mark.parametrize("theme", [DARK, LIGHT])
async def test_what_buttons_say_can_be_read(harness: ConsoleHarness, theme: str) -> None:
    harness.connect()
    async with harness.open(LaunchOptions(theme=theme), size=(80, 24)) as pilot:
        await until_shown(pilot, "Acme prod")
        for name, dialog in DIALOGS.items():
            await pilot.app.push_screen(dialog())
            buttons = list(pilot.app.screen.query(Button))
            for focused in buttons:
                focused.focus()
                await pilot.pause()
                for button in buttons:
                    said = on_button(pilot, button)
                    assert len(said) >= 2, name  # what it does, and its key
                    assert [glyph for glyph in said if glyph.contrast < READABLE] == [], name
            await pilot.app.pop_screen()


async def test_without_color_signs_and_words_say_it_all(
    harness: ConsoleHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    connect_with_audiences(harness)

    async with harness.open(size=(80, 24)) as pilot:
        await until_shown(
            pilot, "▸ ", "◐ 4 pending", "▲ 2 rejected", "◎ not compared", "◌ no cohort"
        )
        painted = [glyph for _, _, glyph in glyphs(pilot)]

        colored = [item for item in painted if len({*item.ink}) > 1 or len({*item.ground}) > 1]
        assert colored == []
        words = [item for item in painted if any(letter.isalnum() for letter in item.text)]
        assert [word for word in words if word.contrast < FAINT_BUT_READABLE] == []


@pytest.mark.parametrize("theme", [DARK, LIGHT])
async def test_rows_places_and_states_can_be_read_in_both_themes(
    harness: ConsoleHarness, theme: str
) -> None:
    connect_with_audiences(harness)
    async with harness.open(LaunchOptions(theme=theme)) as pilot:
        await until_shown(
            pilot, "▸ ", "◐ 4 pending", "▲ 2 rejected", "◎ not compared", "◌ no cohort"
        )
        palette = pilot.app.screen.query_one("#list", Grid)._palette
        for ground in GROUNDS:
            for tone in ("", "good", "warn", "bad", "dim", "accent", "marked"):
                style = palette.style(tone, ground)
                assert style.color is not None
                assert style.bgcolor is not None
                inks = style.color.get_truecolor(), style.bgcolor.get_truecolor()
                assert Glyph(tone, *inks).contrast >= READABLE, (tone, ground)
        words = [item for _, _, item in glyphs(pilot) if any(map(str.isalnum, item.text))]
        assert len(words) > 50
        assert [word for word in words if word.contrast < READABLE] == []


@pytest.mark.parametrize(
    "poor",
    [
        ["NO_COLOR=1"],
        ["TERM=dumb", "COLORTERM="],
        ["TERM=vt100", "COLORTERM=", "LC_ALL=C"],
    ],
)
def test_poor_terminals_do_not_stop_the_console(harness: ConsoleHarness, poor: list[str]) -> None:
    connect_with_audiences(harness)
    command = ["env", *poor, COMMAND, "--ascii"]
    environment = os.environ | harness.environ
    with Terminal(command, size=(80, 24), environment=environment) as terminal:
        terminal.until_shown("> ", "pending", "Status", "Help")
        terminal.type("ctrl+q", "y")

        assert terminal.ended() == 0
