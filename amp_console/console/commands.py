"""The entries of the palette: actions of a screen and of the application, audiences, people."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from inspect import getdoc
from typing import Any

from textual.app import App
from textual.binding import Binding
from textual.dom import DOMNode

from amp_console.console.appearance import DARK, LIGHT
from amp_console.console.connection_statuses import ConnectionStatus
from amp_console.console.context import Services
from amp_console.console.dialogs.palette import PaletteEntry
from amp_console.console.jobs.under_way import under_way
from amp_console.console.keymap import action_name, by_action
from amp_console.console.routes import OpenPerson, ShowAudience, SwitchConnection
from amp_console.console.screens.base import BaseScreen, panes_in_use
from amp_console.console.widgets.grid import Grid
from amp_console.ledger.audiences import Audience, all_audiences
from amp_console.sync.queries.person import explain_person
from amp_console.text import plural

SORTING = ("grid.sort", "grid.reverse")
MAX_AUDIENCES = 50  # shown by one search


def screen_commands(app: App[Any], services: Services, screen: BaseScreen) -> list[PaletteEntry]:
    """Return every named binding of the screen, its panes and the application.

    Of the focused list, only the sort actions are included: the others move the cursor or act on a
    row. Unavailable actions come last; choosing one says why.
    """
    entries: dict[str, PaletteEntry] = {}
    explain = services.notifications.post
    grid = screen.focused if isinstance(screen.focused, Grid) else None
    for owner in (*panes_in_use(screen), screen, grid, app):
        if owner is None:
            continue
        named = (
            binding
            for _, binding in services.appearance.bindings_of(owner)
            if binding.description and binding.id is not None
            if owner is not grid or binding.id in SORTING
        )
        for action, (binding, *_) in by_action(named).items():
            name = action.removeprefix("app.")
            if name in entries or owner.check_action(action_name(name), ()) is False:
                continue  # already listed, or makes no sense here
            reason = screen.action_keys.reason(action) if owner is screen else None
            entries[name] = PaletteEntry(
                binding.description,
                about(owner, binding),
                app.get_key_display(binding),
                _runner(app, action, owner)
                if reason is None
                else partial(explain, reason, "warning"),
                is_available=reason is None,
            )
    if "end" not in entries:
        entries.update(_end_session(services))
    of_all_screens = [entries.pop(name) for name in ("next_panel", "back") if name in entries]
    return [
        *(entry for entry in entries.values() if entry.is_available),
        *(_switch_to(services, status) for status in services.connections.statuses.others),
        *of_all_screens,
        PaletteEntry("Theme", "Choose other colors", "", _runner(app, "themes", app)),
        PaletteEntry("Light or dark", f"{DARK} or {LIGHT}", "", services.appearance.switch_theme),
        *(entry for entry in entries.values() if not entry.is_available),
    ]


def _end_session(services: Services) -> Iterator[tuple[str, PaletteEntry]]:
    """The entry that ends the live session of this console, if one is under way."""
    live = under_way(services.jobs.live)
    if live is None or live.is_ending:
        return

    def ask() -> None:
        from amp_console.console.dialogs.end_session import ask_to_end

        services.run_in_background(ask_to_end(services, live))

    yield "end", PaletteEntry("End session", "Ask, then end the live session", "", ask)


def _switch_to(services: Services, status: ConnectionStatus) -> PaletteEntry:
    connection = status.connection
    return PaletteEntry(
        f"Switch to {connection.name}",
        " ".join(filter(None, ("A connection", status.label(services.glyphs)[0]))),
        "",
        partial(services.navigate, SwitchConnection(connection.id)),
    )


def _runner(app: App[Any], action: str, owner: DOMNode) -> Callable[[], None]:
    def run() -> None:
        app.call_later(app.run_action, action, owner)

    return run


def about(owner: DOMNode, binding: Binding) -> str:
    """What a binding does, in a sentence: its tooltip, or the docstring of its action."""
    if binding.tooltip:
        return binding.tooltip
    target, _, action = action_name(binding.action).rpartition(".")
    text = getdoc(getattr(owner.app if target == "app" else owner, f"action_{action}", None)) or ""
    return text.partition("\n")[0].rstrip(".")


async def search_ledger(services: Services, text: str) -> Sequence[PaletteEntry]:
    """Find audiences by name or key, and a person by an identifier, in the background.

    Raises `LedgerError`.
    """
    session = services.session
    if session is None:
        return ()
    audiences = await session.read(all_audiences)
    people = await session.read(explain_person, text, await session.dead_runs())
    look_up = PaletteEntry(
        f"Find “{text}”",
        f"A person in {plural(len(people), 'audience')}"
        if people
        else "Look up this identifier in every audience",
        "",
        partial(services.navigate, OpenPerson(text)),
    )
    found = [
        PaletteEntry(
            audience.name,
            "An audience",
            "",
            partial(services.navigate, ShowAudience(audience.id)),
        )
        for audience in _matching(audiences, text.casefold())
    ]
    return [look_up, *found] if people else [*found, look_up]


def _matching(audiences: Sequence[Audience], text: str) -> Iterator[Audience]:
    """Audiences whose name or key contains the text; those that start with it come first."""
    found = [
        item for item in audiences if text in item.name.casefold() or text in item.handle.casefold()
    ]
    found.sort(key=lambda item: not item.name.casefold().startswith(text))
    yield from found[:MAX_AUDIENCES]
