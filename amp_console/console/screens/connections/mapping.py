"""The fields of events that hold the identifiers, tried at once on a sample event."""

import json
from pathlib import PurePath
from typing import ClassVar

import msgspec
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static, TextArea

from amp_console.connections import SettingsError
from amp_console.console.background import in_thread
from amp_console.console.routes import MainScreen
from amp_console.console.screens.actions import Need
from amp_console.console.screens.form import F1, NOT_SAVED, FormScreen
from amp_console.console.texts import BAD, GOOD, MUTED, Part, facts, safe_text
from amp_console.console.widgets.fields import Field, Form, entered
from amp_console.console.widgets.grid.widget import READING
from amp_console.engage import FieldMapping, MappingError, UnreadableSource
from amp_console.engage.mapping import FieldPath
from amp_console.engage.trial import Trial, event_at, try_mapping
from amp_console.sync.connection_log import log_connection_saved
from amp_console.text import trimmed

USER_ID, AMPLITUDE_ID = "user-id", "amplitude-id"
ABOUT = (
    "These paths apply to events that are read from now on. Import earlier events again to apply "
    "them to those, too."
)
SAMPLE = json.dumps(
    {
        "type": "identify",
        "userId": "u-10442",
        "timestamp": "2026-05-03T19:42:51.000Z",
        "context": {
            "personas": {
                "computation_class": "audience",
                "computation_id": "aud_2Hk8",
                "computation_key": "high_value_shoppers",
                "space_id": "spa_o1E9",
            }
        },
        "traits": {"high_value_shoppers": True, "amplitude_id": 418203995117},
    },
    indent=2,
)
PASTE = "Sample event: paste one of yours"
NO_SAMPLE = "Paste an event to try the paths on it."
NO_NUMBER = "Amplitude's own IDs are numbers: users imported so would not be found."
LARGEST_SAMPLE = 100_000  # characters; a sample is tested at every key


class MappingScreen(FormScreen):
    """The field mapping of the open connection."""

    NAME = "Field mapping"
    BELONGS_TO = MainScreen.CONNECTIONS
    HELP = """\
The same two paths as in the mapping of Segment's destination. User ID is the path to Segment's user
ID in an event, nearly always $.userId. Amplitude ID is the path to Amplitude's own number for the
person. Leave it empty if your events have none.

Write a path as in Segment: $.traits.amplitude_id, $.context.externalIds[0].id, or
$.traits['odd.key']. What it finds in the event below is shown at once. That is the event that
brought you here from Errors, or else a sample. To be sure, paste an event of your own over it."""
    CSS_PATH = "mapping.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f5", "sample", "Reset the event", key_display="F5", id="mapping.sample"),
        F1,
    ]

    NEEDS = {"save": {Need.SETTINGS}}  # noqa: RUF012

    def __init__(self, source: str = "", line: int = 0) -> None:
        """`source` and `line` are the place of the event with which to test the mapping first."""
        super().__init__()
        self._source = source
        self._line = line
        self._sample = SAMPLE
        self._is_reading = bool(source)  # the event that led here

    def body(self) -> ComposeResult:
        known = self.session.connection
        with Container(id="paths", classes="panel") as panel:
            panel.border_title = safe_text(f"{self.NAME} {self.services.glyphs.dot} ", known.name)
            yield Static(safe_text(ABOUT), id="about")
            with Form():
                user = Input(
                    known.user_id_path,
                    placeholder="default: $.userId",
                    id=USER_ID,
                    select_on_focus=False,
                )
                yield Field("User ID", user)
                other = Input(
                    known.amplitude_id_path or "",
                    placeholder="empty, or e.g. $.traits.amplitude_id",
                    id=AMPLITUDE_ID,
                    select_on_focus=False,
                )
                yield Field("Amplitude ID", other)
        with Container(id="trial"):
            with Container(id="sample", classes="panel") as panel:
                panel.border_title = PASTE
                text = "" if self._source else SAMPLE
                yield TextArea(text, id="event", highlight_cursor_line=False)
            with VerticalScroll(id="found", classes="panel", can_focus=False) as panel:
                panel.border_title = "Result"
                yield Static(id="found-text")

    def on_mount(self) -> None:
        """Test the current paths."""
        event = self.query_one("#event", TextArea)
        event.indent_type = "spaces"
        event.cursor_blink = False  # it would cost more than all else while nothing happens
        self.begin()
        self._try()
        if self._source:
            self.run_worker(self._read_event())

    async def _read_event(self) -> None:
        """Test with the event that led here, or with the sample if it is gone."""
        try:
            self._sample = await in_thread(event_at, self._source, self._line)
        except UnreadableSource as error:
            self.services.notifications.post(f"Could not show the event. {error}", "warning")
        else:
            where = f"{PurePath(self._source).name}, line {self._line:,}"
            self.query_one("#sample").border_title = safe_text(where, max_length=80)
        self._is_reading = False
        self.action_sample()

    def on_input_changed(self) -> None:
        """Test again."""
        self._try()

    def on_text_area_changed(self) -> None:
        """Test again."""
        self._try()

    def action_sample(self) -> None:
        """Restore the sample, or the event that led here."""
        self.query_one("#event", TextArea).load_text(self._sample)

    # Testing.

    def _mapping(self) -> FieldMapping | None:
        """The entered paths; None if fields show mistakes."""
        mistakes = self.mistakes()
        for name in (USER_ID, AMPLITUDE_ID):
            self.field(name).show_note(mistakes.get(name, ""), self.services.glyphs)
        return None if mistakes else FieldMapping.parse(*self._paths())

    def mistakes(self) -> dict[str, str]:
        """What is wrong with the paths, by field."""
        paths = dict(zip((USER_ID, AMPLITUDE_ID), self._paths(), strict=True))
        wrong = {name: _wrong(path) for name, path in paths.items() if path is not None}
        return {name: why for name, why in wrong.items() if why is not None}

    def _paths(self) -> tuple[str, str | None]:
        user_id, amplitude_id = trimmed(entered(self, USER_ID)), entered(self, AMPLITUDE_ID)
        return user_id or "$.userId", trimmed(amplitude_id) or None

    def _try(self) -> None:
        mapping = self._mapping()
        text = self.query_one("#event", TextArea).text
        shown = safe_text((READING, MUTED)) if self._is_reading else _trial_text(mapping, text)
        self.query_one("#found-text", Static).update(shown)

    # Saving.

    def action_save(self) -> None:
        """Save the paths for events read from now on."""
        if self._mapping() is None:
            self.services.notifications.post(NOT_SAVED, "warning")
        elif not self.is_changed:
            self.services.notifications.post("Nothing was changed.")
        else:
            self.run_worker(self._save(), exclusive=True, group="save")

    async def _save(self) -> None:
        user_id, amplitude_id = self._paths()
        store, session = self.services.environment.connections, self.session
        known = session.connection
        try:
            changed = await in_thread(
                store.change, known, user_id_path=user_id, amplitude_id_path=amplitude_id
            )
        except SettingsError as error:
            self.services.notifications.post(str(error), "error")
            return
        ledgers, now = self.services.environment.ledgers, self.services.timing.now
        before = msgspec.structs.replace(
            changed, user_id_path=known.user_id_path, amplitude_id_path=known.amplitude_id_path
        )
        await in_thread(log_connection_saved, ledgers, before, changed, now=now)
        session.change(changed)
        self.services.notifications.post(f"Saved. {ABOUT}")
        self.leave()


def _wrong(path: str) -> str | None:
    try:
        FieldPath.parse(path)
    except MappingError:
        return "Not a path. Write it as in Segment, e.g. $.traits.id"
    return None


def _trial_text(mapping: FieldMapping | None, text: str) -> Content:
    if mapping is None:
        return safe_text(("Correct the path first.", MUTED))
    if not text.strip():
        return safe_text((NO_SAMPLE, MUTED))
    if len(text) > LARGEST_SAMPLE:
        return safe_text(("This is too large for a sample. Paste a single event.", BAD))
    try:
        trial = try_mapping(mapping, text)
    except ValueError as error:
        return safe_text((str(error), BAD))
    return facts(_rows(trial, has_other=mapping.amplitude_id is not None), 14)


def _rows(trial: Trial, *, has_other: bool) -> list[tuple[str, Content | str]]:
    audience = trial.audience
    nothing: Part = ("nothing usable", MUTED)
    other: Part = trial.amplitude_id or (nothing if has_other else ("no path is set", MUTED))
    is_taken = audience is not None and not trial.verdict.startswith(("filtered", "invalid"))
    is_odd = trial.amplitude_id is not None and not trial.amplitude_id.isdecimal()
    return [
        ("User ID", safe_text(trial.user_id or nothing)),
        ("Amplitude ID", safe_text(other)),
        *([("", safe_text((NO_NUMBER, BAD)))] if is_odd else []),
        ("audience", safe_text(audience.key if audience else ("none", MUTED))),
        ("the event", safe_text((trial.verdict, GOOD if is_taken else BAD))),
    ]
