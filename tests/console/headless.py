"""Textual without a terminal, painting only what a test examines, and idling as little as possible.

Textual renders every change of a headless application and drops the result (`App._display`),
which was a third of the time of the console's tests. Here a change is only counted; the screen is
rendered when a test asks for its text.

For each application and each screen that opens, it parses all style sheets and searches their rules
again; here this is done once per process (`quick_styles.py`). Each strip of a line creates seven
caches with statistics; here they are plain dicts, created when first used, which saves a tenth of
the time of the console's tests. A test that reads a screen's text gets it without blending colors
(`quick_text.py`).

A pilot waits 40 ms for each key, until the process uses no CPU time, which is no criterion under
load. Here it waits until the event loop has nothing left to do. Then it sends a message to each
widget and waits for all of them, which took half of the time of a key; here it checks whether each
widget is waiting for a message. For each widget that a query visits, Textual matches all its
ancestors with the selector; here it first checks the widget itself. Messages cost less, too
(`quick_messages.py`).
"""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

import pytest
from rich.console import RenderableType
from rich.segment import Segment
from textual._compositor import Compositor
from textual._context import visible_screen_stack
from textual._queue import Queue
from textual.app import App, ScreenStackError
from textual.content import _strip_control_codes
from textual.css.match import _check_selectors
from textual.css.model import Selector, SelectorSet
from textual.dom import DOMNode
from textual.message import Message
from textual.message_pump import MessagePump
from textual.pilot import Pilot, WaitForScreenTimeout
from textual.screen import Screen
from textual.strip import Strip

from tests.console.quick_messages import quick_messages
from tests.console.quick_styles import quick_styles
from tests.console.quick_text import is_text_quick, quick_text, text_of_screens

IDLE_SECONDS = 0.002
PAINT_SECONDS = 0.5
_changes: WeakKeyDictionary[Compositor, int] = WeakKeyDictionary()
_render_update = Compositor.render_update


def changes(screen: Screen[object]) -> int:
    """How often something on the screen would have been painted so far."""
    return _changes.get(screen._compositor, 0)


def rendered(app: App[Any]) -> list[Strip]:
    """The lines of the screen in front, with the screens visible behind it."""
    visible_screen_stack.set(app._background_screens)
    return app.screen._compositor.render_strips()


def text_of_screen(app: App[Any]) -> list[str]:
    """The text of the lines that `rendered` returns, without trailing spaces."""
    if is_text_quick():
        return text_of_screens(app)
    return [strip.text.rstrip() for strip in rendered(app)]


def _count_update(
    self: Compositor,
    full: bool = False,
    screen_stack: list[Screen[object]] | None = None,
    simplify: bool = False,
) -> RenderableType | None:
    if full:  # a screenshot, which is kept
        return _render_update(self, full, screen_stack, simplify)
    _changes[self] = _changes.get(self, 0) + 1
    self._dirty_regions.clear()
    return None


async def _wait_for_idle(_min_sleep: float = 0.0, max_sleep: float = 1.0) -> None:
    """Wait until the event loop has nothing to do, twice in a row."""
    loop, end, idle = asyncio.get_running_loop(), monotonic() + max_sleep, 0
    while idle < 2 and monotonic() < end:
        await asyncio.sleep(IDLE_SECONDS)
        idle = 0 if loop._ready else idle + 1  # type: ignore[attr-defined]


async def _wait_for_widgets(self: Pilot[Any], timeout: float = 30.0) -> bool:
    """Wait until the application, the screen and all its widgets are waiting for a message.

    Their changes are then laid out; if a screen changes all the time, those of a moment ago.
    """
    begun = monotonic()
    try:
        screen = self.app.screen
    except ScreenStackError:
        return False
    await asyncio.sleep(0)
    while not all(map(_is_waiting, (self.app, *screen.walk_children(with_self=True)))) or (
        _is_to_be_painted(screen) and monotonic() - begun < PAINT_SECONDS
    ):
        if self.app._exception is not None:
            return False
        if monotonic() - begun > timeout:
            raise WaitForScreenTimeout(f"{screen} is still busy.")
        await asyncio.sleep(IDLE_SECONDS)
    return True


def _is_to_be_painted(screen: Screen[object]) -> bool:
    return screen.is_current and bool(
        screen._layout_required
        or screen._scroll_required
        or screen._repaint_required
        or screen._recompose_required
        or screen._dirty_widgets
        or screen._callbacks
    )


def _is_waiting(pump: MessagePump) -> bool:
    """Whether it has handled all its messages, or no longer accepts any."""
    if pump._closing or pump._closed:
        return True
    queue: Queue[Message | None] = pump._message_queue
    waiters: object = getattr(queue.ready_event, "_waiters")  # noqa: B009  # asyncio's own
    return not queue.values and bool(waiters)


def _keep_segments(
    self: Strip, segments: Iterable[Segment], cell_length: int | None = None
) -> None:
    self._segments = list(segments)
    self._cell_length = cell_length
    self._render_cache = self._link_ids = self._cell_count = None


def _make_cache(self: Strip, name: str) -> dict[object, Strip]:
    """Create a cache of a strip when it is first used; most never are."""
    if not name.endswith("_cache"):
        raise AttributeError(name)
    made: dict[object, Strip] = {}
    setattr(self, name, made)
    return made


def _without_control_codes(text: str) -> str:
    return text if text.isprintable() else _strip_control_codes(text)


def _check_own_selector_first(selectors: list[Selector], path: list[DOMNode]) -> bool:
    return selectors[-1].check(path[-1]) and _check_selectors(selectors, path)


def _match(selector_sets: Iterable[SelectorSet], node: DOMNode) -> bool:
    return any(
        found.selectors[-1].check(node) and _check_selectors(found.selectors, node.css_path_nodes)
        for found in selector_sets
    )


@contextmanager
def quick_textual() -> Iterator[None]:
    """Make headless applications paint nothing, and pilots wait only for the event loop."""
    quick = quick_messages(), quick_styles(), quick_text()
    with pytest.MonkeyPatch.context() as patch, quick[0], quick[1], quick[2]:
        patch.setattr(Compositor, "render_update", _count_update)
        patch.setattr(Strip, "__init__", _keep_segments)
        patch.setattr(Strip, "__getattr__", _make_cache, raising=False)
        patch.setattr("textual.content._strip_control_codes", _without_control_codes)
        patch.setattr("textual.app.wait_for_idle", _wait_for_idle)
        patch.setattr("textual.pilot.wait_for_idle", _wait_for_idle)
        patch.setattr(Pilot, "_wait_for_screen", _wait_for_widgets)
        patch.setattr("textual.css.stylesheet._check_selectors", _check_own_selector_first)
        for module in ("css.query", "dom", "message_pump", "screen", "widget"):
            patch.setattr(f"textual.{module}.match", _match)
        yield


@pytest.fixture(scope="session", autouse=True)
def _quick_textual() -> Iterator[None]:
    with quick_textual():
        yield
