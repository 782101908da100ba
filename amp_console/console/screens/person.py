"""One person: why they are, or are not, in each cohort; first a sentence, then the facts."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widgets import Input, Static

from amp_console.console.context import Services
from amp_console.console.routes import MainScreen, OpenMapping, OpenPlan, OpenRun
from amp_console.console.screens.actions import OF_CONNECTION
from amp_console.console.screens.base import BaseScreen
from amp_console.console.screens.errors.retry import (
    ask_and_retry,
    finish_retry,
    reason_not_to_retry,
)
from amp_console.console.screens.footer import Labelled, UsefulActions, Withheld
from amp_console.console.screens.person_detail import IdentifierLine, PersonDetail
from amp_console.console.screens.person_forget import ask_and_forget
from amp_console.console.screens.person_lookup import answer_to
from amp_console.console.screens.person_segment import SegmentLookup
from amp_console.console.search_answer import SearchAnswer, is_retry_in_vain
from amp_console.console.session import Session
from amp_console.console.texts import MUTED, safe_text
from amp_console.console.widgets.grid import Cell, Column, Grid, Row, RowsState
from amp_console.console.widgets.split import Split
from amp_console.console.words import aged
from amp_console.ledger.rejected import ALL_REJECTED, RejectedUser
from amp_console.sync.queries.person import (
    MAX_SUGGESTED,
    PersonStatus,
    PersonVerdict,
    are_spelt_otherwise,
    look_up_person,
    suggest_identifiers,
)
from amp_console.text import clean, plural

SUGGESTIONS = (Column("Identifier", 30, flex=1),)
COLUMNS = (
    Column("Audience", 18, flex=2),
    Column("Matched by", 12, rank=2),
    Column("Answer", 18),
    Column("Since", 12, rank=1),
)
TONES = {
    PersonVerdict.IN: "good",
    PersonVerdict.OUT: "dim",
    PersonVerdict.UNCERTAIN: "warn",
    PersonVerdict.ENTERS: "warn",
    PersonVerdict.LEAVES: "warn",
    PersonVerdict.ON_THE_WAY: "warn",
    PersonVerdict.NO_COHORT: "warn",
    PersonVerdict.OTHER_ID_TYPE: "dim",
    PersonVerdict.REJECTED: "bad",
    PersonVerdict.NO_IDENTIFIER: "bad",
    PersonVerdict.BROKEN: "bad",
    PersonVerdict.EXTRA: "warn",
}
ASK = """\
Type a User ID or an Amplitude ID above, as in the events, and press Enter."""
NO_TEXT = "Type an identifier first."
TRIMMED = "No event contains it with the spaces around it, so they were left out."
NO_EVENT = "No event contains this identifier."
SPELLING = """\
Identifiers must match exactly: case, leading zeros and spaces count."""
UNKNOWN = f"""\
{NO_EVENT}

{SPELLING}
If it is right, no imported file says anything about this
person: import the events, or look for their other identifier.

Press u to ask Amplitude whether it knows them."""
UNKNOWN_TO_BOTH = f"""\
{NO_EVENT} Amplitude does not know it either.

{SPELLING}
If it is right, this person has sent no event to Amplitude,
and no imported event names them."""
IN_AMPLITUDE_ONLY = f"""\
{NO_EVENT} Amplitude knows the person.

No imported event names them. Import the events of the audience that they
should be in."""
SAME_PERSON = "No event has this ID; events name the person by this one (Enter opens it)"
WAITING = "Asking Amplitude"


class PersonScreen(BaseScreen):
    """What every audience knows about one identifier."""

    NAME = "One person"
    BELONGS_TO = MainScreen.PERSON
    HELP = """\
Type a User ID or an Amplitude ID, exactly as in the events. If no event contains it, you see
identifiers that begin with it, or that differ only in case. Enter opens one. Spaces around an
identifier count only if an event contains them.

For every audience that knows the person, a sentence says why they are, or are not, in the cohort.
Below it are the facts: what the newest event says and where it is, which run delivered it, and what
Amplitude answered. u asks Amplitude's user search whether it knows the identifier. U makes a
rejected person pending again.

D answers a deletion request, once you have typed the identifier again. It removes the person from
every cohort, then erases them from the ledger and its backups. Old files do not bring them back.

p asks Segment whether the person is in the audience right now, if a token for Segment's Profile API
is saved. To save one, run this in a shell: amp-console segment connect --profiles-token"""
    CSS_PATH = "person.tcss"
    PANES = (IdentifierLine,)
    AUTO_FOCUS = "#who"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u", "ask", "Ask Amplitude", id="person.ask"),
        Binding("U", "retry", "Retry this user", id="person.retry"),
        Binding("p", "ask_segment", "Ask Segment", id="person.segment"),
        Binding("w", "run", "Open run", id="person.run"),
        Binding("m", "mapping", "Field mapping", tooltip=OF_CONNECTION, id="person.mapping"),
        Binding("slash", "type", "Another person", key_display="/", id="person.type"),
        Binding("y", "copy", "Copy", id="copy"),
        Binding("D", "forget", "Forget this person", show=False, id="person.forget"),
        Binding("s", "sync", "Plan a sync", show=False, id="person.sync"),
    ]

    def __init__(self, text: str = "", answer: SearchAnswer | None = None) -> None:
        """`answer` is Amplitude's answer about the identifier if it was asked a moment ago."""
        super().__init__()
        self._text = text
        self._answers: dict[int, PersonStatus] = {}
        self._suggested: list[str] = []  # identifiers, if no event contains the text
        self._is_same_person = False  # the suggested one is this person's, according to Amplitude
        self._answer = answer
        self._started_at = ""  # the identifier for which the cursor was last placed
        self._segment = SegmentLookup(lambda: self.services, self._explain)

    def body(self) -> ComposeResult:
        """The identifier, the audiences, and the detail."""
        yield IdentifierLine(self._text)
        grid = Grid(
            COLUMNS,
            glyphs=self.services.glyphs,
            age=self.services.age_of,
            empty=UNKNOWN,
            id="list",
        )
        yield Split(
            Container(grid, id="where", classes="panel"),
            PersonDetail(),
            stacks=True,
        )

    def on_mount(self) -> None:
        """Focus the audiences if an identifier was passed."""
        if self._text:
            self.query_one("#list").focus()

    async def load(self) -> None:
        """Ask the ledger about the identifier."""
        grid = self.query_one("#list", Grid)
        typed = self._text
        answers: list[PersonStatus] = []
        if typed:
            text, answers = await self.session.read(
                look_up_person, typed, await self.session.dead_runs()
            )
            if text != typed == self._text:
                self._text = text
                self.query_one(IdentifierLine).show(text)
                self.services.notifications.post(TRIMMED, is_kept=False)
        text = self._text
        suggested = (
            await self.session.read(suggest_identifiers, text) if text and not answers else []
        )
        same = None if answers else self.session.search_answers.named_by_events(text)
        self._is_same_person = same is not None
        if same is not None:
            suggested = [same]
        self._answers, self._suggested = dict(enumerate(answers)), suggested
        if self._answer is not None and self._answer.is_outdated(answers):
            self._answer = None
        if self._answer is None:
            self._answer = _kept_answer(self.session, answers)
        grid.reshape(SUGGESTIONS if suggested else COLUMNS)
        if suggested:
            grid.show([Row(id_, (Cell(id_),)) for id_ in suggested])
        elif text:
            grid.show([_row(self.services, *item) for item in self._answers.items()])
            if text != self._started_at:  # otherwise the cursor stays
                self._started_at = text
                missing = (key for key, item in self._answers.items() if item.is_missing)
                grid.go_to(next(missing, 0))
        else:
            grid.show_notice(RowsState.UNKNOWN, ASK)
        self._explain()
        self.action_keys.refresh()

    def show_ages(self) -> None:
        super().show_ages()
        self._explain()

    def _explain(self) -> None:
        chosen, many = self._chosen, len(self._answers)
        title = _found_text(many, self._text, self._suggested) if self._text else ""
        if self._is_same_person:
            title = SAME_PERSON
        self.query_one("#where").border_title = title
        self.query_one("#list").styles.height = many + 1 if many else "1fr"  # including the header
        self.query_one(Split).has_detail = chosen is not None
        self.query_one("#amplitude").display = self._answer is not None
        grid = self.query_one("#list", Grid)
        grid.opens = "Look up" if self._suggested else _opens(chosen)
        grid.empty = _unknown_text(self._answer)
        if self._answer is not None:
            at = self._answer.asked_at
            age = safe_text((f" Asked {self.services.age_of(at)}." if at else "", MUTED))
            lacks = any(map(_lacks_identifier, self._answers.values()))
            said = self._answer.said(lacks_identifier=lacks)
            self.query_one("#amplitude", Static).update(said + age)
            grid.refresh()
        in_segment, line = self._segment.says(chosen), self.query_one("#segment", Static)
        line.display = in_segment is not None and chosen is None
        if in_segment is not None and chosen is None:
            line.update(in_segment)
        if chosen is not None:
            self.query_one(PersonDetail).show(chosen, self._answer, in_segment)

    @property
    def _chosen(self) -> PersonStatus | None:
        key = self.query_one("#list", Grid).key
        return self._answers.get(key) if isinstance(key, int) else None

    # Actions.

    def disabled_reason(self, action: str) -> str | None:
        """Why an action is unavailable now."""
        if action in {"ask", "ask_segment", "forget"} and not self._text:
            return NO_TEXT
        if action == "forget" and self._suggested:
            return "No event has exactly this ID. Press Enter to open the marked one first."
        user = _rejected(self._chosen)
        if action == "retry" and user is not None:
            return reason_not_to_retry(self.session.connection, [user.code])
        return None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide / while an identifier is typed, and retrying unless the person is rejected."""
        chosen = self._chosen
        is_useful = {
            "type": lambda: not self.query("#who:focus"),
            "mapping": lambda: _lacks_identifier(chosen),
            "retry": lambda: _rejected(chosen) is not None,
            "run": lambda: _is_sent(chosen),
            "ask_segment": lambda: self.services.segment.has_profiles_token,
            "sync": lambda: _is_retried(chosen),
        }.get(action)
        if is_useful is not None and not is_useful():
            return False
        return super().check_action(action, parameters)

    def useful_actions(self) -> UsefulActions:
        if self.query("#who:focus"):
            return ("look_up",)
        answer, user = self._answer, _rejected(self._chosen)
        if user is None:
            return ()
        another = Labelled("type", "Another")
        return (Withheld("retry") if is_retry_in_vain(user, answer) else "retry", another)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Clear the screen, so that no identifier is above another person's data."""
        if self._text and event.value != self._text:
            self._text, self._answer, self._answers, self._suggested = "", None, {}, []
            self._is_same_person = False
            self._segment.forget()
            grid = self.query_one("#list", Grid)
            grid.reshape(COLUMNS)
            grid.show_notice(RowsState.UNKNOWN, ASK)
            self._explain()
            self.action_keys.refresh()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Look up another identifier, exactly as it was typed."""
        if not event.value.strip():  # the next letters are meant for the input
            self.services.notifications.post(NO_TEXT, "warning", is_kept=False)
            return
        self._text, self._answer = event.value, None
        self._segment.forget()
        grid = self.query_one("#list", Grid)
        grid.show_notice(RowsState.UNKNOWN, "")  # the rows are about another person
        grid.show_notice(RowsState.LOADING)
        self.loader.forget()
        grid.focus()
        self.reload()

    def on_grid_moved(self) -> None:
        """Show the detail of another audience."""
        self._explain()
        self.action_keys.refresh()

    async def on_grid_opened(self, event: Grid.Opened) -> None:
        """Look up another identifier of the person, or open the run that last sent them."""
        other = event.key if isinstance(event.key, str) else _other_identifier(self._chosen)
        if other is not None:
            await self.query_one(IdentifierLine).look_up(other)
        elif self._chosen is not None and self._chosen.record.request is None:
            who = clean(self._text, 60)
            self.services.notifications.post(
                f"No request has carried “{who}” in this audience yet, so there is no run to open.",
                is_kept=False,
            )
        else:
            self.action_run()

    def action_type(self) -> None:
        """Type another identifier."""
        self.query_one(IdentifierLine).type_over()

    def revisit(self) -> None:
        """Ask for another person: the key that opens this screen also works on it."""
        if self.query("#who"):
            self.action_type()

    def action_run(self) -> None:
        """Open the last run with the person."""
        chosen = self._chosen
        if chosen is not None and chosen.record.request is not None:
            self.services.navigate(OpenRun(chosen.record.request.run_id))

    def action_mapping(self) -> None:
        """Set the fields of the identifiers, by the newest event of the person."""
        if self._chosen is not None:
            record = self._chosen.record
            self.services.navigate(OpenMapping(record.source or "", record.line or 0))

    def action_retry(self) -> None:
        """Make this person pending again, once confirmed."""
        user = _rejected(self._chosen)
        if user is not None:
            answer, age_of = self._answer, self.services.age_of
            said = "" if answer is None else answer.for_retry(age_of(answer.asked_at), user)
            self.early_keys.ask_soon(_retry(self, user, said))

    def action_forget(self) -> None:
        """Answer a deletion request, after the identifier was typed again."""
        chosen = self._chosen
        id_type = None if chosen is None else chosen.record.id_type
        self.early_keys.ask_soon(ask_and_forget(self.services, self._text, id_type))

    def action_sync(self) -> None:
        """Plan a sync of their audience, once the person was retried."""
        if self._chosen is not None:
            self.services.navigate(OpenPlan((self._chosen.record.audience.id,)))

    def action_copy(self) -> None:
        """Copy the sentence, what Segment says, and the facts."""
        if self._chosen is not None:
            self.services.clipboard.copy(self.query_one(PersonDetail).text)

    def action_ask(self) -> None:
        """Ask Amplitude's user search."""
        self._answer = SearchAnswer(safe_text((WAITING + self.services.glyphs.more, MUTED)))
        self._explain()
        text = self._text

        async def ask() -> None:
            now = self.services.clock.now
            says = await answer_to(self.session, text, self._answers.values(), now)
            if text == self._text:
                self._answer = says
                self._explain()
                self.reload()  # the answer may name the identifier that events contain

        self.run_worker(ask, exclusive=True, group="ask")

    def action_ask_segment(self) -> None:
        """Ask Segment about them: whether they are in the audience now."""
        asking = self._segment.ask(self._text, self._answers.values())
        self.run_worker(asking, exclusive=True, group="ask segment")


async def _retry(screen: PersonScreen, user: RejectedUser, said: str) -> None:
    outcome = await ask_and_retry(screen.services, ALL_REJECTED, [user], said)
    if outcome.counts:
        screen.reload()
    finish_retry(screen.services, outcome)


def _found_text(many: int, text: str, suggested: Sequence[str]) -> str:
    """Say how many audiences know an identifier, and how many identifiers begin with it."""
    if many:
        return f"Found in {plural(many, 'audience')}"
    if not (similar := len(suggested)):
        return "Not found in any event"
    if are_spelt_otherwise(text, suggested):
        differ = plural(similar, "identifier differs", "identifiers differ")
        return f"Not found. {differ} only in case (Enter opens one)"
    begin = plural(similar, "identifier begins", "identifiers begin")
    first = "at least " if similar == MAX_SUGGESTED else ""
    return f"No event has exactly this ID; {first}{begin} with it (Enter opens one)"


def _unknown_text(answer: SearchAnswer | None) -> str:
    """The advice for an identifier in no event, depending on Amplitude's answer."""
    if answer is None:
        return UNKNOWN
    if answer.is_known is None:
        return f"{NO_EVENT}\n\n{SPELLING}"
    if not answer.is_known:
        return UNKNOWN_TO_BOTH
    return IN_AMPLITUDE_ONLY


def _row(services: Services, number: int, status: PersonStatus) -> Row:
    record = status.record
    return Row(
        number,
        (
            Cell(record.audience.name),
            Cell(record.audience.id_type.label, "dim"),
            Cell(status.answer, TONES[status.verdict]),
            aged(status.since, services.clock.age_now, services.glyphs),
        ),
    )


def _kept_answer(session: Session, statuses: Iterable[PersonStatus]) -> SearchAnswer | None:
    """Amplitude's earlier answer about a rejected person, from Errors or this screen."""
    users = (user for status in statuses if (user := _rejected(status)) is not None)
    return next(filter(None, map(session.search_answers.about, users)), None)


def _rejected(status: PersonStatus | None) -> RejectedUser | None:
    return status.record.rejected_user if status is not None else None


def _is_sent(status: PersonStatus | None) -> bool:
    """Whether a run has sent the person."""
    return status is not None and status.record.request is not None


def _other_identifier(status: PersonStatus | None) -> str | None:
    """The identifier by which an audience matches the person; None if it is this one."""
    is_other = status is not None and status.verdict is PersonVerdict.OTHER_ID_TYPE
    return status.record.counterpart if status is not None and is_other else None


def _opens(status: PersonStatus | None) -> str:
    """What Enter opens for an audience."""
    if status is not None and _other_identifier(status) is not None:
        return f"Look up {status.record.id_type.other.label}"
    return "Open run" if _is_sent(status) else ""


def _lacks_identifier(status: PersonStatus | None) -> bool:
    return status is not None and status.verdict is PersonVerdict.NO_IDENTIFIER


def _is_retried(status: PersonStatus | None) -> bool:
    """Whether the person was retried, and is pending."""
    pending = {PersonVerdict.ENTERS, PersonVerdict.LEAVES}
    return status is not None and status.verdict in pending and status.record.refusals > 0
