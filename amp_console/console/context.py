"""What screens, dialogs and jobs share: one `Services`, composed by the application."""

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, TypeVar, cast

from textual.app import App
from textual.dom import DOMNode
from textual.screen import Screen
from textual.signal import Signal

from amp_console.connections import Connection, KeySource
from amp_console.console.alerts import AlertNotifier
from amp_console.console.appearance import Appearance
from amp_console.console.clipboard import Clipboard
from amp_console.console.clock import AgeClock
from amp_console.console.environment import Environment, LaunchOptions
from amp_console.console.figures import Figures
from amp_console.console.glyphs import Glyphs
from amp_console.console.jobs.base import ConsoleChange, LedgerChanged
from amp_console.console.jobs.under_way import Jobs
from amp_console.console.message_log import MessageLog
from amp_console.console.notifications import Notifications
from amp_console.console.place_counts import PlaceCounter
from amp_console.console.routes import Route
from amp_console.console.saved_views import SavedViews
from amp_console.console.session import Session, Sessions
from amp_console.console.words import ago
from amp_console.sync.timing import Timing
from amp_console.values import Credentials

T = TypeVar("T")

Navigate = Callable[[Route], None]
"""Shows the screen of a route at once: a key pressed right after it reaches the new screen."""

FindKeys = Callable[["Services", Connection], Awaitable[tuple[Credentials, KeySource]]]
"""Finds a connection's keys; it may ask the operator. Raises `KeysError`."""


class Services:
    """Everything a screen may use. It knows no screen and asks Amplitude nothing by itself."""

    def __init__(
        self,
        app: App[Any],
        environment: Environment,
        options: LaunchOptions,
        navigate: Navigate,
        find_keys: FindKeys | None = None,
    ) -> None:
        read_only = environment.read_only or options.read_only
        self._app = app
        self.environment = replace(environment, read_only=read_only)
        self.options = options
        self.navigate = navigate
        self.clock = AgeClock(app, environment.timing)
        self.changes: Signal[ConsoleChange] = Signal(app, "changes")
        """Published when there is something new to see: what, says the type."""
        self.messages = MessageLog(lambda: self.session)
        self.notifications = Notifications(app, environment.timing.now, self.messages.add)
        self.appearance = Appearance(app, self.environment, options, self.notifications)
        self.views = SavedViews(
            app, self.environment, self.appearance.preferences, self.notifications
        )
        self.clipboard = Clipboard(app, environment.folders.data / "copied.txt", self.notifications)
        self.alerts = AlertNotifier(
            app, self.notifications, notifies_desktop=self.appearance.preferences.notify
        )
        self.jobs = Jobs()
        self.sessions = Sessions(
            self.environment,
            options,
            self.notifications,
            self._session_changed,
            partial(find_keys, self) if find_keys is not None else None,
        )
        self.place_counts = PlaceCounter(app, self.sessions)
        self.figures = Figures(
            self.sessions, self.clock, self.notifications, self.publish_ledger_change
        )

    @property
    def session(self) -> Session | None:
        """The session of the open connection."""
        return self.sessions.current

    @property
    def glyphs(self) -> Glyphs:
        """The characters the console draws with."""
        return self.appearance.glyphs

    @property
    def timing(self) -> Timing:
        """Time, sleep and randomness."""
        return self.environment.timing

    def is_key_repeat(self, opened_at: float) -> bool:
        """Whether a key that confirms comes too soon to be meant; `opened_at` is monotonic."""
        return self.timing.monotonic() - opened_at < self.environment.confirm_after

    def age_of(self, moment: int | None) -> str:
        """How long ago a moment was; `moment` in microseconds since 1970."""
        return ago(moment, self.clock.age_now, self.glyphs)

    def publish(self, change: ConsoleChange) -> None:
        """Tell screens what there is to see."""
        self.changes.publish(change)
        self.place_counts.refresh()

    def publish_ledger_change(self) -> None:
        """Let every screen load anew."""
        self.publish(LedgerChanged())

    def show(self, dialog: Screen[Any]) -> None:
        """Show a dialog without waiting for its answer."""
        self._app.push_screen(dialog)

    async def ask(self, dialog: Screen[T]) -> T | None:
        """Show a dialog and return its answer; to be called in a worker."""
        return await self._app.push_screen_wait(dialog)

    def run_in_background(self, work: Coroutine[None, None, object]) -> None:
        """Run work that outlasts the screen it was begun on."""
        self._app.run_worker(work)

    def _session_changed(self) -> None:
        self.figures.forget()
        self.messages.flush()
        self.publish_ledger_change()


class ServicesHost(Protocol):
    """An application whose screens find their services in it."""

    services: Services


def services_of(node: DOMNode) -> Services:
    """The services of the application that a screen, dialog or widget is in."""
    return cast("ServicesHost", node.app).services
