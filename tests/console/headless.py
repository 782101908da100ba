"""Textual without a terminal, painting only what a test examines and idling as little as it can.

Textual renders every change of a headless application and drops the result (`App._display`),
which was a third of the time of the console's tests. Here a change is only counted; the screen is
rendered when a test asks for its text.

It parses all style sheets anew for each application and for each screen that is opened; here each
sheet is parsed once in a process.

Each strip of a line makes seven caches that count what they find; here they are plain dicts, which
take a tenth of the time of the console's tests less.

A pilot waits 40 ms for each key, until the process burns no CPU time, which under load says
nothing. Here it waits until the event loop has nothing left to do.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

import pytest
from rich.console import RenderableType
from textual._compositor import Compositor
from textual._context import visible_screen_stack
from textual.app import App
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet
from textual.css.types import CSSLocation
from textual.screen import Screen
from textual.strip import Strip

IDLE_SECONDS = 0.002
_changes: WeakKeyDictionary[Compositor, int] = WeakKeyDictionary()
_parsed: dict[object, list[RuleSet]] = {}
_render_update = Compositor.render_update
_parse_rules = Stylesheet._parse_rules


def changes(screen: Screen[object]) -> int:
    """How often something on the screen would have been painted so far."""
    return _changes.get(screen._compositor, 0)


def rendered(app: App[Any]) -> list[Strip]:
    """The lines of the screen in front, with the screens that are seen behind it."""
    visible_screen_stack.set(app._background_screens)
    return app.screen._compositor.render_strips()


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


def _parse_rules_once(
    self: Stylesheet,
    css: str,
    read_from: CSSLocation,
    is_default_rules: bool = False,
    tie_breaker: int = 0,
    scope: str = "",
) -> list[RuleSet]:
    variables = frozenset(self._variables.items())
    key = (css, read_from, is_default_rules, tie_breaker, scope, variables)
    if key not in _parsed:
        _parsed[key] = _parse_rules(self, css, read_from, is_default_rules, tie_breaker, scope)
    return _parsed[key]


@contextmanager
def quick_textual() -> Iterator[None]:
    """Let headless applications paint nothing, and pilots wait for the event loop alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Compositor, "render_update", _count_update)
        patch.setattr(Stylesheet, "_parse_rules", _parse_rules_once)
        patch.setattr("textual.strip.FIFOCache", lambda _size: {})
        patch.setattr("textual.app.wait_for_idle", _wait_for_idle)
        patch.setattr("textual.pilot.wait_for_idle", _wait_for_idle)
        yield


@pytest.fixture(scope="session", autouse=True)
def _quick_textual() -> Iterator[None]:
    with quick_textual():
        yield
