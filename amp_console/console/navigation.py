"""Which screen a route leads to, how to get there, and what the palette lists.

This is the only module that imports screens, and it imports one when it is first opened.
"""

import asyncio
import importlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.app import App
from textual.binding import BindingsMap
from textual.screen import Screen

from amp_console.connections import Connection, SettingsError
from amp_console.console.background import in_thread
from amp_console.console.context import OpenConnections, Services
from amp_console.console.environment import DemoSession
from amp_console.console.failures import expected_failures
from amp_console.console.keymap import Scope
from amp_console.console.lifecycle import deferred
from amp_console.console.routes import (
    WITHOUT_CONNECTION,
    MainScreen,
    OpenAudienceSettings,
    OpenConnectionForm,
    OpenErrors,
    OpenLink,
    OpenMapping,
    OpenPerson,
    OpenPlan,
    OpenQuery,
    OpenReconcile,
    OpenReconcileAll,
    OpenReplay,
    OpenRun,
    OpenSourceForm,
    Replace,
    Route,
    ShowAudience,
    SwitchConnection,
    Visit,
)
from amp_console.ledger import LedgerError

if TYPE_CHECKING:
    from amp_console.console.dialogs.base import Confirm
    from amp_console.console.dialogs.palette import PaletteEntry
    from amp_console.console.screens.base import BaseScreen

DIALOG_HELP = "The last line names the keys of this dialog. Esc closes it."
MAIN = {
    MainScreen.AUDIENCES: "audiences.list:AudiencesScreen",
    MainScreen.ERRORS: "errors.list:ErrorsScreen",
    MainScreen.RUNS: "runs.list:RunsScreen",
    MainScreen.CONNECTIONS: "connections.list:ConnectionsScreen",
    MainScreen.EVENTS: "log.view:LogScreen",
    MainScreen.SOURCES: "sources.list:SourcesScreen",
    MainScreen.PERSON: "person:PersonScreen",
    MainScreen.LIVE: "live.view:LiveScreen",
}
"""Module and class of each main screen."""
SCREENS: dict[type[Route], str] = {
    OpenAudienceSettings: "audiences.settings:AudienceSettings",
    OpenLink: "audiences.link:LinkScreen",
    OpenPlan: "plan.view:PlanScreen",
    OpenRun: "runs.view:RunScreen",
    OpenReplay: "runs.replay:ReplayScreen",
    OpenErrors: "errors.list:ErrorsScreen",
    OpenReconcile: "reconcile.view:ReconcileScreen",
    OpenReconcileAll: "reconcile.all_view:ReconcileAllScreen",
    OpenPerson: "person:PersonScreen",
    OpenConnectionForm: "connections.form:ConnectionForm",
    OpenMapping: "connections.mapping:MappingScreen",
    OpenQuery: "sources.query:QueryScreen",
    OpenSourceForm: "sources.form:SourceForm",
}
"""Module and class of the screen for each other route; its arguments are the route's fields."""
WHOSE_KEYS = (
    "The keys in the environment are not used: there are several connections. "
    "To use them for one, start with: amp-console --connection NAME"
)
READY_EVERY = 0.02  # seconds between two checks whether a demo has filled its ledger


class Navigator:
    """Opens the screens of an application."""

    def __init__(self, app: App[Any], connections: OpenConnections) -> None:
        self._app = app
        self._switcher = ConnectionSwitcher(app, connections)
        self._connections = connections
        self._discarding: Confirm | None = None  # the last question shown
        self._recent: list[str] = []  # names of commands, the most recent first

    @property
    def _services(self) -> Services:
        return self._connections.front

    def open(self, route: Route) -> None:
        """Show the screen of a route."""
        match route:
            case Visit(main):
                self._visit(main)
            case ShowAudience(audience_id):
                self._show_audience(audience_id)
            case SwitchConnection(connection_id):
                self._switcher.switch(connection_id)
            case Replace(inner):
                self._app.switch_screen(_screen_of(inner))
            case _:
                self._app.push_screen(_screen_of(route))

    def ask_to_discard(self, go: Callable[[], object]) -> bool:
        """Ask before a form's entries are lost, and `go` if confirmed; False if there are none.

        The form may be below the screen in front, or belong to another connection.
        """
        from amp_console.console.screens.form import FormScreen, discard_question

        screens = self._connections.screens
        if self._discarding is not None and self._discarding in screens:
            return True
        if not any(isinstance(screen, FormScreen) and screen.is_changed for screen in screens):
            return False
        self._discarding = discard_question()

        def go_if_meant(is_meant: bool | None) -> None:
            if is_meant:
                go()

        self._app.push_screen(self._discarding, go_if_meant)
        return True

    def _visit(self, main: MainScreen) -> None:
        """Go to a main screen: back to it if it is open, otherwise on top of this one.

        So Esc leads back to where one came from, whichever key was used.
        """
        app, services = self._app, self._services
        if app.screen.is_modal:
            return
        if services.session is None and main not in WITHOUT_CONNECTION:
            services.notifications.post(services.sessions.missing_reason, "warning")
            return
        kind = _load(MAIN[main])
        # Home is always there, right above Textual's blank screen.
        if any(isinstance(screen, kind) for screen in app.screen_stack):
            while not isinstance(app.screen, kind):
                app.pop_screen()
            app.screen.revisit()
        else:
            app.push_screen(kind())

    async def open_first(self) -> None:
        """Show home; open the requested connection and screen, or the first-run form."""
        services = self._services
        home = self._app.push_screen(_load(MAIN[MainScreen.AUDIENCES])())
        if not self._is_first_run():  # otherwise home would flash up before the form
            await home
        try:
            if services.environment.demo is not None:
                # Filling the ledger competes with painting, so it starts after the first frame.
                self._app.call_after_refresh(services.environment.demo.open)
                await self._until_ready(services.environment.demo)
            await self._open_connection()
        finally:
            services.sessions.is_opening = False
            services.publish_ledger_change()
            services.held_keys.release()

    def _is_first_run(self) -> bool:
        services = self._services
        if services.environment.demo is not None or services.options.connection is not None:
            return False
        try:
            return not services.environment.connections.all()
        except SettingsError:
            return False

    async def _until_ready(self, demo: DemoSession) -> None:
        """Let home show how much of the demo's ledger is filled, until all is."""
        shown = -1.0
        while not demo.is_ready():
            if demo.progress() != shown:
                shown = demo.progress()
                self._services.publish_ledger_change()
            await asyncio.sleep(READY_EVERY)

    async def _open_connection(self) -> None:
        services, options = self._services, self._services.options
        store = services.environment.connections
        try:
            known = store.all()
            if options.connection is None and len(known) != 1:
                await self._ask_for_connection(has_some=bool(known))
                return
            chosen = store.pick(options.connection)
            services.environment_keys.give_to(chosen)
            await services.sessions.open(chosen)
        except (SettingsError, LedgerError) as error:
            services.notifications.post(str(error), "error")
            await self._app.push_screen(_load(MAIN[MainScreen.CONNECTIONS])())
            return
        if options.run_id is not None:
            await self._app.push_screen(_screen_of(OpenRun(options.run_id)))

    async def _ask_for_connection(self, *, has_some: bool) -> None:
        services = self._services
        if has_some:
            await self._app.push_screen(_load(MAIN[MainScreen.CONNECTIONS])())
            if services.environment_keys.are_set:
                services.notifications.post(WHOSE_KEYS, "warning")
        else:
            services.environment_keys.keep_for_first()
            await self._app.push_screen(_screen_of(OpenConnectionForm()))

    def show_help(self, screen: Screen[object]) -> None:
        """Show the help of this screen; for a dialog, post a notification about its footer."""
        from amp_console.console.badges import sign_legend
        from amp_console.console.dialogs.base import Dialog
        from amp_console.console.dialogs.help import HelpScreen
        from amp_console.console.screens.base import BaseScreen, panes_in_use

        if isinstance(screen, Dialog):
            self._services.notifications.post(DIALOG_HELP, is_kept=False)
        if isinstance(screen, BaseScreen):
            signs = sign_legend(screen.services.glyphs) if screen.HAS_STATUSES else ""
            text = f"{signs}\n\n{screen.HELP}".lstrip()
            opens = screen.footer.enter_opens
            panes = panes_in_use(screen)
            about = HelpScreen(screen, screen.NAME, text, screen.disabled_reason, opens, panes)
            self._app.push_screen(about)

    def show_commands(self) -> None:
        """Open the palette of actions, audiences and people; recently used ones come first."""
        from amp_console.console.commands import screen_commands, search_ledger
        from amp_console.console.dialogs.palette import Palette, PaletteEntry
        from amp_console.console.screens.base import BaseScreen

        app, services = self._app, self._services
        if not isinstance(app.screen, BaseScreen):
            return
        screen = app.screen

        def entries() -> list[PaletteEntry]:
            found = screen_commands(app, services, screen)
            return sorted(found, key=lambda entry: self._rank(entry.name))

        palette = Palette(entries(), search=partial(search_ledger, services))
        app.push_screen(palette, self._run_command)
        palette.follow(screen.bindings_updated_signal, entries)

    def _rank(self, name: str) -> int:
        """How many commands ago a command was used."""
        return self._recent.index(name) if name in self._recent else len(self._recent)

    def _run_command(self, entry: "PaletteEntry | None") -> None:
        if entry is not None:
            self._recent = [entry.name, *(name for name in self._recent if name != entry.name)]
            entry.run()

    def _show_audience(self, audience_id: int) -> None:
        """Move home's cursor to an audience; if a filter hides it, open its settings."""
        from amp_console.console.widgets.grid import Grid

        self._visit(MainScreen.AUDIENCES)
        if not self._app.screen.query(Grid).first().go_to(audience_id):
            self.open(OpenAudienceSettings(audience_id))


class ConnectionSwitcher:
    """Brings the screens of another connection to the front, as they were left."""

    def __init__(self, app: App[Any], connections: OpenConnections) -> None:
        self._app = app
        self._connections = connections
        self._is_switching = False
        self._tried: str | None = None  # the id of the one that failed to open

    def switch(self, connection_id: str | None) -> None:
        """Switch to a connection, or to the next one; an open dialog has to be closed first."""
        if not self._is_switching and not self._app.screen.is_modal:
            self._is_switching = True
            self._app.run_worker(deferred(self._switch, connection_id), group="switch")

    async def _switch(self, connection_id: str | None) -> None:
        connections = self._connections
        notifications = connections.front.notifications
        try:
            wanted = await self._wanted(connection_id)
            if wanted is not None:
                self._tried = wanted.id
                services = await connections.open(wanted)
                self._show(services, is_chosen=connection_id is not None)
                self._tried = None
        except expected_failures(SettingsError) as error:
            notifications.post(str(error), "error")
        finally:
            self._is_switching = False

    async def _wanted(self, connection_id: str | None) -> Connection | None:
        """The connection with this id, or the one after the current one. Raises `SettingsError`."""
        services = self._connections.front
        known = await in_thread(services.environment.connections.all)
        if connection_id is not None:
            return next((item for item in known if item.id == connection_id), None)
        in_front = services.session.connection.id if services.session is not None else None
        ids = [item.id for item in known]
        begin = self._tried if self._tried in ids else in_front
        after = ids.index(begin) + 1 if begin in ids else 0
        others = known[after:] + known[:after]
        found = next((item for item in others if item.id != in_front), None)
        if found is None:
            services.notifications.post(
                "There is no other connection. To add one, press 5 for Connections, then n.",
                "warning",
            )
        return found

    def _show(self, services: Services, *, is_chosen: bool) -> None:
        """Show the screens of an open connection, or home if it has none."""
        app, left = self._app, self._connections.front
        home = _load(MAIN[MainScreen.AUDIENCES])
        if services is left:
            services.notifications.post(f"Switched to “{services.name}”.", is_kept=False)
            services.navigate(Visit(MainScreen.AUDIENCES))
            return
        # The list of connections may have led here; returning should not lead to it.
        if is_chosen and isinstance(app.screen, _load(MAIN[MainScreen.CONNECTIONS])):
            app.pop_screen()
        self._connections.front = services
        try:
            app.get_screen_stack(services.mode)
        except KeyError:
            app.add_mode(services.mode, Screen)
            app.switch_mode(services.mode)
            app.push_screen(home())
        else:
            app.switch_mode(services.mode)
        if left.session is None:
            self._connections.forget(left)
        services.notifications.post(f"Switched to “{services.name}”.", is_kept=False)
        services.place_counts.refresh()
        services.connections.statuses.refresh()


def all_screens() -> "list[type[BaseScreen]]":
    """Every screen, sorted by name; this imports them all."""
    found = {_load(path) for path in (*MAIN.values(), *SCREENS.values())}
    return sorted(found, key=lambda kind: kind.NAME)


def key_scopes(app: BindingsMap) -> list[Scope]:
    """Every screen with the bindings that work on it, for checking a keymap."""
    from amp_console.console.widgets.grid import Grid

    return [
        Scope(kind.NAME, (*map(_merged, (Grid, *kind.PANES, kind)), app)) for kind in all_screens()
    ]


def _merged(kind: Any) -> BindingsMap:
    """The bindings of a class with those of its bases."""
    found: BindingsMap | None = kind._merged_bindings
    assert found is not None
    return found


def _load(path: str) -> "type[BaseScreen]":
    module, name = path.split(":")
    found = getattr(importlib.import_module(f"amp_console.console.screens.{module}"), name)
    assert isinstance(found, type)
    return found


def _screen_of(route: Route) -> "BaseScreen":
    arguments = {name: getattr(route, name) for name in route.__struct_fields__}
    return _load(SCREENS[type(route)])(**arguments)
