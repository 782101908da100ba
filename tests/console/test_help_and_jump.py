"""The help fits the screen, and in jump mode, letters lead anywhere."""

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from amp_console.console.dialogs.help import HelpRow, HelpSection, in_columns
from amp_console.console.dialogs.imports.dialog import ImportDialog
from amp_console.console.dialogs.jump import JumpOverlay
from amp_console.console.place_bar import PlaceBar
from amp_console.console.screens.audiences.list import AudiencesScreen
from amp_console.console.screens.base import BaseScreen
from tests.console.harness import (
    ConsoleHarness,
    picture,
    until,
    until_gone,
    until_on,
    until_shown,
)
from tests.console.sample_audiences import GHOSTS, connect_with_audiences
from tests.console.test_held_keys import type_at_once

pytestmark = pytest.mark.anyio
SECTIONS = [
    HelpSection("Here", [HelpRow("s", "Sync"), HelpRow("e", "Edit", "No audience.")]),
    HelpSection("Places", [HelpRow("1", "Audiences"), HelpRow("2", "Errors")]),
]


def test_keys_stand_beside_each_other_where_there_is_room() -> None:
    narrow, wide = in_columns(SECTIONS, 30).plain, in_columns(SECTIONS, 70).plain
    assert [line.split() for line in narrow.splitlines()][:2] == [["Here"], ["s", "Sync"]]
    assert wide.splitlines()[0].split() == ["Here", "Places"]
    assert max(map(len, wide.splitlines())) <= 70


@pytest.mark.parametrize("height", [None, 21])
@pytest.mark.parametrize("width", [30, 70, 76, 120])
def test_no_section_of_keys_is_torn(width: int, height: int | None) -> None:
    sections = [
        HelpSection(title, [HelpRow(str(at), title.lower()) for at in range(count)])
        for title, count in (("Here", 12), ("Places", 7), ("Lists", 5), ("Anywhere", 9))
    ]
    shown = in_columns(sections, width, height).plain.splitlines()
    if (width, height) == (76, 21):
        assert len(shown) == 21, "no blank lines"
    for section in sections:
        (top,) = (at for at, line in enumerate(shown) if section.title in line)
        left = shown[top].index(section.title)
        below = [line[left:].split()[:2] for line in shown[top + 1 : top + 1 + len(section.rows)]]
        assert below == [[row.key, row.what] for row in section.rows]


async def test_help_says_what_a_letter_means_on_every_screen(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(120, 75)) as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("question_mark")
        await until_shown(pilot, "These letters mean the same on every screen")
        await until_shown(pilot, "Signs of the status: ● in sync;", "◐ pending, paused;")


async def test_help_says_that_there_is_more_below_until_it_is_read(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(80, 24)) as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("question_mark")
        await until_shown(pilot, "more below: ↓ Esc closes")
        await pilot.press(*["pagedown"] * 4)
        await until_gone(pilot, "more below")
        await until_shown(pilot, "Press v to save", "Esc closes")


async def test_help_calls_what_enter_opens_as_the_footer_does(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(160, 45)) as pilot:
        await until_shown(pilot, GHOSTS, "Enter Settings")
        await pilot.press("question_mark")
        await until_shown(pilot, "Enter     Settings")


async def test_a_dialog_says_that_its_last_line_is_its_help(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("i")
        await until_on(pilot, ImportDialog)
        await pilot.press("f1")
        await until_shown(pilot, "The last line names the keys of this dialog. Esc closes it.")


async def test_help_that_is_shown_whole_has_no_more_below(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(160, 45)) as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("3")
        await until_shown(pilot, "run 1")
        await pilot.press("question_mark")
        await until_shown(pilot, "Times are local", "Esc closes")
        await until_gone(pilot, "more below")


async def test_a_letter_leads_to_a_place_and_escape_leaves(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(80, 24)) as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("ctrl+o")
        await until_on(pilot, JumpOverlay)
        await pilot.press("escape")
        await until_on(pilot, AudiencesScreen)
        await pilot.press("ctrl+o")
        await until_shown(pilot, GHOSTS)  # it is visible below the letters
        await pilot.press(letter_of(pilot, "runs"))
        await until_shown(pilot, "▸3 Runs", "run")


async def test_letters_typed_at_once_close_nothing_but_the_letters(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("ctrl+o")
        await until_on(pilot, JumpOverlay)
        runs, errors = letter_of(pilot, "runs"), letter_of(pilot, "errors")
        type_at_once(pilot, runs, errors, errors, errors)
        await until(pilot, lambda: not isinstance(pilot.app.screen, JumpOverlay))
        assert isinstance(pilot.app.screen, BaseScreen)


def letter_of(pilot: Pilot[None], place: str) -> str:
    """The letter that leads to a place."""
    overlay, below = pilot.app.screen, pilot.app.screen_stack[-2]
    assert isinstance(overlay, JumpOverlay)
    links = below.query_one(PlaceBar).links()
    region = next(region for link, region in links if link.name == place)
    return next(
        letter
        for letter, target in overlay._targets.items()
        if target.region.offset == region.offset
    )


async def test_no_letter_covers_what_it_labels(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        for key in ("", "i"):
            if key:
                await pilot.press(key)
                await until_on(pilot, ImportDialog)
                await until_shown(pilot, "This CSV lists every member")
            before = picture(pilot).splitlines()
            await pilot.press("ctrl+o")
            await until_on(pilot, JumpOverlay)
            labels = list(pilot.app.screen.query(".jump-letter"))
            await until(pilot, lambda: all(label.region.width == 1 for label in labels))  # noqa: B023
            covered = {before[label.region.y].ljust(120)[label.region.x] for label in labels}
            assert covered <= set(" │╭─1234567f")  # the keys of main screens do nothing now
            await until_shown(pilot, " Audiences 4   ")
            await pilot.press("escape")
            await until(pilot, lambda: not isinstance(pilot.app.screen, JumpOverlay))


async def test_in_a_dialog_a_letter_leads_to_a_field_and_presses_a_button(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("i")
        await until_on(pilot, ImportDialog)
        dialog = pilot.app.screen
        await until(pilot, lambda: dialog.query_one("#close").region)
        for name, outcome in (("key", "key"), ("close", None)):
            region = dialog.query_one(f"#{name}").region
            await pilot.press("ctrl+o")
            await until_on(pilot, JumpOverlay)
            overlay = pilot.app.screen
            assert isinstance(overlay, JumpOverlay)
            letter = next(
                letter for letter, target in overlay._targets.items() if target.region == region
            )
            await pilot.press(letter)
            if outcome is not None:
                await until(
                    pilot,
                    lambda: isinstance(pilot.app.focused, Input) and pilot.app.focused.id == "key",
                )
        await until_on(pilot, AudiencesScreen)
