"""One request in full: what was sent, and what Amplitude answered. It can be copied."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from amp_console.console.dialogs.base import DIALOG_SHEET, Sheets
from amp_console.console.dialogs.text_view import ReadingDialog
from amp_console.console.run_words import request_answer, request_operation
from amp_console.console.texts import BAD, MUTED, STRONG, facts, lines, safe_text
from amp_console.console.words import SECOND, lasting
from amp_console.ledger.deliveries import RequestKind
from amp_console.ledger.requests import RequestRecord, RequestState
from amp_console.sync.queries.request import RequestText, request_text
from amp_console.text import local_time, plural

_STATES = {
    RequestState.OPEN: "sent; no answer yet",
    RequestState.CONFIRMED: "applied",
    RequestState.VOID: "not applied or unknown; its users are pending again",
}
NOT_SENT = "not sent; its users are pending"
REFUSED = "refused and not applied; its users were sent again or are pending"
CREATED = "applied; later requests confirm who of its users is in the cohort"
MAX_LENGTH = 2000  # characters of an answer; the ledger keeps no more


def _state(record: RequestRecord) -> str:
    """The result of a request; a refused one certainly changed nothing."""
    is_refused = (
        record.state is RequestState.VOID
        and record.status is not None
        and 400 <= record.status < 500
    )
    if not record.is_sent:
        return NOT_SENT
    if record.is_rejected:
        return f"refused and not applied; {plural(record.size, 'user')} rejected"
    if record.skipped:
        return f"applied, except {plural(record.skipped, 'rejected user')}"
    if record.kind is RequestKind.UPLOAD and record.state is RequestState.CONFIRMED:
        return CREATED
    state = RequestState.VOID if record.is_abandoned else record.state
    return REFUSED if is_refused else _STATES[state]


class RequestView(ReadingDialog):
    """A request and its answer."""

    CSS_PATH: ClassVar[Sheets] = [DIALOG_SHEET, "request_view.tcss"]

    def __init__(self, request_id: int) -> None:
        super().__init__()
        self._request_id = request_id
        self._found: RequestText | None = None

    @property
    def box_title(self) -> str:
        """The ID of the request."""
        return f"Request {self._request_id}"

    def box(self) -> ComposeResult:
        """The text, once it is read."""
        yield Static(id="request")

    def on_mount(self) -> None:
        """Read the request; keys work in the meantime."""
        self.run_worker(self._read())

    async def _read(self) -> None:
        session = self.services.session
        if session is not None:
            self._found = await session.read(request_text, self._request_id)
        self.query_one("#request", Static).update(self._text())

    def _text(self) -> Content:
        if self._found is None:
            return safe_text(f"There is no request {self._request_id}.")
        return lines(
            self._facts(self._found),
            safe_text(""),
            safe_text(
                ("Request", STRONG), ("  (sent with the keys, which are never shown)", MUTED)
            ),
            *([safe_text((self._found.gaps, MUTED))] if self._found.gaps else []),
            *[safe_text(line) for line in self._body(self._found)],
            safe_text(""),
            safe_text(("Answer", STRONG)),
            *[safe_text(line, max_length=MAX_LENGTH) for line in self._answer(self._found)],
        )

    def _facts(self, found: RequestText) -> Content:
        record, glyphs = found.record, self.services.glyphs
        users = plural(record.size, "user")
        took = ""
        if record.settled_at is not None and record.is_sent:
            took = f"  (answered after {lasting((record.settled_at - record.sent_at) / SECOND)})"
        rows = [
            ("audience", record.audience_name),
            ("run", str(record.run_id)),
            ("operation", f"{request_operation(record)} {users} by {record.id_type.label}"),
            ("cohort", found.cohort or glyphs.dash),
            ("sent" if record.is_sent else "opened", local_time(record.sent_at) + took),
            ("answer", f"{request_answer(record, glyphs).text}  {_state(record)}"),
        ]
        if record.skipped:
            words = f"{plural(record.skipped, 'user')} Amplitude does not know"
            return facts([*rows, ("rejected", safe_text((words, BAD)))], width=11)
        return facts(rows, width=11)

    def _body(self, found: RequestText) -> list[str]:
        if found.record.kind is RequestKind.REPLACE:
            return ["It replaced the cohort's content with every wanted user."]
        if found.record.kind is RequestKind.UPLOAD:
            return [
                "It created a cohort from some of the audience's members. Later requests",
                "add all members once more, and name everyone Amplitude does not know.",
            ]
        return found.body.splitlines()

    def _answer(self, found: RequestText) -> list[str]:
        if found.record.state is RequestState.OPEN:
            return ["None yet."]
        return found.record.response.splitlines() or ["An empty one."]

    @property
    def copied(self) -> str:
        """The request and its answer."""
        return self._text().plain
