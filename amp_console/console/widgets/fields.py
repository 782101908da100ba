"""Fields of a form: a label, a control, a mark beside it, and a note below it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Checkbox, Input, Static

from amp_console.console.glyphs import PLAIN, Glyphs
from amp_console.console.texts import ACCENT, MUTED, TONE, Part, safe_text

GAP = 3  # columns between two choices


class Form(VerticalScroll, inherit_bindings=False):
    """Fields below each other. Up and down move between fields, as Tab does."""

    DEFAULT_CSS = """
    Form { height: auto; scrollbar-size-vertical: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "app.focus_previous", "Previous field", show=False),
        Binding("down", "app.focus_next", "Next field", show=False),
        Binding("pageup", "page_up", "Page up", show=False),
        Binding("pagedown", "page_down", "Page down", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  # Textual's word
        super().__init__(id=id, can_focus=False)

    def on_input_submitted(self) -> None:
        self.screen.focus_next()


class Field(Vertical):
    """A label with its control, which needs an id; `mark` is to the right, a note below."""

    DEFAULT_CSS = """
    Field { height: auto; }
    Field > Horizontal { height: 1; }
    Field .label { width: 16; color: $text-muted; }
    Field .mark { width: auto; padding-left: 1; }
    Field .note { height: auto; padding-left: 16; }
    Field Input { width: 1fr; }
    Field Button { margin-left: 1; }
    """

    def __init__(self, label: str, control: Widget, mark: str = "") -> None:
        super().__init__(id=field_id(control.id or ""))
        self.control = control
        if isinstance(control, Input):
            control.cursor_blink = False  # blinking would take most of the CPU time while idle
        self._label = label
        self._mark = mark
        self.note = ""

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Static(safe_text(self._label), classes="label")
            yield self.control
            yield Static(safe_text((self._mark, MUTED)), classes="mark")

    def show_note(self, text: str, glyphs: Glyphs, tone: str = "bad") -> None:
        """Show an error, a warning or a result below the field; "" clears it."""
        signs = {"bad": glyphs.bad, "warn": glyphs.triangle, "good": glyphs.ok}
        self.note = text
        shown = self.query(".note")
        if not text:
            shown.remove()
            return
        line = safe_text((f"{signs.get(tone, glyphs.dot)} {text}", TONE[tone]))
        if shown:
            shown.only_one(Static).update(line)
        else:
            self.mount(Static(line, classes="note"))

    def mark(self, *parts: Part) -> None:
        """Show where the value comes from, e.g. "default" or "override"."""
        self.query_one(".mark", Static).update(safe_text(*parts))


def input_field(name: str, label: str, value: str, placeholder: str, mark: str = "") -> Field:
    """A field with one line of text; `name` is the id of the input."""
    line = Input(value, placeholder=placeholder, id=name, select_on_focus=False)
    return Field(label, line, mark)


def field_id(name: str) -> str:
    """The id of the field for the control with this id."""
    return f"field-{name}"


class Choice(Widget, can_focus=True):
    """One of a few values, all of them on one line. Left, right, space and clicks choose."""

    DEFAULT_CSS = """
    Choice { width: 1fr; height: 1; padding: 0 1; }
    Choice:focus { background: $primary 12%; }
    Choice:disabled { color: $foreground 50%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "step(-1)", "Choose", show=False),
        Binding("right,l,space", "step(1)", "Choose", show=False),
        Binding("enter", "screen.focus_next", "Next field", show=False),
    ]

    value: reactive[str] = reactive("")

    @dataclass
    class Changed(Message):
        """Another value was chosen."""

        choice: "Choice"
        value: str

        @property
        def control(self) -> "Choice":
            """The choice."""
            return self.choice

    def __init__(
        self,
        options: Sequence[tuple[str, str]],
        value: str,
        *,
        glyphs: Glyphs = PLAIN,
        id: str | None = None,  # noqa: A002  # Textual's word
    ) -> None:
        """`options` are values with their labels."""
        super().__init__(id=id)
        self._options = options
        self._glyphs = glyphs
        self.set_reactive(Choice.value, value)

    def render(self) -> Content:
        """Draw all options; a sign, weight and color show the chosen one."""
        parts: list[Part] = []
        for value, label in self._options:
            is_it = value == self.value
            sign = self._glyphs.circle if is_it else self._glyphs.ring
            parts.append((f"{sign} {label}", f"bold {ACCENT}" if is_it else MUTED))
            parts.append(" " * GAP)
        return safe_text(*parts[:-1])

    def watch_value(self) -> None:
        self.post_message(self.Changed(self, self.value))

    def offer(self, options: Sequence[tuple[str, str]]) -> None:
        """Offer other options; keep the chosen one if it is among them."""
        self._options = tuple(options)
        values = [value for value, _ in options]
        self.disabled = not values
        if self.value not in values:
            self.value = values[0] if values else ""
        self.refresh()

    def action_step(self, by: int) -> None:
        """Choose the next option, or the previous one."""
        values = [value for value, _ in self._options]
        self.value = values[(values.index(self.value) + by) % len(values)]

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        left = 0
        for value, label in self._options:
            right = left + 2 + len(label)
            if offset is not None and left <= offset.x < right:
                self.value = value
            left = right + GAP


class Tick(Checkbox):
    """A checkbox that shows its state not only by color."""

    def render(self) -> Content:
        return safe_text(f"[{'x' if self.value else ' '}] ") + self._label


def yes_no(is_so: bool, no: str, yes: str, *, glyphs: Glyphs, id: str) -> Choice:  # noqa: A002
    """A choice between no and yes."""
    return Choice((("no", no), ("yes", yes)), "yes" if is_so else "no", glyphs=glyphs, id=id)


def entered(form: Widget, name: str) -> str:
    """Return the text of the input with this id."""
    return form.query_one(f"#{name}", Input).value


def chosen(form: Widget, name: str) -> str:
    """Return the value of the choice with this id."""
    return form.query_one(f"#{name}", Choice).value
