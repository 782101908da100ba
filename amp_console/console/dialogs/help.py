"""What can be done on a screen: a few words, and all its keys."""

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from amp_console.console.context import services_of
from amp_console.console.texts import ACCENT, MUTED, STRONG, lines, safe_text
from amp_console.console.widgets.grid import Grid

LISTS = (
    (("up", "down", "j", "k", "g", "G"), "↑ ↓  j k  g G", "move; first and last row"),
    (("enter",), "Enter", "open"),
    (("space",), "space", "mark a row"),
    (("a",), "a", "mark all rows; unmark them"),
    (("o",), "o", "sort: then press a column's letter, or o for no order"),
    (("O",), "O", "reverse the order"),
)
"""The keys of lists: which ones, how they are shown, and what they do."""


class HelpScreen(ModalScreen[None]):
    """Help for the screen below it."""

    CSS_PATH = "help.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,f1,q,enter", "app.pop_screen", "Close"),
        Binding("down,j", "scroll(1)", show=False),
        Binding("up,k", "scroll(-1)", show=False),
    ]

    def __init__(
        self,
        screen: Screen[None],
        name: str,
        about: str,
        disabled_reason: Callable[[str], str | None],
    ) -> None:
        """`about` is in paragraphs; `disabled_reason` returns why an action is unavailable."""
        super().__init__()
        self._subject = screen
        self._name = name
        self._about = about
        self._disabled_reason = disabled_reason
        self._told: set[str] = set()  # keys that were said already, by the names of events

    def compose(self) -> ComposeResult:
        """One box of text."""
        with VerticalScroll(id="help") as box:
            box.border_title = f"Help · {self._name}"
            box.border_subtitle = "Esc closes"
            yield Static(self._text())

    def action_scroll(self, by: int) -> None:
        """Scroll by a line."""
        self.query_one("#help").scroll_relative(y=by, animate=False)

    def _text(self) -> Content:
        rows = [safe_text(paragraph, max_length=900) for paragraph in _paragraphs(self._about)]
        in_lists = self._list_keys()  # a list gets its keys before its screen
        rows += [safe_text(""), safe_text(("On this screen", STRONG)), *self._keys(self._subject)]
        if in_lists:
            rows += [safe_text(""), safe_text(("In lists", STRONG)), *in_lists]
        rows += [
            safe_text(""),
            safe_text(("Everywhere", STRONG)),
            _key("ctrl+p", "every action, by name"),
        ]
        rows += self._keys(self.app)
        return lines(*rows)

    def _list_keys(self) -> list[Content]:
        """What the keys of the screen's lists do: only those that work in one of them."""
        grids = [item for item in self._subject.query(Grid) if item.visible and item.region]
        bindings = (
            services_of(self).appearance.bindings_of(grids[0]).key_to_bindings if grids else {}
        )
        works = {
            key
            for grid in grids
            for key, found in bindings.items()
            if any(grid.check_action(item.action.partition("(")[0], ()) for item in found)
        }
        rows = []
        for keys, shown, what in LISTS:
            if works.issuperset(keys):
                self._told.update(keys)
                rows.append(_key(shown, what))
        return rows

    def _keys(self, owner: DOMNode) -> list[Content]:
        """The keys of a place or of the application that work now and were not said before."""
        bindings: list[Binding] = [
            binding
            for keys in services_of(self).appearance.bindings_of(owner).key_to_bindings.values()
            for binding in keys
            if binding.description
            and binding.id is not None
            and binding.key not in self._told
            and owner.check_action(binding.action.partition("(")[0], ()) is not False
        ]
        self._told.update(item.key for item in bindings)
        shown = {item.action: item for item in reversed(bindings)}
        order = [item for item in bindings if shown.get(item.action) is item]
        return [self._line(item) for item in order]

    def _line(self, binding: Binding) -> Content:
        reason = self._disabled_reason(binding.action.partition("(")[0])
        what = _key(self.app.get_key_display(binding), binding.description)
        return what + safe_text((f"  ({reason})", MUTED)) if reason else what


def _paragraphs(text: str) -> list[str]:
    """Text as it is written in the code, without the line breaks inside its paragraphs."""
    found = (" ".join(part.split()) for part in text.split("\n\n"))
    return [line for part in found for line in (part, "")][:-1]


def _key(key: str, what: str) -> Content:
    return safe_text((f"  {key:<16}", ACCENT), what)
