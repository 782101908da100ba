"""Sources: the warehouses, queries, buckets and files that events and members come from."""

from collections.abc import Hashable, Sequence
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.timer import Timer

from amp_console.connections import (
    Connection,
    KeysError,
    NamedSource,
    SettingsError,
)
from amp_console.console import refreshes
from amp_console.console.background import in_thread
from amp_console.console.context import Services
from amp_console.console.failures import expected_failures
from amp_console.console.jobs.base import ConsoleChange, JobProgress
from amp_console.console.jobs.under_way import under_way
from amp_console.console.routes import MainScreen, OpenQuery, OpenSourceForm
from amp_console.console.screens.actions import Need
from amp_console.console.screens.base import COPY_ROW, FILTER, BaseScreen
from amp_console.console.screens.footer import UsefulActions
from amp_console.console.screens.sources.actions import (
    NO_WAREHOUSE,
    drop,
    question,
    remove,
    stored,
    unavailable,
    version,
)
from amp_console.console.screens.sources.detail import SourceDetail
from amp_console.console.screens.sources.rows import COLUMNS, EMPTY, row
from amp_console.console.segment_figures import post_updated
from amp_console.console.texts import BAD, GOOD, MUTED, Part, safe_text
from amp_console.console.widgets.filter_bar import FilterBar
from amp_console.console.widgets.grid import Grid
from amp_console.console.widgets.split import Split
from amp_console.sync.sources.known import KnownSource, Origin, known_sources
from amp_console.sync.sources.warehouse import WarehouseError
from amp_console.text import plural

EDITED = frozenset({Origin.QUERY, Origin.WAREHOUSE})
"""The kinds of sources that have a form."""
LEAST_LINES = 8  # for the state, what to do, the error and the last refresh


class SourcesScreen(BaseScreen):
    """All sources of the connection."""

    NAME = "Sources"
    BELONGS_TO = MainScreen.SOURCES
    HELP = """\
Where events and members come from. Below each warehouse are the audiences it feeds. Read counts the
objects read from a bucket, the files that a live session has followed in a folder, or the audiences
that Segment lists for a space. The detail of a space names the audiences that the ledger has never
seen. u asks Segment again.

u runs the query of an audience. It reads all rows first, then shows a plan: how many people enter
and leave, with any warnings. y applies the plan; nothing changes until then. c cancels the query,
in the warehouse too.

A adds a warehouse, n creates an audience from a query, and e or Enter edits either. F5 tries a
query and changes no members. T tests whether a warehouse can be read. D removes a warehouse from
the settings, or the query from an audience, whose members stay. i imports a file or bucket of
events.

To connect a Segment space, run amp-console segment connect --space ID in a shell."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u", "refresh", "Refresh", id="sources.refresh"),
        Binding("c", "cancel", "Cancel", id="sources.cancel"),
        Binding("n", "new", "New query", id="sources.new"),
        Binding("A", "add", "Add warehouse", id="sources.add"),
        Binding("e", "edit", "Edit", id="sources.edit"),
        Binding("i", "import", "Import", show=False, id="sources.import"),
        Binding("T", "test", "Test", id="sources.test"),
        Binding("D", "remove", "Remove", id="sources.remove"),
        FILTER,
        COPY_ROW,
    ]
    NEEDS = {  # noqa: RUF012  # editing opens a form, which can be read in any case
        **dict.fromkeys(("refresh", "edit", "test", "remove", "copy"), (Need.ROW,)),
        "new": (Need.WRITABLE,),
        "import": (Need.CONNECTION,),
        "add": (Need.SETTINGS,),
    }
    NO_ROW = "No source is under the cursor."

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[Hashable, KnownSource] = {}
        self._connection: Connection | None = None
        self._tested: dict[str, Part] = {}
        self._timer: Timer | None = None
        self._is_placed = False  # the cursor was put on the query of home's audience, if any

    def body(self) -> ComposeResult:
        grid = Grid(
            COLUMNS,
            empty=EMPTY,
            noun="source",
            glyphs=self.services.glyphs,
            age=self.services.age_of,
            id="list",
        )
        panel = Container(FilterBar(), grid, id="sources", classes="panel fill")
        panel.border_title = "Sources"
        detail = SourceDetail(self.loader, lambda: self.current, self._test_of)
        yield Split(panel, detail, stacks=True, detail_lines=LEAST_LINES)

    def on_mount(self) -> None:
        self.watch(self._detail, "virtual_size", partial(_name_enter, self), init=False)

    # Reading and showing.

    async def load(self) -> None:
        """Read the settings and the ledger again; a command may have added a source."""
        connection = self._connection = await stored(self.services, self.session.connection)
        before = self.session.connection
        if (connection.sources, connection.segment) != (before.sources, before.segment):
            self.session.change(connection)
        found = await self.session.read(known_sources, connection)
        self._known = {item.key: item for item in found}
        self._show()
        if not self._is_placed:
            self._is_placed = True
            _go_to_query(self, self.services.audience_in_view)
        split = self.query_one(Split)
        split.fit_rows(len(found))
        split.has_detail = self.current is not None
        self.query_one("#sources").border_subtitle = safe_text(_counted(found))
        self._detail.reload()
        self._follow_job()

    def _show(self) -> None:
        """Show the current rows."""
        rows = [row(self.services, item) for item in self._known.values()]
        self.query_one("#list", Grid).show(rows)
        self._detail.show()
        self.action_keys.refresh()

    def show_change(self, change: ConsoleChange) -> None:
        """Show a job's progress; read the ledger again if it has changed."""
        if isinstance(change, JobProgress):
            self._show()
        else:
            self.reload()

    def _follow_job(self) -> None:
        """Show the progress of a refresh, and its plan once there is one."""
        job = self.services.jobs.refreshing
        if job is None:
            return
        job.is_watched = self.is_current
        if not job.is_over and self._timer is None:
            seconds = self.services.environment.live_tick_seconds
            self._timer = self.set_interval(seconds, self._tick)
        elif job.asks is not None and not job.is_asked:
            self.run_worker(refreshes.confirm(self.services, job))

    def on_screen_suspend(self) -> None:
        """Let a notification say that a plan is waiting, because this screen no longer does."""
        if (job := self.services.jobs.refreshing) is not None:
            job.is_watched = False

    def _tick(self) -> None:
        if self._timer is not None and not under_way(self.services.jobs.refreshing):
            self._timer.stop()
            self._timer = None
        self._show()

    @property
    def _detail(self) -> SourceDetail:
        return self.query_one(SourceDetail)

    def on_grid_moved(self) -> None:
        """Show the source under the cursor."""
        current = self.current
        self.query_one(Split).has_detail = current is not None
        _name_enter(self)
        self._detail.reload()

    def _test_of(self, source: KnownSource) -> Part | None:
        warehouse = source.warehouse
        return None if warehouse is None else self._tested.get(warehouse.name)

    # Actions.

    @property
    def current(self) -> KnownSource | None:
        """The source under the cursor."""
        return self._known.get(self.query_one("#list", Grid).key)

    def useful_actions(self) -> UsefulActions:
        current = self.current
        cancel = ("cancel",) if under_way(self.services.jobs.refreshing) else ()
        has_warehouse = self._connection is not None and self._connection.sources
        new = ("new", "add") if has_warehouse else ("add",)
        if current is None:
            return new
        if current.origin is Origin.QUERY:
            return (*cancel, "refresh", "edit", *new, "test", "remove")
        if current.origin is Origin.WAREHOUSE:
            return (*cancel, "test", "edit", *new, "remove")
        if current.origin is Origin.SEGMENT:
            return (*cancel, "refresh", *new, "import")
        return (*cancel, "import", *new)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to cancel a running query."""
        if action == "cancel" and not under_way(self.services.jobs.refreshing):
            return False
        return super().check_action(action, parameters)

    def disabled_reason(self, action: str) -> str | None:
        reason = super().disabled_reason(action)
        known, current = self._connection, self.current
        if reason is None and action == "new" and known is not None and not known.sources:
            reason = NO_WAREHOUSE
        if reason is None and current is not None:
            reason = unavailable(self.services, action, current)
        return reason

    def on_grid_opened(self) -> None:
        """Edit the warehouse or the query; for other sources, go to the detail to scroll it."""
        if self.current is not None and self.current.origin in EDITED:
            self.action_edit()
        elif self._detail.max_scroll_y:
            self.query_one(Split).enter()

    def action_refresh(self) -> None:
        """Run the query, or ask Segment: a query shows first who would enter and leave."""
        current, waiting = self.current, self.services.jobs.refreshing
        if current is not None and current.origin is Origin.SEGMENT:
            services = self.services
            asked = post_updated(services.notifications, services.segment.update())
            services.run_in_background(asked)
            return
        if current is None or current.query is None or current.warehouse is None:
            return
        if waiting is not None and waiting.asks is not None:
            self.run_worker(refreshes.confirm(self.services, waiting))
            return
        refreshes.start(self.services, current.fed[0], current.query, current.warehouse)
        self._follow_job()
        self._show()

    def action_cancel(self) -> None:
        """Cancel the running query, in the warehouse too; nothing is changed."""
        if job := under_way(self.services.jobs.refreshing):
            job.cancel()

    def action_new(self) -> None:
        """Add an audience from a query."""
        self.services.navigate(OpenQuery())

    def action_add(self) -> None:
        """Add a warehouse, and test it."""
        self.services.navigate(OpenSourceForm())

    def action_import(self) -> None:
        """Import events: a file or a bucket."""
        from amp_console.console.dialogs.imports.dialog import ImportDialog

        self.app.push_screen(ImportDialog())

    def action_edit(self) -> None:
        """Edit the query of the audience, or the warehouse."""
        current = self.current
        if current is None:
            return
        if current.origin is Origin.WAREHOUSE:
            self.services.navigate(OpenSourceForm(current.warehouse))
        elif current.fed:
            self.services.navigate(OpenQuery(current.fed[0].id))

    def action_test(self) -> None:
        """Connect and show the version."""
        if self.current is not None and self.current.warehouse is not None:
            self.run_worker(_test(self, self.current.warehouse))

    def action_remove(self) -> None:
        """Remove the warehouse or the query."""
        if self.current is not None:
            self.run_worker(_remove(self.services, self.current))


def _go_to_query(screen: SourcesScreen, audience_id: int | None) -> None:
    """Move the cursor to the query that lists the members of an audience, if there is one."""
    for key, source in screen._known.items():
        if source.origin is Origin.QUERY and source.fed[0].id == audience_id:
            screen.query_one("#list", Grid).go_to(key)


def _name_enter(screen: SourcesScreen) -> None:
    """Name what Enter does in the footer; it goes to a detail only if that can be scrolled."""
    current = screen.current
    is_edited = current is not None and current.origin in EDITED
    scrolls = "Details" if screen._detail.max_scroll_y else ""
    screen.query_one("#list", Grid).opens = "Edit" if is_edited else scrolls
    screen.action_keys.refresh()


async def _test(screen: SourcesScreen, source: NamedSource) -> None:
    screen._tested[source.name] = ("Opening it…", MUTED)
    screen._detail.show()
    try:
        found = await in_thread(version, screen.services, source)
        screen._tested[source.name] = (f"It can be read: {found}.", GOOD)
    except (WarehouseError, KeysError) as error:
        screen._tested[source.name] = (str(error), BAD)
    screen._detail.show()


async def _remove(services: Services, source: KnownSource) -> None:
    if not await services.ask(question(source)):
        return
    try:
        await (drop if source.origin is Origin.QUERY else remove)(services, source)
    except expected_failures(SettingsError) as error:
        services.notifications.post(str(error), "error")
    services.publish_ledger_change()


def _counted(found: Sequence[KnownSource]) -> str:
    """How many sources and how many queries there are."""
    queries = sum(source.origin is Origin.QUERY for source in found)
    sources = plural(len(found) - queries, "source")
    return f"{sources}, {plural(queries, 'query', 'queries')}" if queries else sources
