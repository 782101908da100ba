"""Conditions on what the console shows or does, for which the tour's captions wait."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from textual._context import visible_screen_stack

from amp_console.console.context import services_of
from amp_console.console.widgets.caption import Caption
from amp_console.console.widgets.grid import Grid

if TYPE_CHECKING:
    from textual.app import App
    from textual.screen import Screen

Condition = Callable[["App[Any]"], bool]
"""Whether something is true in the console right now."""


def screen(name: str, *texts: str) -> Condition:
    """A screen of this class is shown and contains all these texts."""

    def holds(app: "App[Any]") -> bool:
        if type(app.screen).__name__ != name:
            return False
        text = text_of(app.screen)
        return all(item in text for item in texts)

    return holds


def lacks(text: str) -> Condition:
    """The screen in front does not contain a text."""
    return lambda app: text not in text_of(app.screen)


def cursor_on(name: str, text: str) -> Condition:
    """On a screen of this class, the cursor is on a row with this text."""

    def holds(app: "App[Any]") -> bool:
        grid = app.screen.focused
        if type(app.screen).__name__ != name or not isinstance(grid, Grid) or grid.row is None:
            return False
        return any(text in cell.text for cell in grid.row.cells)

    return holds


def every(*conditions: Condition) -> Condition:
    """All these conditions hold."""
    return lambda app: all(condition(app) for condition in conditions)


def trouble(name: str, *, is_on: bool) -> Condition:
    """A kind of trouble is on, or off."""

    def holds(app: "App[Any]") -> bool:
        demo = services_of(app).environment.demo
        return demo is not None and any(
            kind.name == name and kind.is_on is is_on for kind in demo.troubles()
        )

    return holds


def sync_waits(app: "App[Any]") -> bool:
    """A sync is waiting before it sends a request again."""
    job = services_of(app).jobs.sync
    if job is None or job.is_over or job.snapshot is None:
        return False
    return any(audience.wait_until is not None for audience in job.snapshot.audiences)


def sync_is_over(app: "App[Any]") -> bool:
    """The last sync has ended."""
    job = services_of(app).jobs.sync
    return job is not None and job.is_over


def live_delivers(app: "App[Any]") -> bool:
    """A live session has delivered changes."""
    live = services_of(app).jobs.live
    if live is None or live.is_over or live.snapshot is None:
        return False
    return any(item.counts.added + item.counts.removed for item in live.snapshot.audiences)


def text_of(screen: "Screen[Any]") -> str:
    """The text of a screen, without the caption."""
    # Textual caches what it renders: without this, the area behind a dialog would stay empty.
    visible_screen_stack.set(screen.app._background_screens)
    rows = [strip.text for strip in screen._compositor.render_strips()]
    for caption in screen.query(Caption):
        region = caption.region
        rows[region.y : region.bottom] = [""] * region.height
    return "\n".join(rows)
