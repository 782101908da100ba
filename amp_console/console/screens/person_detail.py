"""The input for an identifier, and what an audience knows about the person."""

from pathlib import PurePath
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import Input, Static

from amp_console.console.context import Services, services_of
from amp_console.console.search_answer import SearchAnswer
from amp_console.console.texts import BAD, STRONG, facts, lines, safe_text
from amp_console.console.widgets.scroll_pane import ScrollPane
from amp_console.console.words import folder_of
from amp_console.sync.queries.person import PersonStatus, found_text
from amp_console.text import plural, readable_time
from amp_console.values import Operation

SCROLLBAR = 2  # columns, including the gap before it
_OPERATION = {Operation.ADD: "an addition", Operation.REMOVE: "a removal"}
PLACEHOLDER = "User ID or Amplitude ID, exactly as in the events: case and spaces matter"


class IdentifierLine(Container):
    """The input for the identifier, and the answers of Amplitude and Segment."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "look_up", "Look up", key_display="Enter", id="person.look_up"),
    ]

    def __init__(self, text: str) -> None:
        super().__init__(id="who-panel", classes="panel")
        self._text = text

    def compose(self) -> ComposeResult:
        self.border_title = "Person"
        yield Input(self._text, placeholder=PLACEHOLDER, id="who", compact=True)
        yield Static(id="amplitude")
        yield Static(id="segment")

    def type_over(self) -> None:
        """Focus the input, with its text selected."""
        field = self.query_one(Input)
        self.screen.set_focus(field)  # at once: the next key is already for the input
        field.select_all()

    async def look_up(self, text: str) -> None:
        """Look up this identifier instead."""
        self.show(text)
        await self.query_one(Input).action_submit()

    def show(self, text: str) -> None:
        """Show the identifier that is looked up."""
        field = self.query_one(Input)
        with field.prevent(Input.Changed):
            field.value = text

    async def action_look_up(self) -> None:
        """Look up what was typed."""
        await self.query_one(Input).action_submit()


class PersonDetail(ScrollPane):
    """Why a person is, or is not, in the cohort of one audience."""

    def __init__(self) -> None:
        super().__init__(
            Static(id="sentence"),
            Static(id="in-segment"),
            Static(id="facts"),
            id="why",
            classes="panel",
        )
        self._shown: tuple[PersonStatus, SearchAnswer | None, Content | None] | None = None

    @property
    def text(self) -> str:
        """The whole text, as plain text."""
        if self._shown is None:
            return ""
        status, answer, in_segment = self._shown
        known = _facts(services_of(self), status, None)
        asked = [] if in_segment is None else [in_segment]
        return lines(_sentence(status, answer), *asked, safe_text(""), known).plain

    def on_resize(self) -> None:
        """Wrap the lines to fit."""
        if self._shown is not None:
            self.show(*self._shown)

    def show(
        self, status: PersonStatus, answer: SearchAnswer | None, in_segment: Content | None
    ) -> None:
        """Show what an audience knows, with the answers of Amplitude and Segment, if any."""
        self.border_title = safe_text(status.record.audience.name, max_length=60)
        room = self.size.width - SCROLLBAR if self.size.width else None
        sentence, known = _sentence(status, answer), _facts(services_of(self), status, room)
        self._shown = status, answer, in_segment
        self.query_one("#sentence", Static).update(sentence)
        line = self.query_one("#in-segment", Static)
        line.display = in_segment is not None
        line.update(in_segment or "")
        self.query_one("#facts", Static).update(known)


def _sentence(status: PersonStatus, answer: SearchAnswer | None) -> Content:
    is_known = answer.is_known if answer is not None else None
    return safe_text((status.sentence_if(is_known), STRONG), max_length=900)


def _source_of(source: str | None, line: int) -> list[tuple[str, str]]:
    """Where the last copy of an event was read; the folder has a separate line."""
    if source is None:
        return []
    name = PurePath(source).name
    folder = [("", text)] if (text := folder_of(source)) else []
    where = f"line {line:,} of {name}" if line else name
    return [("last read in", where), *folder]


def _facts(services: Services, status: PersonStatus, room: int | None) -> Content:
    record = status.record
    when = f", {readable_time(record.event_at)}" if record.source else ""
    rows: list[tuple[str, Content | str]] = [
        ("event says", f"{status.event_says}{when}"),
        *_source_of(record.source, record.line),
        ("should be", status.belongs),
    ]
    if status.query_source:
        rows.insert(
            -1, ("query", f"a refresh from {status.query_source} outweighs the events before it")
        )
    if not record.is_only_found:
        rows.append(("last known", status.delivered))
    rows.append(("cohort", record.audience.cohort_id or "no cohort"))
    for number, made in enumerate(record.comparisons):
        when = f"{readable_time(made.at)} ({services.age_of(made.at)})"
        text = f"{when}, run {made.run_id}: {found_text(made)}"
        rows.append(("" if number else "compared", text))
    if (request := record.request) is not None:
        by = f" by {record.run_operator}" if record.run_operator else ""
        what = _OPERATION[request.operation]
        took = f"request {request.id}, {what} (run {request.run_id}{by})"
        took = f"{took}, {readable_time(request.sent_at)}"
        rows.append(("last sent by", f"{took}, status {request.status or 'none'}"))
    if (why := record.rejection) is not None:
        tries = plural(why.tries, "attempt")
        text = f"{readable_time(why.at)}, after {tries}"
        rows.append(("rejected", safe_text((text, BAD))))
        if why.since != why.at:
            rows.append(("first time", safe_text((readable_time(why.since), BAD))))
    if record.counterpart:
        rows.append((record.id_type.other.label, record.counterpart))
    return facts(rows, room=room)
