"""The application: which connection is at work, what is under way, and where one is."""

import sys
from collections.abc import Iterable
from functools import partial
from typing import ClassVar

from textual import events
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.signal import Signal

from amp_console.connections import Connection, KeySource
from amp_console.console import keyring, navigation
from amp_console.console.appearance import DARK, LIGHT, LikedApp
from amp_console.console.background import aside
from amp_console.console.environment import Environment, LaunchOptions
from amp_console.console.jobs.live import LiveJob
from amp_console.console.jobs.reconcile import ReconcileJob
from amp_console.console.jobs.runs import KNOWN, ImportJob, SyncJob
from amp_console.console.session import Session
from amp_console.console.words import ago
from amp_console.ledger.database import revision
from amp_console.sync.queries import cohorts as cohort_list
from amp_console.sync.reconcile.quota import Quota, ask_quota

HUNG_UP = 1  # the number of SIGHUP, which Windows has not
TICK = 1.0  # seconds between two looks whether another process has written to the ledger


class ConsoleApp(LikedApp):
    """The console. Screens ask it for the session, for work, and to go places."""

    TITLE = "amp-console"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "quit", "Quit", show=False, priority=True, id="quit"),
        # Here, not in the places, so that it stands last in every footer.
        Binding("question_mark,f1", "screen.help", "Help", key_display="?", id="help"),
        Binding("f", "find_person", "Find a person", show=False, id="go.person"),
        Binding("1", "go('audiences')", "Audiences", show=False, id="go.audiences"),
        Binding("2", "go('errors')", "Errors", show=False, id="go.errors"),
        Binding("3", "go('runs')", "Runs", show=False, id="go.runs"),
        Binding("4", "go('connections')", "Connections", show=False, id="go.connections"),
        Binding("5", "go('events')", "Event log", show=False, id="go.events"),
        Binding("6", "go('live')", "Live", show=False, id="go.live"),
        Binding("exclamation_mark", "trouble", "Make trouble", show=False, id="trouble"),
    ]

    def __init__(self, premises: Environment, opening: LaunchOptions) -> None:
        super().__init__(premises, opening)
        self.session: Session | None = None
        self.sync: SyncJob | None = None
        self.reading: ImportJob | None = None
        self.reconciling: ReconcileJob | None = None
        self.following: LiveJob | None = None
        self.quota: Quota | None = None
        self.sizes: dict[str, int | None] = {}
        self.sizes_at = 0
        """When Amplitude was asked for them, in microseconds since 1970."""
        self.moved: Signal[None] = Signal(self, "moved")
        self.deep_audience = opening.audience
        self._revision = -1
        self.aged: Signal[None] = Signal(self, "aged")
        self.age_now = self.now
        """What all ages on the screen are counted to, in microseconds since 1970."""
        self.is_opening = True
        """Whether the connection is still being opened: that there is none yet means nothing."""

    @property
    def keys_note(self) -> str:
        """Where the keys come from, in a word or two."""
        if self.session is None:
            return "none"
        if self.premises.stage is not None:
            return "simulated"
        match self.session.key_source:
            case KeySource.ENVIRONMENT:
                return "environment"
            case KeySource.THIS_RUN:
                return "until you quit"
        if self.premises.environ.get("AMP_CONSOLE_API_KEY"):
            return "environment"
        return "keyring" if self.session.connection.keyring_item else "none stored"

    @property
    def no_session_reason(self) -> str:
        """Why there is no connection to work with, and what to do about it."""
        if self.is_opening:
            return "The connection is still being opened."
        return "Connect an Amplitude project first: press 4."

    def age_of(self, moment: int | None) -> str:
        """How long ago a moment was, by the one clock that all ages on the screen come from.

        It ticks once a second, and everything with an age is painted anew then: one moment never
        has two ages on one screen.
        """
        return ago(moment, self.age_now, self.glyphs)

    # Beginning and end.

    async def on_mount(self) -> None:
        """Show home at once; the ledger is opened behind it."""
        if self.premises.stage is not None:
            self.premises.stage.open()
        self.set_interval(TICK, self._tick)
        self.run_worker(self.take_preferences())
        if self.premises.stage is None:
            await navigation.open_first(self)
        else:
            # The scene is being set meanwhile, and keys are taken.
            self.run_worker(navigation.open_first(self))
        if self.opening.guide is not None:
            self.run_worker(self.opening.guide.lead(self))

    async def on_event(self, event: events.Event) -> None:
        """Let a guide have its keys before the places see them."""
        guide = self.opening.guide
        if guide is None or not isinstance(event, events.Key) or not guide.takes(event):
            await super().on_event(event)

    async def open_session(self, connection: Connection) -> None:
        """Work with this connection from now on. Raises `LedgerError`."""
        session = await aside(Session, self.premises, connection, read_only=self.opening.read_only)
        session.find = partial(keyring.find, self)
        old, self.session = self.session, session
        for notice in session.ledger.notices:
            self.say(notice, "warning")
        self.sizes, self.quota = {}, None
        self._revision = -1
        if old is not None:
            await old.close()
        self.tell()

    async def close_session(self) -> None:
        """Work with no connection."""
        old, self.session = self.session, None
        if old is not None:
            await old.close()

    async def action_quit(self) -> None:
        """Quit; while something is under way, ask whether to wait for it."""
        if self.is_busy:
            from amp_console.console.dialogs.quit import QuitDialog

            if not isinstance(self.screen, QuitDialog):
                self.push_screen(QuitDialog())
            return
        await self.leave()

    async def leave(self, status: int = 0) -> None:
        """Close what is open, and quit with this exit status."""
        await self.close_session()
        self.exit(return_code=status)

    def end(self, number: int) -> None:
        """End as a signal asks for, as soon as what is under way has come to a clean stop."""
        for work in self.under_way:
            work.cancel()
        self.leave_when_done(128 + number)

    def let_go_of_terminal(self) -> None:
        """End the thread that reads keys, also where the terminal went away in the middle.

        Textual ends it after it has put the terminal right, which fails for one that is gone; the
        thread would read its end over and over, and the process never ends.
        """
        reading = getattr(self._driver, "exit_event", None)
        if reading is not None:
            reading.set()

    def _fatal_error(self) -> None:
        """Textual would print the local variables of every frame, and one may hold a key."""
        import traceback

        from rich.text import Text

        self.bell()
        # Only where it happened; no values.
        self._exit_renderables.append(Text(traceback.format_exc(limit=-8)))
        self._close_messages_no_wait()

    # What is under way.

    @property
    def is_busy(self) -> bool:
        """Whether a sync or an import is under way."""
        return bool(self.under_way)

    @property
    def under_way(self) -> list[SyncJob | ImportJob | ReconcileJob | LiveJob]:
        """What has not ended yet."""
        works = (self.sync, self.reading, self.reconciling, self.following)
        return [work for work in works if work is not None and not work.is_over]

    def leave_when_done(self, status: int = 0) -> None:
        """Quit as soon as nothing is under way; the requests in flight end first."""

        async def wait_and_leave() -> None:
            for work in self.under_way:
                await work.finished()
            await self.leave(status)

        self.run_worker(wait_and_leave())

    def tell(self) -> None:
        """Let every place look again."""
        self.moved.publish(None)

    async def update_sizes(self) -> None:
        """Ask Amplitude how large its cohorts are: one list call, none of the downloads."""
        session = self.session
        if session is None:
            return
        asked_at = self.now
        try:
            async with await session.client() as client:
                self.sizes, self.sizes_at = await cohort_list.sizes(client), asked_at
        except KNOWN as error:
            self.say(str(error), "error")
        else:
            self.tell()

    async def update_quota(self) -> None:
        """Ask how many of the month's downloads are used; asking costs none."""
        session = self.session
        if session is None:
            return
        try:
            async with await session.client() as client:
                self.quota = await ask_quota(client, session.ledger, self.now)
        except KNOWN as error:
            self.say(str(error), "error")
        else:
            self.tell()

    def _watch_terminal(self) -> None:
        """End when the terminal is gone, and nobody said so: it would be read from for ever."""
        if not self.is_headless and sys.__stdin__ is not None and not sys.__stdin__.isatty():
            self.end(HUNG_UP)

    async def _tick(self) -> None:
        self._watch_terminal()
        self.age_now = self.now
        self.aged.publish(None)
        session = self.session
        if session is None:
            return
        try:
            now = await session.read(revision)
        except KNOWN:
            return  # whoever looks will say so
        if now != self._revision or self.is_busy:
            self._revision = now
            self.tell()

    # Going places.

    def action_go(self, name: str) -> None:
        """Go to one of the main places."""
        navigation.go(self, name)

    def action_find_person(self) -> None:
        """Ask about one person."""
        navigation.go(self, "person")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer trouble in the demo only."""
        if action == "trouble" and self.premises.stage is None:
            return False
        return super().check_action(action, parameters)

    def action_trouble(self) -> None:
        """In the demo: make trouble, and watch it handled."""
        if self.premises.stage is None:
            return
        from amp_console.console.dialogs.trouble import TroubleDialog

        self.push_screen(TroubleDialog(self.premises.stage))

    def action_command_palette(self) -> None:
        """Find an action by its name."""
        from amp_console.console.palette import Palette

        if not isinstance(self.screen, Palette):
            self.push_screen(Palette(id="--command-palette"))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Every action of the place and of the console, by name."""
        yield from navigation.commands(self, screen)
        yield SystemCommand("Theme", "Choose other colours", self.action_change_theme)
        yield SystemCommand("Light or dark", f"{DARK} or {LIGHT}", self.switch_theme)
