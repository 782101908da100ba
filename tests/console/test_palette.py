"""The palette: actions, audiences and people by a few letters; those used last come first."""

import pytest
from textual import events
from textual.pilot import Pilot

from amp_console.console.dialogs.palette import (
    ABOUT,
    Palette,
    PaletteEntry,
    best,
    whole_clauses,
)
from amp_console.console.screens.audiences.list import AudiencesScreen
from amp_console.console.screens.person import PersonScreen
from amp_console.console.widgets.grid import Grid
from tests.console.gate import blocked_reads
from tests.console.harness import (
    ConsoleHarness,
    console,
    picture,
    until,
    until_gone,
    until_on,
    until_shown,
)
from tests.console.sample_audiences import FRESH, GHOSTS, connect_with_audiences

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("keys", [("pagedown",), ("down", "pageup"), ("z", "z", "pagedown")])
async def test_page_keys_that_are_typed_ahead_do_no_harm(
    harness: ConsoleHarness, keys: tuple[str, ...]
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, FRESH)
        for key in ("ctrl+p", *keys):
            pilot.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await pilot.pause()
        await pilot.press("escape")
        await until_shown(pilot, FRESH)
        assert console(pilot)._exception is None


def entry(name: str, about: str = "") -> PaletteEntry:
    return PaletteEntry(name, about, "", lambda: None)


def lines(pilot: Pilot[None]) -> list[str]:
    """The names that the palette lists."""
    rows = pilot.app.screen.query_one(Grid).rows
    return [row.cells[0].text for index in range(len(rows)) if (row := rows.get(index))]


def test_letters_may_be_left_out_and_the_best_match_comes_first() -> None:
    entries = [entry("Enable / disable"), entry("Export as CSV"), entry("Errors", "Export them")]
    assert [found.name for found in best(entries, "expcs")] == ["Export as CSV"]
    assert [found.name for found in best(entries, "export")] == ["Export as CSV", "Errors"]
    assert [found.name for found in best(entries, "")] == [found.name for found in entries]


async def test_what_an_action_does_is_said_in_full_where_its_column_cuts_it(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(80, 24)) as pilot:
        await until_shown(pilot, FRESH)
        await pilot.press("ctrl+p", *"sync all")
        await until_shown(pilot, "Plan a sync of all audiences  ", ", except disabled ones")
        await pilot.press(*"xxx")
        await until_gone(pilot, "except disabled ones")


async def test_no_description_is_cut_within_a_clause(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(80, 24)) as pilot:
        await until_shown(pilot, FRESH)
        for key in "1234567":
            await pilot.press(key)
            await until_shown(pilot, f"▸{key}")
            await pilot.press("ctrl+p")
            await until_on(pilot, Palette)
            grid = pilot.app.screen.query_one(Grid)
            room = grid.fitting.width_of(ABOUT, grid.size.width)
            texts = [row.cells[ABOUT].text for row in grid.rows.known]
            assert len(texts) > 10
            for text in texts:
                assert len(text) <= room or len(whole_clauses(text, room, "")) <= room, text
            await pilot.press("escape")


async def test_one_used_before_comes_first_the_next_time(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(80, 24)) as pilot:
        await until_shown(pilot, FRESH)
        await pilot.press("ctrl+p")
        await until_shown(pilot, "Sync all", "Plan a sync of")
        assert lines(pilot)[0] == "Sync"
        await pilot.press(*"field map", "enter")
        await until_shown(pilot, "▸5 Conn.", "Field mapping ·")
        await pilot.press("escape", "ctrl+p")
        await until_on(pilot, Palette)
        assert lines(pilot)[:2] == ["Field mapping", "Sync"]


async def test_an_audience_is_found_and_gone_to(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, FRESH)
        await pilot.press("3")
        await until_shown(pilot, "▸3 Runs")
        await pilot.press("ctrl+p", *"trial_day")
        await until(pilot, lambda: lines(pilot)[:1] == [GHOSTS])
        await pilot.press("enter")
        await until_on(pilot, AudiencesScreen)
        home = pilot.app.screen
        assert isinstance(home, AudiencesScreen)
        await until(pilot, lambda: home.current and home.current.audience.name == GHOSTS)


async def test_an_identifier_leads_to_the_person(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, FRESH)
        await pilot.press("ctrl+p", *"ghost-1")
        await until_shown(pilot, "Find “ghost-1”", "A person in 1 audience")
        assert lines(pilot) == ["Find “ghost-1”"]
        await pilot.press("enter")
        await until_on(pilot, PersonScreen)
        await until_shown(pilot, "ghost-1", GHOSTS)


async def test_a_click_chooses_and_an_unavailable_one_says_why(harness: ConsoleHarness) -> None:
    harness.connect()
    async with harness.open() as pilot:
        await until_shown(pilot, "No audience yet.")
        await pilot.press("ctrl+p", *"reconcile")
        await until_shown(pilot, "Compare and repair the cohort")
        assert "There is no audience yet: press i" not in picture(pilot)
        grid = pilot.app.screen.query_one(Grid)
        await pilot.click(offset=(grid.region.x + 4, grid.region.y + 1), times=2)
        await until_gone(pilot, "What it does")
        await until_shown(pilot, "There is no audience yet: press i")


def tone_of(pilot: Pilot[None], name: str) -> str:
    """The tone of an entry: unavailable ones are dim."""
    entries = pilot.app.screen.query_one(Grid).rows.known
    return next(row.cells[0].tone for row in entries if row.cells[0].text == name)


async def test_what_is_listed_follows_what_the_screen_has_read(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        with blocked_reads(pilot):
            await pilot.press("2", "ctrl+p")
            await until_on(pilot, Palette)
            await pilot.press(*"Retry a", "down", "up")
            await until_shown(pilot, "Retry all")
        await until_shown(pilot, "Make users pending again")
        await until(pilot, lambda: tone_of(pilot, "Retry all") == "")  # it has become available


async def test_unavailable_actions_come_last_with_what_they_do(harness: ConsoleHarness) -> None:
    harness.connect()
    async with harness.open(size=(120, 60)) as pilot:
        await until_shown(pilot, "No audience yet.")
        await pilot.press("ctrl+p")
        await until_shown(pilot, "What it does")
        tones = [row.cells[0].tone for row in pilot.app.screen.query_one(Grid).rows.known]
        assert tones == sorted(tones), "those that work come first"
        assert {"", "dim"} == set(tones)
        assert "There is no audience yet" not in picture(pilot)
