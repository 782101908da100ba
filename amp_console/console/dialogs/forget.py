"""A deletion request under way: its progress, then the result."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from amp_console.console.dialogs.base import Confirm, Dialog, typeable
from amp_console.console.jobs.forget import ForgetJob
from amp_console.console.texts import BAD, GOOD, MUTED, lines, safe_text
from amp_console.sync.forget import ForgetPlan, plan_sentences

UNDONE = "This can't be undone."
CONTINUES = "It continues when you close this."


def forget_question(id_: str, plan: ForgetPlan) -> Confirm:
    """Ask before a person is forgotten; the operator has to type the identifier."""
    return Confirm(
        "Forget this person?",
        [*plan_sentences(plan), UNDONE],
        yes="Forget",
        typed=typeable(id_, "forget"),
    )


class ForgetDialog(Dialog[None]):
    """The progress of a deletion request. Closing it does not end the request."""

    TITLE_TEXT = "Deletion request"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter", "dismiss(None)", "Close", key_display="Esc"),
    ]

    def __init__(self, job: ForgetJob) -> None:
        super().__init__()
        self._job = job

    def box(self) -> ComposeResult:
        """The progress in sentences."""
        yield Static(id="doing")

    def on_mount(self) -> None:
        """Show the progress whenever there is any."""
        self.services.changes.subscribe(self, lambda _: self._say())
        self._say()

    def _say(self) -> None:
        job = self._job
        tone = "" if not job.is_over else GOOD if job.report and job.report.is_done else BAD
        rows = [safe_text((text, tone), max_length=900) for text in job.says]
        if not job.is_over:
            rows.append(safe_text((CONTINUES, MUTED)))
        self.query_one("#doing", Static).update(lines(*rows))
