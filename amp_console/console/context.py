"""The services that screens, dialogs and jobs share: one `Services` per open connection."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, TypeVar, cast
from weakref import WeakKeyDictionary

import msgspec
from textual.app import App, UnknownModeError
from textual.dom import DOMNode, NoScreen
from textual.screen import Screen
from textual.signal import Signal

from amp_console.connections import Connection, KeySource
from amp_console.connections.read_only import RestrictedConnection
from amp_console.console.alerts import AlertNotifier
from amp_console.console.appearance import Appearance
from amp_console.console.background import in_thread
from amp_console.console.clipboard import Clipboard
from amp_console.console.clock import AgeClock, ConnectionClock
from amp_console.console.connection_statuses import ConnectionStatuses, OpenLedger
from amp_console.console.environment import Environment, LaunchOptions
from amp_console.console.environment_keys import EnvironmentKeys
from amp_console.console.failures import expected_failures
from amp_console.console.figures import Figures
from amp_console.console.glyphs import Glyphs
from amp_console.console.held_keys import HeldKeys
from amp_console.console.jobs.base import ConsoleChange, Job, JobEnded, LedgerChanged
from amp_console.console.jobs.under_way import Jobs
from amp_console.console.lifecycle import NoSession
from amp_console.console.message_log import MessageLog
from amp_console.console.notifications import Notifications
from amp_console.console.place_counts import PlaceCounter
from amp_console.console.routes import Route
from amp_console.console.saved_views import SavedViews
from amp_console.console.segment_figures import SegmentFigures
from amp_console.console.session import Session, Sessions
from amp_console.console.settings_watch import SettingsWatch, post_mode
from amp_console.console.words import ago
from amp_console.ledger.errors import LedgerClosed
from amp_console.sync.timing import Timing
from amp_console.text import clean
from amp_console.values import Credentials

T = TypeVar("T")

Navigate = Callable[[Route], None]
"""Shows the screen of a route at once: a key pressed right after it reaches the new screen."""

FindKeys = Callable[["Services", Connection], Awaitable[tuple[Credentials, KeySource]]]
"""Finds a connection's keys; it may ask the operator. Raises `KeysError`."""


class Services:
    """Everything a screen may use. It knows no screens, and never contacts Amplitude on its own.

    Each open connection has its own services: a screen keeps those of the connection for which it
    was opened, whichever is in front. What belongs to the console as a whole is shared with the
    services `beside`.
    """

    def __init__(
        self,
        app: App[Any],
        environment: Environment,
        options: LaunchOptions,
        navigate: Navigate,
        find_keys: FindKeys | None = None,
        beside: "Services | None" = None,
    ) -> None:
        read_only = environment.read_only or options.read_only
        self._app = app
        self._navigate = navigate
        self._find_keys = find_keys
        self.environment = replace(
            environment, read_only=read_only, keyring=environment.keyring.with_own_waits()
        )
        self.options = options
        self.mode = App.DEFAULT_MODE
        """The name of the mode (Textual's stack of screens) of this connection."""
        self.ages: AgeClock = (
            beside.ages if beside is not None else AgeClock(app, environment.timing)
        )
        self.clock = ConnectionClock(
            self.ages, lambda: self.session.screen_ledger if self.session is not None else None
        )
        self.changes: Signal[ConsoleChange] = Signal(app, "changes")
        """Published when there is something new to show; the type says what."""
        self.messages = MessageLog(lambda: self.session)
        self.notifications: Notifications = Notifications(
            app,
            environment.timing.now,
            self.messages.add,
            self._about,
            beside.notifications if beside is not None else None,
        )
        self.appearance: Appearance = (
            beside.appearance
            if beside is not None
            else Appearance(app, self.environment, options, self._in_front)
        )
        self.views: SavedViews = (
            beside.views
            if beside is not None
            else SavedViews(app, self.environment, self.appearance.preferences, self._in_front)
        )
        self.clipboard = Clipboard(app, environment.folders.data / "copied.txt", self.notifications)
        self.alerts = AlertNotifier(
            app,
            self.notifications,
            self._about_alert,
            notifies_desktop=self.appearance.preferences.notify,
        )
        self.held_keys: HeldKeys = beside.held_keys if beside is not None else HeldKeys(app)
        self._unanswered: list[Screen[Any]] = []
        self._changed_at = -math.inf
        self.jobs = Jobs()
        self.audience_in_view: int | None = None
        """The audience under home's cursor: a screen opened from there may begin with it."""
        self.environment_keys: EnvironmentKeys = (
            beside.environment_keys
            if beside is not None
            else EnvironmentKeys(self.environment.environ)
        )
        self.sessions = Sessions(
            self.environment,
            options,
            self.notifications,
            self.environment_keys,
            self._session_changed,
            self._ledger_heard,
            partial(find_keys, self) if find_keys is not None else None,
        )
        self.place_counts = PlaceCounter(app, self.sessions)
        self.figures = Figures(
            self.sessions, self.clock, self.notifications, self.publish_ledger_change
        )
        self.segment = SegmentFigures(
            self.sessions,
            self.environment,
            self.figures,
            self.notifications,
            self.publish_ledger_change,
        )
        self.connections: OpenConnections = (
            beside.connections if beside is not None else OpenConnections(app, self)
        )

    def another(self) -> "Services":
        """Return services for one more connection."""
        options = replace(self.options, connection=None, audience=None, run_id=None)
        services = Services(
            self._app, self.environment, options, self._navigate, self._find_keys, beside=self
        )
        services.sessions.is_opening = False
        return services

    @property
    def session(self) -> Session | None:
        """The session of the connection, if it is open."""
        return self.sessions.current

    @property
    def is_in_front(self) -> bool:
        """Whether the screens of this connection are shown."""
        return self.connections.front is self

    @property
    def name(self) -> str:
        """The name of the connection, for display; "" if none is open."""
        return clean(self.session.connection.name, 40) if self.session is not None else ""

    @property
    def glyphs(self) -> Glyphs:
        """The characters with which the console draws."""
        return self.appearance.glyphs

    @property
    def timing(self) -> Timing:
        """Time, sleep and randomness."""
        return self.environment.timing

    def navigate(self, route: Route) -> None:
        """Show the screen of a route, unless another connection has come to the front."""
        if self.is_in_front:
            self._navigate(route)

    def is_key_repeat(self, opened_at: float) -> bool:
        """Whether a confirming key came before the operator could read what it confirms.

        `opened_at` is when that was shown, in monotonic seconds.
        """
        is_soon = self.timing.monotonic() - opened_at < self.environment.confirm_after
        return is_soon or self.held_keys.is_early

    def age_of(self, moment: int | None) -> str:
        """How long ago a time was; `moment` is in microseconds since 1970."""
        return ago(moment, self.clock.age_now, self.glyphs)

    def publish(self, change: ConsoleChange) -> None:
        """Publish a change to the screens."""
        self.changes.publish(change)
        if self.is_in_front:
            self.place_counts.refresh()  # no screen behind another connection shows them
            return
        self.connections.changed.publish(None)
        if isinstance(change, JobEnded) and (text := change.job.end_notice):
            self.notifications.post(
                text, "error" if change.job.failure else "information", is_kept=False
            )

    def publish_ledger_change(self) -> None:
        """Let every screen load again."""
        self._changed_at = self.timing.monotonic()
        self.publish(LedgerChanged())

    def _ledger_heard(self) -> None:
        """Show others' changes at once; further ones soon after that wait for the next tick."""
        since = self.timing.monotonic() - self._changed_at
        if self.is_in_front and since >= self.environment.tick_seconds:
            self.publish_ledger_change()

    def show(self, dialog: Screen[Any]) -> None:
        """Show a dialog without waiting for its answer."""
        self._app.push_screen(dialog, mode=self.mode)

    async def ask(self, dialog: Screen[T]) -> T | None:
        """Show a dialog and return its answer. Call this in a worker."""
        with self.awaiting(dialog):
            return await self._app.push_screen_wait(dialog, mode=self.mode)

    @contextmanager
    def awaiting(self, dialog: Screen[Any]) -> Iterator[None]:
        """Mark this dialog's answer as awaited, which other connections show."""
        self._unanswered.append(dialog)
        self.connections.changed.publish(None)
        try:
            yield
        finally:
            self._unanswered.remove(dialog)
            self.connections.changed.publish(None)

    @property
    def is_awaiting_answer(self) -> bool:
        """Whether a dialog of this connection waits for the operator."""
        return bool(self._unanswered)

    def report(self, error: Exception) -> None:
        """Post why something failed, unless it no longer matters. Raises unexpected errors."""
        if isinstance(error, NoSession | LedgerClosed):
            return
        if not isinstance(error, expected_failures()):
            raise error
        self.notifications.post(str(error), "error")

    def run_in_background(self, work: Coroutine[None, None, object]) -> None:
        """Run work that may outlive the screen that started it."""
        self._app.run_worker(work)

    def _in_front(self) -> Notifications:
        """The notifications for what concerns the console as a whole."""
        return self.connections.front.notifications

    def _about(self) -> str:
        """The connection that a notification is about, unless it is in front."""
        return "" if self.is_in_front or not self.name else f"{self.name}: "

    def _about_alert(self) -> str:
        """The connection that a desktop alert is about, if there are several."""
        return f"{self.name}: " if len(self.connections.all) > 1 and self.name else ""

    def _session_changed(self) -> None:
        self.figures.forget()
        self.segment.forget()
        self.messages.flush()
        self.publish_ledger_change()


class OpenConnections:
    """The open connections. One is in front: its screens are shown.

    Initially there is one without a session; it opens the first connection.
    """

    def __init__(self, app: App[Any], first: Services) -> None:
        self._app = app
        self._count = 1
        self._opening = asyncio.Lock()
        self._of_screen: WeakKeyDictionary[Screen[Any], Services] = WeakKeyDictionary()
        self._settings = SettingsWatch(first.environment)
        self.all: list[Services] = [first]
        self.front = first
        self.changed: Signal[None] = Signal(app, "other connections")
        """Published when there is something new to show of one that is not in front."""
        self.statuses = ConnectionStatuses(
            app,
            first.environment,
            first.environment_keys,
            lambda: self.front.session,
            self._opened,
        )

    @property
    def others(self) -> list[Services]:
        """The services that are not in front."""
        return [services for services in self.all if services is not self.front]

    @property
    def under_way(self) -> list[tuple[Services, Job]]:
        """Every job that has not ended, with its services."""
        return [(services, job) for services in self.all for job in services.jobs.under_way]

    def around(self, node: DOMNode) -> Services:
        """The services of the screen that a node is in; those in front if it is in none."""
        try:
            screen = node.screen
        except NoScreen:
            return self.front
        known = self._of_screen.get(screen)
        if known is None:
            known = next((item for item in self.all if screen in self._screens(item)), None)
            if known is None:
                return self.front
            self._of_screen[screen] = known
        return known

    @property
    def screens(self) -> list[Screen[Any]]:
        """The screens of all connections, visible or not."""
        return [screen for services in self.all for screen in self._screens(services)]

    def _screens(self, services: Services) -> list[Screen[Any]]:
        try:
            return self._app.get_screen_stack(services.mode)
        except KeyError:
            return []  # it has not been in front yet

    def find(self, connection: Connection) -> Services | None:
        """The services of a connection, if it is open."""
        for services in self.all:
            if services.session is not None and services.session.connection.id == connection.id:
                return services
        return None

    def session_of(self, connection: Connection) -> Session | None:
        """The session of a connection, if it is open."""
        services = self.find(connection)
        return services.session if services is not None else None

    def change(self, connection: Connection) -> None:
        """Use a connection's changed settings, if it is open; stop sending if it is read-only."""
        services = self.find(connection)
        if services is not None and services.session is not None:
            services.session.change(connection)
            if connection.read_only:
                services.jobs.stop_sending()

    def _see_mode(self, stored: Connection) -> None:
        """Use whether an open connection is read-only; another process may have changed that."""
        services = self.find(stored)
        if services is None or services.session is None:
            return
        known = services.session.connection
        if isinstance(known, RestrictedConnection) or known.read_only == stored.read_only:
            return
        self.change(msgspec.structs.replace(known, read_only=stored.read_only))
        post_mode(services.notifications, stored)
        services.publish_ledger_change()

    def _opened(self, connection: Connection) -> OpenLedger | None:
        services = self.find(connection)
        if services is None or services.session is None:
            return None
        return OpenLedger(services.session, services.figures, services.jobs.is_busy)

    async def open(self, connection: Connection) -> Services:
        """Return the services of a connection; open it if it is not. Raises `LedgerError`."""
        async with self._opening:  # a form and a key may open the same one
            known = self.find(connection)
            if known is not None:
                return known
            front = self.front
            if front.session is None:
                await front.sessions.open(connection)
                return front
            services = front.another()
            services.mode = f"connection-{self._count}"
            self._count += 1
            await services.sessions.open(connection)
            self.all.append(services)
            return services

    async def close(self, services: Services) -> None:
        """Close a connection's session; if it is in front, its services stay without a session."""
        await services.sessions.close()
        if services is not self.front:
            self.forget(services)

    def forget(self, services: Services) -> None:
        """Remove a connection without a session, and its screens."""
        self.all.remove(services)
        with suppress(UnknownModeError):  # it has not been in front
            self._app.remove_mode(services.mode)

    async def close_all(self) -> None:
        """Close every session."""
        for services in self.all:
            await services.sessions.close()

    async def look_for_changes(self) -> None:
        """Publish what any process has written since this was last called."""
        for services in self.all:
            for job in services.jobs.under_way:
                job.progressed()
        self.statuses.refresh()
        for stored in await in_thread(self._settings.changed):
            self._see_mode(stored)
        front = self.front
        if front.session is None:
            return
        try:
            is_news = await front.session.has_news()
        except expected_failures():
            return  # the next screen that reads reports it
        if is_news:
            front.publish_ledger_change()


class ServicesHost(Protocol):
    """An application whose screens find their services in it."""

    services: Services


def services_of(node: DOMNode) -> Services:
    """The services of the connection that a screen, dialog or widget was opened for."""
    return cast("ServicesHost", node.app).services.connections.around(node)
