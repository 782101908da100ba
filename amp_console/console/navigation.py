"""Which places there are, how one gets there, and what the palette lists."""

import asyncio
import importlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from textual.app import SystemCommand
from textual.binding import Binding
from textual.screen import Screen

from amp_console.connections import SettingsError
from amp_console.console.jobs.runs import KNOWN
from amp_console.ledger import LedgerError

if TYPE_CHECKING:
    from amp_console.console.app import ConsoleApp
    from amp_console.console.environment import DemoSession
    from amp_console.console.screens.base import BaseScreen

PLACES = {
    "audiences": "audiences.list:AudiencesScreen",
    "errors": "errors.list:ErrorsScreen",
    "runs": "runs.list:RunsScreen",
    "connections": "connections.list:ConnectionsScreen",
    "events": "events:EventsScreen",
    "person": "person:PersonScreen",
    "live": "live.view:LiveScreen",
}
"""The main places by name: module and class."""
PROGRESS_EVERY = 0.1  # seconds between two pictures of how far a demo's ledger is filled
WITHOUT_CONNECTION = {"audiences", "connections", "events"}


def place(name: str) -> "type[BaseScreen]":
    """Import a place; only what is opened is ever imported."""
    module, kind = PLACES[name].split(":")
    found = getattr(importlib.import_module(f"amp_console.console.screens.{module}"), kind)
    assert isinstance(found, type)
    return found


def go(app: "ConsoleApp", name: str) -> None:
    """Go to a main place: back to it, if one came from there, else on top of home."""
    if app.screen.is_modal:
        return
    if app.session is None and name not in WITHOUT_CONNECTION:
        app.say(app.no_session_reason, "warning")
        return
    kind = place(name)
    # Home stays, right above Textual's blank screen.
    while len(app.screen_stack) > 2 and not isinstance(app.screen, kind):
        app.pop_screen()
    if isinstance(app.screen, kind):
        app.screen.revisit()
    else:
        app.push_screen(kind())


async def open_first(app: "ConsoleApp") -> None:
    """Show home; open the connection and the place that were asked for, or the first-run form."""
    await app.push_screen(place("audiences")())
    try:
        if app.premises.stage is not None:
            await _until_ready(app, app.premises.stage)
        await _open_connection(app)
    finally:
        app.is_opening = False
        app.tell()


async def _until_ready(app: "ConsoleApp", stage: "DemoSession") -> None:
    """Show how far the demo's ledger is filled, until it is."""
    while not stage.is_ready():
        app.tell()
        await asyncio.sleep(PROGRESS_EVERY)


async def _open_connection(app: "ConsoleApp") -> None:
    opening = app.opening
    try:
        known = app.premises.book.all()
        if opening.connection is None and len(known) != 1:
            await _ask_for_connection(app, has_some=bool(known))
            return
        await app.open_session(app.premises.book.pick(opening.connection))
    except (SettingsError, LedgerError) as error:
        app.say(str(error), "error")
        await app.push_screen(place("connections")())
        return
    await open_deep(app)


async def open_deep(app: "ConsoleApp") -> None:
    """Go where the command line asked to go."""
    if app.opening.run_id is not None:
        from amp_console.console.screens.runs.view import RunScreen

        await app.push_screen(RunScreen(app.opening.run_id))


async def _ask_for_connection(app: "ConsoleApp", *, has_some: bool) -> None:
    if has_some:
        await app.push_screen(place("connections")())
        return
    from amp_console.console.screens.connections.form import ConnectionForm

    await app.push_screen(ConnectionForm())


def commands(app: "ConsoleApp", screen: Screen[object]) -> Iterator[SystemCommand]:
    """Every binding of the place and of the application that has a name."""
    from amp_console.console.screens.base import BaseScreen

    seen: set[str] = set()
    for owner in (screen, app):
        for _, binding in app.bindings_of(owner):
            if not binding.description or binding.action in seen:
                continue
            if owner.check_action(binding.action.partition("(")[0], ()) is False:
                continue  # it makes no sense here and now
            seen.add(binding.action)
            reason = (
                screen.disabled_reason(binding.action) if isinstance(screen, BaseScreen) else None
            )
            about = reason or f"Key: {app.get_key_display(binding)}"
            yield SystemCommand(binding.description, about, _runner(app, owner, binding))


def _runner(app: "ConsoleApp", owner: object, binding: Binding) -> Callable[[], None]:
    def run() -> None:
        app.call_later(app.run_action, binding.action, owner)

    return run


__all__ = ["KNOWN", "PLACES", "commands", "go", "open_deep", "open_first", "place"]
