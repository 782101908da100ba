"""What screens with a form have in common: saving, mistakes at their fields, and going back."""

from collections.abc import Callable, Coroutine, Mapping
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Button, Input, Static
from textual.worker import Worker

from amp_console.connections import SettingsError
from amp_console.console.dialogs.base import Confirm
from amp_console.console.failures import expected_failures
from amp_console.console.place_bar import PLACE_KEYS
from amp_console.console.routes import MainScreen, Visit
from amp_console.console.screens.base import BaseScreen, leave
from amp_console.console.texts import TONE, safe_text
from amp_console.console.widgets.fields import Choice, Field, field_id

F1 = Binding(
    "f1",
    "app.help",
    "Help",
    tooltip="Say what can be done on this screen",
    key_display="F1",
    id="help",
)
"""The last key of a form's footer: a question mark would be typed into the line."""


NOT_SAVED = "Not saved. Fix the marked fields."
KEEPS_STORED = "leave empty to keep the stored one"
"""In an empty field for a secret that the keyring has."""
HIGH = 32
"""Lines from which a screen has the class `-high`; with fewer it has `-low`."""


class FormScreen(BaseScreen):
    """A screen where something is entered. Nothing is lost on the way back without a question."""

    AT_WORK: ClassVar[Mapping[str, str]] = {}
    """Why an action is unavailable while what `begin_work` began has not ended, by its name."""
    AUTO_FOCUS = "Input, Choice"
    VERTICAL_BREAKPOINTS = [(0, "-low"), (HIGH, "-high")]  # noqa: RUF012  # Textual's own
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f2,ctrl+s", "save", "Save", key_display="F2", id="form.save"),
        *PLACE_KEYS,
        Binding("q", "app.quit", "Quit", show=False, id="quit.ask"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._at_first: tuple[str, ...] | None = None
        self._answers: set[str] = set()  # fields that show an answer of Amplitude
        self._working: Worker[None] | None = None

    def compose(self) -> ComposeResult:
        self.add_class("-high" if self.app.size.height >= HIGH else "-low", update=False)
        yield from super().compose()

    def entries(self) -> tuple[str, ...]:
        """All that is entered, to be compared with what it was at first."""
        return tuple(
            item.value for item in self.query("Input, Choice") if isinstance(item, Input | Choice)
        )

    def begin(self) -> None:
        """What is entered now is how it was."""
        self._at_first = self.entries()

    @property
    def is_changed(self) -> bool:
        """Whether something is entered that was not saved."""
        return self._at_first is not None and self.entries() != self._at_first

    def field(self, name: str) -> Field:
        """The field of this name."""
        return self.query_one(f"#{field_id(name)}", Field)

    def mistakes(self) -> Mapping[str, str]:
        """What is wrong with what is entered now, by field."""
        return {}

    def all_corrected(self) -> None:
        """No field has a mistake any more."""

    @on(Input.Changed)
    def _input_changed(self, event: Input.Changed) -> None:
        """Take a mistake back as soon as it is corrected."""
        self._check_again(event.input)

    @on(Choice.Changed)
    def _choice_changed(self, event: Choice.Changed) -> None:
        """Take a mistake back as soon as it is corrected."""
        self._check_again(event.choice)

    def _check_again(self, changed: Widget) -> None:
        """Say what is wrong by now at the fields that are marked; others are still being filled.

        An answer of Amplitude's stays until its field is changed.
        """
        marked = [item for item in self.query(Field) if item.note]
        if not marked:
            return
        wrong = self.mistakes()
        for item in marked:
            name = item.control.id or ""
            if item.control is changed:
                self._answers.discard(name)
            if name not in self._answers:
                item.show_note(wrong.get(name, ""), self.services.glyphs)
        if not any(item.note for item in marked):
            self.all_corrected()

    def show_mistakes(
        self, told: Mapping[str, str], tone: str = "bad", *, is_answer: bool = False
    ) -> None:
        """Show each mistake at its field, none at the others, and focus the first.

        `is_answer`: Amplitude said so, so it can't be checked here.
        """
        self._answers = set(told) if is_answer else set()
        fields = list(self.query(Field))
        for field in fields:
            field.show_note(told.get(field.control.id or "", ""), self.services.glyphs, tone)
        wrong = next((field for field in fields if field.note), None)
        if wrong is not None:
            wrong.control.focus()

    def warn(self, name: str, text: str) -> None:
        """Show a warning at a field until that is changed; the focus stays where it is."""
        self._answers.add(name)
        self.field(name).show_note(text, self.services.glyphs, "warn")

    def say(self, text: str, tone: str) -> None:
        """Say below the fields how it is going."""
        self.query_one("#told", Static).update(safe_text((text, TONE[tone])))

    @property
    def is_working(self) -> bool:
        """Whether something that was begun with `begin_work` has not ended."""
        return self._working is not None and not self._working.is_finished

    def disabled_reason(self, action: str) -> str | None:
        """One thing at a time: some actions are unavailable until the one begun has ended."""
        if (reason := super().disabled_reason(action)) is not None:
            return reason
        return self.AT_WORK.get(action) if self.is_working else None

    async def on_button_pressed(self, event: Button.Pressed) -> None:
        """Do the action that a button is named after, or say why it is unavailable."""
        action = event.button.id or ""
        if not self.action_keys.explain_action(action):
            await self.run_action(action)

    def begin_work(self, work: Coroutine[None, None, object], action: str) -> None:
        """Do the work of an action unless that is unavailable; a failure is said below the fields.

        `AT_WORK` says which actions are unavailable until it ends.
        """
        reason = self.disabled_reason(action)
        if reason is None:
            self._working = self.run_worker(self._guarded(work))
            self.action_keys.refresh()
        else:
            work.close()
            self.services.notifications.post(reason, "warning")

    async def _guarded(self, work: Coroutine[None, None, object]) -> None:
        try:
            await work
        except expected_failures(SettingsError) as error:
            self.say(str(error), "bad")
        finally:
            self.call_later(self.action_keys.refresh)

    def action_save(self) -> None:
        """Keep what was entered."""

    def action_back(self) -> None:
        """Go back; ask first, where something would be lost."""
        self._unless_lost(self.leave)

    def action_go(self, name: str) -> None:
        """Leave for one of the main screens; ask first, where something would be lost."""

        def go() -> None:
            if len(self.app.screen_stack) > 2:
                self.app.pop_screen()
            self.services.navigate(Visit(MainScreen(name)))

        self._unless_lost(go)

    def leave(self) -> None:
        """Go back to where one came from."""
        leave(self)

    def _unless_lost(self, go: Callable[[], None]) -> None:
        if not self.is_changed:
            go()
            return
        self.app.push_screen(discard_question(), lambda is_meant: go() if is_meant else None)


def discard_question() -> Confirm:
    """Ask before entries that are not saved are lost."""
    return Confirm(
        "Discard changes?",
        ["Your changes are not saved."],
        yes="Discard",
        no="Keep editing",
        is_danger=True,
    )
