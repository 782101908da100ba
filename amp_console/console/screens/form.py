"""The base of screens with a form: saving, mistakes at fields, and going back."""

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
    tooltip="Say what this screen can do",
    key_display="F1",
    id="help",
)
"""The last key of a form's footer: a question mark would be typed into the input."""


NOT_SAVED = "Not saved. Fix the marked fields."
KEEPS_STORED = "leave empty to keep the stored one"
"""The hint in an empty field for a stored secret."""
HIGH = 32
"""From this many lines on, a screen has the class `-high`; with fewer, `-low`."""


class FormScreen(BaseScreen):
    """A screen with entries, which are not discarded without a question."""

    AT_WORK: ClassVar[Mapping[str, str]] = {}
    """Why an action is unavailable while the work of `begin_work` is under way, by action."""
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
        self._answers: set[str] = set()  # fields that show Amplitude's answer
        self._working: Worker[None] | None = None

    def compose(self) -> ComposeResult:
        self.add_class("-high" if self.app.size.height >= HIGH else "-low", update=False)
        yield from super().compose()

    def entries(self) -> tuple[str, ...]:
        """All entries, for comparison with the initial ones."""
        return tuple(
            item.value for item in self.query("Input, Choice") if isinstance(item, Input | Choice)
        )

    def begin(self) -> None:
        """Take the current entries as the initial ones."""
        self._at_first = self.entries()

    @property
    def is_changed(self) -> bool:
        """Whether there are unsaved entries."""
        return self._at_first is not None and self.entries() != self._at_first

    def field(self, name: str) -> Field:
        """The field with this name."""
        return self.query_one(f"#{field_id(name)}", Field)

    def mistakes(self) -> Mapping[str, str]:
        """What is wrong with the current entries, by field."""
        return {}

    def all_corrected(self) -> None:
        """Called when no field has a mistake anymore."""

    @on(Input.Changed)
    def _input_changed(self, event: Input.Changed) -> None:
        """Take a mistake back as soon as it is corrected."""
        self._check_again(event.input)

    @on(Choice.Changed)
    def _choice_changed(self, event: Choice.Changed) -> None:
        """Take a mistake back as soon as it is corrected."""
        self._check_again(event.choice)

    def _check_again(self, changed: Widget) -> None:
        """Update the mistakes at marked fields; others may still be being filled in.

        Amplitude's answer stays until its field is changed.
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
        self, mistakes: Mapping[str, str], tone: str = "bad", *, is_answer: bool = False
    ) -> None:
        """Show each mistake at its field, none at the others, and focus the first.

        `is_answer`: they are Amplitude's answer, so they can't be checked here.
        """
        self._answers = set(mistakes) if is_answer else set()
        fields = list(self.query(Field))
        for field in fields:
            field.show_note(mistakes.get(field.control.id or "", ""), self.services.glyphs, tone)
        wrong = next((field for field in fields if field.note), None)
        if wrong is not None:
            wrong.control.focus()

    def warn(self, name: str, text: str) -> None:
        """Show a warning at a field until that is changed, without moving the focus."""
        self._answers.add(name)
        self.field(name).show_note(text, self.services.glyphs, "warn")

    def say(self, text: str, tone: str) -> None:
        """Show a message below the fields."""
        self.query_one("#form-status", Static).update(safe_text((text, TONE[tone])))

    @property
    def is_working(self) -> bool:
        """Whether work started with `begin_work` is under way."""
        return self._working is not None and not self._working.is_finished

    def disabled_reason(self, action: str) -> str | None:
        """Some actions are unavailable until the one under way has ended."""
        if (reason := super().disabled_reason(action)) is not None:
            return reason
        return self.AT_WORK.get(action) if self.is_working else None

    async def on_button_pressed(self, event: Button.Pressed) -> None:
        """Perform the action with a button's ID, or say why it is unavailable."""
        action = event.button.id or ""
        if not self.action_keys.explain_action(action):
            await self.run_action(action)

    def begin_work(self, work: Coroutine[None, None, object], action: str) -> None:
        """Do the work of an action unless it is unavailable; show a failure below the fields.

        `AT_WORK` names the actions that are unavailable until it ends.
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
        """Save the entries."""

    def action_back(self) -> None:
        """Go back; ask first if entries would be lost."""
        self._unless_lost(self.leave)

    def action_go(self, name: str) -> None:
        """Go to a main screen; ask first if entries would be lost."""

        def go() -> None:
            if len(self.app.screen_stack) > 2:
                self.app.pop_screen()
            self.services.navigate(Visit(MainScreen(name)))

        self._unless_lost(go)

    def leave(self) -> None:
        """Go back to the previous screen."""
        leave(self)

    def _unless_lost(self, go: Callable[[], None]) -> None:
        if not self.is_changed:
            go()
            return
        self.app.push_screen(discard_question(), lambda is_meant: go() if is_meant else None)


def discard_question() -> Confirm:
    """Ask before discarding unsaved entries."""
    return Confirm(
        "Discard changes?",
        ["Your changes are not saved."],
        yes="Discard",
        no="Keep editing",
        is_danger=True,
    )
