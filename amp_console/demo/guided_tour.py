"""Running the guided tour: it presses the keys of the stops and shows their captions."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from textual.events import Key

from amp_console.console.background import aside
from amp_console.console.context import services_of
from amp_console.console.widgets.caption import Caption
from amp_console.demo.tour import Step, TourStop

if TYPE_CHECKING:
    from textual.app import App
    from textual.screen import Screen


STEP_TIMEOUT = 90.0  # seconds until a step that shows nothing fails
POLL_SECONDS = 0.05  # seconds between two checks of the screen
KEY_NAMES = {"!": "exclamation_mark", "_": "underscore"}
SEEDING = "The scene is being set. Meanwhile: space continues at once, p pauses, Esc ends it."
FINISHED = "The tour is over, and the console is yours. Press ? for help."
FAILED = "The tour ended: the console went elsewhere. It is yours now; press ? for help."


class StepFailed(Exception):
    """The console does not show what a step leads to."""

    def __init__(self, step: Step) -> None:
        super().__init__(step)
        self.step = step


class GuidedTour:
    """A `Tour` through a list of stops.

    Space or → continues at once, p pauses the tour until then, and Esc ends it; other keys except
    those with ctrl do nothing. `ready` blocks until the tour can begin. `rest` waits so many
    seconds before the next key or stop. `seen` is called when the screen shows what a stop
    describes.
    """

    def __init__(
        self,
        stops: Sequence[TourStop],
        ready: Callable[[], None],
        *,
        rest: Callable[[float], Awaitable[None]] = asyncio.sleep,
        seen: Callable[[TourStop], None] = lambda _: None,
        step_timeout: float = STEP_TIMEOUT,
    ) -> None:
        self._stops = stops
        self._ready = ready
        self._rest = rest
        self._seen = seen
        self._patience = step_timeout
        self.failed_step: Step | None = None
        """The step that failed and ended the tour, if one did."""
        self._app: App[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._advance = asyncio.Event()
        self._is_paused = False
        self._caption, self._count = SEEDING, ""
        self._own: set[Key] = set()
        self._troubles_before: set[str] = set()

    @property
    def is_running(self) -> bool:
        """Whether the tour controls the console."""
        return self._app is not None

    # Called by the console.

    async def run(self, app: "App[None]") -> None:
        """Run all stops, until the last one or until the presenter ends the tour."""
        self._app, self._task = app, asyncio.current_task()
        self._troubles_before = self._troubles(app)
        app.screen_change_signal.subscribe(app, self._show_caption_on, immediate=True)
        try:
            await self._run_stops()
        except StepFailed as failed_step:
            self.failed_step = failed_step.step
            self._end(FAILED)
        else:
            self._end(FINISHED)
        finally:
            self._app = None  # also if the console quits meanwhile

    def handle_key(self, key: Key) -> bool:
        """Handle every key of the presenter, except those with ctrl."""
        if not self.is_running or key in self._own or key.key.startswith("ctrl+"):
            return False
        match key.key:
            case "space" | "right":
                self._is_paused = False
                self._advance.set()
            case "p":
                self._is_paused = not self._is_paused
                self._show_caption()
            case "escape":
                self._end(FINISHED)
        return True

    # Running the stops.

    async def _run_stops(self) -> None:
        self._show_caption()
        await aside(self._ready)
        for number, stop in enumerate(self._stops, 1):
            self._caption, self._count = stop.caption, f"{number} of {len(self._stops)}"
            self._advance.clear()
            services_of(
                self._console
            ).notifications.shown.clear()  # of the previous stop; the log keeps them
            self._show_caption()
            for step in stop.steps:
                await self._run_step(step, stop.pause)
            self._seen(stop)
            await self._rest_or_advance(stop.rest)
            if self._is_paused:
                await self._advance.wait()

    async def _run_step(self, step: Step, pause: float) -> None:
        for key in step.keys:
            await self._rest_or_advance(pause)
            self._press(key)
        until = time.monotonic() + self._patience
        while not self._is_seen(step):
            if time.monotonic() > until:
                raise StepFailed(step)
            await asyncio.sleep(POLL_SECONDS)

    async def _rest_or_advance(self, seconds: float) -> None:
        """Rest, or until the presenter continues."""
        waits = [
            asyncio.ensure_future(self._advance.wait()),
            asyncio.ensure_future(self._rest(seconds)),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _press(self, key: str) -> None:
        event = Key(KEY_NAMES.get(key, key), key if len(key) == 1 else None)
        self._own.add(event)
        self._console.post_message(event)

    def _is_seen(self, step: Step) -> bool:
        screen = self._console.screen
        if type(screen).__name__ != step.screen:
            return False
        if step.focus is not None and (screen.focused is None or screen.focused.id != step.focus):
            return False
        text = text_of(screen)
        return all(item in text for item in step.shown)

    # Showing captions.

    @property
    def _console(self) -> "App[None]":
        assert self._app is not None
        return self._app

    def _show_caption(self) -> None:
        self._show_caption_on(self._console.screen)

    def _show_caption_on(self, screen: "Screen[object]") -> None:
        """Show the current caption on this screen."""
        notes = self._count, "Space: on" if self._is_paused else "Esc: end"
        there = screen.query(Caption)
        if there:
            there.first().say(self._caption, *notes)
        else:
            screen.mount(Caption(self._caption, *notes))

    def _end(self, words: str) -> None:
        """Remove the captions, and turn off the trouble that the tour caused."""
        app, self._app = self._console, None
        app.screen_change_signal.unsubscribe(app)
        for screen in app.screen_stack:
            screen.query(Caption).remove()
        services = services_of(app)
        for name in self._troubles(app) - self._troubles_before:
            assert services.environment.demo is not None
            services.environment.demo.toggle(name)
        services.notifications.post(words)
        if self._task is not asyncio.current_task() and self._task is not None:
            self._task.cancel()

    def _troubles(self, app: "App[None]") -> set[str]:
        demo = services_of(app).environment.demo
        return {trouble.name for trouble in demo.troubles() if trouble.is_on} if demo else set()


def text_of(screen: "Screen[object]") -> str:
    """The text of a screen, without the caption."""
    rows = [strip.text for strip in screen._compositor.render_strips()]
    for caption in screen.query(Caption):
        region = caption.region
        rows[region.y : region.bottom] = [""] * region.height
    return "\n".join(rows)
