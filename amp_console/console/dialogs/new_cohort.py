"""The question before a live session creates the cohort of an audience."""

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.widgets import Static

from amp_console.console.dialogs.base import Answer, Question
from amp_console.console.texts import WARN, lines, safe_text
from amp_console.sync.live.progress import LiveAudience
from amp_console.text import clean, plural

IF_IT_REPLACES = "If this audience replaces it, link that cohort instead, and disable the other."


class NewCohortQuestion(Question[str]):
    """Offers to create the cohort, or to link the audience to one that exists.

    `same_key` says which other audience has its key; "" if none has.
    """

    TITLE_TEXT = "Create the cohort?"
    CREATE, LINK = "create", "link"

    def __init__(self, audience: LiveAudience, same_key: str) -> None:
        super().__init__(is_danger=True)
        self._audience = audience
        self._same_key = same_key

    def answers(self) -> Sequence[Answer]:
        return (
            Answer(self.LINK, "Link a cohort", "l"),
            Answer(self.CREATE, "Create the cohort", "y", "error"),
        )

    def text(self) -> ComposeResult:
        changes = plural(self._audience.queue, "change")
        rows = [
            safe_text(
                f"Creates a cohort for “{clean(self._audience.name)}” and delivers {changes}."
            ),
            safe_text("Amplitude's API can't delete cohorts."),
        ]
        if self._same_key:
            warning = f"{self._same_key}. {IF_IT_REPLACES}"
            rows += [safe_text(""), safe_text((warning, WARN), max_length=400)]
        yield Static(lines(*rows), id="text")

    def give(self, name: str) -> None:
        self.dismiss(None if name == self.LEAVE else name)
