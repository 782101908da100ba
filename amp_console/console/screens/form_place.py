"""What places with a form have in common: saving, mistakes at their fields, and going back."""

from collections.abc import Callable, Mapping
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input

from amp_console.console.screens.dialog import Confirm
from amp_console.console.screens.place import Place
from amp_console.console.widgets.fields import Choice, Field

F1 = Binding("f1", "screen.help", "Help", key_display="F1", id="help")
"""The last key of a form's footer: a question mark would be typed into the line."""


class FormPlace(Place):
    """A place where something is entered. Nothing is lost on the way back without a question."""

    AUTO_FOCUS = "Input, Choice"
    VERTICAL_BREAKPOINTS = [(0, "-low"), (32, "-high")]  # noqa: RUF012  # Textual's own
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f2,ctrl+s", "save", "Save", key_display="F2", id="form.save"),
        # As the application's own, but nothing that was entered is lost.
        Binding("1", "go('audiences')", show=False),
        Binding("2", "go('errors')", show=False),
        Binding("3", "go('runs')", show=False),
        Binding("4", "go('connections')", show=False),
        Binding("5", "go('events')", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._at_first: tuple[str, ...] | None = None

    def entries(self) -> tuple[str, ...]:
        """All that is entered, to be compared with what it was at first."""
        return tuple(
            each.value for each in self.query("Input, Choice") if isinstance(each, Input | Choice)
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
        return self.query_one(f"#field-{name}", Field)

    def tell(self, told: Mapping[str, str], tone: str = "bad") -> None:
        """Tell each mistake at its field, none at the others, and go to the first."""
        fields = list(self.query(Field))
        for each in fields:
            each.tell(told.get((each.id or "").removeprefix("field-"), ""), tone)
        wrong = next((each for each in fields if each.told), None)
        if wrong is not None:
            wrong.control.focus()

    def action_save(self) -> None:
        """Keep what was entered."""

    def action_back(self) -> None:
        """Go back; ask first, where something would be lost."""
        self._unless_lost(self.leave)

    def action_go(self, name: str) -> None:
        """Go to one of the main places; ask first, where something would be lost."""
        self._unless_lost(lambda: self.console.action_go(name))

    def leave(self) -> None:
        """Go back to where one came from."""
        super().action_back()

    def _unless_lost(self, go: Callable[[], None]) -> None:
        if not self.is_changed:
            go()
            return
        question = Confirm(
            "Go without saving?",
            ["What you entered here is not saved yet."],
            yes="Throw it away",
            no="Stay here",
            is_danger=True,
        )
        self.app.push_screen(question, lambda is_meant: go() if is_meant else None)
