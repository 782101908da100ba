"""One run, under way or over."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from amp_console.console import run_view
from amp_console.console.dialogs.base import Confirm
from amp_console.console.dialogs.end_session import ask_to_end
from amp_console.console.jobs.base import ConsoleChange, JobProgress
from amp_console.console.jobs.live import LiveJob
from amp_console.console.jobs.runs import SyncJob
from amp_console.console.jobs.under_way import under_way
from amp_console.console.lifecycle import is_open
from amp_console.console.routes import MainScreen, OpenErrors
from amp_console.console.run_view import RunView
from amp_console.console.screens.base import COPY_ROW, BaseScreen
from amp_console.console.screens.footer import Labelled, UsefulActions, Withheld
from amp_console.console.screens.runs.detail import NOT_COMPARED, RunDetail, read_run
from amp_console.console.screens.runs.panels import ProgressPanel, RequestsPanel
from amp_console.console.session import Session
from amp_console.ledger import runs
from amp_console.ledger.runs import RunKind, RunStatus

SELDOM = 0.5  # seconds between two reads of its requests and rejections
NO_RUN = "No run yet. Press 1, choose audiences and press s to sync them."


class RunScreen(BaseScreen):
    """One run. Without an ID, the one under way, otherwise the last one."""

    NAME = "Run"
    BELONGS_TO = MainScreen.RUNS
    HELP = """\
How far every audience is, how fast, and what it waits for. Leaving does not stop the run: w under
Audiences leads back here, and the top line shows how far it is.

A sync counts the events read since the last sync or live session, for all audiences. A live session
counts those that it read itself.

Delivered: everything that could be sent is delivered. Partial: the same, but the run had rejected
users or invalid events. Incomplete: some of its changes are still pending. Interrupted: its process
ended before the run did. The outcome ignores changes that arrive after the last request, users that
earlier runs rejected, and users with missing IDs.

Pending retry counts the users of the last request of an audience, if it failed. The detail under
Audiences counts all users of such requests as unconfirmed, also those who have changed since.

If the users of a request are in parentheses, it delivered none of them: it failed, or it created
the cohort, and later requests confirm its users.

Pause finishes the current request and sends nothing more until you resume. Cancel ends the run the
same way. Users not delivered stay pending, and the next sync continues from there. A live session
of this console is paused under Live (4).

Enter on an audience shows only its requests, or who differed if it was compared. d shows who
differed, too, even after a repair that compared again. Enter on a request shows it in full. Enter
on a reason shows the users rejected for it. R makes the rejected users of a finished run pending
again, and E writes them to a CSV file."""
    CSS_PATH = "view.tcss"
    PANES = (RunDetail,)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "Pause", id="run.pause"),
        Binding("p", "resume", "Resume", tooltip="Send again", id="run.resume"),
        Binding("c", "cancel", "Cancel", id="run.cancel"),
        Binding("x", "errors", "Errors", id="run.errors"),
        Binding(
            "d",
            "differences",
            "Who differs",
            tooltip="Show who differed in this run",
            id="run.differences",
        ),
        Binding("v", "log", "Requests", tooltip="Show the requests full-size", id="run.log"),
        COPY_ROW,
    ]

    def __init__(self, run_id: int | None = None) -> None:
        super().__init__()
        self._run_id = run_id
        self._job: SyncJob | None = None
        self._requests_state = ""  # of the run, at the last read of its requests

    def body(self) -> ComposeResult:
        yield RunDetail()

    # Loading.

    def on_mount(self) -> None:
        """Watch the run under way, if it is this one."""
        sync = self.services.jobs.sync
        if sync is not None and self._run_id in {None, sync.run_id}:
            self._job = sync

    @property
    def is_live(self) -> bool:
        """Whether the run is under way in this console."""
        return under_way(self._job) is not None

    @property
    def _view(self) -> RunView | None:
        return self._detail.view

    @property
    def _detail(self) -> RunDetail:
        return self.query_one(RunDetail)

    def show_change(self, change: ConsoleChange) -> None:
        """Show each step of a run under way; other changes only matter once it is over."""
        if isinstance(change, JobProgress) and change.job is self._job:
            self._show_progress()
        elif not self.is_live:
            super().show_change(change)

    def show_ages(self) -> None:
        """Update the elapsed time and waits of a run under way."""
        super().show_ages()
        if self.is_live:
            self._show_progress()

    def _show_progress(self) -> None:
        if not self.is_current or self._job is None:
            return
        view = run_view.live(self._job)
        self._show(view)
        state = f"{view.counts}{int(view.elapsed / SELDOM)}{view.outcome}"
        if state != self._requests_state:
            self._requests_state = state
            self.loader.follow("requests", self._load_requests)

    async def load(self) -> None:
        """Show the run, its requests, and who was rejected."""
        job = self._job
        if job is not None and (not job.is_over or job.run_id is None):
            self._show(run_view.live(job))
        else:
            if job is not None:
                self._run_id = job.run_id
            if self._run_id is None:
                self._run_id = await _newest_run(self.session)
            self._show(await read_run(self.services, self.session, self._run_id))
        await self._load_requests()

    def _show(self, view: RunView | None) -> None:
        before = self._view
        if view is None:
            missing = NO_RUN if self._run_id is None else f"There is no run {self._run_id}."
            self._detail.show_missing(missing)
            return
        self._detail.show(view)
        if before is None or before.outcome != view.outcome:
            self.refresh_bindings()

    async def _load_requests(self) -> None:
        if self._view is not None and (
            self._job is None or self._job.session is self.services.session
        ):
            await self._detail.load_requests(self.session)

    # Actions.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer either pause or resume, and neither if the run is over or another process's."""
        is_paused = self._job is not None and self._job.stop.is_paused
        if action == ("pause" if is_paused else "resume"):
            return False
        if action == "cancel" and is_open(self) and _own_session(self) is not None:
            return super().check_action(action, parameters)
        if action in {"pause", "cancel"} and is_open(self) and not self.is_live:
            return False
        if action == "errors" and self._view is not None and not self._view.has_rejected:
            return False
        has_compared = self._detail.reason_without_differences != NOT_COMPARED
        if action == "differences" and is_open(self) and not has_compared:
            return False
        return super().check_action(action, parameters)

    def useful_actions(self) -> UsefulActions:
        log = Withheld("log") if self.has_class("-log") else "log"
        if self.is_live:
            return "pause", "resume", "cancel", "errors", log
        has_found = self._detail.reason_without_differences is None
        differences = ("differences",) if has_found else ()
        end = (Labelled("cancel", "End session"),) if _own_session(self) is not None else ()
        return *end, *differences, "errors", log, *self._detail.withheld

    def disabled_reason(self, action: str) -> str | None:
        if action in {"pause", "resume", "cancel"}:
            return _reason_to_leave(self, action) or super().disabled_reason(action)
        if action == "differences":
            return self._detail.reason_without_differences
        if action in {"errors", "log"} and (self._view is None or self._view.run_id is None):
            return "The run has not started."
        if action == "errors" and self._view is not None and not self._view.has_rejected:
            return "This run left no user rejected. To see all who are, press 2."
        return super().disabled_reason(action)

    def action_pause(self) -> None:
        """Send nothing until it is resumed."""
        if self._job is not None:
            self._job.pause()
            self._job_changed(self._job)

    def action_resume(self) -> None:
        if self._job is not None:
            self._job.resume()
            self._job_changed(self._job)

    def action_cancel(self) -> None:
        """Ask, then end the run."""
        if (session := _own_session(self)) is not None:
            self.run_worker(ask_to_end(self.services, session))
            return

        def cancel(is_meant: bool | None) -> None:
            if is_meant and self._job is not None:
                self._job.cancel()
                self._job_changed(self._job)

        self.app.push_screen(_cancel_question(), cancel)

    def _job_changed(self, job: SyncJob) -> None:
        self._show(run_view.live(job))
        self.refresh_bindings()

    def action_errors(self) -> None:
        """Open users this run rejected."""
        if self._view is not None:
            self.services.navigate(OpenErrors(run_id=self._view.run_id))

    def action_differences(self) -> None:
        """Show who differed, for the audience under the cursor."""
        self._detail.show_differences()

    def action_log(self) -> None:
        """Show the requests full-size, or small again."""
        self._toggle_log(not self.has_class("-log"))

    def _toggle_log(self, is_full: bool) -> None:
        self.set_class(is_full, "-log")
        panel = self.query_one(RequestsPanel)
        panel.resize_log(is_full=is_full)
        (panel.shown_log if is_full else self.query_one("#bars")).focus()
        self.loader.follow("requests", self._load_requests)

    def action_back(self) -> None:
        """Go back from the full-size log to the run, and from there to the previous screen."""
        if self.has_class("-log"):
            self._toggle_log(False)
        else:
            super().action_back()

    def on_run_detail_audience_opened(self, event: RunDetail.AudienceOpened) -> None:
        """Show the requests of one audience."""
        line = self.query_one(ProgressPanel).line(event.audience_id)
        if line is not None:
            self.query_one(RequestsPanel).audience = event.audience_id, line.name
            self._toggle_log(True)


async def _newest_run(session: Session) -> int | None:
    newest = await session.read(runs.all_runs, 1, await session.dead_runs())
    return newest[0].id if newest else None


def _own_session(screen: RunScreen) -> LiveJob | None:
    """The live session of this console, if it is the run shown and has not ended."""
    live, view = under_way(screen.services.jobs.live), screen._view
    return live if live is not None and view is not None and live.run_id == view.run_id else None


def _reason_to_leave(screen: RunScreen, action: str) -> str | None:
    """Why the run can't be paused, resumed or cancelled now; None if it can."""
    if (session := _own_session(screen)) is not None:
        return _of_session(session, action)
    if not screen.is_live:
        return _not_ours(screen._view)
    if screen._job is not None and screen._job.is_ending:
        return "The run is already ending: it waits for the current request."
    return None


def _of_session(session: LiveJob, action: str) -> str | None:
    """Why a live session of this console can't be paused here, or not ended anymore."""
    if action != "cancel":
        return "Press 4 for Live: p pauses one audience there, P all of them."
    return "The session is ending already." if session.is_ending else None


def _not_ours(view: RunView | None) -> str:
    """Why a run can't be paused or cancelled here."""
    if view is None or view.outcome != str(RunStatus.RUNNING):
        return "This run has finished: there is nothing to pause or cancel."
    if view.kind is RunKind.LIVE:
        return "This live session belongs to another process. Pause or end it there."
    return "This run belongs to another process. Pause or cancel it there."


def _cancel_question() -> Confirm:
    return Confirm(
        "Cancel this run?",
        [
            "The current request finishes first. Everything delivered stays delivered.",
            "Users who are not delivered by then stay pending for the next sync.",
        ],
        yes="Cancel the run",
        no="Keep it running",
    )
