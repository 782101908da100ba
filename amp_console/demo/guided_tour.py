"""Running the guided tour: it presses keys, and explains the result once it is on screen."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from textual.events import InputEvent, Key, MouseDown

from amp_console.console.background import in_thread
from amp_console.console.context import services_of
from amp_console.console.widgets.caption import Caption
from amp_console.demo.conditions import Condition
from amp_console.demo.tour import KeyPress, TourStep

if TYPE_CHECKING:
    from textual.app import App
    from textual.screen import Screen


STEP_TIMEOUT = 90.0  # seconds until a step fails whose result does not appear
POLL_SECONDS = 0.05  # seconds between two checks of the screen
PRESS_SECONDS = 1.0  # at most, until a key has taken effect
KEY_PAUSE, REPEAT_PAUSE = 1.1, 0.4  # seconds from announcing a key to pressing it
MAX_REPEATS = 30
KEY_NAMES = {"!": "exclamation_mark", "_": "underscore"}
SHOWN_KEYS = {"escape": "Esc", "f2": "F2", "exclamation_mark": "!"}
SEEDING = "Welcome to amp-console. This tour takes three minutes and presses the keys."
RUNNING = "Space pause  Enter next  Esc end tour"
PAUSED = "PAUSED  Space resume  Enter next  Esc end"
NOT_YOURS = "The tour presses the keys."
FINISHED = "The tour has ended. The console is yours: press ? for help."
FAILED = "The tour ended early: its next step did not appear. Press ? for help."


class StepFailed(Exception):
    """The console does not show the result of a step."""

    def __init__(self, step: TourStep) -> None:
        super().__init__(step)
        self.step = step


class GuidedTour:
    """A `Tour` through a list of steps.

    Space pauses and resumes, Enter or → continues at once (by one step if the tour is paused), and
    Esc ends it. q and ctrl+q end it and ask to quit. All other keys and the mouse do nothing.
    `ready` blocks until the tour can begin. `rest` waits so many seconds before the next key or
    step. `seen` is called when a caption is shown.
    """

    def __init__(
        self,
        steps: Sequence[TourStep],
        ready: Callable[[], None],
        *,
        rest: Callable[[float], Awaitable[None]] = asyncio.sleep,
        seen: Callable[[TourStep], None] = lambda _: None,
        step_timeout: float = STEP_TIMEOUT,
    ) -> None:
        self._steps = steps
        self._ready = ready
        self._rest = rest
        self._seen = seen
        self._patience = step_timeout
        self.failed_step: TourStep | None = None
        """The step that failed and ended the tour, if any."""
        self._app: App[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._advance = asyncio.Event()
        self._resumed = asyncio.Event()
        self._resumed.set()
        self._pauses_at_caption = False
        self._caption, self._key, self._count = SEEDING, "", ""
        self._own: set[InputEvent] = set()
        self._troubles_before: set[str] = set()

    @property
    def is_running(self) -> bool:
        """Whether the tour controls the console."""
        return self._app is not None

    # Called by the console.

    async def run(self, app: "App[None]") -> None:
        """Run all steps, until the last one or until the presenter ends the tour."""
        self._app, self._task = app, asyncio.current_task()
        self._troubles_before = self._troubles(app)
        app.screen_change_signal.subscribe(app, self._show_caption_on, immediate=True)
        try:
            await self._run_steps()
        except StepFailed as failed:
            self.failed_step = failed.step
            self._end(FAILED)
        else:
            self._end(FINISHED)
        finally:
            self._app = None  # even if the console quits in the meantime

    def handle_input(self, event: InputEvent) -> bool:
        """Handle every key that the presenter presses, and keep mouse events from the console."""
        if not self.is_running or event in self._own:
            return False
        if isinstance(event, Key):
            return self._handle_key(event.key)
        if isinstance(event, MouseDown):
            self._refuse()
        return True

    def _handle_key(self, key: str) -> bool:
        match key:
            case "space" if self._resumed.is_set():
                self._resumed.clear()
            case "space":
                self._pauses_at_caption = False
                self._resumed.set()
            case "enter" | "right":
                self._pauses_at_caption |= not self._resumed.is_set()
                self._resumed.set()
                self._advance.set()
            case "escape":
                self._end(FINISHED)
                return True
            case "q" | "ctrl+q":
                app = self._console
                self._end(FINISHED)
                app.run_worker(app.run_action("quit"))
                return True
            case _:
                self._refuse()
        self._show_caption()
        return True

    def _refuse(self) -> None:
        self._key = NOT_YOURS
        self._show_caption()

    # Running the steps.

    async def _run_steps(self) -> None:
        self._show_caption()
        await in_thread(self._ready)
        for number, step in enumerate(self._steps, 1):
            self._count = f"{number}/{len(self._steps)}"
            self._advance.clear()
            await self._press_keys(step)
            await self._wait_for(step.holds, step)
            self._advance.clear()  # an earlier key must not skip a new caption
            if self._pauses_at_caption:
                self._resumed.clear()
            self._say(step.caption)
            self._seen(step)
            await self._rest_or_advance(step.rest)

    async def _press_keys(self, step: TourStep) -> None:
        """Press the keys of a step; the previous step's caption is shown until then."""
        if step.before is not None:
            step.before()
        for press in step.keys:
            if press.repeats and press.then(self._console):
                continue
            key = self._key_of(press)
            shown = f"{SHOWN_KEYS.get(KEY_NAMES.get(key, key), key)} ({press.label})"
            self._key = f"Next key: {shown}"
            self._show_caption()
            await self._rest_or_advance(KEY_PAUSE)
            # The notifications are about the screen before this key.
            services_of(self._console).notifications.shown.clear()  # the log keeps them
            self._key = f"Pressed: {shown}"
            self._say(press.meanwhile)
            await self._press(key)
            for _ in range(MAX_REPEATS if press.repeats else 0):
                await self._rest_or_advance(REPEAT_PAUSE)
                if press.then(self._console):
                    break
                await self._press(key)
            await self._wait_for(press.then, step)
        if not step.keys:
            self._key = ""
            if step.meanwhile and not step.holds(self._console):
                self._say(step.meanwhile)

    async def _wait_for(self, condition: Condition, step: TourStep) -> None:
        until = time.monotonic() + self._patience
        while not condition(self._console):
            if time.monotonic() > until:
                raise StepFailed(step)
            await asyncio.sleep(POLL_SECONDS)

    def _key_of(self, press: KeyPress) -> str:
        """The key to press; for the ID of a binding, its current key."""
        if not press.key.startswith("@"):
            return press.key
        bindings = services_of(self._console).appearance.bindings_of(self._console)
        return next(key for key, binding in bindings if binding.id == press.key[1:])

    async def _rest_or_advance(self, seconds: float) -> None:
        """Wait for `seconds`, or until the presenter continues; then for the end of a pause."""
        waits = [
            asyncio.ensure_future(self._advance.wait()),
            asyncio.ensure_future(self._rest(seconds)),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        await self._resumed.wait()

    async def _press(self, key: str) -> None:
        """Press a key, and wait until it has taken effect."""
        event = Key(KEY_NAMES.get(key, key), key if len(key) == 1 else None)
        self._own.add(event)
        handled = asyncio.Event()
        self._console.post_message(event)
        with suppress(TimeoutError):
            if self._console.call_later(handled.set):
                await asyncio.wait_for(handled.wait(), PRESS_SECONDS)  # it may have been closed
            acted = services_of(self._console).held_keys.acted()
            await asyncio.wait_for(acted, PRESS_SECONDS)

    # Showing captions.

    @property
    def _console(self) -> "App[None]":
        assert self._app is not None
        return self._app

    def _say(self, words: str) -> None:
        self._caption = words
        self._show_caption()

    def _show_caption(self) -> None:
        self._show_caption_on(self._console.screen)

    def _show_caption_on(self, screen: "Screen[object]") -> None:
        """Show the current caption on this screen."""
        is_paused = self._pauses_at_caption or not self._resumed.is_set()
        notes = f"{PAUSED if is_paused else RUNNING}  {self._count}".rstrip()
        there = screen.query(Caption)
        if there:
            there.first().say(self._caption, self._key, notes)
        else:
            screen.mount(Caption(self._caption, self._key, notes))

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
