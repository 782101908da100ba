"""The list of connections: which are open, and where their keys are."""

from collections.abc import Hashable
from functools import partial
from typing import ClassVar

import msgspec
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from amp_console.connections import (
    Connection,
    KeysError,
    SettingsError,
    forget_connection,
    retry_forgotten,
)
from amp_console.console.background import in_thread
from amp_console.console.dialogs.base import Confirm, typeable
from amp_console.console.dialogs.keyring import UntilQuit, ask_keyring
from amp_console.console.failures import expected_failures
from amp_console.console.routes import (
    MainScreen,
    OpenConnectionForm,
    OpenMapping,
    SwitchConnection,
    Visit,
)
from amp_console.console.screens.actions import Need
from amp_console.console.screens.base import COPY_ROW, FILTER, BaseScreen
from amp_console.console.screens.connections.detail import LEAST_LINES, ConnectionDetail
from amp_console.console.screens.connections.keys import (
    TONES,
    KeyCheckResult,
    KeyVerdict,
    keys_for,
    try_keys,
)
from amp_console.console.screens.connections.rows import (
    COLUMNS,
    EMPTY,
    NO_KEYS,
    STILL_THERE,
    keys_after_deletion,
    row,
)
from amp_console.console.screens.footer import Labelled, UsefulActions
from amp_console.console.settings_watch import post_mode
from amp_console.console.texts import MUTED, TONE, WARN, Part, safe_text
from amp_console.console.widgets.filter_bar import FilterBar
from amp_console.console.widgets.grid import Grid, RowsState
from amp_console.console.widgets.split import Split
from amp_console.sync.connection_log import log_connection_deleted, log_connection_saved
from amp_console.text import plural


class ConnectionsScreen(BaseScreen):
    """All connections. Enter switches to one of them."""

    NAME = "Connections"
    BELONGS_TO = MainScreen.CONNECTIONS
    HELP = """\
Each connection is one Amplitude project with its own ledger of audiences. Enter switches to the
connection under the cursor. If it is already open, Enter shows its audiences.

Keys are kept only in your system's keyring. If the keyring is locked or there is none, you can use
keys for this session. Deleting a connection also deletes its keys from the keyring and checks that
they are gone. Its ledger stays.

ctrl+n switches to the next connection from anywhere. Each connection keeps its screens, and its
syncs and live session continue. State shows how many audiences of the others need attention.

T tests the keys by reading the list of cohorts. W makes a connection read-only, or writable again.
Read-only keeps everyone from sending or changing anything by accident."""
    CSS_PATH = "list.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "new", "New", id="connections.new"),
        Binding("e", "edit", "Edit", id="connections.edit"),
        Binding("T", "test", "Test", id="connections.test"),
        Binding("W", "read_only", "Read-only on / off", id="connections.read_only"),
        Binding("D", "delete", "Delete", id="connections.delete"),
        Binding("K", "clean_up", "Delete forgotten keys", show=False, id="connections.clean_up"),
        Binding("m", "mapping", "Field mapping", show=False, id="connections.mapping"),
        FILTER,
        COPY_ROW,
    ]

    NEEDS = {  # noqa: RUF012  # editing opens a form, which can be read in any case
        **dict.fromkeys(("edit", "test", "copy"), (Need.ROW,)),
        **dict.fromkeys(("read_only", "delete"), (Need.ROW, Need.SETTINGS)),
        **dict.fromkeys(("new", "clean_up"), (Need.SETTINGS,)),
    }
    NO_ROW = "There is no connection yet: press n."

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[Hashable, Connection] = {}
        self._tested: dict[str, KeyCheckResult] = {}
        self._testing: str | None = None
        self._forgotten = 0

    def body(self) -> ComposeResult:
        grid = Grid(
            COLUMNS,
            empty=EMPTY,
            noun="connection",
            glyphs=self.services.glyphs,
            opens="Use",
            id="list",
        )
        panel = Container(FilterBar(), grid, id="connections", classes="panel")
        panel.border_title = "Connections"
        detail = ConnectionDetail(self.loader, lambda: self.current, self._test_of)
        yield Split(panel, detail, stacks=True, detail_lines=LEAST_LINES)

    # Reading and showing.

    def on_mount(self) -> None:
        """Show changes of connections that are not in front."""
        statuses = self.services.connections.statuses
        statuses.changed.subscribe(self, lambda _: self.reload())

    async def load(self) -> None:
        """Read the settings again; the file may have been edited."""
        try:
            found = await in_thread(self.services.environment.connections.all)
            self._forgotten = len(await in_thread(self.services.environment.connections.forgotten))
        except SettingsError as error:
            self.services.notifications.post(str(error), "error")
            self.query_one("#list", Grid).show_notice(RowsState.FAILED, str(error))
            return
        self._known = {item.id: item for item in found}
        self.query_one("#list", Grid).show([row(self.services, item) for item in found])
        waiting = plural(self._forgotten, "deleted one")
        left: Part = (f"  keys of {waiting} still in the keyring: K", WARN)
        parts: list[Part] = [plural(len(found), "connection"), *([left] if self._forgotten else [])]
        self.query_one("#connections").border_subtitle = safe_text(*parts)
        split = self.query_one(Split)
        split.fit_rows(len(found))
        split.has_detail = self.current is not None
        self._detail.reload()

    @property
    def _detail(self) -> ConnectionDetail:
        return self.query_one(ConnectionDetail)

    def on_grid_moved(self) -> None:
        """Show the connection under the cursor."""
        current = self.current
        self.query_one(Split).has_detail = current is not None
        is_in_front = current is not None and self._is_in_front(current)
        self.query_one("#list", Grid).opens = "Its audiences" if is_in_front else "Use"
        self.action_keys.refresh()
        self._detail.reload()

    def _test_of(self, connection: Connection) -> Part | None:
        if self._testing == connection.id:
            return ("Testing the keys…", MUTED)
        outcome = self._tested.get(connection.id)
        return (outcome.text, TONE[TONES[outcome.verdict]]) if outcome else None

    # Actions.

    @property
    def current(self) -> Connection | None:
        """The connection under the cursor."""
        return self._known.get(self.query_one("#list", Grid).key)

    def useful_actions(self) -> UsefulActions:
        clean_up = ("clean_up",) if self._forgotten else ()
        if not self._known:
            return ("new",)
        is_read_only = self.current is not None and self.current.read_only
        turn = Labelled("read_only", "Allow changes" if is_read_only else "Make read-only")
        return *clean_up, "test", "edit", "new", turn

    def disabled_reason(self, action: str) -> str | None:
        if (reason := super().disabled_reason(action)) is not None:
            return reason
        if action == "test" and self._testing is not None:
            return "A test is under way."
        if action == "clean_up" and not self._forgotten:
            return "No keys of deleted connections are left in the keyring."
        if action == "mapping" and self.services.session is None:
            return "Open a connection first: Enter."
        return None

    def on_grid_opened(self) -> None:
        """Switch to the connection."""
        current = self.current
        if current is None:
            return
        if self._is_in_front(current):
            self.services.navigate(Visit(MainScreen.AUDIENCES))
        else:
            self.services.navigate(SwitchConnection(current.id))

    def _is_in_front(self, connection: Connection) -> bool:
        return self.services.connections.find(connection) is self.services

    def action_new(self) -> None:
        """Connect another project."""
        self._open_form(None)

    def action_edit(self) -> None:
        """Change settings, or replace the keys."""
        if self.current is not None:
            self._open_form(self.current)

    def _open_form(self, connection: Connection | None) -> None:
        self.services.navigate(OpenConnectionForm(connection))

    def action_mapping(self) -> None:
        """Set which event fields hold IDs, for the open connection."""
        self.services.navigate(OpenMapping())

    def action_test(self) -> None:
        """Check the keys with Amplitude."""
        if self.current is not None:
            self.run_worker(self._test(self.current))

    async def _test(self, connection: Connection) -> None:
        self._testing = connection.id
        self._detail.show()
        self.action_keys.refresh()
        try:
            keys = await keys_for(self.services, connection)
            outcome = await try_keys(connection, keys, self.services.environment.region_urls)
        except expected_failures() as error:
            outcome = KeyCheckResult(KeyVerdict.UNTESTED, str(error))
        finally:
            self._testing = None
        self._tested[connection.id] = outcome
        opened = self.services.connections.find(connection)
        if outcome.verdict is KeyVerdict.ACCEPTED and opened is not None:
            opened.figures.note_accepted(opened.clock.now)
        self.reload()

    def action_read_only(self) -> None:
        """Turn read-only on or off."""
        if self.current is not None:
            self.run_worker(self._turn(self.current))

    async def _turn(self, connection: Connection) -> None:
        store, read_only = self.services.environment.connections, not connection.read_only
        try:
            changed = await in_thread(store.change, connection, read_only=read_only)
        except SettingsError as error:
            self.services.notifications.post(str(error), "error")
            return
        ledgers = self.services.environment.ledgers
        now = self.services.timing.now
        before = msgspec.structs.replace(changed, read_only=not read_only)
        await in_thread(log_connection_saved, ledgers, before, changed, now=now)
        self.services.connections.change(changed)
        post_mode(self.services.notifications, changed)
        self.services.publish_ledger_change()

    # Deleting.

    def action_delete(self) -> None:
        """Delete a connection and its keys, after confirmation."""
        current = self.current
        if current is None:
            return
        opened = self.services.connections.find(current)
        if opened is not None and opened.jobs.is_busy:
            self.services.notifications.post(
                "A sync or an import of this connection is running. Nothing was deleted.",
                "warning",
            )
            return
        keys = "Its keys are deleted from your keyring." if current.keyring_item else NO_KEYS
        ledger = self.services.environment.ledgers.where(current)
        question = Confirm(
            f"Delete “{current.name}”?",
            [
                f"{keys} Its cohorts in Amplitude stay as they are.",
                f"Its ledger stays: {ledger}",
                "",
            ],
            yes="Delete it",
            typed=typeable(current.name, "delete"),
        )
        self.app.push_screen(question, partial(self._delete_if, current))

    def _delete_if(self, connection: Connection, is_meant: bool | None) -> None:
        if is_meant:
            self.run_worker(self._delete(connection))

    async def _delete(self, connection: Connection) -> None:
        services = self.services
        if (opened := services.connections.find(connection)) is not None:
            await services.connections.close(opened)
        store, keyring = services.environment.connections, services.environment.keyring
        try:
            waiting = await ask_keyring(
                services, partial(forget_connection, store, keyring, connection.name)
            )
        except UntilQuit:
            waiting = await in_thread(store.forgotten)
        except (KeysError, SettingsError) as error:
            services.notifications.post(str(error), "error")
            return
        text, is_gone = keys_after_deletion(connection, waiting)
        ledgers = services.environment.ledgers
        await in_thread(log_connection_deleted, ledgers, connection, services.timing.now)
        is_kept = ledgers.exists(connection)
        kept = f" Its ledger stays: {ledgers.where(connection)}" if is_kept else ""
        services.notifications.post(
            f"Deleted “{connection.name}”. {text}{kept}", "information" if is_gone else "warning"
        )
        self.reload()

    def action_clean_up(self) -> None:
        """Try again to delete old keys, which the keyring has kept."""
        self.run_worker(self._clean_up())

    async def _clean_up(self) -> None:
        services = self.services
        store, keyring = services.environment.connections, services.environment.keyring
        try:
            left = len(await ask_keyring(services, partial(retry_forgotten, store, keyring)))
        except (UntilQuit, KeysError, SettingsError) as error:
            services.notifications.post(str(error) or STILL_THERE, "error")
            return
        if left:
            services.notifications.post(
                "They are still there: your keyring is locked or denies access.", "warning"
            )
        else:
            services.notifications.post(
                "The keys of deleted connections are gone from your keyring."
            )
        self.reload()
