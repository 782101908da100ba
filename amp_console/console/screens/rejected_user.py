"""One rejected user, whole: who, why, what to do, and the request that carried them."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from amp_console.console.background import aside
from amp_console.console.screens.place import Place
from amp_console.console.texts import BAD, MUTED, STRONG, facts, lines, said
from amp_console.console.words import ago, at
from amp_console.console.work import KNOWN
from amp_console.ledger.deliveries import Reason
from amp_console.ledger.rejected import RejectedUser
from amp_console.ledger.requests import RequestRecord, request
from amp_console.sync.rejected import retry_these
from amp_console.sync.words import plural

ADVICE = {
    Reason.UNKNOWN: (
        "Amplitude has never seen this identifier. It may know it later, when the user shows up "
        "in its events: then retry (R). If it should know it, look whether Amplitude identifies "
        "users by the same ID as Segment, and whether case and leading zeros are the same."
    ),
    Reason.REFUSED: (
        "Amplitude refused every request that held this identifier, and took the others. Its "
        "words are above. Correct the identifier at its source, or retry (R) once it is allowed."
    ),
    Reason.NO_IDENTIFIER: (
        "The events of this person carry no identifier of the type the audience is matched by. "
        "Say where events carry it (field mapping: m on the audiences), import the events again, "
        "or change the audience's ID type."
    ),
}


class RejectedUserPlace(Place):
    """All that is known of one rejected user."""

    NAME = "Rejected user"
    HELP = """\
Everything that is known of one user whom Amplitude did not take: why, how often it was tried, the
request that carried them and Amplitude's answer. R makes the user pending again."""
    CSS_PATH = "rejected_user.tcss"
    AUTO_FOCUS = "#whole"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("R", "retry", "Retry", id="user.retry"),
        Binding("p", "person", "Why (not) in cohorts", id="user.person"),
        Binding("enter", "request", "Request", id="user.request"),
        Binding("y", "copy", "Copy", id="copy"),
        Binding("down,j", "scroll(1)", show=False),
        Binding("up,k", "scroll(-1)", show=False),
    ]

    def __init__(self, user: RejectedUser) -> None:
        super().__init__()
        self._user = user
        self._request: RequestRecord | None = None

    def body(self) -> ComposeResult:
        """One text that scrolls."""
        with VerticalScroll(id="whole", classes="panel") as panel:
            panel.border_title = said(self._user.id, longest=80)
            yield Static(id="text")

    async def look(self) -> None:
        """Read the request that carried the user."""
        if self._user.request_id is not None:
            self._request = await self.session.read(request, self._user.request_id)
        self.query_one("#text", Static).update(self._text())

    def _text(self) -> Content:
        user, app = self._user, self.console
        verb = "added" if user.operation == "add" else "removed"
        rows: list[tuple[str, Content | str]] = [
            ("why", said((user.reason, BAD))),
            (user.id_type.label, said((user.id, STRONG))),
            ("audience", f"{user.audience_name} (key {user.audience})"),
            ("was to be", verb),
            ("rejected", f"{at(user.at)} ({ago(user.at, app.now, app.look)})"),
            ("tries", str(user.tries)),
        ]
        blocks = [facts(rows), said(""), said((ADVICE[user.code], MUTED), longest=400)]
        if self._request is not None:
            blocks += [said(""), *self._about_request(self._request)]
        return lines(*blocks)

    def _about_request(self, of: RequestRecord) -> list[Content]:
        status = str(of.status) if of.status is not None else "none came"
        rows = [
            ("request", f"{of.id} of run {of.run_id} (Enter shows it whole)"),
            ("sent", f"{at(of.sent_at)}, with {plural(of.size, 'user')}"),
            ("answer", f"status {status}"),
        ]
        return [
            facts(rows),
            *(said((line, MUTED), longest=2000) for line in of.answer.splitlines()),
        ]

    # Actions.

    def why_not(self, action: str) -> str | None:
        """What can't be done, and why."""
        if action == "retry" and self._user.code is Reason.NO_IDENTIFIER:
            return "There is nothing to send: the events carry no such identifier."
        if action == "retry" and self.session.connection.read_only:
            return "The connection is read-only: nobody is made pending again."
        if action == "request" and self._user.request_id is None:
            return "No request ever carried this user."
        return None

    def action_scroll(self, by: int) -> None:
        """Scroll by lines."""
        self.query_one("#whole").scroll_relative(y=by, animate=False)

    def action_request(self) -> None:
        """Show the request and its answer."""
        if self._user.request_id is not None:
            from amp_console.console.screens.request_view import RequestView

            self.app.push_screen(RequestView(self._user.request_id))

    def action_person(self) -> None:
        """Ask how this person stands to every cohort."""
        from amp_console.console.screens.person import PersonPlace

        self.app.push_screen(PersonPlace(self._user.id))

    def action_copy(self) -> None:
        """Copy all of it."""
        self.console.copy(self._text().plain)

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
            self.console.say(str(error), "error")
        else:
            says = "Pending again. The next sync delivers them." if done else "Pending already."
            self.console.say(f"{user.id}: {says}")
