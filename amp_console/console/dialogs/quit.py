"""Quitting while something is under way: wait for it, or stop it and leave the rest pending."""

from collections.abc import Callable, Sequence

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Button, Static

from amp_console.console.context import Services
from amp_console.console.dialogs.base import Answer, Question
from amp_console.console.glyphs import bar
from amp_console.console.jobs.base import Job
from amp_console.console.jobs.forget import ForgetJob
from amp_console.console.jobs.imports import ImportJob
from amp_console.console.jobs.live import LiveJob
from amp_console.console.jobs.reconcile import CompareOperation
from amp_console.console.jobs.refresh import RefreshJob
from amp_console.console.jobs.runs import RunJob, RunOperation
from amp_console.console.texts import ACCENT, MUTED, STRONG, lines, safe_text
from amp_console.console.words import byte_size
from amp_console.text import plural

BAR = 30  # columns
LeaveWhenDone = Callable[[Callable[[], bool]], None]
"""Quits once no job is under way, if the function still returns True then."""
NOTHING, ENDED = "Nothing is under way, and nothing is lost.", "Everything has finished."


class QuitDialog(Question[None]):
    """Asks whether to quit; with `has_jobs`, how to end what is under way.

    A live session does not end on its own, so it can only be stopped.
    """

    TITLE_TEXT = "Quit amp-console?"
    LEAVE = "stay"

    def __init__(self, leave_when_done: LeaveWhenDone, *, has_jobs: bool) -> None:
        super().__init__(leave="Stay")
        self._has_jobs = has_jobs
        self._leave_when_done = leave_when_done
        self._is_leaving = False

    def answers(self) -> Sequence[Answer]:
        """Quit; if jobs are under way, when they are done, or after stopping them."""
        if not self._has_jobs:
            return (Answer("wait", "Quit", "y", "primary"),)
        if any(isinstance(job, LiveJob) for _, job in self._under_way):
            return (Answer("stop", "Stop and quit", "y", "warning"),)
        return (
            Answer("wait", self._wait_label(), "y", "primary"),
            Answer("stop", "Stop and quit", "s", "warning"),
        )

    def _wait_label(self) -> str:
        """A paused run is never done until it is resumed."""
        return "Resume, then quit" if self._paused else "Quit when done"

    def text(self) -> ComposeResult:
        """What is under way."""
        yield Static(id="doing")

    def on_mount(self) -> None:
        """Show the progress of the jobs while any is under way."""
        self.services.changes.subscribe(self, lambda _: self._say())
        self.services.connections.changed.subscribe(self, lambda _: self._say())
        self._say()

    def _say(self) -> None:
        under_way, has_several = self._under_way, len(self.services.connections.all) > 1
        rows: list[Content] = []
        for services, job in under_way:
            if has_several:
                rows.append(safe_text((services.name, STRONG)))
            rows.append(self._of(job))
        if under_way:
            rows += [safe_text(""), safe_text((self._next(), MUTED))]
        else:
            rows = [safe_text(ENDED if self._has_jobs else NOTHING)]
        self.query_one("#doing", Static).update(lines(*rows))

    @property
    def _under_way(self) -> list[tuple[Services, Job]]:
        """The jobs of all open connections."""
        return self.services.connections.under_way

    @property
    def _paused(self) -> list[RunJob[RunOperation]]:
        """The runs that are paused."""
        jobs = [job for _, job in self._under_way]
        return [job for job in jobs if isinstance(job, RunJob) and job.stop.is_paused]

    def _of(self, job: Job) -> Content:
        glyphs = self.services.glyphs
        if isinstance(job, LiveJob):
            live = job.snapshot
            pending = live.queue + live.waiting if live else 0
            state = "paused" if job.is_paused else "running"
            return safe_text(f"A live session is {state}: {plural(pending, 'change')} pending.")
        if isinstance(job, ImportJob):
            read = f"{byte_size(job.done)} of {byte_size(job.total)}"
            share = bar(glyphs, job.done, job.total, BAR) if job.total else ""
            return _with_bar(f"Events are being imported: {read} read.", share)
        if isinstance(job, RefreshJob):
            return safe_text(f"A query is running: {plural(job.rows, 'row')} read.")
        if isinstance(job, ForgetJob):
            return safe_text("A deletion request is under way. " + " ".join(job.says))
        assert isinstance(job, RunJob)
        operation, now = job.operation, job.snapshot
        if isinstance(operation, CompareOperation):
            return safe_text("Cohorts are being compared. Nothing is sent.")
        left = now.total - now.done if now else operation.planned
        share = bar(glyphs, now.done, now.total, BAR) if now else ""
        state = "paused" if job.stop.is_paused else "under way"
        what = f"{operation.WHAT} is {state}: {plural(left, 'change')} not delivered yet."
        return _with_bar(what, share)

    def _next(self) -> str:
        if self._is_leaving and any(job.is_ending for _, job in self._under_way):
            return "The current request finishes, within ten seconds. The rest stays pending."
        if self._is_leaving:
            return "The console closes when this is done."
        return "If you stop it, everything delivered or read is kept. The rest stays pending."

    # Answers.

    def give(self, name: str) -> None:
        """Stay, or quit in one of two ways; staying is possible until the jobs are stopped."""
        match name:
            case "wait":
                for run in self._paused:
                    run.resume()
                self.set_focus(None)  # a second Enter must neither stop the jobs nor stay
                title = "Quitting when it is done…" if self._has_jobs else "Quitting…"
                self._leave(title, "#wait")
            case "stop":
                for _, job in self._under_way:
                    job.cancel()
                self._leave("Quitting after the current request…", "#stay, #wait, #stop")
            case _:
                self._is_leaving = False
                self.dismiss(None)

    def _leave(self, title: str, given: str) -> None:
        """Quit when all jobs are over; the answers `given` can't be given anymore."""
        for button in self.query(given).results(Button):
            button.disabled = True
        self.query_one(".dialog", Vertical).border_title = safe_text(title)
        self.refresh_bindings()
        if not self._is_leaving:
            self._is_leaving = True
            self._leave_when_done(lambda: self._is_leaving)
        self._say()


def _with_bar(what: str, share: str) -> Content:
    return lines(safe_text(what), safe_text((share, ACCENT)))
