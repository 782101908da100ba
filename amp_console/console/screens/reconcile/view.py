"""One cohort and its audience: how they differ, who differs, and repairing it."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from amp_console.console.background import in_thread
from amp_console.console.dialogs.base import Confirm
from amp_console.console.dialogs.export import ExportRequest, export_to
from amp_console.console.dialogs.form import ask_path
from amp_console.console.jobs.base import ConsoleChange, JobProgress
from amp_console.console.jobs.reconcile import (
    CompareOperation,
    ReconcileJob,
    ReconcileOperation,
)
from amp_console.console.jobs.under_way import under_way
from amp_console.console.lifecycle import is_open
from amp_console.console.routes import OpenErrors, OpenPerson, OpenRun
from amp_console.console.screens.actions import Need
from amp_console.console.screens.base import COPY_ROW, FILTER, BaseScreen
from amp_console.console.screens.footer import Labelled, UsefulActions
from amp_console.console.screens.reconcile import rows
from amp_console.console.screens.reconcile.comparison import ComparisonPanel, DifferenceKinds
from amp_console.console.screens.reconcile.reasons import BUSY, reason_in_comparison
from amp_console.console.screens.reconcile.repair import (
    NOTHING_LEFT,
    again_question,
    cancel_if,
    cancel_question,
    choose_repair,
    start,
)
from amp_console.console.screens.reconcile.status import doing, result_text, sent_by
from amp_console.console.texts import MUTED, WARN, safe_text
from amp_console.console.widgets.grid import Grid, Row
from amp_console.console.widgets.list_pane import ListPane, ListSource
from amp_console.console.widgets.split import Split
from amp_console.ledger.audiences import Audience, audience
from amp_console.ledger.comparisons import (
    KEPT,
    Comparison,
    Difference,
    DifferenceFilter,
    comparison,
    count_differences,
    differences,
    keeps_differences,
    last_comparison,
    resolved_since,
)
from amp_console.ledger.downloads import downloads_needed
from amp_console.sync.reconcile.descriptions import GROUP_NAMES
from amp_console.sync.reconcile.export import write_differences
from amp_console.text import plural

OF_DIFFERENCES = {"repair", "export", "filter", "person", "errors", "copy"}
"""The actions that need a comparison."""
EARLIER = (
    "This is an earlier comparison. For the last one press 1 for Audiences, then r, or compare "
    "again."
)
FORGOTTEN = f"{EARLIER} Who differed is kept for the last {KEPT} comparisons of an audience."

PRUNED = (
    "The comparison that was shown has been deleted with the history of its time. This is the last "
    "one, if there is any."
)


class ReconcileScreen(BaseScreen):
    """One audience and its cohort."""

    NAME = "Reconcile"
    HELP = """\
r compares: it reads the whole cohort from Amplitude and sends nothing. It uses one of the month's
downloads, and asks before it uses another. It corrects what amp-console believes the cohort
contains: users who differ and appear in the events become pending, and the next sync or live
session sends them, with or without a repair. To prevent that, disable the audience (t under
Audiences).

Users who are missing because Amplitude rejected them are listed separately; x shows why.

The bar shows who is missing from the cohort, in both, extra, and pending. Below it are the kinds of
differences, and the people of the kind under the cursor. p repairs everyone who differs, or only
those you marked with space. You choose what to do (add, remove, both), then see the plan and
confirm it.

L compares with a list instead: Segment's CSV download of the audience, or a file with one
identifier per line. E writes the differences to a file. w shows the requests of the run."""
    CSS_PATH = "view.tcss"
    NEEDS: ClassVar = {"repair": {Need.WRITABLE}}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "r",
            "compare",
            "Compare",
            tooltip="Download the cohort and compare it; nothing is sent",
            id="reconcile.compare",
        ),
        Binding("c", "cancel", "Cancel", id="reconcile.cancel"),
        Binding(
            "p",
            "repair",
            "Repair",
            tooltip="Add and remove users in Amplitude, once you have seen the plan",
            id="reconcile.repair",
        ),
        Binding(
            "L",
            "list",
            "Compare with a list",
            tooltip="Compare it with a list of members; nothing is sent",
            id="reconcile.list",
        ),
        Binding("E", "export", "Export", id="reconcile.export"),
        FILTER,
        Binding(
            "w",
            "run",
            "Requests",
            tooltip="Show the run, with its requests",
            show=False,
            id="reconcile.run",
        ),
        Binding(
            "x",
            "errors",
            "Errors",
            tooltip="Show why users were rejected",
            show=False,
            id="reconcile.errors",
        ),
        Binding(
            "f",
            "person",
            "Why this person",
            tooltip="Why someone is (not) in the cohort",
            show=False,
            id="reconcile.person",
        ),
        COPY_ROW,
    ]

    def __init__(self, audience_id: int, comparison_id: int | None = None) -> None:
        """Show the comparison with this ID; None for the last one."""
        super().__init__()
        self._audience_id = audience_id
        self._comparison_id = comparison_id
        self._audience: Audience | None = None
        self._comparison: Comparison | None = None
        self._earlier = ""
        """A note that this is not the audience's last comparison; "" if it is."""
        self._downloads = 0  # used by comparing
        self._is_settled = False
        """Whether a repair would send nothing."""
        self._kinds = DifferenceKinds()
        self._sent = 0  # by its repair, at the last read
        self._ended: ReconcileJob | None = None  # the last job whose end was handled

    def body(self) -> ComposeResult:
        people: ListPane[DifferenceFilter, Difference] = ListPane(
            self._source,
            ("person", "people"),
            id="people-panel",
            grid_id="people",
            opens="Person",
            glyphs=self.services.glyphs,
            empty="No one.",
            columns=rows.PEOPLE,
        )
        yield Split(Vertical(ComparisonPanel(), self._kinds), people, stacks=True)

    def on_mount(self) -> None:
        """Ask how many downloads are left, if that is not known yet."""
        if self.services.figures.quota is None:
            self.run_worker(self.services.figures.update_quota())

    # Reading.

    @property
    def _people(self) -> ListPane[DifferenceFilter, Difference]:
        return self.query_one("#people-panel", ListPane)

    async def load(self) -> None:
        """Read the comparison, and the people of the kind under the cursor."""
        session = self.session
        self._audience = await session.read(audience, self._audience_id)
        self._downloads = await session.read(
            downloads_needed, [self._audience], self.services.clock.now
        )
        last = await session.read(last_comparison, self._audience_id)
        found = last
        if self._comparison_id is not None:
            found = await session.read(comparison, self._comparison_id)
            if found is None:  # another process has pruned the history in the meantime
                self.services.notifications.post(PRUNED, "warning", is_kept=False)
                self._comparison_id, found = None, last
        self._comparison, self._earlier = found, ""
        if found is not None and found != last:
            has_people = await session.read(keeps_differences, found)
            self._earlier = EARLIER if has_people else FORGOTTEN
        resolved = None
        if found is not None:
            dead = await session.dead_runs()
            resolved = await session.read(resolved_since, found.id, dead)
        self._is_settled = found is None or rows.is_settled(found, resolved)
        known = None
        if found is None:
            known = await session.read(rows.read_known_numbers, self._audience)
        self.query_one(ComparisonPanel).show_comparison(self._audience, found, resolved, known)
        has_kinds = self._kinds.show_kinds(found, resolved)
        self.query_one(Split).has_detail = has_kinds
        if self.is_current and (self.focused is None or not (has_kinds or self._kinds.has_cursor)):
            self._kinds.focus_list()
        await self._people.load()
        self._show_job()

    def _source(self, text: str) -> ListSource[DifferenceFilter, Difference] | None:
        """The people of the group under the cursor whose identifier contains the text."""
        group = self._kinds.current
        if self._comparison is None or group is None:
            return None
        query = rows.people_of(self._comparison.id, group, text)
        glyphs = self.services.glyphs

        async def count() -> int:
            return await self.session.read(count_differences, query)

        async def read(offset: int, limit: int) -> Sequence[Difference]:
            return await self.session.read(differences, query, offset, limit)

        def row(difference: Difference) -> Row:
            return rows.person_row(difference, glyphs)

        return ListSource(query, GROUP_NAMES[group], rows.PEOPLE, count, read, row)

    def apply_filter(self, needle: str) -> None:  # noqa: ARG002  # the list reads its own filter
        self.loader.follow("people", self._people.load)

    def show_change(self, change: ConsoleChange) -> None:
        """Show a job's progress; read its changes once it is over."""
        self._show_job()  # at once, because the top line shows the same downloads
        if not isinstance(change, JobProgress):
            super().show_change(change)
        elif self.is_current and self._sent != (sent := sent_by(self._job, self._audience_id)):
            self._sent = sent
            self.loader.follow("repaired", self.load)

    def show_ages(self) -> None:
        """Update the countdown of a waiting job."""
        super().show_ages()
        self._show_job()

    # The job of this audience.

    @property
    def _job(self) -> ReconcileJob | None:
        """The current or last job for this audience."""
        job = self.services.jobs.reconciling
        if job is None or self._audience_id not in job.audience_ids:
            return None
        return job if job.session is self.services.session else None

    def _show_job(self) -> None:
        if not self.is_current:
            return
        job, panel, services = self._job, self.query_one(ComparisonPanel), self.services
        working = under_way(job)
        if working is not None:
            text = doing(working, self._audience_id, services.glyphs)
        else:
            quota = services.figures.quota
            result = result_text(job, self._audience_id) if job is not None else None
            if self._earlier:
                result = safe_text((self._earlier, WARN))
            text = result or safe_text((f"{quota}." if quota else "", MUTED))
        panel.show_job(text, is_comparing=working is not None)
        if job is not None and job.is_over and self._ended is not job:
            self._ended = job
            self.reload()
            compared = job.operation
            if isinstance(compared, CompareOperation) and compared.is_incomplete:
                self.run_worker(_insist(self, compared, job.failure or ""))
        self.action_keys.refresh()

    def _start(self, operation: ReconcileOperation) -> None:
        if under_way(self.services.jobs.reconciling):  # it began while the operator was asked
            self.services.notifications.post(BUSY, "warning")
            return
        self._comparison_id = None  # the new or repaired comparison is the last one
        start(self.services, self.session, operation)
        self.refresh_bindings()

    # Navigation.

    def on_grid_moved(self, event: Grid.Moved) -> None:
        """Show the people of another kind."""
        if event.grid.id == "kinds" and self._audience is not None:
            self.loader.follow("people", self._people.load)

    def on_grid_opened(self, event: Grid.Opened) -> None:
        """Go from a kind to its people, and from a person to everything known about them."""
        if event.grid.id == "kinds":
            self.query_one(Split).enter()
        else:
            self.action_person()

    def action_person(self) -> None:
        person = self._people.current
        if person is not None:
            self.services.navigate(OpenPerson(person.id))

    def action_errors(self) -> None:
        """Show the users rejected by Amplitude, and why."""
        self.services.navigate(OpenErrors(self._audience_id))

    def action_run(self) -> None:
        if self._job is not None and self._job.run_id is not None:
            self.services.navigate(OpenRun(self._job.run_id))

    # Actions.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to compare or to cancel, and actions on differences once they are known."""
        is_busy = under_way(self._job) is not None
        hidden = {"compare" if is_busy else "cancel"}
        if is_busy or self._is_settled:
            hidden.add("repair")
        if self._comparison is None:
            hidden |= OF_DIFFERENCES
        if is_open(self) and action in hidden:
            return False
        return super().check_action(action, parameters)

    def useful_actions(self) -> UsefulActions:
        marked = self._people.marked_words
        repair = Labelled("repair", f"Repair {marked}" if marked else "")
        return "compare", "cancel", repair, "list", "export"

    def disabled_reason(self, action: str) -> str | None:
        if action == "repair" and self._earlier:
            return EARLIER
        is_repaired = self._is_settled and self._comparison and self._comparison.is_repairable
        if action == "repair" and is_repaired:
            return NOTHING_LEFT
        run_id = self._job.run_id if self._job is not None else None
        return reason_in_comparison(
            action, self.services.jobs.reconciling, self._audience, self._comparison, run_id
        ) or super().disabled_reason(action)

    def action_compare(self) -> None:
        """Read the cohort and compare it; ask first if a comparison is already shown."""
        if self._audience is None:
            return
        operation = CompareOperation([self._audience])
        if self._comparison is None or not self._downloads:
            self._start(operation)
            return
        question = again_question(self._downloads, self.services.figures.quota)
        asked = question.asked(self.services)

        async def compare_if() -> None:
            if await asked:
                self._start(operation)

        self.run_worker(compare_if())

    def action_list(self) -> None:
        """Compare with a list of members."""
        assert self._audience is not None
        audience, quota = self._audience, self.services.figures.quota
        question = (
            "List to compare with: Segment's CSV of the audience, or one identifier per line. "
            f"Comparing uses {plural(self._downloads, 'download')}{f': {quota}' if quota else ''}."
        )
        asked = ask_path("Compare with a list", question, "", "Compare").asked(self.services)

        async def compare_with_list() -> None:
            path = await asked
            if path is not None:
                self._start(CompareOperation([audience], path))

        self.run_worker(compare_with_list())

    def action_cancel(self) -> None:
        """Ask, then cancel the job; what was sent stays sent, and nothing is left half done."""
        if self._job is not None:
            asked = cancel_question(self._job).asked(self.services)
            self.run_worker(cancel_if(self._job, asked))

    def action_repair(self) -> None:
        """Repair all differences, or those of the marked people, after confirmation."""
        assert self._comparison is not None
        comparisons = [self._comparison]
        only = frozenset(person.key for person in self._people.marked) or None

        async def choose_and_start() -> None:
            session = self.session
            repair = await choose_repair(self.services, session, comparisons, only, is_single=True)
            if repair is not None:
                self._start(repair)
                self._people.unmark()

        self.early_keys.ask_soon(choose_and_start())

    def action_export(self) -> None:
        """Write the differences to a file: CSV, or NDJSON if the name ends in .ndjson."""
        assert self._audience is not None
        assert self._comparison is not None
        key, compared = self._audience.key, self._comparison

        async def write(request: ExportRequest) -> int:
            found = await self.session.read(differences, DifferenceFilter(compared.id))
            before = [(key, "before repair", compared, found)]
            return await in_thread(write_differences, request.path, before, exact=request.exact)

        question = "Save as .csv or .ndjson (replaces an existing file):"
        title, name = "Export the differences", "differences.csv"
        self.run_worker(export_to(self.services, title, question, name, write))


async def _insist(screen: ReconcileScreen, compared: CompareOperation, why: str) -> None:
    """Ask whether to use an incomplete list anyway."""
    question = Confirm(
        "Compare with an incomplete list?",
        [why, "Members missing from it count as extra in the cohort."],
        yes="Compare anyway",
        is_danger=True,
    )
    is_agreed = await screen.services.ask(question)
    compared.is_incomplete = False  # it was asked, also for a screen that is opened later
    if is_agreed:
        screen._start(compared.including_incomplete())
