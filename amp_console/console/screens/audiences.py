"""Home: every audience and its cohort at a glance, and one of them in detail."""

from collections import Counter
from collections.abc import Hashable
from typing import ClassVar

import msgspec
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.widgets import Static

from amp_console.console.look import TONES
from amp_console.console.screens.audience_detail import detail, sizes_differ
from amp_console.console.screens.place import Place
from amp_console.console.texts import said
from amp_console.console.widgets.filter_bar import FilterBar
from amp_console.console.widgets.grid import Grid
from amp_console.console.widgets.grid_layout import Column
from amp_console.console.widgets.grid_rows import Cell, Row
from amp_console.console.words import ago, changes, number
from amp_console.ledger.audiences import AudienceNotFound, find_audience
from amp_console.ledger.standing import Headcount
from amp_console.sync.standing import Standing, Status, standings

COLUMNS = (
    Column("Audience", 18, flex=3),
    Column("Cohort", 14, flex=3, rank=2),
    Column("ID type", 12, rank=4),
    Column("Members", 9, right=True, rank=1),
    Column("Pending", 9, flex=1, right=True),
    Column("Rejected", 8, right=True),
    Column("Status", 14),
    Column("Last run", 12, rank=3),
)
EMPTY = """\
No audience yet.

Audiences appear by themselves from the events that Segment Engage sends.
Press i to import a file of events: NDJSON or JSON (also .gz), the CSV of the
AWS S3 destination, or an audience's CSV download. Nothing is sent by importing."""
FRAME = 5  # columns: borders, padding and a scrollbar of the detail
OPENING = "Opening…"
LIVE = "live"
FOLLOWING = {Status.IN_SYNC, Status.PENDING}  # what else there is to say is more urgent
DRIFTED = "sizes differ"  # of an audience that is in sync by our books
NO_CONNECTION = """\
No Amplitude project is connected.

Press 4, then n, to connect one."""
DETAIL_DELAY = 0.08  # seconds the cursor has to rest on a row before its detail is read


class AudiencesPlace(Place):
    """The audiences of the connection."""

    NAME = "Audiences"
    HELP = """\
Every audience that was read from Engage's events, with the cohort it is synced to.

Members are the people who belong in the cohort. Pending are those still to be added (+) and
removed (−). Rejected are those Amplitude skipped or refused, each with the reason under Errors.

Mark several with space, or all with a, to sync them together. Without marks, s syncs the
audience under the cursor. Nothing is sent before you have seen the plan and confirmed it."""
    CSS_PATH = "audiences.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sync", "Sync", id="audiences.sync"),
        Binding("S", "sync_all", "Sync all", show=False, id="audiences.sync_all"),
        Binding("e", "edit", "Edit", id="audiences.edit"),
        Binding("r", "reconcile", "Reconcile", id="audiences.reconcile"),
        Binding("R", "reconcile_all", "Reconcile all", show=False, id="audiences.reconcile_all"),
        Binding("i", "import", "Import", show=False, id="audiences.import"),
        Binding("l", "link", "Link to a cohort", show=False, id="audiences.link"),
        Binding("x", "errors", "Errors", id="audiences.errors"),
        Binding("t", "switch", "Switch on or off", show=False, id="audiences.switch"),
        Binding("u", "sizes", "Update sizes from Amplitude", show=False, id="audiences.sizes"),
        Binding("w", "work", "Watch the sync", show=False, id="audiences.work"),
        Binding("m", "mapping", "Field mapping", show=False, id="audiences.mapping"),
        Binding("slash", "filter", "Filter", key_display="/", id="filter"),
        Binding("y", "copy", "Copy the row", show=False, id="copy"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[Hashable, Standing] = {}
        self._counts: dict[int, Headcount] = {}  # as they were counted last

    def body(self) -> ComposeResult:
        """The list, and the detail of its current row."""
        with Container(id="home"):
            with Container(id="audiences", classes="panel") as panel:
                panel.border_title = "Audiences"
                yield FilterBar()
                yield Grid(COLUMNS, empty=OPENING, look=self.console.look, marks=True, id="list")
            with VerticalScroll(id="detail", classes="panel", can_focus=False):
                yield Static(id="detail-text")

    # Looking.

    async def look(self) -> None:
        """Read how all audiences stand: first what is cheap, then how many members they have."""
        session = self.console.session
        grid = self.query_one("#list", Grid)
        if session is None:
            grid.empty = NO_CONNECTION
            grid.show(())
            return
        self._show(await session.read(standings, session.connection, count_members=False))
        self._show(await session.read(standings, session.connection))
        self._go_to_deep_link()

    def _show(self, found: list[Standing]) -> None:
        self._counts.update((each.audience.id, each.count) for each in found if each.count)
        found = [
            msgspec.structs.replace(each, count=self._counts.get(each.audience.id))
            for each in found
        ]
        self._known = {each.audience.id: each for each in found}
        grid = self.query_one("#list", Grid)
        grid.empty = EMPTY
        grid.show([self._row(each) for each in found])
        panel = self.query_one("#audiences")
        panel.border_subtitle = said(self._summary(found))
        self._show_detail()

    def _row(self, of: Standing) -> Row:
        audience, look, now = of.audience, self.console.look, self.console.now
        members = of.members
        is_linked = audience.cohort_id is not None
        pending = changes(of.left.add, of.left.remove, look)
        rejected = f"{of.left.rejected:,}" if of.left.rejected else ""
        return Row(
            audience.id,
            (
                Cell(audience.name),
                Cell(of.cohort_name if is_linked else look.dash, "" if is_linked else "dim"),
                Cell(audience.id_type.label),
                Cell(number(members, look)),
                Cell(pending),
                Cell(rejected, "bad"),
                self._status(of),
                Cell(ago(audience.last_run_at, now, look), "dim"),
            ),
            (
                audience.name,
                of.cohort_name if is_linked else None,
                audience.id_type.label,
                members,
                of.left.pending,
                of.left.rejected,
                list(Status).index(of.status),
                audience.last_run_at,
            ),
        )

    def _status(self, of: Standing) -> Cell:
        look = self.console.look
        live, theirs = self.console.following, self.console.sizes.get(of.audience.cohort_id or "")
        if live is not None and of.audience.id in live.followed and of.status in FOLLOWING:
            return Cell(f"{look.live} {LIVE}", "accent")
        if of.status is Status.IN_SYNC and sizes_differ(of, theirs):
            return Cell(f"{look.signs[Status.REJECTED]} {DRIFTED}", "warn")
        return Cell(f"{look.signs[of.status]} {of.status}", TONES[of.status])

    def _summary(self, found: list[Standing]) -> str:
        words = [self._status(each).text.partition(" ")[2] for each in found]
        order = [LIVE, DRIFTED, *Status]
        counts = sorted(Counter(words).items(), key=lambda each: order.index(each[0]))
        parts = [f"{count} {word}" for word, count in counts]
        return f" {self.console.look.dot} ".join([str(len(found)), *parts]) if found else ""

    def _go_to_deep_link(self) -> None:
        """Go to the audience that the command line named, once."""
        name, self.console.deep_audience = self.console.deep_audience, None
        if name is not None:
            self.run_worker(self._go_to(name))

    async def _go_to(self, name: str) -> None:
        try:
            found = await self.session.read(find_audience, name)
        except AudienceNotFound as error:
            self.console.say(str(error), "warning")
        else:
            self.query_one("#list", Grid).go_to(found.id)

    # The detail.

    def on_grid_moved(self) -> None:
        """Show the detail of the row the cursor rests on."""
        self.update_keys()
        self.set_timer(DETAIL_DELAY, self._show_detail)

    def _show_detail(self) -> None:
        self.read_beside("detail", self._look_closer)

    async def _look_closer(self) -> None:
        chosen, session = self.current, self.console.session
        panel, text = self.query_one("#detail"), self.query_one("#detail-text", Static)
        panel.display = chosen is not None
        if chosen is None or session is None:
            return
        shown = await detail(self.console, session, chosen, self.size.width - FRAME)
        panel.border_title = said(chosen.audience.name, longest=60)
        text.update(shown)

    # Actions.

    @property
    def current(self) -> Standing | None:
        """The audience under the cursor."""
        return self._known.get(self.query_one("#list", Grid).key)

    @property
    def chosen(self) -> list[Standing]:
        """The marked audiences, else the one under the cursor."""
        keys = self.query_one("#list", Grid).chosen()
        return [self._known[key] for key in keys if key in self._known]

    def why_not(self, action: str) -> str | None:
        """What can't be done without a connection, an audience, or while a sync runs."""
        needs_row = {"sync", "edit", "link", "switch", "sync_all", "copy"}
        needs_row |= {"reconcile", "reconcile_all"}
        needs_connection = needs_row | {"import", "errors", "sizes", "mapping"}
        if action in needs_connection and self.console.session is None:
            return "Connect an Amplitude project first: press 4."
        if action in needs_row and not self._known:
            return "There is no audience yet: press i to import a file of events."
        if action == "work" and self.console.sync is None:
            return "No sync was started since the console was opened. Past ones: press 3."
        return None

    def on_grid_opened(self) -> None:
        """Open what is set for the audience."""
        self.action_edit()

    def action_sync(self) -> None:
        """Plan a sync of the marked audiences, or of the one under the cursor."""
        self._plan([each.audience.id for each in self.chosen])

    def action_sync_all(self) -> None:
        """Plan a sync of every audience that is switched on."""
        self._plan([each.audience.id for each in self._known.values() if each.audience.enabled])

    def _plan(self, audience_ids: list[int]) -> None:
        from amp_console.console.screens.plan import PlanPlace

        self.app.push_screen(PlanPlace(tuple(audience_ids)))

    def action_edit(self) -> None:
        """Open the settings of the audience."""
        if self.current is not None:
            from amp_console.console.screens.audience_settings import AudienceSettings

            self.app.push_screen(AudienceSettings(self.current.audience.id))

    def action_link(self) -> None:
        """Choose an existing cohort for the audience."""
        if self.current is not None:
            from amp_console.console.screens.link import LinkPlace

            self.app.push_screen(LinkPlace(self.current.audience.id))

    def action_reconcile(self) -> None:
        """Compare the cohort of the audience, or those of the marked ones."""
        chosen = [each.audience.id for each in self.chosen]
        if len(chosen) == 1:
            from amp_console.console.screens.reconcile import ReconcilePlace

            self.app.push_screen(ReconcilePlace(chosen[0]))
        else:
            self._reconcile(chosen)

    def action_reconcile_all(self) -> None:
        """Compare the cohorts of all audiences that are switched on."""
        self._reconcile(
            [each.audience.id for each in self._known.values() if each.audience.enabled]
        )

    def _reconcile(self, audience_ids: list[int]) -> None:
        from amp_console.console.screens.reconcile_all import ReconcileAllPlace

        self.app.push_screen(ReconcileAllPlace(tuple(audience_ids)))

    def action_errors(self) -> None:
        """Open the errors of the audience under the cursor."""
        from amp_console.console.screens.errors import ErrorsPlace

        current = self.current
        self.app.push_screen(ErrorsPlace(current.audience.id if current else None))

    def action_import(self) -> None:
        """Read a file of events."""
        from amp_console.console.screens.import_events import ImportDialog

        self.app.push_screen(ImportDialog())

    def action_mapping(self) -> None:
        """Say where events carry the identifiers."""
        from amp_console.console.screens.mapping import MappingPlace

        self.app.push_screen(MappingPlace())

    def action_work(self) -> None:
        """Go back to the sync that was started last."""
        from amp_console.console.screens.run import RunPlace

        self.app.push_screen(RunPlace())

    def action_sizes(self) -> None:
        """Ask Amplitude how large the cohorts are; it costs no download."""
        self.run_worker(self.console.update_sizes())

    def action_switch(self) -> None:
        """Switch the audience on or off for syncs of all."""
        from amp_console.console.changing import switch

        for each in self.chosen:
            self.run_worker(switch(self.console, each.audience))
