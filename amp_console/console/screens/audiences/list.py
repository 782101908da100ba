"""Home: every audience and its cohort at a glance, and one of them in detail."""

import asyncio
from collections import Counter
from collections.abc import Hashable
from typing import ClassVar, NamedTuple

import msgspec
from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.widgets import Static

from amp_console.console.routes import (
    OpenAudienceSettings,
    OpenErrors,
    OpenLink,
    OpenMapping,
    OpenPlan,
    OpenReconcile,
    OpenReconcileAll,
    OpenRun,
)
from amp_console.console.screens.actions import Need
from amp_console.console.screens.audiences.detail import Detail, lay_out, read_detail, size_of
from amp_console.console.screens.base import BaseScreen
from amp_console.console.status_signs import STATUS_TONES, status_sign
from amp_console.console.texts import said
from amp_console.console.widgets.filter_bar import FilterBar
from amp_console.console.widgets.grid import Cell, Column, Grid, Row, RowsState
from amp_console.console.words import aged, changes, number
from amp_console.ledger.audiences import AudienceNotFound, find_audience
from amp_console.ledger.counts import Headcount
from amp_console.sync.queries.status import BY_SEVERITY, AudienceSummary, Status, audience_summaries

COLUMNS = (
    Column("Audience", 18, flex=3),
    Column("Cohort", 14, flex=3, rank=2),
    Column("ID type", 12, rank=4),
    Column("Members", 9, right=True, rank=1),
    Column("Pending", 9, right=True),
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
FOLLOWING = {Status.IN_SYNC, Status.PENDING}
WIDE = 110  # columns from which there is room for several states
STATUS_ROOM, STATUS_ROOM_NARROW = 44, 18  # columns
NO_CONNECTION = """\
No Amplitude project is connected.

Press 4, then n, to connect one."""
COUNTED_WITHIN = 0.3  # seconds that the first picture waits for the members to be counted
DETAIL_DELAY = 0.08  # seconds the cursor has to rest on a row before its detail is read


class Badge(NamedTuple):
    """One state as it is shown: its text, its tone, and the word it is counted under."""

    text: str
    tone: str
    word: str


class AudiencesScreen(BaseScreen):
    """The audiences of the connection."""

    NAME = "Audiences"
    HELP = """\
Every audience that was read from Engage's events, with the cohort it is synced to.

Members are the people who belong in the cohort. Pending are those still to be added (+) and
removed (−). Rejected are those Amplitude skipped or refused, each with the reason under Errors.

Mark several with space, or all with a, to sync them together. Without marks, s syncs the
audience under the cursor. Nothing is sent before you have seen the plan and confirmed it."""
    CSS_PATH = "list.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sync", "Sync", id="audiences.sync"),
        Binding("S", "sync_all", "Sync all", show=False, id="audiences.sync_all"),
        Binding("e", "edit", "Edit", id="audiences.edit"),
        Binding("r", "reconcile", "Reconcile", id="audiences.reconcile"),
        Binding("R", "reconcile_all", "Reconcile all", show=False, id="audiences.reconcile_all"),
        Binding("i", "import", "Import", show=False, id="audiences.import"),
        Binding("l", "link", "Link to a cohort", show=False, id="audiences.link"),
        Binding("x", "errors", "Errors", id="audiences.errors"),
        Binding("t", "switch", "Enable / disable", show=False, id="audiences.switch"),
        Binding("u", "sizes", "Update sizes from Amplitude", show=False, id="audiences.sizes"),
        Binding("w", "work", "Watch the sync", show=False, id="audiences.work"),
        Binding("m", "mapping", "Field mapping", show=False, id="audiences.mapping"),
        Binding("slash", "filter", "Filter", key_display="/", id="filter"),
        Binding("y", "copy", "Copy the row", show=False, id="copy"),
    ]

    NEEDS = {  # noqa: RUF012
        **dict.fromkeys(("import", "errors", "sizes", "mapping"), (Need.CONNECTION,)),
        **dict.fromkeys(
            ("sync", "sync_all", "edit", "link", "switch", "copy", "reconcile", "reconcile_all"),
            (Need.CONNECTION, Need.ROW),
        ),
    }
    NO_ROW = "There is no audience yet: press i to import a file of events."

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[Hashable, AudienceSummary] = {}
        self._counts: dict[int, Headcount] = {}  # as they were counted last
        self._detail: Detail | None = None
        self._is_linked = False  # the audience that the command line named was gone to

    def body(self) -> ComposeResult:
        """The list, and the detail of its current row."""
        with Container(id="home"):
            with Container(id="audiences", classes="panel") as panel:
                panel.border_title = "Audiences"
                yield FilterBar()
                yield Grid(COLUMNS, empty=EMPTY, glyphs=self.services.glyphs, marks=True, id="list")
            with VerticalScroll(id="detail", classes="panel", can_focus=False):
                yield Static(id="detail-text")

    # Looking.

    async def load(self) -> None:
        """Read how all audiences stand: first what is cheap, then how many members they have."""
        session = self.services.session
        grid = self.query_one("#list", Grid)
        if session is None:
            if self.services.sessions.is_opening:
                grid.show_notice(RowsState.LOADING, self._opening())
            else:
                grid.show_notice(RowsState.UNKNOWN, NO_CONNECTION)
            return
        cheap = await session.read(audience_summaries, session.connection, count_members=False)
        counting = asyncio.ensure_future(
            session.read(audience_summaries, session.connection, now=self.services.timing.now)
        )
        try:
            if not self._counts:  # a column of dashes that fills a moment later looks like news
                await asyncio.wait({counting}, timeout=COUNTED_WITHIN)
            if not counting.done():
                self._show(cheap)
            self._show(await counting)
        finally:
            counting.cancel()
        self._go_to_deep_link()

    def _opening(self) -> str:
        """What is said until the connection is open; a demo fills its ledger meanwhile."""
        stage = self.services.environment.demo
        return OPENING if stage is None else f"Setting the scene… {stage.progress():.0%}"

    def _show(self, found: list[AudienceSummary]) -> None:
        self._counts.update((item.audience.id, item.count) for item in found if item.count)
        found = [
            msgspec.structs.replace(item, count=self._counts.get(item.audience.id))
            for item in found
        ]
        self._known = {item.audience.id: item for item in found}
        grid = self.query_one("#list", Grid)
        rows = [self._row(item) for item in found]
        self._fit_columns(rows)
        grid.show(rows)
        panel = self.query_one("#audiences")
        panel.border_subtitle = said(self._summary(found))
        if self._detail is not None and (now := self._known.get(self._detail.of.audience.id)):
            # At once, or list and detail would show two numbers of the same users.
            self._detail = self._detail._replace(of=now)
            self._lay_out()
        self._show_detail()

    def _row(self, of: AudienceSummary) -> Row:
        audience, glyphs, now = of.audience, self.services.glyphs, self.services.clock.age_now
        members = of.members
        is_linked = audience.cohort_id is not None
        pending = changes(of.left.add, of.left.remove, glyphs)
        rejected = f"{of.left.rejected:,}" if of.left.rejected else ""
        return Row(
            audience.id,
            (
                Cell(audience.name),
                Cell(of.cohort_name if is_linked else glyphs.dash, "" if is_linked else "dim"),
                Cell(audience.id_type.label),
                Cell(number(members, glyphs)),
                Cell(pending),
                Cell(rejected, "bad"),
                self._status(of),
                aged(audience.last_run_at, now, glyphs),
            ),
            (
                audience.name,
                of.cohort_name if is_linked else None,
                audience.id_type.label,
                members,
                of.left.pending,
                of.left.rejected,
                min(
                    BY_SEVERITY.index(state.status)
                    for state in of.states(size_of(self.services, of))
                ),
                audience.last_run_at,
            ),
        )

    def _states(self, of: AudienceSummary) -> list[Badge]:
        """What is true of an audience now, the most dangerous first."""
        glyphs, live = self.services.glyphs, self.services.jobs.live
        found = of.states(size_of(self.services, of))
        badges = [
            Badge(
                f"{status_sign(glyphs, item.status)} {item}",
                STATUS_TONES[item.status],
                str(item.status),
            )
            for item in found
        ]
        if live is not None and of.audience.id in live.followed:
            # The session sees to what is pending; what else there is to say is more urgent.
            urgent = [badge for badge in badges if badge.word not in FOLLOWING]
            badges = [*urgent, Badge(f"{glyphs.live} {LIVE}", "accent", LIVE)]
        return badges

    def _status(self, of: AudienceSummary) -> Cell:
        """The states of an audience as far as there is room; the detail says all."""
        worst, *others = self._states(of)
        text, left = worst.text, len(others)
        for other in others:
            more = f"{text}  {other.text}"
            if len(more) + (3 if left > 1 else 0) > self._status_room:
                return Cell(f"{text} +{left}", worst.tone)
            text, left = more, left - 1
        return Cell(text, worst.tone)

    @property
    def _status_room(self) -> int:
        return STATUS_ROOM if self.size.width >= WIDE else STATUS_ROOM_NARROW

    def _fit_columns(self, rows: list[Row]) -> None:
        """Give numbers and states the room that they need; text shares the rest."""
        columns = [
            column._replace(
                width=max([column.width, *(cell_len(row.cells[at].text) for row in rows)])
            )
            if column.right or column.label == "Status"
            else column
            for at, column in enumerate(COLUMNS)
        ]
        self.query_one("#list", Grid).reshape(columns)

    def _summary(self, found: list[AudienceSummary]) -> str:
        words = Counter(state.word for item in found for state in self._states(item))
        order = [*BY_SEVERITY[:-1], LIVE, Status.IN_SYNC]
        counts = sorted(words.items(), key=lambda item: order.index(item[0]))
        parts = [f"{count} {word}" for word, count in counts]
        return f" {self.services.glyphs.dot} ".join([str(len(found)), *parts]) if found else ""

    def on_resize(self) -> None:
        """Show as many states as there is room for now."""
        self.reload()

    def _go_to_deep_link(self) -> None:
        """Go to the audience that the command line named, once."""
        name = self.services.options.audience
        if name is not None and not self._is_linked:
            self._is_linked = True
            self.run_worker(self._go_to(name))

    async def _go_to(self, name: str) -> None:
        try:
            found = await self.session.read(find_audience, name)
        except AudienceNotFound as error:
            self.services.notifications.post(str(error), "warning")
        else:
            self.query_one("#list", Grid).go_to(found.id)

    # The detail.

    def on_grid_moved(self) -> None:
        """Show the detail of the row the cursor rests on."""
        self.action_keys.refresh()
        self.set_timer(DETAIL_DELAY, self._show_detail)

    def _show_detail(self) -> None:
        self.loader.start("detail", self._look_closer)

    async def _look_closer(self) -> None:
        chosen, session = self.current, self.services.session
        panel = self.query_one("#detail")
        panel.display = chosen is not None
        if chosen is None or session is None:
            return
        self._detail = await read_detail(self.services, session, chosen)
        panel.border_title = said(chosen.audience.name, longest=60)
        self._lay_out()

    def show_ages(self) -> None:
        """Say how long ago everything was by now."""
        super().show_ages()
        self._lay_out()

    def _lay_out(self) -> None:
        if self._detail is not None:
            shown = lay_out(self.services, self._detail, self.size.width - FRAME)
            self.query_one("#detail-text", Static).update(shown)

    # Actions.

    @property
    def current(self) -> AudienceSummary | None:
        """The audience under the cursor."""
        return self._known.get(self.query_one("#list", Grid).key)

    @property
    def chosen(self) -> list[AudienceSummary]:
        """The marked audiences, else the one under the cursor."""
        grid = self.query_one("#list", Grid)
        keys = grid.rows.in_order(grid.marks) if grid.marks else [grid.key]
        return [self._known[key] for key in keys if key in self._known]

    @property
    def has_row(self) -> bool:
        return bool(self._known)

    def disabled_reason(self, action: str) -> str | None:
        if action == "work" and self.services.jobs.sync is None:
            return "No sync was started since the console was opened. Past ones: press 3."
        return super().disabled_reason(action)

    def on_grid_opened(self) -> None:
        """Open what is set for the audience."""
        self.action_edit()

    def action_sync(self) -> None:
        """Plan a sync of the marked audiences, or of the one under the cursor."""
        self._plan([item.audience.id for item in self.chosen])

    def action_sync_all(self) -> None:
        """Plan a sync of every audience that is switched on."""
        self._plan([item.audience.id for item in self._known.values() if item.audience.enabled])

    def _plan(self, audience_ids: list[int]) -> None:
        self.services.navigate(OpenPlan(tuple(audience_ids)))

    def action_edit(self) -> None:
        """Open the settings of the audience."""
        if self.current is not None:
            self.services.navigate(OpenAudienceSettings(self.current.audience.id))

    def action_link(self) -> None:
        """Choose an existing cohort for the audience."""
        if self.current is not None:
            self.services.navigate(OpenLink(self.current.audience.id))

    def action_reconcile(self) -> None:
        """Compare the cohort of the audience, or those of the marked ones."""
        chosen = [item.audience.id for item in self.chosen]
        if len(chosen) == 1:
            self.services.navigate(OpenReconcile(chosen[0]))
        else:
            self._reconcile(chosen)

    def action_reconcile_all(self) -> None:
        """Compare the cohorts of all audiences that are switched on."""
        self._reconcile(
            [item.audience.id for item in self._known.values() if item.audience.enabled]
        )

    def _reconcile(self, audience_ids: list[int]) -> None:
        self.services.navigate(OpenReconcileAll(tuple(audience_ids)))

    def action_errors(self) -> None:
        """Open the errors of the audience under the cursor."""
        current = self.current
        self.services.navigate(OpenErrors(current.audience.id if current else None))

    def action_import(self) -> None:
        """Read a file of events."""
        from amp_console.console.dialogs.import_events import ImportDialog

        self.app.push_screen(ImportDialog())

    def action_mapping(self) -> None:
        """Say where events carry the identifiers."""
        self.services.navigate(OpenMapping())

    def action_work(self) -> None:
        """Go back to the sync that was started last."""
        self.services.navigate(OpenRun())

    def action_sizes(self) -> None:
        """Ask Amplitude how large the cohorts are; it costs no download."""
        self.run_worker(self.services.figures.update_sizes())

    def action_switch(self) -> None:
        """Switch the audience on or off for syncs of all."""
        from amp_console.console.changing import switch

        for item in self.chosen:
            self.run_worker(switch(self.services, item.audience))
