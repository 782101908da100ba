"""The import dialog: first the form for files, then their import."""

from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from amp_console.console import import_report
from amp_console.console.dialogs.base import DIALOG_SHEET, Dialog, Sheets
from amp_console.console.dialogs.imports.form import ImportForm
from amp_console.console.dialogs.imports.progress import ImportPane
from amp_console.console.failures import expected_failures
from amp_console.console.jobs.imports import ImportJob
from amp_console.console.lifecycle import is_open
from amp_console.console.routes import OpenErrors
from amp_console.ledger.audiences import AudienceAmbiguous, all_audiences


class ImportDialog(Dialog[None]):
    """Asks for files, then shows their import. It can be closed and opened again during that."""

    CSS_PATH: ClassVar[Sheets] = [DIALOG_SHEET, "dialog.tcss"]
    TITLE_TEXT = "Import events"
    IN_LINE = "submit"
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (24, "-short"), (28, "-high")]  # noqa: RUF012  # lines
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "errors", "Invalid events", show=False, id="import.errors"),
        Binding("c", "stop", "Stop", show=False, id="import.stop"),
        Binding("i", "another", "Another file", show=False, id="import.another"),
        Binding("a", "insist", "Remove the others anyway", show=False, id="import.insist"),
        Binding("down", "files", show=False),
        Binding("f2,ctrl+s", "submit", "Import", key_display="F2", show=False),
    ]

    def box(self) -> ComposeResult:
        folder = self.services.environment.live_folder  # in a demo, which has events beside it
        yield ImportForm(
            self.services.glyphs,
            self.services.timing.now,
            (
                self.button_of("dismiss(None)", "close"),
                self.button_of("submit", "import", "primary"),
            ),
            f"{Path(folder).parent}/" if folder else "",
        )
        yield ImportPane(
            (
                self.button_of("stop", "stop"),
                self.button_of("another", "another"),
                self.button_of("errors", "errors"),
                self.button_of("insist", "insist"),
                self.button_of("dismiss(None)", "leave"),
            )
        )

    def on_mount(self) -> None:
        """Show the import under way, or one whose result was not seen yet, otherwise the form."""
        job = self._job
        if job is not None and not job.is_end_seen:
            self._watch(job)
        else:
            self._show_form()

    @property
    def _job(self) -> ImportJob | None:
        """The current or last import."""
        return self.services.jobs.importing

    @property
    def _is_form(self) -> bool:
        return bool(self.query_one(ImportForm).display)

    @property
    def _progress(self) -> ImportPane:
        return self.query_one(ImportPane)

    def _show_form(self) -> None:
        """Show the form at once; suggest audiences as soon as they are read."""
        form = self.query_one(ImportForm)
        self._progress.display, form.display = False, True
        self.refresh_bindings()
        form.begin()
        self.run_worker(self._suggest(form))

    async def _suggest(self, form: ImportForm) -> None:
        session = self.services.session
        known = await session.read(all_audiences) if session is not None else []
        form.suggest([audience.handle for audience in known])

    async def on_import_form_submitted(self, event: ImportForm.Submitted) -> None:
        try:
            job = await import_report.start(
                self.services,
                event.files,
                event.audience,
                is_snapshot=event.is_snapshot,
                taken_at=event.taken_at,
            )
        except expected_failures(AudienceAmbiguous) as error:
            self.query_one(ImportForm).say(str(error))
        else:
            self._watch(job)

    def _watch(self, job: ImportJob) -> None:
        self.query_one(ImportForm).display = False
        self._progress.display = True
        self._progress.watch_job(job)

    # Actions.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only the keys of what is shown work: the form, the progress, or the result."""
        job, is_over = self._job, self._job is not None and self._job.is_over
        works = {
            "submit": self._is_form,
            "stop": not self._is_form and job is not None and not is_over,
            "another": not self._is_form and is_over,
            "errors": not self._is_form and self._progress.has_invalid,
            "insist": not self._is_form and self._progress.can_insist,
        }
        is_ready = is_open(self) and bool(self.query(ImportForm))
        if action in works and not (is_ready and works[action]):
            return False
        return super().check_action(action, parameters)

    def action_submit(self) -> None:
        """Read the chosen files."""
        self.run_worker(self.query_one(ImportForm).submit())

    def action_files(self) -> None:
        self.query_one(ImportForm).go_to_files()

    def action_stop(self) -> None:
        """Stop reading; what was read is kept."""
        if self._job is not None:
            self._job.cancel()
            self._progress.show()

    def action_insist(self) -> None:
        self.run_worker(self._progress.insist())

    def action_another(self) -> None:
        """Show the form again."""
        self._show_form()

    def action_errors(self) -> None:
        """Show the invalid events."""
        self.dismiss(None)
        self.services.navigate(OpenErrors(invalid=True))
