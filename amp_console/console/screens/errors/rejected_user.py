"""One rejected user, whole: who, why, what to do, and the request that carried them."""

import json
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from amp_console.connections.read_only import refusal
from amp_console.console.background import aside
from amp_console.console.failures import KNOWN
from amp_console.console.routes import MainScreen, OpenPerson
from amp_console.console.screens.base import BaseScreen
from amp_console.console.screens.errors.rows import OPERATION
from amp_console.console.screens.footer import UsefulActions
from amp_console.console.texts import BAD, MUTED, STRONG, facts, lines, safe_text
from amp_console.console.words import at
from amp_console.ledger.deliveries import Reason
from amp_console.ledger.rejected import RejectedUser
from amp_console.ledger.requests import RequestRecord, request
from amp_console.sync.delivery.retry import retry_these
from amp_console.sync.queries.person import PersonStatus, PersonVerdict, explain_person
from amp_console.text import plural

ADVICE = {
    Reason.UNKNOWN: (
        "Amplitude has never seen this identifier. It may appear later, when the user shows up "
        "in its events: then retry (R). If it should know it, check whether Amplitude identifies "
        "users by the same ID as Segment, and whether case and leading zeros are the same."
    ),
    Reason.REFUSED: (
        "Amplitude refused every request that held this identifier, and took the others; why, in "
        "its words, is above. Correct the identifier at its source, or retry (R) once it is "
        "allowed."
    ),
    Reason.NO_IDENTIFIER: (
        "The events of this person carry no identifier of the type the audience is matched by. "
        "Say where events carry it (field mapping: m on the audiences), import the events again, "
        "or change the audience's ID type."
    ),
}
MAX_LENGTH = 2000  # characters of a line of the answer; the ledger keeps no more


class RejectedUserScreen(BaseScreen):
    """All that is known of one rejected user."""

    NAME = "Rejected user"
    BELONGS_TO = MainScreen.ERRORS
    HELP = """\
Everything that is known about one user that Amplitude rejected: why, how often it was tried, the
request that carried them and Amplitude's answer. R makes the user pending again."""
    CSS_PATH = "rejected_user.tcss"
    AUTO_FOCUS = "#whole"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("R", "retry", "Retry", id="user.retry"),
        Binding("p", "person", "Why (not) in cohorts", id="user.person"),
        Binding("enter", "request", "Request", key_display="Enter", id="user.request"),
        Binding("y", "copy", "Copy", id="copy"),
        Binding("down,j", "scroll(1)", show=False),
        Binding("up,k", "scroll(-1)", show=False),
    ]

    def __init__(self, user: RejectedUser) -> None:
        super().__init__()
        self._user = user
        self._request: RequestRecord | None = None
        self._now: PersonStatus | None = None
        self._is_read = False

    def body(self) -> ComposeResult:
        """One text that scrolls."""
        with VerticalScroll(id="whole", classes="panel") as panel:
            panel.border_title = safe_text(self._user.id, max_length=80)
            yield Static(id="text")

    async def load(self) -> None:
        """Read the request that carried the user, and how they stand by now."""
        user, read = self._user, self.session.read
        if user.request_id is not None and self._request is None:
            self._request = await read(request, user.request_id)
        answers = await read(explain_person, user.id, await self.session.dead_runs())
        self._now = next((answer for answer in answers if self._is_about(answer)), None)
        self._is_read = True
        self.query_one("#text", Static).update(self._text())

    def show_ages(self) -> None:
        """Say how long ago it was by now."""
        if self._is_read:
            self.query_one("#text", Static).update(self._text())

    def _is_about(self, answer: PersonStatus) -> bool:
        record, user = answer.record, self._user
        return (record.audience.id, record.id_type) == (user.audience_id, user.id_type)

    @property
    def _is_rejected(self) -> bool:
        """Whether the user is rejected still; a retry or a sync may have come in between."""
        return self._now is None or self._now.verdict in {
            PersonVerdict.REJECTED,
            PersonVerdict.NO_IDENTIFIER,
        }

    def _text(self) -> Content:
        blocks = [self._facts(), safe_text("")]
        if self._now is not None and not self._is_rejected:
            blocks += [safe_text(("By now", STRONG)), safe_text(self._now.sentence, max_length=900)]
        else:
            blocks += [
                safe_text(("What to do", STRONG)),
                safe_text(ADVICE[self._user.code], max_length=900),
            ]
        if self._request is not None:
            blocks += [safe_text(""), *self._about_request(self._request)]
        return lines(*blocks)

    def _facts(self) -> Content:
        user, services = self._user, self.services
        rows: list[tuple[str, Content | str]] = [
            ("why", safe_text((user.reason, BAD))),
            (user.id_type.label, safe_text((user.id, STRONG))),
            ("audience", f"{user.audience_name} (key {user.audience})"),
            ("operation", OPERATION[user.operation]),
        ]
        if user.code is not Reason.NO_IDENTIFIER:
            rows += [
                ("rejected", f"{at(user.at)} ({services.age_of(user.at)})"),
                ("tries", f"{user.tries:,}"),
            ]
        return facts(rows)

    def _about_request(self, record: RequestRecord) -> list[Content]:
        status = str(record.status) if record.status is not None else "none came"
        rows = [
            ("request", f"{record.id} of run {record.run_id} (Enter shows it whole)"),
            ("sent", f"{at(record.sent_at)}, with {plural(record.size, 'user')}"),
            ("answer", f"status {status}"),
        ]
        return [facts(rows), *self._answer(record.answer)]

    def _answer(self, text: str) -> list[Content]:
        """Amplitude's answer; the lines that name the user stand out."""
        name = json.dumps(self._user.id, ensure_ascii=False)
        return [
            safe_text((line, BAD if name in line else MUTED), max_length=MAX_LENGTH)
            for line in pretty(text).splitlines()
        ]

    # Actions.

    def useful_actions(self) -> UsefulActions:
        return "retry", "request", "person", "copy"

    def disabled_reason(self, action: str) -> str | None:
        """What can't be done, and why."""
        if action == "retry" and not self._is_rejected:
            return "No one is rejected here any more: they were retried meanwhile."
        if action == "retry" and self._user.code is Reason.NO_IDENTIFIER:
            return "There is nothing to send: the events carry no such identifier."
        if action == "retry" and self.session.connection.read_only:
            return refusal(self.session.connection)
        if action == "request" and self._user.request_id is None:
            return "No request ever carried this user."
        return None

    def action_scroll(self, by: int) -> None:
        """Scroll by lines."""
        self.query_one("#whole").scroll_relative(y=by, animate=False)

    def action_request(self) -> None:
        """Show the request and its answer."""
        if self._user.request_id is not None:
            from amp_console.console.dialogs.request_view import RequestView

            self.app.push_screen(RequestView(self._user.request_id))

    def action_person(self) -> None:
        """Show the person in every cohort."""
        self.services.navigate(OpenPerson(self._user.id))

    def action_copy(self) -> None:
        self.services.clipboard.copy(self._text().plain)

    def action_retry(self) -> None:
        """Make the user pending again."""
        self.run_worker(self._retry())

    async def _retry(self) -> None:
        user, session = self._user, self.session
        try:
            done = await aside(
                retry_these,
                session.ledger,
                session.connection,
                [(user.audience_id, user.id_type, user.id)],
            )
        except KNOWN as error:
            self.services.notifications.post(str(error), "error")
        else:
            says = "Pending again. The next sync delivers them." if done else "Pending already."
            self.services.notifications.post(f"{user.id}: {says}")
            self.reload()


def pretty(text: str) -> str:
    """Lay out an answer that is JSON; another one, or one that was cut off, stays as it is."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
