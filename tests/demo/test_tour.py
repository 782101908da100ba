"""The guided tour reaches each stop, and obeys the presenter's keys."""

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot

from amp_console.console import LaunchOptions
from amp_console.console.app import ConsoleApp
from amp_console.console.widgets.caption import Caption
from amp_console.demo import SimulatedSession
from amp_console.demo.guided_tour import FAILED, FINISHED, SEEDING, GuidedTour
from amp_console.demo.tour import Step, TourStop, tour_stops
from amp_console.simulator import Simulator
from amp_console.sync.timing import Timing
from tests.console.harness import ConsoleHarness, picture, services, until, until_shown
from tests.console.terminal import Terminal

pytestmark = pytest.mark.anyio

COMMAND = str(Path(sys.executable).parent / "amp-console")
EVENTS = TourStop("What was said so far.", (Step("6", "LogScreen"),))
HOME = TourStop("Home again.", (Step("1", "AudiencesScreen"),))
TROUBLE = TourStop(
    "Trouble.", (Step("!", "TroubleDialog"), Step("1", "TroubleDialog", ("waits as asked",)))
)
NEVER = TourStop("This never comes.", (Step("6", "NoSuchScreen"),))


async def no_rest(_: float) -> None:
    await asyncio.sleep(0)


async def rest_between_stops(seconds: float) -> None:
    """Until the tour is continued by hand; keys follow each other at once."""
    if seconds > 1:
        await asyncio.Event().wait()


def tour_of(
    *some: TourStop, seen: Callable[[TourStop], None] = lambda _: None, step_timeout: float = 8.0
) -> GuidedTour:
    return GuidedTour(
        some, lambda: None, rest=rest_between_stops, seen=seen, step_timeout=step_timeout
    )


def caption(pilot: Pilot[None]) -> str:
    """What the caption of the screen shows, as far as it is seen."""
    region = pilot.app.screen.query_one(Caption).region
    rows = picture(pilot).splitlines()[region.y : region.bottom]
    return " ".join(" ".join(rows).split())


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[ConsoleHarness]:
    with Simulator() as simulator:
        harness = ConsoleHarness(tmp_path, simulator)
        harness.connect()
        yield harness


# The stops.


async def test_each_stop_is_reached_on_a_small_screen() -> None:
    async def wait_for_the_trouble_to_end(_: float) -> None:
        while any(trouble.is_on for trouble in session.troubles()):
            await asyncio.sleep(0.01)

    timing = Timing(rng=random.Random(1), sleep=wait_for_the_trouble_to_end)
    all_stops, seen = tour_stops(seed=1), list[TourStop]()
    with SimulatedSession(fast=True, has_traffic=False, timing=timing) as session:
        tour = GuidedTour(
            all_stops, session.wait, rest=no_rest, seen=seen.append, step_timeout=30.0
        )
        app = ConsoleApp(session.environment, LaunchOptions(tour=tour))
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await until(pilot, lambda: tour.is_running)
            while tour.is_running:
                await pilot.pause(0.05)
            assert tour.failed_step is None, (
                f"{tour.failed_step} was not seen on:\n{picture(pilot)}"
            )
            assert tuple(seen) == all_stops
            await until_shown(pilot, FINISHED[:30])
            await until(
                pilot, lambda: not any(screen.query(Caption) for screen in app.screen_stack)
            )
            await app.services.sessions.close()
        assert not any(trouble.is_on for trouble in session.troubles())
        assert session.simulator is not None
        newsletter = session.simulator.world.cohort_named("Newsletter")
        assert session.simulator.world.size(newsletter.id) == 12_120


async def test_every_caption_is_read_whole_on_a_small_screen(harness: ConsoleHarness) -> None:
    captions = [SEEDING, *(stop.caption for stop in tour_stops())]
    tour = tour_of(*(TourStop(words, ()) for words in captions))
    async with harness.open(LaunchOptions(tour=tour), size=(80, 24)) as pilot:
        for number, words in enumerate(captions, 1):
            count = f" {number} of {len(captions)}"
            await until(pilot, lambda count=count: count in caption(pilot))  # type: ignore[misc]
            assert caption(pilot).replace(count, "").removesuffix(" Esc: end") == words
            await pilot.press("space")


def test_it_runs_in_ascii_too() -> None:
    for stop in tour_stops():
        assert stop.caption.isascii()
        assert all(text.isascii() for step in stop.steps for text in step.shown)


def test_a_tour_names_a_person_of_its_own_seed() -> None:
    assert tour_stops(seed=1) != tour_stops(seed=2)


# The presenter's keys.


@pytest.mark.parametrize("key", ["space", "right"])
async def test_a_key_continues_at_once(harness: ConsoleHarness, key: str) -> None:
    tour = tour_of(EVENTS, HOME, EVENTS)
    async with harness.open(LaunchOptions(tour=tour)) as pilot:
        await until_shown(pilot, "What was said so far.", "1 of 3")
        await pilot.press(key)
        await until_shown(pilot, "Home again.", "2 of 3", "Audiences")


async def test_the_end_comes_by_itself_after_the_last_stop(harness: ConsoleHarness) -> None:
    tour = tour_of(EVENTS)
    async with harness.open(LaunchOptions(tour=tour)) as pilot:
        await until_shown(pilot, "1 of 1")
        await pilot.press("space")
        await until(pilot, lambda: not tour.is_running)
        assert [happening.text for happening in services(pilot).notifications.entries] == [FINISHED]
        await until(pilot, lambda: not pilot.app.screen.query(Caption))


async def test_p_pauses_until_the_presenter_continues(harness: ConsoleHarness) -> None:
    may_end, has_ended = asyncio.Event(), asyncio.Event()

    async def rest(seconds: float) -> None:
        if seconds > 1:
            await may_end.wait()
            has_ended.set()

    tour = GuidedTour([EVENTS, HOME], lambda: None, rest=rest)
    async with harness.open(LaunchOptions(tour=tour)) as pilot:
        await until_shown(pilot, "1 of 2", "Esc: end")
        await pilot.press("p")
        await until_shown(pilot, "1 of 2", "Space: on")
        may_end.set()
        await has_ended.wait()
        await pilot.pause()
        assert "1 of 2" in caption(pilot)
        await pilot.press("space")
        await until(pilot, lambda: not tour.is_running)
        assert tour.failed_step is None


async def test_escape_ends_it_and_leaves_the_console_usable(harness: ConsoleHarness) -> None:
    tour = tour_of(EVENTS, HOME)
    async with harness.open(LaunchOptions(tour=tour)) as pilot:
        await until_shown(pilot, "What was said so far.", "1 of 2")
        await pilot.press("escape")
        await until(pilot, lambda: not tour.is_running and not pilot.app.screen.query(Caption))
        await until_shown(pilot, "The tour is over")
        await pilot.press("1")
        await until_shown(pilot, "No audience yet")
        await pilot.press("question_mark")
        await until_shown(pilot, "Help · Audiences")


async def test_other_keys_do_nothing_meanwhile(harness: ConsoleHarness) -> None:
    tour = tour_of(EVENTS, HOME)
    async with harness.open(LaunchOptions(tour=tour)) as pilot:
        await until_shown(pilot, "What was said so far.", "1 of 2", "entries")
        before = pilot.app.screen
        await pilot.press("5", "question_mark", "enter", "f", "x")
        assert pilot.app.screen is before
        assert "1 of 2" in caption(pilot)


async def test_one_can_quit_meanwhile(harness: ConsoleHarness) -> None:
    tour = tour_of(EVENTS, HOME)
    async with harness.open(LaunchOptions(tour=tour)) as pilot:
        await until_shown(pilot, "1 of 2")
        await pilot.press("ctrl+q")
        await until(pilot, lambda: services(pilot).session is None)
    assert not tour.is_running


async def test_a_stop_that_is_never_reached_ends_it_with_a_message(harness: ConsoleHarness) -> None:
    tour = tour_of(NEVER, HOME, step_timeout=0.1)
    async with harness.open(LaunchOptions(tour=tour)) as pilot:
        await until(pilot, lambda: tour.failed_step is not None and not tour.is_running)
        assert tour.failed_step == NEVER.steps[0]
        assert [happening.text for happening in services(pilot).notifications.entries] == [FAILED]
        await until(pilot, lambda: not pilot.app.screen.query(Caption))


async def test_trouble_that_it_made_ends_with_it() -> None:
    with SimulatedSession(has_traffic=False) as session:
        session.toggle("slow")
        app = ConsoleApp(session.environment, LaunchOptions(tour=tour_of(TROUBLE, HOME)))
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await until_shown(pilot, "1 of 2", "waits as asked")
            assert caption(pilot) == "Trouble. 1 of 2 Esc: end"
            await until(pilot, lambda: next(trouble.is_on for trouble in session.troubles()))
            await pilot.press("escape")
            assert [trouble.name for trouble in session.troubles() if trouble.is_on] == ["slow"]
            await app.services.sessions.close()


# The command.


def test_the_command_runs_it_and_the_presenter_may_end_it_during_seeding(
    tmp_path: Path,
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary)}
    command = [COMMAND, "demo", "--tour", "--fast"]
    with Terminal(command, size=(80, 24), environment=environment) as terminal:
        terminal.until_shown("The scene is being set.")
        terminal.type("escape")
        terminal.until_shown("The tour is over")
        terminal.type("ctrl+q")
        assert terminal.ended() == 0
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [
        ["demo", "--tour", "--headless"],
        ["--read-only", "demo", "--tour"],
        ["demo", "--tour", "--read-only"],
    ],
)
def test_a_tour_needs_a_screen_and_may_write(command: list[str]) -> None:
    ended = subprocess.run([COMMAND, *command], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "The tour shows a sync: leave out --headless and --read-only." in ended.stderr
