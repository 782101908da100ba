"""The progress of an import, and its result."""

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Button, Static

from amp_console.console.context import services_of
from amp_console.console.glyphs import bar
from amp_console.console.import_report import confirmation, details, ended
from amp_console.console.jobs.imports import ImportJob
from amp_console.console.jobs.speed import Speed
from amp_console.console.texts import BAD, MUTED, STRONG, TONE, lines, safe_text
from amp_console.console.widgets.button_row import ButtonRow
from amp_console.console.words import byte_size, lasting_about
from amp_console.text import plural

REFRESH_EVERY = 0.2  # seconds, while files are read


class ImportPane(Vertical):
    """The progress of an import; afterwards, what was read, and what to do about the rest."""

    def __init__(self, buttons: Sequence[Button]) -> None:
        """Each of the `buttons` is shown while it has an effect."""
        super().__init__(id="reading")
        self._buttons = buttons
        self._job: ImportJob | None = None
        self._timer: Timer | None = None
        self._speed = Speed()
        self._is_asking = False

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="says", can_focus=False):
            yield Static(id="progress")
        with ButtonRow():
            yield from self._buttons

    def watch_job(self, job: ImportJob) -> None:
        """Show this import from now on."""
        self._job = job
        self._speed = Speed(services_of(self).timing.monotonic())
        job.is_watched = True
        self.show()
        if not job.is_over:
            self._timer = self.set_interval(REFRESH_EVERY, self._tick)
        self.query_one("#leave").focus()

    def on_unmount(self) -> None:
        """Let a notification report the end, because this no longer does."""
        if self._job is not None:
            self._job.is_watched = False

    @property
    def has_invalid(self) -> bool:
        """Whether events were invalid."""
        report = self._job.report if self._job is not None else None
        return report is not None and report.tally.invalid > 0

    @property
    def can_insist(self) -> bool:
        """Whether an incomplete snapshot can be applied anyway."""
        report = self._job.report if self._job is not None else None
        return bool(report and report.snapshot and report.snapshot.can_be_insisted)

    def _tick(self) -> None:
        if self._job is not None and self._job.is_over and self._timer is not None:
            self._timer.stop()
            self._timer = None
        self.show()

    def show(self) -> None:
        """Show the current state of the import."""
        job = self._job
        if job is None:
            return
        self.query_one("#stop").display = not job.is_over
        self.query_one("#stop", Button).disabled = job.is_ending
        self.query_one("#another").display = job.is_over
        self.query_one("#errors").display = self.has_invalid
        self.query_one("#insist").display = self.can_insist
        self.query_one("#progress", Static).update(
            self._result(job) if job.is_over else self._progress(job)
        )
        self.screen.refresh_bindings()
        if job.is_over:
            job.is_end_seen = True
            if job.asks and not self._is_asking:
                self._is_asking = True
                self.run_worker(self._confirm(job))

    def _result(self, job: ImportJob) -> Content:
        rows = [safe_text((ended(job), BAD if job.report is None else STRONG))]
        if job.report is not None:
            rows += [safe_text((text, TONE[tone])) for text, tone in details(job.report)]
        return lines(*rows)

    async def _confirm(self, job: ImportJob) -> None:
        """Ask for confirmation before a snapshot removes many members."""
        while (asked := job.asks) is not None:
            is_yes = await services_of(self).ask(confirmation(asked))
            await job.answer(is_yes=bool(is_yes))
        self._is_asking = False
        self.show()

    async def insist(self) -> None:
        """Apply an incomplete snapshot, once that is confirmed."""
        if self._job is not None and self.can_insist:
            await self._job.insist()
            self.show()

    def _progress(self, job: ImportJob) -> Content:
        services, now = services_of(self), job.progress
        if now is None:
            return safe_text(("Stopping…" if job.is_ending else "Opening…", MUTED))
        width = max(10, (self.query_one("#progress").size.width or 60) - 26)
        clock = services.timing.monotonic()
        self._speed.record(clock, job.done)
        left = self._speed.seconds_left(job.total - job.done, clock) if job.total else None
        eta = f"{lasting_about(left)} left" if left else ""
        share = bar(services.glyphs, job.done, job.total, width) if job.total else ""
        sizes = (
            f" {byte_size(job.done)} of {byte_size(job.total)}"
            if job.total
            else f" {byte_size(job.done)}"
            + (f" in {plural(now.objects, 'object')}" if now.objects else "")
        )
        tally = now.tally
        return lines(
            safe_text(("Reading ", MUTED), now.source),
            safe_text((share, TONE["accent"]), sizes),
            safe_text((eta, MUTED)),
            safe_text(
                (f"{tally.read:,}", STRONG),
                (" events read   ", MUTED),
                (f"{tally.valid:,}", STRONG),
                (" valid   ", MUTED),
                (f"{tally.filtered:,}", STRONG),
                (" filtered   ", MUTED),
                (f"{tally.invalid:,}", BAD if tally.invalid else STRONG),
                (" invalid", MUTED),
            ),
            safe_text(""),
            safe_text((_hint(job), MUTED)),
        )


def _hint(job: ImportJob) -> str:
    if job.is_ending:
        return "Stopping after this part. Everything read so far is kept."
    return "Esc keeps it running; i under Audiences comes back here."
