"""One run: its progress, its requests, and who was rejected."""

from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message

from amp_console.console import run_view
from amp_console.console.background import in_thread
from amp_console.console.context import Services
from amp_console.console.dialogs.export import SAVE_AS, TITLE, ExportRequest, export_to
from amp_console.console.dialogs.request_view import RequestView
from amp_console.console.jobs.under_way import under_way
from amp_console.console.routes import OpenErrors, OpenReconcile
from amp_console.console.run_lines import RunLine
from amp_console.console.run_view import RunView
from amp_console.console.screens.base import screen_of
from amp_console.console.screens.errors.retry import ask_and_retry, finish_retry
from amp_console.console.screens.footer import UsefulActions, Withheld
from amp_console.console.screens.runs.panels import (
    REQUEST_LINES,
    ProgressPanel,
    RejectedPanel,
    RequestsPanel,
)
from amp_console.console.session import Session
from amp_console.console.widgets.grid import Grid, RowsState
from amp_console.ledger.db import EVERY
from amp_console.ledger.rejected import RejectedFilter, rejected_page
from amp_console.ledger.runs import RunKind
from amp_console.sync.queries.errors_export import write_errors_csv
from amp_console.sync.queries.run_details import run_details
from amp_console.text import clean

ROOMY = 110  # from this many columns on, requests and rejected users are side by side
LEAST_LINES = 8  # lines of the progress of a run with one audience
RESUME_ALONE = "w, then p,"  # the keys: beside the history, a run can't be paused or resumed
NOT_COMPARED = "This run compared no cohort: no one can be said to differ."


class RunDetail(Vertical):
    """A run with its audiences, requests and rejected users, who can be retried and exported.

    Enter shows a request, or the users who were rejected for a reason. For an audience that was
    compared, it shows the differences; for any other, it posts `AudienceOpened`.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "R",
            "retry",
            "Retry",
            tooltip="Make rejected users pending again",
            id="run.retry",
        ),
        Binding(
            "E",
            "export",
            "Export",
            tooltip="Write rejected users to a CSV file",
            id="run.export",
        ),
    ]

    @dataclass
    class AudienceOpened(Message):
        """Enter was pressed on an audience."""

        audience_id: int

    DEFAULT_CSS = """
    RunDetail #progress { height: auto; }
    RunDetail #headline { height: auto; max-height: 8; margin-bottom: 1; }
    RunDetail #bars { min-height: 2; }
    RunDetail #doing { height: auto; max-height: 3; }
    RunDetail #funnel { height: auto; margin-top: 1; }
    RunDetail #below { height: 1fr; }
    RunDetail #requests { width: 3fr; }
    RunDetail #rejected { width: 2fr; }
    RunDetail.-narrow #headline, RunDetail.-narrow #funnel { margin: 0; }
    RunDetail.-short #below { display: none; }
    RunDetail.-stacked #below { layout: vertical; }
    RunDetail.-stacked #requests { width: 1fr; height: 2fr; }
    RunDetail.-stacked #rejected { width: 1fr; height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__(id="run")
        self.view: RunView | None = None
        """The run on screen."""

    def compose(self) -> ComposeResult:
        yield ProgressPanel()
        with Horizontal(id="below"):
            yield RequestsPanel()
            yield RejectedPanel()

    def on_resize(self) -> None:
        """Lay the panels out for the new width, with room for the requests."""
        width, height = self.size
        if not width:
            return  # it is hidden
        # All at once: each change of a class styles everything inside again.
        self.update_classes(
            {
                "-narrow": width < ROOMY or height < 24,
                "-stacked": width < ROOMY and height > 30,
                "-short": height < REQUEST_LINES,
            }
        )
        self.query_one(ProgressPanel).fit_into(height)

    def show(self, view: RunView) -> None:
        """Show a run; `load_requests` shows its requests."""
        self.view = view
        self.query_one(ProgressPanel).show(view)

    def show_missing(self, why: str) -> None:
        """Show why there is no run."""
        self.view = None
        for grid in self.query(Grid):
            grid.show_notice(RowsState.UNKNOWN, "")
        self.query_one(ProgressPanel).show_missing(why)

    async def load_requests(self, session: Session) -> None:
        """Read the requests of the run, and who they rejected. Raises `LedgerError`."""
        view = self.view
        if view is None or view.run_id is None:  # it has not started
            for name in ("#reasons", "#log", "#full-log"):
                self.query_one(name, Grid).show(())
            return
        await self.query_one(RequestsPanel).load(session, view.run_id)
        await self.query_one(RejectedPanel).load(
            session, view.run_id, view.counts.rejected, is_over=not view.is_under_way
        )
        screen_of(self).action_keys.refresh()

    # The differences found by the run.

    @property
    def _is_comparison(self) -> bool:
        return self.view is not None and self.view.kind is RunKind.COMPARE

    @property
    def _line(self) -> RunLine | None:
        """The audience under the cursor."""
        return self.query_one(ProgressPanel).line(self.query_one("#bars", Grid).key)

    @property
    def reason_without_differences(self) -> str | None:
        """Why there are no differences to show; None if the audience was compared."""
        lines = self.view.lines if self.view is not None else ()
        if not any(line.comparison_id for line in lines):
            return NOT_COMPARED
        line = self._line
        if line is not None and line.comparison_id is None:
            return f"This run did not compare {clean(line.name)}: choose another audience."
        return None

    def show_differences(self) -> None:
        """Show who differed when the run compared the audience under the cursor."""
        if (line := self._line) is not None:
            route = OpenReconcile(line.audience_id, line.comparison_id)
            screen_of(self).services.navigate(route)

    # The rejected users of the run.

    @property
    def withheld(self) -> UsefulActions:
        """Retrying, if Amplitude would reject all of them again."""
        return (Withheld("retry"),) if self.query_one(RejectedPanel).is_in_vain else ()

    @property
    def _rejected(self) -> RejectedFilter:
        return RejectedFilter(run_id=self.view.run_id if self.view is not None else None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer actions on rejected users once the run is over, if there are any."""
        if action in {"retry", "export"}:
            is_over = self.view is not None and not self.view.is_under_way
            return is_over and self.query_one(RejectedPanel).has_users
        return super().check_action(action, parameters)

    def action_retry(self) -> None:
        """Make the run's users who are still rejected pending again."""
        screen_of(self).early_keys.ask_soon(self._retry())

    async def _retry(self) -> None:
        screen = screen_of(self)
        outcome = await ask_and_retry(screen.services, self._rejected)
        finish_retry(screen.services, outcome)
        screen.reload()

    def action_export(self) -> None:
        """Write the run's users who are still rejected to a CSV file."""
        name = f"rejected-users-run-{self._rejected.run_id}.csv"
        self.run_worker(export_to(screen_of(self).services, TITLE, SAVE_AS, name, self._export))

    async def _export(self, request: ExportRequest) -> int:
        session = screen_of(self).session
        users = await session.read(rejected_page, self._rejected, 0, EVERY)
        return await in_thread(write_errors_csv, request.path, users, [], exact=request.exact)

    # Navigation.

    def on_grid_moved(self, event: Grid.Moved) -> None:
        """Keep the cursors of these lists separate from those of the screen."""
        event.stop()

    def on_grid_opened(self, event: Grid.Opened) -> None:
        """Open an audience, a request, or the users rejected for a reason."""
        event.stop()
        match event.grid.id:
            case "bars" if self._is_comparison and self.reason_without_differences is None:
                self.show_differences()
            case "bars" if isinstance(event.key, int):
                self.post_message(self.AudienceOpened(event.key))
            case "log" | "full-log" if isinstance(event.key, int):
                self.app.push_screen(RequestView(event.key))
            case "reasons":
                group = self.query_one(RejectedPanel).group(event.key)
                if group is not None and self.view is not None:
                    route = OpenErrors(group.audience_id, run_id=self.view.run_id)
                    screen_of(self).services.navigate(route)


async def read_run(services: Services, session: Session, run_id: int | None) -> RunView | None:
    """Return a run: a sync of this console in its current state, others from the ledger.

    None if there is none with this ID. Raises `LedgerError`.
    """
    jobs, sync = services.jobs, services.jobs.sync
    is_sync = sync is not None and sync.session is session and sync.run_id == run_id is not None
    if sync is not None and is_sync and not sync.is_over:
        return run_view.live(sync, resume=RESUME_ALONE)
    found = None
    if run_id is not None:
        found = await session.read(run_details, run_id, await session.dead_runs())
    if sync is not None and is_sync:
        return run_view.live(sync, found)
    if found is None:
        return None
    is_ours = jobs.reconciling is not None and jobs.reconciling.run_id == run_id
    is_paused = False
    if (live := under_way(jobs.live)) and live.run_id == run_id:
        is_ours, is_paused = True, live.is_paused
    return run_view.past(found, services.clock.now, is_ours=is_ours, is_paused=is_paused)
