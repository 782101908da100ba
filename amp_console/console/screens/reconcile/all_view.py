"""Several cohorts and their audiences in one table, with the progress of comparing them."""

from collections.abc import Awaitable, Hashable, Sequence
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.widgets import Static

from amp_console.console.dialogs.base import Confirm
from amp_console.console.jobs.base import ConsoleChange, JobProgress
from amp_console.console.jobs.reconcile import (
    CompareOperation,
    ReconcileJob,
    ReconcileOperation,
)
from amp_console.console.jobs.under_way import under_way
from amp_console.console.lifecycle import is_open
from amp_console.console.routes import OpenReconcile
from amp_console.console.screens.actions import read_only_reason
from amp_console.console.screens.base import COPY_ROW, BaseScreen
from amp_console.console.screens.footer import Labelled, UsefulActions
from amp_console.console.screens.reconcile.all_rows import (
    COLUMNS,
    ComparedAudience,
    detail_text,
    is_over,
    read_known,
    row,
)
from amp_console.console.screens.reconcile.reasons import BUSY, NOT_COMPARED
from amp_console.console.screens.reconcile.repair import (
    NOTHING_LEFT,
    cancel_if,
    cancel_question,
    choose_repair,
    start,
)
from amp_console.console.session import Session
from amp_console.console.texts import MUTED, safe_text
from amp_console.console.widgets.grid import Grid
from amp_console.console.widgets.scroll_pane import ScrollPane
from amp_console.console.widgets.split import Split
from amp_console.console.widgets.steady_text import FittedText
from amp_console.ledger.comparisons import Comparison
from amp_console.sync.reconcile.descriptions import WHAT_COMPARING_DOES
from amp_console.text import clean, plural

NAME_LENGTH = 24  # characters of an audience's name in the footer
EMPTY = "No audience is chosen. Mark some under Audiences, then press r."


class ReconcileAllScreen(BaseScreen):
    """Several audiences and their cohorts."""

    NAME = "Reconcile several"
    HELP = """\
r compares the marked audiences, or all in the list. Each uses one of the month's downloads, and at
most four are exported at a time. The table keeps each result.

p repairs the differences of the marked audiences, once you have seen the plan. If none is marked,
it repairs the one under the cursor. To repair all, mark them with a first. Enter opens one
audience, with everyone who differs."""
    CSS_PATH = "all_view.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "r",
            "compare",
            "Compare",
            tooltip="Download cohorts and compare them; nothing is sent",
            id="reconcile_all.compare",
        ),
        Binding("c", "cancel", "Cancel", id="reconcile_all.cancel"),
        Binding(
            "p",
            "repair",
            "Repair",
            tooltip="Add and remove users in Amplitude, once you have seen the plan",
            id="reconcile_all.repair",
        ),
        COPY_ROW,
    ]

    def __init__(self, audience_ids: tuple[int, ...]) -> None:
        super().__init__()
        self._ids = audience_ids
        self._known: dict[Hashable, ComparedAudience] = {}
        self._is_read = False
        self._reloaded_after: ReconcileJob | None = None
        self._finished: frozenset[int] = frozenset()  # audiences, at the last read

    def body(self) -> ComposeResult:
        """The table, the audience under the cursor, and a line on what is under way."""
        grid = Grid(
            COLUMNS,
            empty=EMPTY,
            glyphs=self.services.glyphs,
            age=self.services.age_of,
            marks=True,
            opens="Who differs",
            id="list",
        )
        several = Vertical(grid, id="several", classes="panel")
        several.border_title = "Reconcile"
        yield Split(several, ScrollPane(FittedText(id="detail-text"), id="one", classes="panel"))
        with Container(id="state", classes="panel"):
            yield Static(id="says")

    def on_mount(self) -> None:
        """Ask how many downloads are left, if that is not known yet."""
        if self.services.figures.quota is None:
            self.run_worker(self.services.figures.update_quota())

    # Reading and showing.

    async def load(self) -> None:
        """Read the last comparison of each audience."""
        dead = await self.session.dead_runs()
        found = await self.session.read(read_known, self._ids, self.services.clock.now, dead)
        self._known = {item.audience.id: item for item in found}
        self._is_read = True
        self._show()

    def show_change(self, change: ConsoleChange) -> None:
        """Show a job's progress; read its changes once it is over."""
        self._show()  # at once, because the top line shows the same downloads
        if not isinstance(change, JobProgress):
            super().show_change(change)

    def _show(self) -> None:
        if not self._is_read or not self.is_current:
            return
        grid, glyphs, work = self.query_one("#list", Grid), self.services.glyphs, self._work
        grid.show(
            [
                row(
                    item,
                    work,
                    glyphs,
                    self.services.clock.age_now,
                    self.services.figures.size_of(item.audience),
                )
                for item in self._known.values()
            ]
        )
        self._show_one()
        panel = self.query_one("#several")
        said = [plural(len(self._known), "audience"), grid.marks.words]
        panel.border_subtitle = safe_text(glyphs.separator.join(text for text in said if text))
        self.query_one("#says", Static).update(safe_text((self._says(), MUTED)))
        if work is not None and work.is_over and self._reloaded_after is not work:
            self._reloaded_after = work
            self.reload()
        finished = frozenset(filter(partial(is_over, work), self._ids)) if work else frozenset()
        if finished != self._finished:
            self._finished = finished
            self.reload()
        self.action_keys.refresh()

    def on_grid_moved(self) -> None:
        """Show another audience, and name it in the footer, because a repair would be for it."""
        self._show_one()
        self.action_keys.refresh()

    def on_grid_marks_changed(self) -> None:
        """Show the number of marked audiences, and of downloads to compare them."""
        self._show()

    def useful_actions(self) -> UsefulActions:
        marked = self.query_one("#list", Grid).marks.words
        all_of_them = f"all {len(self._chosen):,}" if len(self._chosen) > 1 else ""
        compare = Labelled("compare", f"Compare {marked or all_of_them}".strip())
        one = clean(current.audience.name, NAME_LENGTH) if (current := self._current) else ""
        return compare, "cancel", Labelled("repair", f"Repair {marked or one}".strip())

    def _show_one(self) -> None:
        """Show the comparison of the audience under the cursor, if there is room."""
        known = self._current
        last = known.comparison if known is not None else None
        has_people = last is not None and last.has_differences
        self.query_one("#list", Grid).opens = "Who differs" if has_people else "Details"
        split = self.query_one(Split)
        split.fit_rows(len(self._known))
        split.has_detail = known is not None
        if known is not None:
            title = safe_text(known.audience.name, max_length=60)
            self.query_one("#one").border_title = title
            glyphs, now = self.services.glyphs, self.services.clock.age_now
            self.query_one(FittedText).fit(partial(detail_text, known, self._work, glyphs, now))

    def _says(self) -> str:
        work, quota = self._work, self.services.figures.quota
        asked = f"{quota}." if quota else ""
        if work is None:
            return f"{asked} Comparing takes {plural(self._downloads, 'download')}.".strip()
        if work.is_over:
            return work.failure or f"{work.end_notice} {asked}"
        left = [audience_id for audience_id in work.audience_ids if not is_over(work, audience_id)]
        count = f"{len(left)} of {plural(len(work.audience_ids), 'audience')}"
        return f"{work.operation.VERB}: {count} to go. {asked}"

    @property
    def _work(self) -> ReconcileJob | None:
        work = self.services.jobs.reconciling
        if work is None or not set(work.audience_ids) & set(self._ids):
            return None
        return work if work.session is self.services.session else None

    @property
    def _is_busy(self) -> bool:
        return under_way(self.services.jobs.reconciling) is not None

    @property
    def _current(self) -> ComparedAudience | None:
        """The audience under the cursor."""
        return self._known.get(self.query_one("#list", Grid).key)

    @property
    def _chosen(self) -> list[ComparedAudience]:
        """The marked audiences that can be compared, otherwise all that can."""
        marked = self.query_one("#list", Grid).marks
        wanted = [self._known[key] for key in self._known if not marked or key in marked]
        return [item for item in wanted if item.is_comparable]

    @property
    def _downloads(self) -> int:
        """How many downloads comparing the chosen audiences uses."""
        return sum(item.downloads for item in self._chosen)

    # Actions.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to compare or to cancel, and to repair once audiences were compared."""
        hidden = {"compare" if self._is_busy else "cancel"}
        chosen = self._to_repair if self._is_read else []
        if not any(item.comparison and not item.is_settled for item in chosen):
            hidden.add("repair")
        if is_open(self) and action in hidden:
            return False
        return super().check_action(action, parameters)

    def disabled_reason(self, action: str) -> str | None:
        """Why an action is unavailable now."""
        if action not in {"compare", "repair"}:
            return None
        if self._is_busy:
            return BUSY
        if not self._chosen:
            return "None of them has a cohort in Amplitude: sync them, or link one, first."
        return _reason_not_to_repair(self.session, self._to_repair) if action == "repair" else None

    @property
    def _to_repair(self) -> list[ComparedAudience]:
        """The marked audiences, otherwise the one under the cursor: a repair changes cohorts."""
        if self.query_one("#list", Grid).marks:
            return self._chosen
        return [self._current] if self._current is not None else []

    def on_grid_opened(self) -> None:
        """Open the audience under the cursor."""
        known = self._current
        if known is not None:
            self.services.navigate(OpenReconcile(known.audience.id))

    def action_compare(self) -> None:
        """Ask, naming the downloads it uses, then compare."""
        chosen, quota = self._chosen, self.services.figures.quota
        needed = plural(self._downloads, "download")
        if quota is not None and self._downloads > quota.left:
            self.services.notifications.post(
                f"That takes {needed}, and {quota.left:,} are left. Mark fewer audiences.",
                "warning",
            )
            return
        left = f"{quota}." if quota else "The number already used is unknown."
        lacking = sum(not item.is_comparable for item in self._known.values())
        marked = self.query_one("#list", Grid).marks
        others = f"{plural(lacking, 'audience')} without a cohort in Amplitude can't be compared."
        question = Confirm(
            f"Compare {plural(len(chosen), 'audience')}?",
            [
                f"This uses {self._downloads:,} of the month's downloads. {left}",
                *([others] if lacking and not marked else []),
                WHAT_COMPARING_DOES,
            ],
            yes="Compare",
        )
        operation = CompareOperation([item.audience for item in chosen])
        self.run_worker(self._compare_if(operation, question.asked(self.services)))

    async def _compare_if(self, operation: CompareOperation, asked: Awaitable[bool | None]) -> None:
        """Compare the audiences that the question named, even if more can be compared by now."""
        if await asked:
            self._start(operation)

    def _start(self, operation: ReconcileOperation) -> None:
        start(self.services, self.session, operation)
        self.query_one("#list", Grid).marks.clear()
        self.refresh_bindings()

    def action_cancel(self) -> None:
        """Ask, then end the job under way; what was sent stays sent."""
        job = self.services.jobs.reconciling
        if job is not None:
            asked = cancel_question(job).asked(self.services)
            self.run_worker(cancel_if(job, asked))

    def action_repair(self) -> None:
        """Choose what to repair, see the plan, and confirm it."""

        async def choose_and_start() -> None:
            different = _different(self._to_repair)
            is_single = len(different) == 1
            repair = await choose_repair(
                self.services, self.session, different, is_single=is_single
            )
            if repair is not None:
                self._start(repair)

        self.early_keys.ask_soon(choose_and_start())


def _different(audiences: Sequence[ComparedAudience]) -> list[Comparison]:
    """The comparisons with differences, of audiences that have a cohort."""
    found = [item.comparison for item in audiences if item.is_comparable]
    return [item for item in found if item is not None and item.is_repairable]


def _reason_not_to_repair(session: Session, audiences: Sequence[ComparedAudience]) -> str | None:
    """Why these audiences can't be repaired; None if some can."""
    names = "These audiences have"
    if len(audiences) == 1:
        names = f"“{clean(audiences[0].audience.name, 60)}” has"
    if not any(item.is_comparable for item in audiences):
        return f"{names} no cohort in Amplitude: there is nothing to repair."
    if not any(item.comparison for item in audiences):
        return NOT_COMPARED
    if not _different(audiences):
        return f"{names} no known differences."
    if all(item.is_settled for item in audiences if item.comparison):
        return NOTHING_LEFT
    return read_only_reason(session.connection)
