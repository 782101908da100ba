"""A run: watched while it goes, and looked at again long after."""

from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.timer import Timer
from textual.widgets import Static

from amp_console.console import run_view as run_picture
from amp_console.console.dialogs.base import Confirm
from amp_console.console.jobs.runs import SyncJob
from amp_console.console.lifecycle import is_open
from amp_console.console.routes import OpenErrors
from amp_console.console.run_view import RunView
from amp_console.console.screens.base import BaseScreen
from amp_console.console.screens.runs import rows as run_rows
from amp_console.console.texts import MUTED, TONE, said
from amp_console.console.widgets.grid import Grid, Paged, Row, RowsState
from amp_console.console.widgets.grid.columns import LEAD, fit_columns
from amp_console.console.widgets.top_bar import TopBar
from amp_console.console.words import at, stopwatch
from amp_console.ledger import requests, runs
from amp_console.ledger.rejected import RejectedFilter, RejectionGroup, rejection_groups
from amp_console.ledger.runs import RunKind, RunStatus
from amp_console.text import plural

OFTEN = 0.2  # seconds between two pictures of a run under way
SELDOM = 0.5  # seconds between two looks at its requests and rejections
NONE_SENT = "No request yet."
NONE_REJECTED = "No one is rejected."
NO_RUN = "No run yet. Press 1, choose audiences and press s to sync them."


_KINDS = {
    RunKind.SYNC: "Sync",
    RunKind.COMPARE: "Comparison",
    RunKind.RECONCILE: "Repair",
    RunKind.LIVE: "Live",
}


class RunScreen(BaseScreen):
    """One run. Without a number it is the one under way, else the one that was last."""

    NAME = "Run"
    HELP = """\
How far every audience is, how fast, and what it waits for. Leaving does not stop the run: w under
Audiences leads back here, and the line on top shows how far it is.

Pause lets the request in flight end and sends nothing more until you go on. Cancel ends the run
the same way; whoever was not delivered stays pending, and the next sync goes on from there.

Enter on an audience shows its requests alone; Enter on a request shows it whole. Enter on a
reason shows the users who were rejected for it."""
    CSS_PATH = "view.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "Pause", id="run.pause"),
        Binding("p", "resume", "Resume", id="run.resume"),
        Binding("c", "cancel", "Cancel", id="run.cancel"),
        Binding("x", "errors", "Errors", id="run.errors"),
        Binding("l", "log", "Log", id="run.log"),
        Binding("y", "copy", "Copy the row", show=False, id="copy"),
    ]

    def __init__(self, run_id: int | None = None) -> None:
        super().__init__()
        self._wanted = run_id
        self._work: SyncJob | None = None
        self._picture: RunView | None = None
        self._reasons: dict[object, RejectionGroup] = {}
        self._of_audience: tuple[int, str] | None = None
        self._timer: Timer | None = None
        self._read = ""

    def body(self) -> ComposeResult:
        """The audiences, the funnel; below them the requests, and who was rejected."""
        glyphs = self.services.glyphs
        with Vertical(id="run"):
            with Vertical(id="progress", classes="panel"):
                yield Static(id="headline")
                yield Grid(run_rows.AUDIENCES, glyphs=glyphs, id="bars")
                yield Static(id="doing")
                yield Static(id="funnel")
            with Horizontal(id="below"):
                with Vertical(id="requests", classes="panel"):
                    yield Grid(run_rows.REQUESTS, empty=NONE_SENT, glyphs=glyphs, id="log")
                    yield Grid(
                        run_rows.FULL_REQUESTS, empty=NONE_SENT, glyphs=glyphs, id="full-log"
                    )
                with Vertical(id="rejected", classes="panel"):
                    yield Grid(run_rows.REASONS, empty=NONE_REJECTED, glyphs=glyphs, id="reasons")

    # Looking.

    def on_mount(self) -> None:
        """Take hold of the run under way, if that is the one, and draw it as it goes."""
        sync = self.services.jobs.sync
        if sync is not None and self._wanted in {None, sync.run_id}:
            self._work = sync
            self._timer = self.set_interval(OFTEN, self._tick)
        self.query_one("#full-log").display = False

    @property
    def is_live(self) -> bool:
        """Whether it is a run of this console that goes on."""
        return self._work is not None and not self._work.is_over

    def reload(self) -> None:
        """Leave a run under way to its own, quicker clock."""
        if self._timer is None or self._picture is None:
            super().reload()

    def _tick(self) -> None:
        """Draw what moves; once nothing does, look a last time and never again."""
        if not self.is_live and self._timer is not None:
            self._timer.stop()
            self._timer = None
            self.reload()
        elif self.is_current:
            self._show(self._seen())
            self.query_one(TopBar).refresh()
            self._look_at_requests()

    async def load(self) -> None:
        """Show the run, its requests, and who was rejected."""
        self._show(self._seen() if self._work else await self._remembered())
        await self._read_ledger()

    def _seen(self) -> RunView:
        assert self._work is not None
        return run_picture.live(self._work)

    async def _remembered(self) -> RunView | None:
        if self._wanted is None:
            newest = await self.session.read(runs.all_runs, 1, await self.session.dead_runs())
            self._wanted = newest[0].id if newest else None
        if self._wanted is None:
            return None
        found = await self.session.read(runs.run, self._wanted, await self.session.dead_runs())
        if found is None:
            return None
        audiences = await self.session.read(runs.run_audiences, self._wanted)
        work, live = self.services.jobs.reconciling, self.services.jobs.live
        is_ours = work is not None and work.run_id == found.id
        if live is not None and live.snapshot is not None:
            is_ours = is_ours or live.snapshot.run_id == found.id
        return run_picture.past(found, audiences, self.services.clock.now, is_ours=is_ours)

    # Showing.

    def _show(self, picture: RunView | None) -> None:
        before, self._picture = self._picture, picture
        head = self.query_one("#headline", Static)
        if picture is None:
            for grid in self.query(Grid):
                grid.show_notice(RowsState.UNKNOWN, "")
            missing = NO_RUN if self._wanted is None else f"There is no run {self._wanted}."
            head.update(said((missing, MUTED)))
            return
        head.update(run_rows.headline(picture, self.services.glyphs))
        self._show_bars(picture)
        self._show_frame(picture)
        room = self.query_one("#funnel").size.width or self.size.width
        self.query_one("#funnel", Static).update(
            run_rows.funnel(picture.funnel, self.services.glyphs, room)
        )
        if before is None or before.outcome != picture.outcome:
            self.refresh_bindings()

    def _show_bars(self, picture: RunView) -> None:
        grid, glyphs = self.query_one("#bars", Grid), self.services.glyphs
        room = (grid.size.width or self.size.width - 4) - LEAD
        widths = {column.at: column.width for column in fit_columns(run_rows.AUDIENCES, room)}
        sizes = widths.get(run_rows.BAR, 0), widths.get(run_rows.DOING, 0)
        grid.show([run_rows.audience_row(line, glyphs, *sizes) for line in picture.lines])
        most = max(3, self.size.height // 3)
        grid.styles.height = min(len(picture.lines), most) + 1
        self._show_doing()

    def _show_doing(self) -> None:
        """Say wholly what the audience under the cursor does: its column may be too narrow."""
        text, key = self.query_one("#doing", Static), self.query_one("#bars", Grid).key
        of = next((line for line in self._lines() if line.audience_id == key), None)
        text.display = of is not None and len(of.doing) > 33
        if of is not None:
            text.update(said((f"{of.name}: ", MUTED), (of.doing, TONE[of.tone])))

    def _lines(self) -> tuple[run_picture.RunLine, ...]:
        return self._picture.lines if self._picture else ()

    def _show_frame(self, picture: RunView) -> None:
        dot, panel = f" {self.services.glyphs.dot} ", self.query_one("#progress")
        parts = [_KINDS[picture.kind], plural(len(picture.lines), "audience")]
        if picture.run_id is not None:
            parts.append(f"run {picture.run_id}")
        panel.border_title = said(dot.join(parts))
        time = f"{stopwatch(picture.elapsed)} elapsed"
        if picture.started_at is not None:
            when = self.services.age_of(picture.started_at)
            time = f"{at(picture.started_at)} ({when}){dot}{stopwatch(picture.elapsed)}"
        panel.border_subtitle = said(time)

    def show_ages(self) -> None:
        """Say how long ago the run began by now."""
        super().show_ages()
        if self._picture is not None:
            self._show_frame(self._picture)

    def on_resize(self) -> None:
        """Fit the bars to the new width."""
        if self._picture is not None:
            self.call_after_refresh(self._show, self._picture)

    # Requests and rejections, which are in the ledger.

    def _look_at_requests(self) -> None:
        """Read them again, when there is anything new and not too often."""
        picture = self._picture
        assert picture is not None
        state = f"{picture.counts}{int(picture.elapsed / SELDOM)}{picture.outcome}"
        if state != self._read:
            self._read = state
            self._read_again()

    def _read_again(self) -> None:
        self.loader.start("requests", self._read_ledger)

    async def _read_ledger(self) -> None:
        run_id = self._picture.run_id if self._picture else None
        if run_id is None and self._picture is not None:  # it has not begun
            self.query_one("#reasons", Grid).show(())
            for grid in (self.query_one("#log", Grid), self.query_one("#full-log", Grid)):
                grid.show(())
        if run_id is None or (self._work and self._work.session is not self.services.session):
            return
        of = self._of_audience[0] if self._of_audience else None
        count = await self.session.read(requests.count_requests, run_id, of)
        is_full = self.has_class("-log")
        rows = Paged(count, partial(self._load_page, run_id, of, is_full))
        await rows.fetch(0)
        grid = self._log
        is_at_top = grid.cursor == 0
        grid.show(rows)
        if is_at_top:
            grid.cursor = 0
        what = f"Requests of {self._of_audience[1]}" if self._of_audience else "Requests"
        panel = self.query_one("#requests")
        panel.border_title = said(what, longest=60)
        panel.border_subtitle = said(f"{count:,}" if count else "")
        self._show_reasons(await self.session.read(rejection_groups, RejectedFilter(run_id=run_id)))

    async def _load_page(
        self, run_id: int, of: int | None, is_full: bool, offset: int, limit: int
    ) -> list[Row]:
        found = await self.session.read(requests.requests_page, run_id, offset, limit, of)
        row = run_rows.full_request_row if is_full else run_rows.request_row
        return [row(item, self.services.glyphs) for item in found]

    def _show_reasons(self, groups: list[RejectionGroup]) -> None:
        of_several = len({group.audience_id for group in groups}) > 1
        rows = [run_rows.reason_row(group, of_several=of_several) for group in groups]
        self._reasons = {row.key: item for row, item in zip(rows, groups, strict=True)}
        grid = self.query_one("#reasons", Grid)
        grid.reshape(run_rows.REASONS_OF_SEVERAL if of_several else run_rows.REASONS)
        grid.show(rows)
        total = sum(group.count for group in groups)
        panel = self.query_one("#rejected")
        panel.border_title = said(f"Rejected ({total:,})" if total else "Rejected")

    @property
    def _log(self) -> Grid:
        return self.query_one("#full-log" if self.has_class("-log") else "#log", Grid)

    # Actions.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """One key is pause and resume, and a run that is over or not ours offers neither."""
        is_paused = self._work is not None and self._work.stop.is_paused
        if action == ("pause" if is_paused else "resume"):
            return False
        if action in {"pause", "cancel"} and is_open(self) and not self.is_live:
            return False
        return super().check_action(action, parameters)

    def disabled_reason(self, action: str) -> str | None:
        """What can't be done with a run that is over, or that is not ours."""
        if action in {"pause", "resume", "cancel"}:
            if not self.is_live:
                return self._why_not_ours()
            if self._work is not None and self._work.stop.is_asked:
                return "The run is ending already: it waits for the request in flight."
        if action in {"errors", "log"} and (self._picture is None or self._picture.run_id is None):
            return "The run has not begun."
        return None

    def _why_not_ours(self) -> str:
        picture = self._picture
        if picture is None or picture.outcome != str(RunStatus.RUNNING):
            return "This run has finished: there is nothing to pause or cancel."
        if picture.kind is RunKind.LIVE:
            return "Pause or end a live session where it runs; for this console's, press 6."
        return "Another process carries out this run. Pause or cancel it there."

    def action_pause(self) -> None:
        """Send nothing more until told to go on."""
        if self._work is not None:
            self._work.pause()
            self._refresh_all()

    def action_resume(self) -> None:
        """Go on."""
        if self._work is not None:
            self._work.resume()
            self._refresh_all()

    def action_cancel(self) -> None:
        """Ask, then end the run."""
        picture = self._picture
        left = (picture.funnel.pending or 0) + picture.funnel.retrying if picture else 0
        question = Confirm(
            "Cancel this run?",
            [
                "The request in flight ends first. What is delivered stays delivered.",
                f"{plural(left, 'user')} not delivered yet stay pending for the next sync.",
            ],
            yes="Cancel the run",
            no="Keep it running",
        )
        self.app.push_screen(question, self._cancel)

    def _cancel(self, is_meant: bool | None) -> None:
        if is_meant and self._work is not None:
            self._work.cancel()
            self._refresh_all()

    def _refresh_all(self) -> None:
        self._show(self._seen())
        self.refresh_bindings()

    def action_errors(self) -> None:
        """Open the users whom this run's requests rejected."""
        self._open_errors(RejectedFilter(run_id=self._picture.run_id if self._picture else None))

    def _open_errors(self, of: RejectedFilter) -> None:
        self.services.navigate(OpenErrors(of.audience_id, run_id=of.run_id))

    def action_log(self) -> None:
        """Show the requests full-size, or small again."""
        self._toggle_log(not self.has_class("-log"))

    def _toggle_log(self, is_full: bool) -> None:
        self.set_class(is_full, "-log")
        if not is_full:
            self._of_audience = None
        self.query_one("#log").display = not is_full
        self.query_one("#full-log").display = is_full
        (self._log if is_full else self.query_one("#bars")).focus()
        self._read_again()

    def action_back(self) -> None:
        """From the full-size log back to the run; from there to where one came from."""
        if self.has_class("-log"):
            self._toggle_log(False)
        else:
            super().action_back()

    def action_copy(self) -> None:
        """Copy the row of the grid that has the focus."""
        focused = self.focused
        row = focused.row if isinstance(focused, Grid) else None
        if row is not None:
            self.services.clipboard.copy("\t".join(cell.text for cell in row.cells))

    def on_grid_moved(self, event: Grid.Moved) -> None:
        """Say what the audience under the cursor does."""
        if event.grid.id == "bars":
            self._show_doing()

    def on_grid_opened(self, event: Grid.Opened) -> None:
        """Open an audience's requests, a request, or the users rejected for a reason."""
        match event.grid.id:
            case "bars" if isinstance(event.key, int):
                name = next(of.name for of in self._lines() if of.audience_id == event.key)
                self._of_audience = event.key, name
                self._toggle_log(True)
            case "log" | "full-log" if isinstance(event.key, int):
                from amp_console.console.dialogs.request_view import RequestView

                self.app.push_screen(RequestView(event.key))
            case "reasons" if event.key in self._reasons:
                of = self._reasons[event.key]
                run_id = self._picture.run_id if self._picture else None
                self._open_errors(RejectedFilter(of.audience_id, run_id=run_id))
