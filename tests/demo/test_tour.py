"""The guided tour reaches every step, describes only what is visible, and obeys the presenter."""

import asyncio
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from textual.binding import Binding
from textual.events import MouseDown, MouseUp
from textual.geometry import Region
from textual.pilot import Pilot

from amp_console.console import LaunchOptions
from amp_console.console.app import ConsoleApp
from amp_console.console.screens.audiences.list import AudiencesScreen
from amp_console.console.screens.errors.retry_question import RetryDialog, RetrySummary
from amp_console.console.widgets.caption import Caption
from amp_console.demo import SimulatedSession
from amp_console.demo.conditions import screen, text_of, trouble
from amp_console.demo.guided_tour import FAILED, FINISHED, KEY_PAUSE, SEEDING, GuidedTour
from amp_console.demo.tour import KeyPress, TourStep, tour_steps
from amp_console.simulator import Simulator
from amp_console.sync.timing import Timing
from tests.console.harness import ConsoleHarness, picture, services, until, until_shown
from tests.console.headless import text_of_screen
from tests.console.terminal import Terminal

pytestmark = pytest.mark.anyio

COMMAND = str(Path(sys.executable).parent / "amp-console")
LOG = TourStep("Everything done so far.", screen("LogScreen"), (KeyPress("@go.events", "Log"),))
HOME = TourStep("Home again.", screen("AudiencesScreen"), (KeyPress("1", "Audiences"),))
TROUBLE = TourStep(
    "Trouble.",
    trouble("rate-limit", is_on=True),
    (KeyPress("!", "Make trouble", then=screen("TroubleDialog")), KeyPress("1", "Rate limit")),
)
NEVER = TourStep("This never comes.", screen("NoSuchScreen"), (KeyPress("3", "Runs"),))


async def no_rest(_: float) -> None:
    await asyncio.sleep(0)


async def rest_between_steps(seconds: float) -> None:
    """Rests until the tour is continued by hand; keys follow each other at once."""
    if seconds > KEY_PAUSE:
        await asyncio.Event().wait()


async def for_ever(_: float) -> None:
    await asyncio.Event().wait()


def tour_of(
    *some: TourStep, seen: Callable[[TourStep], None] = lambda _: None, step_timeout: float = 8.0
) -> GuidedTour:
    return GuidedTour(
        some, lambda: None, rest=rest_between_steps, seen=seen, step_timeout=step_timeout
    )


def caption(pilot: Pilot[None]) -> str:
    """The visible text of the screen's caption."""
    region = pilot.app.screen.query_one(Caption).region
    rows = picture(pilot).splitlines()[region.y : region.bottom]
    return " ".join(" ".join(rows).split())


def click(pilot: Pilot[None], x: int, y: int) -> None:
    """Click as a terminal reports it: a pilot's own clicks go past the application."""
    for kind in (MouseDown, MouseUp):
        event = kind(None, x, y, 0, 0, 1, False, False, False, x, y)
        pilot.app.post_message(event)


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[ConsoleHarness]:
    with Simulator() as simulator:
        harness = ConsoleHarness(tmp_path, simulator)
        harness.connect()
        yield harness


# The steps.


SIZES = (80, 24), (120, 36)


class Viewer:
    """Sees a console at each caption, in both sizes, once the caption is painted."""

    def __init__(self, session: SimulatedSession) -> None:
        self.tour = GuidedTour(
            tour_steps(session.make_ghosts_known),
            session.wait,
            rest=self._rest,
            seen=self._saw,
            step_timeout=30.0,
        )
        self.size = SIZES[0]
        self.seen = list[TourStep]()
        self.wrong = list[str]()
        environment = replace(session.environment, flush_seconds=0.1)
        self.app = ConsoleApp(environment, LaunchOptions(tour=self.tour))
        self.pilot = Pilot(self.app)
        self._next: TourStep | None = None

    def _saw(self, step: TourStep) -> None:
        self.seen.append(step)
        self._next = step

    async def _rest(self, _: float) -> None:
        step, self._next = self._next, None
        if step is None:
            await asyncio.sleep(0)
            return
        there = self.app.screen.query(Caption)
        while not (there and there.first().region):
            await asyncio.sleep(0.01)
        self._check(step, there.first().region)
        self.size = next(size for size in SIZES if size != self.size)
        await self.pilot.resize_terminal(*self.size)
        self._check(step, there.first().region)

    def _check(self, step: TourStep, region: Region) -> None:
        """What a caption describes is on screen; the caption and the screen are complete."""
        rows = text_of_screen(self.app)
        caption, beside = " ".join(rows[region.y : region.bottom]), text_of(self.app.screen)
        numbers = set(re.findall(r"\d[\d,]*\d|\d", step.caption))
        unseen = [number for number in numbers if not re.search(rf"\b{number}\b", beside)]
        is_whole = step.caption in caption and rows[0].startswith(" amp-console  Demo")
        if not is_whole or not step.holds(self.app) or unseen:
            self.wrong.append(f"{step.caption!r} {unseen} on:\n" + "\n".join(rows))


async def test_what_a_caption_speaks_of_is_seen_beside_it() -> None:
    async def wait_for_the_trouble_to_end(_: float) -> None:
        while any(trouble.is_on for trouble in session.troubles()):
            await asyncio.sleep(0.01)

    timing = Timing(rng=random.Random(1), sleep=wait_for_the_trouble_to_end)
    with SimulatedSession(fast=True, timing=timing) as session:
        viewer = Viewer(session)
        tour, app = viewer.tour, viewer.app
        async with app.run_test(size=viewer.size, notifications=True) as pilot:
            await until(pilot, lambda: tour.is_running)
            while tour.is_running:
                await pilot.pause(0.05)
            assert tour.failed_step is None, (
                f"{tour.failed_step} was not seen on:\n{picture(pilot)}"
            )
            assert viewer.wrong == []
            assert [step.caption for step in viewer.seen] == [
                step.caption for step in tour_steps(session.make_ghosts_known)
            ]
            await until_shown(pilot, FINISHED[:30])
            await until(
                pilot, lambda: not any(screen.query(Caption) for screen in app.screen_stack)
            )
            await app.services.connections.close_all()
        assert not any(trouble.is_on for trouble in session.troubles())
        assert session.simulator is not None
        world = session.simulator.world
        sizes = {
            name: world.size(world.cohort_named(name).id)
            for name in ("Newsletter", "Recently lapsed")
        }
        assert sizes == {"Newsletter": 12_120, "Recently lapsed": 5_310}


async def test_a_caption_waits_for_what_it_describes(harness: ConsoleHarness) -> None:
    is_done = False
    waiting = TourStep("It is done.", lambda _: is_done, meanwhile="It is still under way.")
    tour = tour_of(HOME, waiting)
    async with harness.open(LaunchOptions(tour=tour), size=(80, 24)) as pilot:
        await until_shown(pilot, "Home again.", "1/2")
        await pilot.press("enter")
        await until(pilot, lambda: caption(pilot).endswith("2/2 It is still under way."))
        await pilot.press("enter")  # nothing continues before it is seen
        await pilot.pause(0.1)
        assert "It is done." not in caption(pilot)
        is_done = True
        await until(pilot, lambda: caption(pilot).endswith("2/2 It is done."))


async def test_it_names_a_key_before_and_after_it_is_pressed(harness: ConsoleHarness) -> None:
    tour = GuidedTour([HOME, LOG], lambda: None, rest=for_ever)
    async with harness.open(LaunchOptions(tour=tour), size=(80, 24)) as pilot:
        await until(pilot, lambda: caption(pilot).startswith("Next key: 1 (Audiences)"))
        await pilot.press("enter")
        await until(pilot, lambda: caption(pilot).startswith("Pressed: 1 (Audiences)"))
        await until_shown(pilot, "Home again.")
        await pilot.press("enter")
        await until(pilot, lambda: "(Log)" in caption(pilot))
        assert "Home again." in caption(pilot)  # true until the key is pressed
        await pilot.press("enter")
        await until_shown(pilot, "Everything done so far.", "2/2")


async def test_every_caption_is_read_whole_on_a_small_screen(harness: ConsoleHarness) -> None:
    steps = tour_steps(lambda: None)
    words = [SEEDING, *(step.caption for step in steps), *(step.meanwhile for step in steps)]
    words += [press.meanwhile for step in steps for press in step.keys]
    captions = sorted({item for item in words if item})
    tour = tour_of(*(TourStep(item, lambda _: True) for item in captions))
    async with harness.open(LaunchOptions(tour=tour), size=(80, 24)) as pilot:
        for number, item in enumerate(captions, 1):
            count = f" {number}/{len(captions)} "
            await until(pilot, lambda count=count: count in caption(pilot))  # type: ignore[misc]
            assert caption(pilot).partition(count)[2] == item
            await pilot.press("enter")


def test_no_caption_is_empty_while_further_keys_of_a_step_follow() -> None:
    for step in tour_steps(lambda: None):
        silent = [key for key in step.keys if not key.meanwhile]
        assert not any(key.repeats or key is not step.keys[-1] for key in silent), step.caption


def test_keys_are_called_what_the_console_calls_them() -> None:
    labels = {key.key: key.label for step in tour_steps(lambda: None) for key in step.keys}
    home = [item for item in AudiencesScreen.BINDINGS if isinstance(item, Binding)]
    assert labels["u"] in {item.description for item in home if item.key == "u"}
    answers = RetryDialog(RetrySummary({}, {}, 0)).answers()
    assert labels["s"] in {answer.label for answer in answers}


def test_it_runs_in_ascii_too() -> None:
    for step in tour_steps(lambda: None):
        assert f"{step.caption}{step.meanwhile}".isascii()
        assert all(f"{key.label}{key.meanwhile}".isascii() for key in step.keys)


def test_it_takes_three_minutes() -> None:
    steps = tour_steps(lambda: None)
    seconds = sum(step.rest + KEY_PAUSE * len(step.keys) for step in steps)
    assert 150 < seconds < 185  # and a few for the moves of the cursor and for answers


# The presenter's keys.


@pytest.mark.parametrize("key", ["enter", "right"])
async def test_a_key_continues_at_once(harness: ConsoleHarness, key: str) -> None:
    tour = tour_of(LOG, HOME, LOG)
    async with harness.open(LaunchOptions(tour=tour)) as pilot:
        await until_shown(pilot, "Everything done so far.", "1/3")
        await pilot.press(key)
        await until_shown(pilot, "Home again.", "2/3", "Audiences")


async def test_the_end_comes_by_itself_after_the_last_step(harness: ConsoleHarness) -> None:
    tour = tour_of(LOG)
    async with harness.open(LaunchOptions(tour=tour)) as pilot:
        await until_shown(pilot, "1/1", LOG.caption)
        await pilot.press("enter")
        await until(pilot, lambda: not tour.is_running)
        assert [happening.text for happening in services(pilot).notifications.entries] == [FINISHED]
        await until(pilot, lambda: not pilot.app.screen.query(Caption))


async def test_space_pauses_until_it_is_pressed_again(harness: ConsoleHarness) -> None:
    may_end, has_ended = asyncio.Event(), asyncio.Event()

    async def rest(seconds: float) -> None:
        if seconds > KEY_PAUSE:
            await may_end.wait()
            has_ended.set()

    tour = GuidedTour([LOG, HOME], lambda: None, rest=rest)
    async with harness.open(LaunchOptions(tour=tour)) as pilot:
        await until_shown(pilot, "1/2", "Space pause")
        await pilot.press("space")
        await until_shown(pilot, "1/2", "PAUSED  Space resume")
        may_end.set()
        await has_ended.wait()
        await pilot.pause()
        assert "1/2" in caption(pilot)
        await pilot.press("space")
        await until(pilot, lambda: not tour.is_running)
        assert tour.failed_step is None


async def test_enter_goes_one_step_further_while_it_is_paused(harness: ConsoleHarness) -> None:
    is_paused = asyncio.Event()

    async def rest(_: float) -> None:
        await is_paused.wait()

    tour = GuidedTour([LOG, HOME, LOG], lambda: None, rest=rest)
    async with harness.open(LaunchOptions(tour=tour), size=(80, 24)) as pilot:
        await until_shown(pilot, "Next key: 6 (Log)")
        await pilot.press("space")
        await until(pilot, lambda: "PAUSED" in caption(pilot))
        is_paused.set()
        for number, step in enumerate([LOG, HOME, LOG], 1):
            await pilot.press("enter")
            shown = f"PAUSED Space resume Enter next Esc end {number}/3 {step.caption}"
            await until(pilot, lambda shown=shown: shown in caption(pilot))  # type: ignore[misc]
        assert tour.is_running
        await pilot.press("space")
        await until(pilot, lambda: not tour.is_running)


async def test_q_ends_it_and_asks_to_quit(harness: ConsoleHarness) -> None:
    tour = tour_of(LOG, HOME)
    async with harness.open(LaunchOptions(tour=tour)) as pilot:
        await until_shown(pilot, "1/2")
        await pilot.press("q")
        await until_shown(pilot, "Quit amp-console?")
        assert not tour.is_running


async def test_escape_ends_it_and_leaves_the_console_usable(harness: ConsoleHarness) -> None:
    tour = tour_of(LOG, HOME)
    async with harness.open(LaunchOptions(tour=tour)) as pilot:
        await until_shown(pilot, "Everything done so far.", "1/2")
        await pilot.press("escape")
        await until(pilot, lambda: not tour.is_running and not pilot.app.screen.query(Caption))
        await until_shown(pilot, "The tour has ended")
        await pilot.press("1")
        await until_shown(pilot, "No audience yet")
        await pilot.press("question_mark")
        await until_shown(pilot, "Help · Audiences")


async def test_other_keys_and_clicks_do_nothing_meanwhile(harness: ConsoleHarness) -> None:
    tour = tour_of(LOG, HOME)
    async with harness.open(LaunchOptions(tour=tour), size=(80, 24)) as pilot:
        await until_shown(pilot, "Everything done so far.", "1/2", "entries")
        before = pilot.app.screen
        await pilot.press("5", "question_mark", "p", "f", "ctrl+p")
        click(pilot, 4, 1)  # a main screen
        await until(pilot, lambda: caption(pilot).startswith("The tour presses the keys. Space"))
        await pilot.pause()
        assert pilot.app.screen is before
        assert "1/2 Everything done so far." in caption(pilot)


async def test_one_can_quit_meanwhile(harness: ConsoleHarness) -> None:
    tour = tour_of(LOG, HOME)
    async with harness.open(LaunchOptions(tour=tour)) as pilot:
        await until_shown(pilot, "1/2")
        await pilot.press("ctrl+q")
        await until_shown(pilot, "Quit amp-console?")
        await pilot.press("y")
        await until(pilot, lambda: services(pilot).session is None and not tour.is_running)


async def test_a_step_that_is_never_reached_ends_it_with_a_message(harness: ConsoleHarness) -> None:
    tour = tour_of(NEVER, HOME, step_timeout=0.1)
    async with harness.open(LaunchOptions(tour=tour)) as pilot:
        await until(pilot, lambda: tour.failed_step is not None and not tour.is_running)
        assert tour.failed_step == NEVER
        assert [happening.text for happening in services(pilot).notifications.entries] == [FAILED]
        await until(pilot, lambda: not pilot.app.screen.query(Caption))


async def test_trouble_that_it_made_ends_with_it() -> None:
    with SimulatedSession(has_traffic=False) as session:
        session.toggle("slow")
        app = ConsoleApp(session.environment, LaunchOptions(tour=tour_of(TROUBLE, HOME)))
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await until_shown(pilot, "1/2", "waits as asked")
            await until(pilot, lambda: caption(pilot).endswith("1/2 Trouble."))
            await until(pilot, lambda: next(trouble.is_on for trouble in session.troubles()))
            await pilot.press("escape")
            assert [trouble.name for trouble in session.troubles() if trouble.is_on] == ["slow"]
            await app.services.connections.close_all()


# The command.


def test_the_command_runs_it_and_the_presenter_may_end_it_during_seeding(
    tmp_path: Path,
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary)}
    command = [COMMAND, "demo", "--tour", "--fast"]
    with Terminal(command, size=(80, 24), environment=environment) as terminal:
        terminal.until_shown("This tour takes three minutes")
        terminal.type("escape")
        terminal.until_shown("The tour has ended")
        terminal.type("ctrl+q", "y")
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
