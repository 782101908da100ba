"""Home: every audience and its cohort at a glance, and one of them in detail."""

from collections.abc import Hashable, Iterable
from functools import partial
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from amp_console.console.badges import states_now
from amp_console.console.environment import DemoSession
from amp_console.console.jobs.under_way import under_way
from amp_console.console.routes import (
    OpenAudienceSettings,
    OpenErrors,
    OpenLink,
    OpenMapping,
    OpenPlan,
    OpenQuery,
    OpenReconcile,
    OpenReconcileAll,
    OpenRun,
)
from amp_console.console.screens.actions import OF_CONNECTION, Need
from amp_console.console.screens.audiences.detail import AudienceDetail
from amp_console.console.screens.audiences.layout import ListLayout
from amp_console.console.screens.audiences.panel import AudiencesPanel
from amp_console.console.screens.audiences.rows import (
    DEFAULT,
    STATUS,
    audience_row,
)
from amp_console.console.screens.audiences.segment import is_outdated_in_segment
from amp_console.console.screens.audiences.summaries import SummaryReader
from amp_console.console.screens.base import COPY_ROW, FILTER, BaseScreen
from amp_console.console.screens.footer import DETAILS, OPEN, Labelled, UsefulActions, Withheld
from amp_console.console.segment_figures import post_updated
from amp_console.console.widgets.filter_bar import FilterBar
from amp_console.console.widgets.grid import Grid, RowsState
from amp_console.console.widgets.split import Split
from amp_console.ledger.audiences import AudienceNotFound, find_audience
from amp_console.sync.queries.audience_detail import last_run_of
from amp_console.sync.queries.status import AudienceSummary, Status
from amp_console.text import clean

EMPTY = """\
No audience yet.

Audiences appear by themselves from the events that Segment Engage sends.
They are kept in the ledger, amp-console's own record of who belongs in each
cohort, and of what was delivered.

Press i to import a file of events: NDJSON or JSON (also .gz), the CSV of the
AWS S3 destination, or an audience's CSV download. Importing sends nothing.
Press n to create an audience from a warehouse query."""
OPENING = "Opening…"
NO_CONNECTION = """\
No Amplitude project is connected.

Press 5 for Connections, then n to connect one."""


class AudiencesScreen(BaseScreen):
    """The audiences of the connection."""

    NAME = "Audiences"
    HAS_STATUSES = True
    HELP = """\
Every audience found in the events of Segment Engage, with the cohort it is synced to. The ledger
records what was read and delivered. It is amp-console's own record of each cohort, on this machine
or on your team's server.

Members are everyone who should be in the cohort: delivered, pending and rejected users, and those
with missing IDs. Pending counts users still to be added (+) and removed (−). Rejected counts users
that Amplitude skipped or refused. An ID is missing if no event has the user's ID of the audience's
ID type; such users are never sent. Errors lists them and the rejected users, each with the reason.
Unconfirmed users may or may not be in the cohort, e.g. because Amplitude did not answer; the next
sync sends them.

Mark several audiences with space, or all with a, to sync (s), reconcile (r), or enable or disable
(t) them together. Esc unmarks them; a filter unmarks those it hides. Without marks, these keys act
on the audience under the cursor. A sync sends nothing until you have seen its plan and confirmed
it. It includes changes that arrive before it ends. A live session (4) sends changes on its own once
you start it, pending ones first. Only large removals and new cohorts wait for you.

u asks Amplitude how large the cohorts are. If a Segment space is connected, u also asks Segment how
large its audiences are. The detail shows both beside the ledger and marks what does not match.
Segment counts a profile once, even if it has several identifiers; the ledger counts identifiers.

Last sync is when a sync, a repair or a live session last tried to send changes for the audience,
whether or not they were delivered. A comparison sends nothing.

The title says how many audiences need attention, because nothing changes until you act: broken
links, refused keys, plans that remove more than half of a cohort, cohorts that differ, rejected
users, missing IDs, and users waiting because there is no cohort. If the reasons do not fit, they
are below the list. Then come audiences to check in Segment, pending changes, cohorts that are not
compared (r compares them, person by person), and those whose size is unknown (u asks). Segment
counts a different number (≠), or can't compute the audience (✖). The detail says more. A filter (/)
finds each by its words, e.g. "no cohort" or "segment".

Audiences that need attention come first, unless you sort by another column (o). Rows are sorted
when you come here, when you press 1, and after sizes are updated (u). In between they keep their
order, and the arrow in the header is pale if that order is out of date. Press v to save filter,
order and columns as a view."""
    CSS_PATH = "list.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sync", "Sync", id="audiences.sync"),
        Binding("S", "sync_all", "Sync all", show=False, id="audiences.sync_all"),
        Binding("e", "settings", "Settings", id="audiences.edit"),
        Binding(
            "r",
            "reconcile",
            "Reconcile",
            tooltip="Compare and repair the cohort; opening the screen does neither",
            id="audiences.reconcile",
        ),
        Binding("i", "import", "Import", show=False, id="audiences.import"),
        Binding("n", "query", "New audience by query", show=False, id="audiences.query"),
        Binding("l", "link", "Link to a cohort", show=False, id="audiences.link"),
        Binding("x", "errors", "Errors", id="audiences.errors"),
        Binding("t", "switch", "Enable / disable", show=False, id="audiences.switch"),
        Binding("u", "sizes", "Update sizes", show=False, id="audiences.sizes"),
        Binding("w", "work", "Last run", show=False, id="audiences.work"),
        Binding(
            "m",
            "mapping",
            "Field mapping",
            tooltip=OF_CONNECTION,
            show=False,
            id="audiences.mapping",
        ),
        Binding("v", "views", "Views and columns", show=False, id="audiences.views"),
        FILTER,
        COPY_ROW,
    ]

    NEEDS = {  # noqa: RUF012
        "query": (Need.WRITABLE,),
        **dict.fromkeys(
            ("sync_all", "import", "errors", "sizes", "mapping", "views"), (Need.CONNECTION,)
        ),
        **dict.fromkeys(
            ("sync", "settings", "link", "switch", "copy", "reconcile", "work"),
            (Need.CONNECTION, Need.ROW),
        ),
    }
    NO_ROW = "There is no audience yet: press i to import a file of events."

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[Hashable, AudienceSummary] = {}
        self._layout_of_list = ListLayout(self)
        self._summaries = SummaryReader(self, partial(show_audiences, self), self.reload)
        self._is_linked = False  # the cursor has moved to the command line's audience

    def body(self) -> ComposeResult:
        panel = AudiencesPanel(
            FilterBar(),
            Grid(
                DEFAULT,
                empty=EMPTY,
                noun="audience",
                glyphs=self.services.glyphs,
                age=self.services.age_of,
                marks=True,
                sort=STATUS,
                id="list",
            ),
            view=lambda: self._layout_of_list.view,
        )
        yield Split(panel, AudienceDetail(self.loader, lambda: self.current), id="home")

    # Reading and showing.

    async def load(self) -> None:
        """Read the summaries of all audiences: first what is cheap, then the numbers of members."""
        session = self.services.session
        grid = self.query_one("#list", Grid)
        if session is None:
            if self.services.sessions.is_opening:
                grid.show_notice(RowsState.LOADING, _opening(self.services.environment.demo))
            else:
                grid.show_notice(RowsState.UNKNOWN, NO_CONNECTION)
            return
        await self.services.segment.load(session)
        await self._summaries.read(session)
        # What is read while another screen is in front is sorted.
        grid.rows.keeps_order = self.is_current or self.app.screen.is_modal
        name = self.services.options.audience
        if name is not None and not self._is_linked:
            self._is_linked = True
            self.run_worker(_go_to(self, name))

    @on(events.ScreenResume)
    def unmark_begun(self) -> None:
        self._layout_of_list.unmark_begun()

    def on_screen_suspend(self) -> None:
        """Sort again after another screen; a dialog does not change the order."""
        if not self.app.screen.is_modal:
            sort_on_next_load(self)

    def revisit(self) -> None:
        super().revisit()
        self._layout_of_list.sort()

    # The detail.

    def on_grid_moved(self) -> None:
        """Show the detail of the row under the cursor."""
        current = self.current
        self.services.audience_in_view = None if current is None else current.audience.id
        self.query_one(Split).has_detail = current is not None
        self.action_keys.refresh()
        self.query_one(AudienceDetail).reload()

    # Actions.

    @property
    def current(self) -> AudienceSummary | None:
        """The audience under the cursor."""
        return self._known.get(self.query_one("#list", Grid).key)

    @property
    def chosen(self) -> list[AudienceSummary]:
        """The marked audiences, otherwise the one under the cursor."""
        grid = self.query_one("#list", Grid)
        keys = grid.rows.in_order(grid.marks) if grid.marks else [grid.key]
        return [self._known[key] for key in keys if key in self._known]

    def useful_actions(self) -> UsefulActions:
        if self.services.session is None:
            return () if self.services.sessions.is_opening else ("go('connections')",)
        if not self._known:
            return "import", Labelled("go('live')", "Follow")
        is_syncing = under_way(self.services.jobs.sync) is not None
        watch = (Labelled("work", "Watch the sync"),) if is_syncing else ()
        last_run = () if is_syncing else ("work",)
        current = self.current
        has_marks = bool(self.query_one("#list", Grid).marks)
        is_unlinked = current is not None and current.audience.cohort_id is None
        link = (
            (Labelled("link", "Link"),)
            if is_unlinked or (current and current.audience.broken)
            else ()
        )
        errors = ("errors",) if current is not None and current.left.failed else ()
        is_hidden = self.query_one(Split).hides_detail
        opens = DETAILS if is_hidden else Labelled(OPEN, "Settings")
        states = {item.audience.enabled for item in self.chosen}
        verbs = {True: "Disable", False: "Enable"}
        verb = verbs[states.pop()] if len(states) == 1 else "Enable / disable"
        switch = _of_marked(self, "switch", verb)
        sync = _of_marked(self, "sync", "Sync")
        compare = _of_marked(self, "reconcile", "Reconcile")
        others = switch, Labelled("mapping", "Mapping"), "import"
        check = ("sizes", compare) if current and _is_unread(self, current) else (compare,)
        if _are_synced_now(self):
            return *watch, opens, *errors, _sync_all(self), "import", "sizes", *last_run
        settings = "settings" if opens is DETAILS else Withheld("settings")
        if current is not None and current.audience.broken and not has_marks:
            return *watch, *link, opens, *errors, sync, *others, "sizes", *last_run, settings
        is_to_check = current is not None and not has_marks and _is_to_check(self, current)
        useful = (
            *watch,
            *(check if is_to_check else ()),
            sync,
            opens,
            *errors,
            _sync_all(self),
            *check,
            settings,
            *link,
            *others,
            "sizes",
        )
        return *useful, *last_run

    def disabled_reason(self, action: str) -> str | None:
        if action in {"sync", "reconcile", "switch"} and _are_synced_now(self):
            return "A sync is under way: press w to watch. Nothing was changed."
        if action == "reconcile" and self.chosen and all(map(_is_broken, self.chosen)):
            return "Amplitude no longer has this cohort: press l to link another."
        if action == "sync_all" and not self._known and self.services.session is not None:
            return self.NO_ROW
        return super().disabled_reason(action)

    def on_grid_opened(self) -> None:
        """Open the detail if it is not beside the list, otherwise the settings of the audience."""
        split = self.query_one(Split)
        if split.is_alone and not split.is_entered:
            split.enter()
        else:
            self.action_settings()

    def action_sync(self) -> None:
        """Plan a sync of the audience, or of the marked ones."""
        self.services.navigate(OpenPlan(tuple(item.audience.id for item in self.chosen)))

    def action_sync_all(self) -> None:
        """Plan a sync of all audiences, except disabled ones."""
        self.services.navigate(OpenPlan(_enabled_ids(self._known.values())))

    def action_settings(self) -> None:
        """Open the settings of the audience."""
        if self.current is not None:
            self.services.navigate(OpenAudienceSettings(self.current.audience.id))

    def action_link(self) -> None:
        """Choose an existing cohort."""
        if self.current is not None:
            self.services.navigate(OpenLink(self.current.audience.id))

    def action_reconcile(self) -> None:
        """Open the comparison of the audience, or those of the marked ones."""
        chosen = [item.audience.id for item in self.chosen]
        if len(chosen) == 1:
            self.services.navigate(OpenReconcile(chosen[0]))
        else:
            self.services.navigate(OpenReconcileAll(tuple(chosen)))

    def action_errors(self) -> None:
        """Open the errors of the audience."""
        current = self.current
        self.services.navigate(OpenErrors(current.audience.id if current else None))

    def action_import(self) -> None:
        """Import a file of events."""
        from amp_console.console.dialogs.imports.dialog import ImportDialog

        self.app.push_screen(ImportDialog())

    def action_query(self) -> None:
        """Add an audience from a query."""
        self.services.navigate(OpenQuery())

    def action_views(self) -> None:
        """Use, save or change a view, or choose columns."""

        async def choose() -> None:
            await self._layout_of_list.choose()
            self.query_one(AudiencesPanel).entitle(list(self._known.values()))

        self.run_worker(choose())

    def action_mapping(self) -> None:
        """Set the fields of the identifiers."""
        self.services.navigate(OpenMapping())

    def action_work(self) -> None:
        """Watch the sync under way, or open the last run of the audience under the cursor."""
        if under_way(self.services.jobs.sync):
            self.services.navigate(OpenRun())
        else:
            self.run_worker(_open_last_run(self))

    def action_sizes(self) -> None:
        """Ask for current sizes: Amplitude for cohorts, Segment for audiences.

        This uses no download. Segment is asked if a space is connected. Rows are sorted again after
        the answers: finding sizes that differ is what the key is for.
        """
        services = self.services
        asked = services.figures.update_sizes(), services.segment.update()

        async def update() -> None:
            await post_updated(services.notifications, *asked)
            sort_on_next_load(self)
            self.reload()

        services.run_in_background(update())

    def action_switch(self) -> None:
        """Leave it out of Sync all, or include it again."""
        from amp_console.console.audience_changes import switch

        for item in self.chosen:
            self.run_worker(switch(self.services, item.audience))
        self.query_one("#list", Grid).marks.clear()


def sort_on_next_load(home: AudiencesScreen) -> None:
    """Sort the rows at the next read of the ledger; until then, rows do not move."""
    for grid in home.query("#list").results(Grid):
        grid.rows.keeps_order = False


def show_audiences(home: AudiencesScreen, found: list[AudienceSummary]) -> None:
    """Show all audiences in the list, and the one under the cursor in detail."""
    home._known = {item.audience.id: item for item in found}
    home.services.segment.compare(found)
    if home.services.held_keys.are_waiting:  # they were typed at the rows as they are
        home.query_one("#list", Grid).rows.keeps_order = True
    home._layout_of_list.show([audience_row(home.services, item) for item in found])
    home.loader.rows_shown()
    split = home.query_one(Split)
    split.fit_rows(len(found))
    split.has_detail = home.current is not None
    home.query_one(AudiencesPanel).entitle(found)
    # At once, so that list and detail never show different numbers for the same users.
    detail = home.query_one(AudienceDetail)
    detail.update_summaries(home._known)
    detail.reload()


def _sync_all(home: AudiencesScreen) -> Labelled:
    """Sync all includes audiences hidden by a filter: the label then says how many."""
    count = len(_enabled_ids(home._known.values()))
    is_filtered = bool(home.query_one(FilterBar).value)
    return Labelled("sync_all", f"Sync all {count:,}" if is_filtered else "")


def _of_marked(home: AudiencesScreen, action: str, verb: str) -> Labelled:
    """An action on the marked audiences, or the one under the cursor, labeled by its target."""
    return Labelled(action, f"{verb} {home.query_one('#list', Grid).marks.words}".strip())


def _is_unread(home: AudiencesScreen, known: AudienceSummary) -> bool:
    """Whether the size of an audience's cohort is unknown, or Segment's has to be asked again."""
    services, audience = home.services, known.audience
    is_unknown = audience.cohort_id is not None and services.figures.size_of(audience) is None
    return is_unknown or is_outdated_in_segment(services, audience)


def _is_to_check(home: AudiencesScreen, known: AudienceSummary) -> bool:
    """Whether asking for the sizes of an audience, or comparing it, is what to do next."""
    worst = states_now(home.services, known)[0].status
    if worst in {Status.IN_SYNC, Status.LIVE}:
        return is_outdated_in_segment(home.services, known.audience)
    return worst in {Status.DIFFERS, Status.SIZE_DIFFERS, Status.NOT_COMPARED}


def _are_synced_now(home: AudiencesScreen) -> bool:
    """Whether a sync of this console is under way for all audiences on which keys would act."""
    chosen, jobs = home.chosen, home.services.jobs
    return bool(chosen) and all(jobs.syncs(item.audience.id) for item in chosen)


def _enabled_ids(known: Iterable[AudienceSummary]) -> tuple[int, ...]:
    """The IDs of the enabled audiences."""
    return tuple(item.audience.id for item in known if item.audience.enabled)


def _is_broken(item: AudienceSummary) -> bool:
    return item.audience.broken is not None


def _opening(demo: DemoSession | None) -> str:
    """The text shown until the connection is open; a demo fills its ledger in the meantime."""
    return OPENING if demo is None else f"Preparing the demo… {demo.progress():.0%}"


async def _open_last_run(home: AudiencesScreen) -> None:
    """Open the last run that delivered the audience under the cursor."""
    current = home.current
    if current is None:
        return
    session = home.session  # None once the console is quitting
    dead = await session.dead_runs()
    found = await session.read(last_run_of, current.audience.id, dead)
    if found is not None:
        home.services.navigate(OpenRun(found))
    else:
        name = clean(current.audience.name, 60)
        home.services.notifications.post(f"“{name}” has no run yet. All runs: press 3.", "warning")


async def _go_to(home: AudiencesScreen, name: str) -> None:
    """Move the cursor to the audience named on the command line."""
    try:
        found = await home.session.read(find_audience, name)
    except AudienceNotFound as error:
        home.services.notifications.post(str(error), "warning")
    else:
        home.query_one("#list", Grid).go_to(found.id)
