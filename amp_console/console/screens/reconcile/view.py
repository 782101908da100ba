"""One cohort beside its audience: how they differ, who it is, and putting it right."""

from collections.abc import Hashable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.timer import Timer
from textual.widgets import Static

from amp_console.connections.read_only import refusal
from amp_console.console.dialogs.ask import Ask
from amp_console.console.dialogs.base import Confirm
from amp_console.console.jobs.reconcile import CompareOperation, ReconcileJob, RepairOperation
from amp_console.console.jobs.runs import RunJob
from amp_console.console.lifecycle import is_open
from amp_console.console.routes import OpenPerson, OpenRun
from amp_console.console.screens.base import BaseScreen
from amp_console.console.screens.reconcile import rows
from amp_console.console.screens.reconcile.choice import ChoiceDialog, Offer, confirm
from amp_console.console.screens.reconcile.export import export
from amp_console.console.screens.reconcile.status import came_of, doing
from amp_console.console.texts import MUTED, lines, said
from amp_console.console.widgets.filter_bar import FilterBar
from amp_console.console.widgets.grid import Grid, Row, RowsState, rows_or_pages
from amp_console.ledger.audiences import Audience, audience
from amp_console.ledger.comparisons import (
    Comparison,
    Difference,
    DifferenceFilter,
    DifferenceKind,
    count_differences,
    differences,
    last_comparison,
    put_right,
)
from amp_console.ledger.repairs import RepairChoice
from amp_console.sync.reconcile.plan import RepairPlan, plan_repair
from amp_console.text import clean

OFTEN = 0.2  # seconds between two pictures of work under way
NEVER = """\
Not compared yet.

Press c to read the cohort from Amplitude and compare it with the audience. That takes a minute \
or more, sends nothing, and costs one of the month's downloads."""
NO_COHORT = """\
It has no cohort yet, so there is nothing to compare.

A sync makes one, or link it to a cohort that is there: press l on the audiences."""
EQUAL = "No differences: the cohort holds exactly its audience."
NO_MATCH = "No matches. / and Esc show everyone again."


class ReconcileScreen(BaseScreen):
    """One audience and its cohort."""

    NAME = "Reconcile"
    HELP = """\
Comparing reads the whole cohort from Amplitude. It costs one of the month's downloads and sends
nothing; what the ledger takes for delivered is set to what was found, so the next sync is right.

The bar shows who is missing from the cohort, in both, and extra. Below are the kinds of
differences, and the people of the kind under the cursor. p puts them right: all, or those that
are marked with space. You choose what (add, remove, both), then see the plan and confirm it.

L compares with a list instead: Segment's CSV download of the audience, or a file with one
identifier to a line. E writes the differences into a file. w shows the requests of the run."""
    CSS_PATH = "view.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "compare", "Compare", id="reconcile.compare"),
        Binding("c", "cancel", "Cancel", id="reconcile.cancel"),
        Binding("p", "repair", "Repair", id="reconcile.repair"),
        Binding("L", "list", "With a list", id="reconcile.list"),
        Binding("E", "export", "Export", id="reconcile.export"),
        Binding("slash", "filter", "Filter", key_display="/", id="filter"),
        Binding("w", "run", "Watch the run", show=False, id="reconcile.run"),
        Binding("f", "person", "Why this person", show=False, id="reconcile.person"),
        Binding("tab", "other_list", "Other list", show=False, id="reconcile.other"),
        Binding("y", "copy", "Copy the row", show=False, id="copy"),
    ]

    def __init__(self, audience_id: int) -> None:
        super().__init__()
        self._audience_id = audience_id
        self._audience: Audience | None = None
        self._found: Comparison | None = None
        self._people: dict[Hashable, Difference] = {}
        self._shown: tuple[DifferenceFilter, int] | None = None
        self._timer: Timer | None = None
        self._told: ReconcileJob | None = None

    def body(self) -> ComposeResult:
        """The picture above; the kinds of differences, and the people of one kind, below."""
        glyphs = self.services.glyphs
        with Vertical(id="picture", classes="panel") as panel:
            panel.border_title = "Reconcile"
            yield Static(id="headline")
            yield Static(id="bar")
            yield Static(id="legend")
            yield Static(id="doing")
        with Container(id="kinds-panel", classes="panel") as panel:
            panel.border_title = "Differences"
            yield Grid(rows.KINDS, glyphs=glyphs, id="kinds")
        with Container(id="people-panel", classes="panel"):
            yield FilterBar()
            yield Grid(rows.PEOPLE, glyphs=glyphs, empty=NO_MATCH, marks=True, id="people")

    def on_resize(self) -> None:
        """Fit the bar to the new width."""
        self.reload()

    def on_mount(self) -> None:
        """Draw work under way as it goes, and ask how many downloads are left."""
        self._timer = self.set_interval(OFTEN, self._show_work)
        if self.services.figures.quota is None:
            self.run_worker(self.services.figures.update_quota())

    # Looking.

    async def load(self) -> None:
        """Read the last comparison, and the people of the kind under the cursor."""
        self._audience = await self.session.read(audience, self._audience_id)
        self._found = await self.session.read(last_comparison, self._audience_id)
        mended = await self.session.read(put_right, self._found.id) if self._found else {}
        self._show_picture(mended)
        self._show_kinds(mended)
        await self._look_at_people()
        self._show_work()

    def _show_picture(self, mended: dict[DifferenceKind, int]) -> None:
        of, glyphs, panel = self._found, self.services.glyphs, self.query_one("#picture")
        assert self._audience is not None
        panel.border_title = said(f"Reconcile {glyphs.dot} {self._audience.name}", longest=80)
        for name in ("#bar", "#legend"):
            self.query_one(name).display = of is not None
        head = self.query_one("#headline", Static)
        if of is None:
            text = NEVER if self._audience.cohort_id else NO_COHORT
            head.update(lines(*(said(line) for line in text.splitlines())))
            panel.border_subtitle = ""
            return
        self._show_age()
        head.update(rows.headline(of, mended, glyphs))
        width = max(10, panel.scrollable_content_region.width)
        self.query_one("#bar", Static).update(rows.bar(of, glyphs, width))
        self.query_one("#legend", Static).update(rows.legend(of, glyphs))

    def show_ages(self) -> None:
        """Say how old the comparison is by now."""
        super().show_ages()
        self._show_age()

    def _show_age(self) -> None:
        if self._found is not None:
            compared = rows.compared(self._found, self.services.clock.age_now, self.services.glyphs)
            self.query_one("#picture").border_subtitle = said(compared, longest=110)

    def _show_kinds(self, mended: dict[DifferenceKind, int]) -> None:
        grid, panel = self.query_one("#kinds", Grid), self.query_one("#kinds-panel")
        found = rows.kind_rows(self._found, mended) if self._found else []
        grid.empty = EQUAL if self._found else ""
        grid.show(found)
        panel.display = self._found is not None
        panel.styles.height = len(found) + 3 if found else "1fr"
        self.set_class(not found, "-no-people")
        if self.is_current and (self.focused is None or not (found or grid.has_focus)):
            grid.focus()

    async def _look_at_people(self) -> None:
        wish = self._meant
        if wish is None:
            if self._audience is not None:  # else it is not known yet whether there is any
                self.query_one("#people", Grid).show_notice(RowsState.UNKNOWN, "")
            return
        count = await self.session.read(count_differences, wish)

        async def load(offset: int, limit: int) -> Sequence[Row]:
            found = await self.session.read(differences, wish, offset, limit)
            self._people.update((item.key, item) for item in found)
            return [rows.person_row(item, self.services.glyphs) for item in found]

        people = await rows_or_pages(count, load)
        if wish != self._meant:
            return  # the cursor is elsewhere by now
        grid = self.query_one("#people", Grid)
        if self._shown is None or self._shown[0] != wish:
            grid.marks.clear()
        self._shown = wish, count
        grid.show(people)
        self._entitle_people()

    def _entitle_people(self) -> None:
        panel, kind = self.query_one("#people-panel"), self._kind
        panel.border_title = rows.NAMES[kind] if kind is not None else ""
        marked = len(self.query_one("#people", Grid).marks)
        count = self._shown[1] if self._shown else 0
        people = f"{count:,} {'person' if count == 1 else 'people'}"
        dot = f" {self.services.glyphs.dot} "
        panel.border_subtitle = dot.join([people, *([f"{marked:,} marked"] if marked else [])])

    @property
    def _kind(self) -> DifferenceKind | None:
        key = self.query_one("#kinds", Grid).key
        return key if isinstance(key, DifferenceKind) else None

    @property
    def _meant(self) -> DifferenceFilter | None:
        """The people shown: of the kind under the cursor, with the filter's text."""
        kind = self._kind
        if self._found is None or kind is None:
            return None
        text = self.query_one(FilterBar).value
        return DifferenceFilter(self._found.id, (kind,), text)

    def apply_filter(self, needle: str) -> None:  # noqa: ARG002  # it is asked for when looking
        """Filter by a part of the identifier."""
        self.loader.start("people", self._look_at_people)

    # Work under way.

    @property
    def _work(self) -> ReconcileJob | None:
        """What is done, or was done last, for this audience."""
        work = self.services.jobs.reconciling
        if work is None or self._audience_id not in work.audience_ids:
            return None
        return work if work.session is self.services.session else None

    @property
    def _is_busy(self) -> bool:
        return self._work is not None and not self._work.is_over

    def _show_work(self) -> None:
        work, text = self._work, self.query_one("#doing", Static)
        if work is not None and not work.is_over:
            text.update(doing(work, self._audience_id, self.services.glyphs))
        else:
            quota = self.services.figures.quota
            came = came_of(work, self._audience_id) if work is not None else None
            text.update(came or said((f"{quota}." if quota else "", MUTED)))
        if work is not None and work.is_over and self._told is not work:
            self._told = work
            self.run_worker(self.services.figures.update_quota())
            self.reload()
            compared = work.operation
            if isinstance(compared, CompareOperation) and compared.is_incomplete:
                self.run_worker(self._insist(compared, work.failure or ""))
        self.action_keys.refresh()

    # Moving about.

    def on_grid_moved(self, event: Grid.Moved) -> None:
        """Show the people of another kind."""
        if event.grid.id == "kinds":
            self.loader.start("people", self._look_at_people)

    def on_grid_marks_changed(self) -> None:
        """Say how many are marked."""
        self._entitle_people()

    def on_grid_opened(self, event: Grid.Opened) -> None:
        """Go from a kind to its people, and from a person to all that is known."""
        if event.grid.id == "kinds":
            self.query_one("#people").focus()
        else:
            self.action_person()

    def on_filter_bar_left(self, event: FilterBar.Left) -> None:  # type: ignore[override]
        """Go back from the filter to the people."""
        event.prevent_default()
        self.query_one("#people").focus()

    def action_back(self) -> None:
        """From people to kinds, else out."""
        if self.query_one("#people").has_focus:
            self.query_one("#kinds").focus()
        else:
            super().action_back()

    def action_other_list(self) -> None:
        """Go to the other list."""
        if not self.has_class("-no-people"):
            is_there = self.query_one("#people").has_focus
            self.query_one("#kinds" if is_there else "#people").focus()

    def action_copy(self) -> None:
        """Copy the row under the cursor, of the list that has the keys."""
        grid = self.focused
        if isinstance(grid, Grid) and grid.row is not None:
            self.services.clipboard.copy("\t".join(cell.text for cell in grid.row.cells))

    def action_person(self) -> None:
        """Say why the person under the cursor is, or is not, in the cohort."""
        person = self._people.get(self.query_one("#people", Grid).key)
        if person is not None:
            self.services.navigate(OpenPerson(person.id))

    def action_run(self) -> None:
        """Open the run that this is."""
        if self._work is not None and self._work.run_id is not None:
            self.services.navigate(OpenRun(self._work.run_id))

    # Doing something about it.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """One key compares and cancels; the one that does not apply is not there."""
        if is_open(self) and action == ("compare" if self._is_busy else "cancel"):
            return False
        return super().check_action(action, parameters)

    def disabled_reason(self, action: str) -> str | None:
        """What can't be done now, and why."""
        if action in {"compare", "list", "repair"}:
            busy = self.services.jobs.reconciling
            if busy is not None and not busy.is_over:
                return "A comparison or a repair is under way already: wait for it, or cancel it."
            if self._audience is not None and self._audience.cohort_id is None:
                return "It has no cohort yet: a sync makes one."
        if action == "repair":
            return self._why_not_put_right()
        if action == "run" and (self._work is None or self._work.run_id is None):
            return "Nothing was done here since the console was opened. Past runs: press 3."
        if action in {"export", "filter", "person"} and self.has_class("-no-people"):
            return "There is no difference to show." if self._found else "Compare first: press c."
        return None

    def _why_not_put_right(self) -> str | None:
        if self._found is None:
            return "Compare first: press c."
        if self._found.is_equal:
            return "They are equal: there is nothing to repair."
        if self.session.connection.read_only:
            return refusal(self.session.connection)
        return None

    def action_compare(self) -> None:
        """Read the cohort and compare it."""
        self._compare(None)

    async def _insist(self, compared: CompareOperation, why: str) -> None:
        """Ask whether a list that is incomplete is to be used as it is."""
        question = Confirm(
            "Compare with an incomplete list?",
            [why, "Members missing from it count as extra in the cohort."],
            yes="Compare anyway",
            is_danger=True,
        )
        if await self.services.ask(question):
            self._compare(compared.against, allow_incomplete=True)

    def _compare(self, against: str | None, *, allow_incomplete: bool = False) -> None:
        if self._audience is None:
            return
        self._start(CompareOperation([self._audience], against, allow_incomplete=allow_incomplete))

    def _start(self, operation: CompareOperation | RepairOperation) -> None:
        services = self.services
        work = RunJob(self.session, operation, services.timing, services.publish)
        services.jobs.reconciling = work
        work.start()
        self.refresh_bindings()

    def action_list(self) -> None:
        """Compare with a list of members."""
        question = "Which list? Segment's CSV of the audience, or one identifier to a line."
        self.app.push_screen(Ask("Compare with a list", question, "", "Compare"), self._with_list)

    def _with_list(self, path: str | None) -> None:
        if path is not None:
            self._compare(path.strip())

    def action_cancel(self) -> None:
        """End what is under way; what was sent stays sent, and nothing is half done."""
        if self._work is not None:
            self._work.cancel()

    def action_repair(self) -> None:
        """Choose what is put right, see the plan, and confirm it."""
        self.run_worker(self._put_right())

    async def _put_right(self) -> None:
        of, session = self._found, self.session
        assert of is not None
        grid = self.query_one("#people", Grid)
        only = frozenset(self._people[key].key for key in grid.marks if key in self._people)
        whole = RepairChoice(add=True, remove=True, only=only or None)
        plan = await session.ledger.awrite(plan_repair, session.connection, of, whole)
        if plan.is_idle:
            self.services.notifications.post(
                "Every difference that can be repaired is repaired. Press c to compare again."
            )
            return
        wish = await self.services.ask(ChoiceDialog(self._offer(plan, bool(only))))
        if wish is None:
            return
        choice = RepairChoice(add=wish.choice.add, remove=wish.choice.remove, only=only or None)
        plan = await session.ledger.awrite(
            plan_repair, session.connection, of, choice, replace=wish.replace
        )
        if await self.services.ask(confirm([plan])):
            self._start(RepairOperation([plan], verify=wish.verify))
            grid.marks.clear()

    def _offer(self, plan: RepairPlan, is_marked: bool) -> Offer:
        quota = self.services.figures.quota
        return Offer(
            clean(plan.name, 40),
            plan.add,
            plan.remove,
            is_marked,
            plan.can_replace,
            str(quota) if quota else "how many are left is not known",
        )

    def action_export(self) -> None:
        """Write the differences into a file."""
        assert self._audience is not None
        assert self._found is not None
        self.run_worker(export(self.services, self._audience.key, self._found.id))
