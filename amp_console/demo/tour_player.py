"""Whoever plays the tour: it presses the keys of the scenes, and says what is seen."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from textual.events import Key

from amp_console.console.background import aside
from amp_console.console.context import services_of
from amp_console.console.widgets.caption import Caption
from amp_console.demo.tour import Step, TourScene

if TYPE_CHECKING:
    from textual.app import App
    from textual.screen import Screen


PATIENCE = 90.0  # seconds; what is not seen by then never will be
LOOK = 0.05  # seconds between two looks at the screen
NAMES = {"!": "exclamation_mark", "_": "underscore"}
SETTING = (
    "The scene is being set. Meanwhile: space continues at once, p stays where the tour is, "
    "Esc ends it."
)
OVER = "The tour is over, and the console is yours. ? says what can be done here."
LOST = "The tour ended: the console went elsewhere. It is yours now; ? says what can be done here."


class Lost(Exception):
    """What a step leads to is not seen."""

    def __init__(self, step: Step) -> None:
        super().__init__(step)
        self.step = step


class Tour:
    """A `Guide` that plays scenes one after the other.

    Space or → goes on at once, p stays until then, and Esc ends the tour; other keys do nothing,
    but for those with ctrl. `ready` blocks until the scenes can begin. `rest` waits so many
    seconds before the next key or the next scene. `seen` is called when what a scene speaks of
    is seen.
    """

    def __init__(
        self,
        scenes: Sequence[TourScene],
        ready: Callable[[], None],
        *,
        rest: Callable[[float], Awaitable[None]] = asyncio.sleep,
        seen: Callable[[TourScene], None] = lambda _: None,
        patience: float = PATIENCE,
    ) -> None:
        self._scenes = scenes
        self._ready = ready
        self._rest = rest
        self._seen = seen
        self._patience = patience
        self.lost: Step | None = None
        """What was not seen, where that has ended the tour."""
        self._app: App[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._told = asyncio.Event()
        self._stays = False
        self._words, self._count = SETTING, ""
        self._own: set[Key] = set()
        self._troubles_before: set[str] = set()

    @property
    def is_playing(self) -> bool:
        """Whether it leads now."""
        return self._app is not None

    # What the console calls.

    async def lead(self, app: "App[None]") -> None:
        """Play all scenes, until they are over or the presenter ends them."""
        self._app, self._task = app, asyncio.current_task()
        self._troubles_before = self._troubles(app)
        app.screen_change_signal.subscribe(app, self._show_on, immediate=True)
        try:
            await self._play()
        except Lost as lost:
            self.lost = lost.step
            self._end(LOST)
        else:
            self._end(OVER)
        finally:
            self._app = None  # also where the console quits meanwhile

    def takes(self, key: Key) -> bool:
        """Take every key of the presenter's, but for those with ctrl."""
        if not self.is_playing or key in self._own or key.key.startswith("ctrl+"):
            return False
        match key.key:
            case "space" | "right":
                self._stays = False
                self._told.set()
            case "p":
                self._stays = not self._stays
                self._show()
            case "escape":
                self._end(OVER)
        return True

    # Playing.

    async def _play(self) -> None:
        self._show()
        await aside(self._ready)
        for number, scene in enumerate(self._scenes, 1):
            self._words, self._count = scene.caption, f"{number} of {len(self._scenes)}"
            self._told.clear()
            services_of(
                self._led
            ).notifications.shown.clear()  # of the scene before; the event log keeps them
            self._show()
            for step in scene.steps:
                await self._take(step, scene.pause)
            self._seen(scene)
            await self._until_told(scene.rest)
            if self._stays:
                await self._told.wait()

    async def _take(self, step: Step, pause: float) -> None:
        for key in step.keys:
            await self._until_told(pause)
            self._press(key)
        until = time.monotonic() + self._patience
        while not self._is_seen(step):
            if time.monotonic() > until:
                raise Lost(step)
            await asyncio.sleep(LOOK)

    async def _until_told(self, seconds: float) -> None:
        """Rest, or until the presenter goes on."""
        waits = [
            asyncio.ensure_future(self._told.wait()),
            asyncio.ensure_future(self._rest(seconds)),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _press(self, key: str) -> None:
        event = Key(NAMES.get(key, key), key if len(key) == 1 else None)
        self._own.add(event)
        self._led.post_message(event)

    def _is_seen(self, step: Step) -> bool:
        screen = self._led.screen
        if type(screen).__name__ != step.screen:
            return False
        if step.focus is not None and (screen.focused is None or screen.focused.id != step.focus):
            return False
        text = text_of(screen)
        return all(item in text for item in step.shown)

    # Saying.

    @property
    def _led(self) -> "App[None]":
        assert self._app is not None
        return self._app

    def _show(self) -> None:
        self._show_on(self._led.screen)

    def _show_on(self, screen: "Screen[object]") -> None:
        """Say what is said now on this screen too."""
        notes = self._count, "Space: on" if self._stays else "Esc: end"
        there = screen.query(Caption)
        if there:
            there.first().say(self._words, *notes)
        else:
            screen.mount(Caption(self._words, *notes))

    def _end(self, words: str) -> None:
        """Take the captions away, and the trouble that the tour made."""
        app, self._app = self._led, None
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
    """All that is on a screen, but for its caption."""
    rows = [strip.text for strip in screen._compositor.render_strips()]
    for caption in screen.query(Caption):
        region = caption.region
        rows[region.y : region.bottom] = [""] * region.height
    return "\n".join(rows)
