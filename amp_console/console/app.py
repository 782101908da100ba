"""The application: it composes the services, shows screens, and shuts down in an orderly way."""

import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

from rich.text import Text
from textual import events
from textual.app import App
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.filter import LineFilter
from textual.notifications import SeverityLevel
from textual.screen import Screen
from textual.theme import Theme

from amp_console.connections import Connection, KeySource
from amp_console.console.context import Services
from amp_console.console.contrast import readable_variables
from amp_console.console.environment import Environment, LaunchOptions
from amp_console.console.lifecycle import deferred
from amp_console.console.navigation import Navigator, key_scopes
from amp_console.console.place_bar import PLACE_KEYS
from amp_console.console.priority_driver import with_priority
from amp_console.console.resilient_driver import resilient
from amp_console.console.routes import MainScreen, SwitchConnection, Visit
from amp_console.console.stylesheet import LastingStylesheet
from amp_console.console.terminal_text import TerminalText
from amp_console.console.widgets.grid import stop_choosing
from amp_console.values import Credentials

HUNG_UP = 1  # the number of SIGHUP, which Windows lacks


class ConsoleApp(App[None]):
    """The console: keys in, screens out. Screens find what they need in `services`.

    Each open connection has its own mode, a stack of screens; the first one has the default mode.
    """

    TITLE = "amp-console"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = True
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        App.DEFAULT_MODE: partial(Screen, id=App.DEFAULT_MODE)  # otherwise one can't return to it
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        # Separate: only ctrl+q works in inputs and dialogs.
        Binding("q", "quit", "Quit", show=False, id="quit.ask"),
        Binding("ctrl+q", "quit", "Quit", show=False, priority=True, id="quit"),
        # Textual's own only names the key that quits; an input copies with it.
        Binding("ctrl+c", "quit", show=False, system=True),
        # Here, not on the screens, so that it is last in every footer.
        Binding("question_mark,f1", "help", "Help", key_display="?", id="help"),
        *PLACE_KEYS,
        Binding("ctrl+p", "command_palette", "Commands", show=False, priority=True, id="commands"),
        Binding("ctrl+o", "jump", "Jump", show=False, priority=True, id="jump"),
        Binding(
            "ctrl+n",
            "next_connection",
            "Next connection",
            show=False,
            priority=True,
            id="next_connection",
        ),
        Binding("exclamation_mark", "trouble", "Make trouble (demo)", show=False, id="trouble"),
    ]

    def __init__(self, environment: Environment, options: LaunchOptions) -> None:
        self._terminal_text = TerminalText(environment.encoding)  # Textual reads it at once
        self._mixed: tuple[Theme, dict[str, str]] | None = None  # and the colors, too
        self._key_priority = environment.key_priority
        super().__init__()
        first = Services(
            self,
            environment,
            options,
            lambda route: self.navigator.open(route),  # noqa: PLW0108  # it does not exist yet
            find_keys,
        )
        self._terminal_text.is_plain = first.appearance.is_ascii
        self.connections = first.connections
        self.navigator = Navigator(self, self.connections)
        appearance = self.services.appearance
        self.set_class(appearance.is_ascii, "-ascii")
        self.theme = appearance.first_theme
        self.stylesheet = LastingStylesheet(self.get_css_variables())

    @property
    def services(self) -> Services:
        """The services of the connection in front."""
        return self.connections.front

    # Textual's hooks.

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's filters, and the one that protects the terminal."""
        return [*super().get_line_filters(), self._terminal_text]

    def get_css_variables(self) -> dict[str, str]:
        """The theme's colors, with text colors adjusted to be legible.

        They are kept: Textual asks four times during startup, and mixing them takes over 1 ms.
        """
        theme = self.current_theme
        if self._mixed is None or self._mixed[0] is not theme:
            variables = super().get_css_variables()
            self._mixed = theme, variables | readable_variables(variables)
        return self._mixed[1]

    def _load_screen_css(self, screen: Screen[Any]) -> None:
        """Read the style sheet of a screen without restyling open screens.

        It does not apply to them, but Textual would style all their widgets again.
        """
        sheet = self.stylesheet
        new = [path for path in screen.css_path if not sheet.has_source(str(path))]
        if new:
            sheet.read_all(new)
            sheet.reparse()

    def get_driver_class(self) -> type[Driver]:
        """Textual's driver for this platform, which survives the loss of its terminal.

        It also reports keys to `key_priority`, so that an import makes way for them.
        """
        return with_priority(resilient(super().get_driver_class()), self._key_priority)

    def notify(
        self,
        message: str,
        *,
        title: str = "",  # noqa: ARG002  # a line has no room for it
        severity: SeverityLevel = "information",
        timeout: float | None = None,  # noqa: ARG002  # each severity has its own
        markup: bool = True,  # noqa: ARG002  # nothing here is markup
    ) -> None:
        """Show Textual's own notifications above the footer, too: a toast would cover something."""
        self.services.notifications.post(message, severity)

    def action_themes(self) -> None:
        """Choose a theme by name."""
        from amp_console.console.dialogs.palette import Palette, PaletteEntry

        entries = [
            PaletteEntry(
                name,
                ("dark" if theme.dark else "light") + (", in use" if name == self.theme else ""),
                self.services.glyphs.mark if name == self.theme else "",
                partial(self.services.appearance.choose, name),
            )
            for name, theme in sorted(self.available_themes.items())
        ]
        appearance, before = self.services.appearance, self.theme
        palette = Palette(
            entries,
            title="Theme",
            placeholder="a theme",
            start=before,
            preview=lambda entry: appearance.preview(entry.name),
        )

        def choose(entry: PaletteEntry | None) -> None:
            appearance.choose(entry.name if entry is not None else before)

        self.push_screen(palette, choose)

    def on_grid_link_clicked(self, event: Any) -> None:
        """Follow the link of a part of a row."""
        self.services.navigate(event.link)

    # Start and end.

    async def on_mount(self) -> None:
        """Show home at once; open the ledger in the background."""
        self.screen_change_signal.subscribe(self, lambda _: _leave_screen(self))
        self.theme_changed_signal.subscribe(
            self, lambda theme: self.services.appearance.theme_changed(theme.name)
        )
        tour = self.services.options.tour
        self.set_interval(self.services.environment.tick_seconds, self._tick)
        self.run_worker(self.services.appearance.load(lambda: key_scopes(self._bindings)))
        # Not awaited: Textual paints nothing until this method returns.
        self.run_worker(deferred(self.navigator.open_first))
        if tour is not None:
            self.run_worker(tour.run(self))

    async def on_event(self, event: events.Event) -> None:
        """Let a tour handle keys and the mouse first; hold keys that come too early."""
        tour = self.services.options.tour
        if tour is not None and isinstance(event, events.InputEvent) and tour.handle_input(event):
            return
        if isinstance(event, events.Key) and not self.screen_stack:
            return  # the console is quitting
        if isinstance(event, events.Key) and not event.is_forwarded:
            await self.services.held_keys.handle(event, super().on_event)
            return
        if isinstance(event, events.Key) and not self.screen.is_mounted:
            # The previous screen did not handle it, and this one has no widgets for it yet.
            self.services.held_keys.put_back(event)
            return
        if isinstance(event, events.MouseDown) and not event.is_forwarded:
            self.services.held_keys.note_click()
        await super().on_event(event)

    async def leave(self, status: int = 0) -> None:
        """Close everything, and quit with this exit status."""
        await self.connections.close_all()
        self.exit(return_code=status)

    def leave_when_done(
        self, is_still_wanted: Callable[[], bool] = lambda: True, *, status: int = 0
    ) -> None:
        """Quit as soon as no job is under way, if that is still wanted then."""

        async def wait_and_leave() -> None:
            for _, job in self.connections.under_way:
                await job.finished()
            if is_still_wanted():
                await self.leave(status)

        self.run_worker(wait_and_leave())

    def end(self, number: int) -> None:
        """Quit because of a signal, as soon as every job under way has stopped."""
        for _, job in self.connections.under_way:
            job.cancel()
        self.leave_when_done(status=128 + number)

    def release_terminal(self) -> None:
        """End the thread that reads keys, even if the terminal has disappeared.

        Textual ends it after restoring the terminal, which fails if that is gone; the thread would
        then read the end of file forever, and the process would never end.
        """
        reading = getattr(self._driver, "exit_event", None)
        if reading is not None:
            reading.set()

    def _fatal_error(self) -> None:
        """Print a traceback without local variables, unlike Textual: one may contain a key."""
        self.bell()
        # Only the lines of code, no values.
        self._exit_renderables.append(Text(traceback.format_exc(limit=-8)))
        self._close_messages_no_wait()

    async def _tick(self) -> None:
        """Quit if the terminal is gone; advance ages; load what other processes have written."""
        if _is_cut_off(self):
            self.end(HUNG_UP)  # there was no signal, and Textual would read from it forever
        self.services.ages.tick()
        await self.connections.look_for_changes()

    # Actions.

    def action_go(self, name: str) -> None:
        """Go to one of the main screens."""
        self.navigator.open(Visit(MainScreen(name)))

    def action_next_connection(self) -> None:
        """Switch to the next connection; what is under way in this one continues."""
        self.navigator.open(SwitchConnection())

    def action_help(self) -> None:
        """Help for this screen."""
        self.navigator.show_help(self.screen)

    async def action_quit(self, *, is_discarded: bool = False) -> None:
        """Ask, then quit; if a job is under way, ask whether to wait for it.

        Unless `is_discarded`, first ask whether to discard unsaved entries, if there are any.
        """
        from amp_console.console.dialogs.quit import QuitDialog

        if not is_discarded and self.navigator.ask_to_discard(
            lambda: self.run_worker(self.action_quit(is_discarded=True))
        ):
            return
        if is_discarded and not self.connections.under_way:
            await self.leave()
        elif not isinstance(self.screen, QuitDialog):
            has_jobs = bool(self.connections.under_way)
            self.push_screen(QuitDialog(self.leave_when_done, has_jobs=has_jobs))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer trouble only in the demo."""
        if action == "trouble" and self.services.environment.demo is None:
            return False
        return super().check_action(action, parameters)

    def action_trouble(self) -> None:
        """In the demo: make trouble, and see how it is handled."""
        demo = self.services.environment.demo
        if demo is not None:
            from amp_console.console.dialogs.trouble import TroubleDialog

            self.push_screen(TroubleDialog(demo))

    def action_jump(self) -> None:
        """Label every target; pressing its letter goes there."""
        from amp_console.console.dialogs.jump import JumpOverlay

        if not isinstance(self.screen, JumpOverlay):
            self.push_screen(
                JumpOverlay(self.screen), lambda target: target.go() if target is not None else None
            )

    def action_command_palette(self) -> None:
        """Find actions and people by name."""
        self.navigator.show_commands()


async def find_keys(services: Services, connection: Connection) -> tuple[Credentials, KeySource]:
    """Find a connection's keys; if the keyring takes long, a dialog says so."""
    from amp_console.console.dialogs.keyring import find

    return await find(services, connection)


def _is_cut_off(app: App[None]) -> bool:
    """Whether the terminal, or the browser's page, is gone."""
    if app.is_headless or sys.__stdin__ is None:
        return False
    if app.is_web:  # keys come through a pipe; the thread that reads it ends at its end
        return not any(thread.name == "textual-input" for thread in threading.enumerate())
    return not sys.__stdin__.isatty()


def _leave_screen(app: ConsoleApp) -> None:
    """Remove what concerns the screen that was left, such as its hint on sort keys."""
    app.services.notifications.shown.leave_screen()
    stop_choosing(app.screen_stack[:-1])
