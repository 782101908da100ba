"""One run as a whole: how far it is, its requests, and who was rejected."""

from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message

from amp_console.console import run_view
from amp_console.console.context import Services
from amp_console.console.dialogs.request_view import RequestView
from amp_console.console.routes import OpenErrors
from amp_console.console.run_view import RunView
from amp_console.console.screens.base import screen_of
from amp_console.console.screens.runs.panels import ProgressPanel, RejectedPanel, RequestsPanel
from amp_console.console.session import Session
from amp_console.console.widgets.grid import Grid, RowsState
from amp_console.ledger import runs

ROOMY = 110  # columns from which requests and rejected users are side by side


class RunDetail(Vertical):
    """A run with its audiences, requests and rejected users.

    Enter shows a request, or the users who were rejected for a reason; for an audience it posts
    `AudienceOpened`.
    """

    @dataclass
    class AudienceOpened(Message):
        """Enter was pressed on an audience."""

        audience_id: int

    DEFAULT_CSS = """
    RunDetail #progress { height: auto; }
    RunDetail #headline { height: auto; max-height: 6; margin-bottom: 1; }
    RunDetail #bars { min-height: 2; }
    RunDetail #doing { height: auto; max-height: 3; }
    RunDetail #funnel { height: 2; margin-top: 1; }
    RunDetail #below { height: 1fr; }
    RunDetail #requests { width: 3fr; }
    RunDetail #rejected { width: 2fr; }
    RunDetail.-narrow #headline, RunDetail.-narrow #funnel { margin: 0; }
    RunDetail.-stacked #below { layout: vertical; }
    RunDetail.-stacked #requests { width: 1fr; height: 2fr; }
    RunDetail.-stacked #rejected { width: 1fr; height: 1fr; }
    """

    def __init__(self, *, id: str) -> None:  # noqa: A002  # Textual's word
        super().__init__(id=id)
        self.view: RunView | None = None
        """The run that is shown."""

    def compose(self) -> ComposeResult:
        yield ProgressPanel()
        with Horizontal(id="below"):
            yield RequestsPanel()
            yield RejectedPanel()

    def on_resize(self) -> None:
        """Lay the panels out for another width, and leave room for the requests."""
        width, height = self.size
        self.set_class(width < ROOMY or height < 24, "-narrow")
        self.set_class(width < ROOMY and height > 30, "-stacked")
        self.query_one(ProgressPanel).fit_into(height)

    def show(self, view: RunView) -> None:
        """Show a run; `load_requests` shows its requests."""
        self.view = view
        self.query_one(ProgressPanel).show(view)

    def show_missing(self, why: str) -> None:
        """Say why there is no run to show."""
        self.view = None
        for grid in self.query(Grid):
            grid.show_notice(RowsState.UNKNOWN, "")
        self.query_one(ProgressPanel).show_missing(why)

    async def load_requests(self, session: Session) -> None:
        """Read the requests of the run, and who they rejected. Raises `LedgerError`."""
        run_id = self.view.run_id if self.view is not None else None
        if run_id is None:  # it has not begun
            for name in ("#reasons", "#log", "#full-log"):
                self.query_one(name, Grid).show(())
            return
        await self.query_one(RequestsPanel).load(session, run_id)
        await self.query_one(RejectedPanel).load(session, run_id)

    def on_grid_moved(self, event: Grid.Moved) -> None:
        """Keep the cursors of these lists apart from those of the screen."""
        event.stop()

    def on_grid_opened(self, event: Grid.Opened) -> None:
        """Open an audience, a request, or the users rejected for a reason."""
        event.stop()
        match event.grid.id:
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
    """Return a run: of a sync of this console as it is now, else as the ledger knows it.

    None where there is none of this id. Raises `LedgerError`.
    """
    jobs, sync = services.jobs, services.jobs.sync
    if sync is not None and sync.session is session and sync.run_id == run_id is not None:
        return run_view.live(sync)
    found = None
    if run_id is not None:
        found = await session.read(runs.run, run_id, await session.dead_runs())
    if found is None:
        return None
    audiences = await session.read(runs.run_audiences, found.id)
    is_ours = jobs.reconciling is not None and jobs.reconciling.run_id == found.id
    if jobs.live is not None and jobs.live.snapshot is not None:
        is_ours = is_ours or jobs.live.snapshot.run_id == found.id
    return run_view.past(found, audiences, services.clock.now, is_ours=is_ours)
