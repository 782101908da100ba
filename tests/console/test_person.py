"""Why is this person (not) in the cohort? Asked from anywhere, answered in a sentence."""

import pytest

from amp_console.simulator import Answer, Rule
from tests.console.furniture import GHOSTS, LAPSED, furnish
from tests.console.house import House, picture, until, until_shown

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
