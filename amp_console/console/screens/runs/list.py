"""The history: every run, how it ended and what it did."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from amp_console.console.glyphs import Glyphs
from amp_console.console.jobs.base import ConsoleChange, JobProgress
from amp_console.console.jobs.live import LiveJob
from amp_console.console.jobs.runs import RunJob
from amp_console.console.jobs.under_way import Jobs, under_way
from amp_console.console.routes import MainScreen, OpenErrors, OpenReplay, OpenRun
from amp_console.console.run_words import OUTCOME_TONES
from amp_console.console.screens.actions import Need
from amp_console.console.screens.base import COPY_ROW, FILTER, BaseScreen
from amp_console.console.screens.footer import UsefulActions, Withheld
from amp_console.console.screens.runs.detail import LEAST_LINES, RunDetail, read_run
from amp_console.console.screens.runs.rows import sign
from amp_console.console.texts import safe_text
from amp_console.console.widgets.filter_bar import FilterBar
from amp_console.console.widgets.grid import Cell, Column, Grid, Row
from amp_console.console.widgets.split import Split
from amp_console.console.words import SECOND, aged, changes, lasting
from amp_console.ledger.operators import has_several_operators
from amp_console.ledger.run_log import run_outcome, run_reason
from amp_console.ledger.runs import Run, RunKind, all_runs
from amp_console.text import blank_if_zero, plural

COLUMNS = (
    Column("Run", 3, right=True),
    Column("Started", 12),
    Column("Kind", 7),
    Column("By", 8, rank=2, narrows=7, hides=True),
    Column("Outcome", 12, narrows=8),
    Column("Reason", 18, flex=1, rank=1),
    Column("Took", 5, right=True, rank=4),
    Column("Changed", 7, right=True),
    Column("Rejected", 8, right=True, rank=5),  # if left out, the reason includes it
    Column("Requests", 8, right=True, rank=6),
)
MAX_ROWS = 8  # above a run, which needs lines for its requests; the rest scroll
EMPTY = """\
No run yet.

Press 1 for the audiences, then s to sync one, or S for all of them. You will see
the plan first, and nothing is sent before you have confirmed it."""


class RunsScreen(BaseScreen):
    """All runs, the newest first, and the one under the cursor."""

    NAME = "Runs"
    BELONGS_TO = MainScreen.RUNS
    HELP = """\
Every sync, comparison and repair, from this console and from the command line. Changed counts the
users that a run added (+) and removed. Rejected counts the users that Amplitude rejected in the
run's requests. Reason also counts users rejected earlier, missing IDs and invalid events. Errors
lists who is left now.

The run under the cursor is shown beside or below the list, with its audiences, requests and
rejected users. Enter goes there, and Esc back. w opens the run on its own, to pause or cancel it. b
plays a finished run back from its log, which sends nothing."""
    CSS_PATH = "list.tcss"
    PANES = (RunDetail,)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "w",
            "open",
            "Whole run",
            tooltip="Open the run's own screen, where a sync can be paused or cancelled",
            id="runs.open",
        ),
        Binding(
            "d",
            "differences",
            "Who differs",
            tooltip="Show who differed in this run",
            id="runs.differences",
        ),
        Binding("x", "errors", "Errors", id="runs.errors"),
        Binding(
            "b",
            "play_back",
            "Play back",
            tooltip="Show what the run did, from its log; nothing is sent",
            id="runs.play_back",
        ),
        FILTER,
        COPY_ROW,
    ]

    NEEDS = {  # noqa: RUF012
        "open": {Need.ROW},
        "errors": {Need.ROW},
        "play_back": {Need.ROW},
        "differences": {Need.ROW},
        "copy": {Need.ROW},
    }
    NO_ROW = "There is no run here to open."

    def body(self) -> ComposeResult:
        grid = Grid(
            COLUMNS,
            empty=EMPTY,
            noun="run",
            glyphs=self.services.glyphs,
            age=self.services.age_of,
            opens="Open",
            id="list",
        )
        panel = Container(FilterBar(), grid, id="runs", classes="panel")
        panel.border_title = "Runs"
        yield Split(panel, RunDetail(), detail_lines=LEAST_LINES)

    def __init__(self) -> None:
        super().__init__()
        self._comparing: frozenset[int] = frozenset()
        """The runs that compared a cohort."""
        self._rejecting: frozenset[int] = frozenset()
        """The runs that ended with rejected users."""
        self._sending: frozenset[int] = frozenset()
        """The runs of a kind that sends requests."""

    async def load(self) -> None:
        """Read the history, and the run under the cursor."""
        found = await self.session.read(all_runs, dead=await self.session.dead_runs())
        self._comparing = frozenset(run.id for run in found if run.found.cohorts)
        self._rejecting = frozenset(run.id for run in found if run.has_rejected)
        self._sending = frozenset(run.id for run in found if run.kind is not RunKind.COMPARE)
        grid = self.query_one("#list", Grid)
        paused = _paused(self.services.jobs)
        glyphs, now = self.services.glyphs, self.services.clock.age_now
        is_shared = await self.session.read(has_several_operators)
        grid.show(
            [
                row(item, glyphs, now, is_shared=is_shared, is_paused=item.id in paused)
                for item in found
            ]
        )
        self.query_one("#runs").border_subtitle = safe_text(
            plural(len(found), "run") if found else ""
        )
        split = self.query_one(Split)
        split.fit_rows(min(len(found), MAX_ROWS))
        split.has_detail = self._run_id is not None
        await self._load_detail()

    async def _load_detail(self) -> None:
        detail, run_id = self.query_one(RunDetail), self._run_id
        if run_id is None or not detail.display:
            return
        view = await read_run(self.services, self.session, run_id)
        if view is not None and run_id == self._run_id:
            detail.show(view)
            await detail.load_requests(self.session)

    def show_change(self, change: ConsoleChange) -> None:
        """Show each step of the run under the cursor; reload the list for other changes."""
        if not isinstance(change, JobProgress):
            super().show_change(change)
        elif self.is_current and isinstance(change.job, RunJob | LiveJob):
            self.loader.follow("detail", self._load_detail)

    @property
    def _run_id(self) -> int | None:
        """The run under the cursor."""
        key = self.query_one("#list", Grid).key
        return key if isinstance(key, int) else None

    def on_grid_moved(self) -> None:
        """Show the run under the cursor; dim actions that need one."""
        self.query_one(Split).has_detail = self._run_id is not None
        self.refresh_bindings()
        self.loader.follow("detail", self._load_detail)

    def on_split_widened(self) -> None:
        """Show the run, for which there is now room."""
        self.loader.follow("detail", self._load_detail)

    def on_grid_opened(self) -> None:
        """Go to the run beside or below the list, or open it if there is no room."""
        split = self.query_one(Split)
        if split.is_alone:
            self.action_open()
        else:
            split.enter()

    def on_run_detail_audience_opened(self) -> None:
        self.action_open()

    def useful_actions(self) -> UsefulActions:
        """The bindings' order; without room for the run, Enter opens it alone, like w."""
        withheld = self.query_one(RunDetail).withheld
        return (Withheld("open"), *withheld) if self.query_one(Split).is_alone else withheld

    def action_open(self) -> None:
        """Open the run under the cursor."""
        if self._run_id is not None:
            self.services.navigate(OpenRun(self._run_id))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer differences if the run has compared a cohort, and errors if it left any."""
        if action == "differences" and self._run_id not in self._comparing:
            return False
        if action in {"errors", "play_back"} and self._reason_of_run(action) is not None:
            return False
        return super().check_action(action, parameters)

    def disabled_reason(self, action: str) -> str | None:
        if action == "differences" and self._run_id is not None:
            return self._reason_without_differences(self._run_id)
        return super().disabled_reason(action) or self._reason_of_run(action)

    def _reason_of_run(self, action: str) -> str | None:
        """Why the run under the cursor has no errors, or nothing to play back."""
        run_id = self._run_id
        if run_id is None:
            return None
        if action == "errors" and run_id not in self._rejecting:
            return f"Run {run_id} left no user rejected. To see all who are, press 2."
        if action == "play_back" and run_id not in self._sending:
            return f"Run {run_id} has sent no request, so there is nothing to play back."
        return None

    def _reason_without_differences(self, run_id: int) -> str | None:
        detail = self.query_one(RunDetail)
        return detail.reason_without_differences if self._is_shown(run_id) else None

    def _is_shown(self, run_id: int) -> bool:
        """Whether the detail shows this run."""
        detail = self.query_one(RunDetail)
        return detail.display and detail.view is not None and detail.view.run_id == run_id

    def action_differences(self) -> None:
        """Show who differed in the run's comparison; if the run is not shown, open it first."""
        if self._run_id is not None and self._is_shown(self._run_id):
            self.query_one(RunDetail).show_differences()
        else:
            self.action_open()

    def action_play_back(self) -> None:
        """Play back the run under the cursor, from its request log."""
        if self._run_id is not None:
            self.services.navigate(OpenReplay(self._run_id))

    def action_errors(self) -> None:
        """Open users this run rejected."""
        if self._run_id is not None:
            self.services.navigate(OpenErrors(run_id=self._run_id))


def _paused(jobs: Jobs) -> set[int | None]:
    """The runs of this console that are paused."""
    sync, live = under_way(jobs.sync), under_way(jobs.live)
    found = {sync.run_id} if sync is not None and sync.stop.is_paused else set()
    return found | ({live.run_id} if live is not None and live.is_paused else set())


def row(run: Run, glyphs: Glyphs, now: int, *, is_shared: bool, is_paused: bool = False) -> Row:
    """One run, with the operator if several share the ledger.

    `is_paused`: it is a paused sync or live session of this console.
    """
    operator = run.operator if is_shared else ""
    status, outcome = str(run.status), run_outcome(run.kind, run.status)
    if is_paused:
        status = outcome = "paused"
    reason = "" if is_paused else run_reason(run)
    took = None if run.ended_at is None else (run.ended_at - run.started_at) / SECOND
    return Row(
        run.id,
        (
            Cell(str(run.id), "dim"),
            aged(run.started_at, now, glyphs, ""),
            Cell(str(run.kind), "dim"),
            Cell(operator, "dim"),
            Cell(f"{sign(status, outcome, glyphs)} {outcome}", OUTCOME_TONES.get(status, "")),
            Cell(reason, "dim"),
            Cell("" if took is None else lasting(took)),
            Cell(changes(run.added, run.removed, glyphs).replace("  ", " ")),
            Cell(blank_if_zero(run.rejected), "bad"),
            Cell(glyphs.dash if run.kind is RunKind.COMPARE else f"{run.requests:,}"),
        ),
        (
            run.id,
            run.started_at,
            str(run.kind),
            operator,
            outcome,
            reason,
            took,
            run.added + run.removed,
            run.rejected,
            run.requests,
        ),
    )
