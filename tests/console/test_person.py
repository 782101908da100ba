"""Why is this person (not) in the cohort? Asked from anywhere, answered in a sentence."""

import pytest
from textual.widgets import Input

from amp_console.console.screens.person import PersonScreen
from amp_console.console.screens.runs.view import RunScreen
from amp_console.simulator import Answer, Rule, Slow
from tests.console.furniture import FRESH, GHOSTS, HOSTILE, LAPSED, furnish, hostile
from tests.console.house import House, console, picture, until, until_shown
from tests.sync.office import Office, event

pytestmark = pytest.mark.anyio


async def test_the_answer_is_a_sentence_and_then_the_facts(house: House) -> None:
    furnish(house)
    async with house.open() as pilot:
        await until_shown(pilot, LAPSED)
        await pilot.press("f", *"l3", "enter")
        await until_shown(pilot, "In the cohort: the event of 2026-05-03 19:00:00 UTC (line 4 of")
        await until_shown(pilot, "delivered     in (cohort", "run 1, request")
        await pilot.press("enter")
        await until_shown(pilot, "30 added, 0 taken out", "2 users were rejected")


async def test_it_can_be_asked_from_anywhere(house: House) -> None:
    furnish(house)
    async with house.open() as pilot:
        await until_shown(pilot, LAPSED)
        for place in ("2", "3", "5"):
            await pilot.press(place)
            await pilot.press("f", *"ghost-1", "enter")
            await until_shown(pilot, "Rejected when they were to be added")


@pytest.mark.parametrize("away", [(), ("enter",)], ids=["answers", "run"])
async def test_f_puts_the_cursor_back_into_the_input_and_selects_its_text(
    house: House, away: tuple[str, ...]
) -> None:
    furnish(house)
    async with house.open() as pilot:
        await until_shown(pilot, LAPSED)
        await pilot.press("f", *"l3", "enter")
        await until_shown(pilot, "delivered     in (cohort")
        await pilot.press(*away)
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen) == bool(away))
        await pilot.press("f", *"R2!S")
        place = pilot.app.screen
        assert isinstance(place, PersonScreen)
        assert place.query_one("#who", Input).value == "R2!S"


async def test_somebody_nobody_knows_is_told_what_that_means(house: House) -> None:
    furnish(house)
    async with house.open() as pilot:
        await until_shown(pilot, LAPSED)
        await pilot.press("f", *"L3", "enter")
        await until_shown(pilot, "No event ever named this identifier.", "capital letters")


async def test_amplitude_is_asked_when_one_wants_it(house: House) -> None:
    furnish(house)
    async with house.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("f", *"ghost-1", "enter")
        await until_shown(pilot, "Rejected")
        await pilot.press("A")
        await until_shown(pilot, "Amplitude knows nobody by this identifier")
        await pilot.press("slash", "home", "delete", *"x", "enter", "A")
        await until(pilot, lambda: "Asking" not in picture(pilot))


async def test_an_amplitude_that_is_down_is_told_in_words(house: House) -> None:
    furnish(house)
    async with house.open() as pilot:
        await until_shown(pilot, GHOSTS)
        house.simulator.faults.set([Rule(Answer(503, html=True))])
        await pilot.press("f", *"t1", "enter")
        await until_shown(pilot, "In the cohort")
        await pilot.press("A")
        await until_shown(pilot, "Amplitude had trouble answering (status 503)")


async def test_every_audience_that_knows_them_has_its_own_answer(house: House) -> None:
    def both(office: Office) -> None:
        office.read([event("l3", True, 90, audience=FRESH), event("s0", True, audience=FRESH)])

    furnish(house, both)
    async with house.open(size=(80, 24)) as pilot:
        await until_shown(pilot, LAPSED)
        await pilot.press("f", *"l3", "enter")
        await until_shown(pilot, "Known in 2 audiences", "no cohort yet", "in the cohort")
        await until_shown(pilot, "In the audience, as the event of")
        await pilot.press("enter")
        await until_shown(pilot, "No request has carried this person yet.")
        await pilot.press("j")
        await until_shown(pilot, "In the cohort: the event of")
        await pilot.press("r")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen))
        await pilot.press("escape", "slash", *"x", "enter")
        await until_shown(pilot, "Known nowhere")


async def test_what_is_shown_is_copied(house: House) -> None:
    furnish(house)
    async with house.open() as pilot:
        await until_shown(pilot, LAPSED)
        await pilot.press("f", *"ghost-1", "enter")
        await until_shown(pilot, "after 1 try")
        await pilot.press("y")
        await until(pilot, lambda: "Rejected when they" in console(pilot).clipboard)
        assert "line 4 of events-3.ndjson" in console(pilot).clipboard


async def test_an_answer_about_somebody_else_is_not_shown(house: House) -> None:
    furnish(house)
    async with house.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("f", *"ghost-1", "enter")
        await until_shown(pilot, "Rejected")
        house.simulator.faults.set([Rule(Slow(0.3))])
        await pilot.press("A")
        await until_shown(pilot, "Asking Amplitude…")
        await pilot.press("slash", "end", "backspace", "2", "enter")
        await until_shown(pilot, "ghost-2")
        await until(pilot, lambda: all(worker.group != "ask" for worker in pilot.app.workers))
        assert "Amplitude knows nobody" not in picture(pilot)


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_hostile_identifiers_break_nothing(house: House, size: tuple[int, int]) -> None:
    furnish(house, hostile)
    async with house.open(size=size) as pilot:
        await until_shown(pilot, "[red]tr")
        pilot.app.push_screen(PersonScreen(HOSTILE))
        await until_shown(pilot, "Known in 1 audience", "In the cohort: the event of")
        await pilot.press("A")
        await until_shown(pilot, "Amplitude knows")
        assert "\x1b" not in picture(pilot)
