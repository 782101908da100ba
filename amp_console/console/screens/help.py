"""What can be done in a place: its few words, and all its keys."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import ModalScreen
from textual.widgets import Static

from amp_console.console.screens.place import Place
from amp_console.console.texts import ACCENT, MUTED, STRONG, lines, said

MOVING = (
    ("↑ ↓  j k  g G", "move; first and last row"),
    ("Enter", "open"),
    ("space  a", "mark a row; mark all"),
    ("o  O", "sort by the next column; turn the order round"),
)


class HelpScreen(ModalScreen[None]):
    """Help for the place below it."""

    CSS_PATH = "help.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,f1,q,enter", "app.pop_screen", "Close"),
        Binding("down,j", "scroll(1)", show=False),
        Binding("up,k", "scroll(-1)", show=False),
    ]

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place = place

    def compose(self) -> ComposeResult:
        """One box of text."""
        with VerticalScroll(id="help") as box:
            box.border_title = f"Help · {self._place.NAME}"
            box.border_subtitle = "Esc closes"
            yield Static(self._text())

    def action_scroll(self, by: int) -> None:
        """Scroll by a line."""
        self.query_one("#help").scroll_relative(y=by, animate=False)

    def _text(self) -> Content:
        rows = [said(paragraph, longest=900) for paragraph in _paragraphs(self._place.HELP)]
        rows += [said(""), said(("In this place", STRONG))]
        rows += self._keys(self._place)
        if self._place.query("Grid"):
            rows += [said(""), said(("In lists", STRONG))]
            rows += [_key(key, what) for key, what in MOVING]
        rows += [said(""), said(("Everywhere", STRONG)), _key("ctrl+p", "every action, by name")]
        rows += self._keys(self.app)
        return lines(*rows)

    def _keys(self, owner: DOMNode) -> list[Content]:
        bindings: list[Binding] = [
            binding
            for keys in self._place.console.bindings_of(owner).key_to_bindings.values()
            for binding in keys
            if binding.description and binding.id is not None
        ]
        shown = {each.action: each for each in reversed(bindings)}
        order = [each for each in bindings if shown.get(each.action) is each]
        return [self._line(each) for each in order]

    def _line(self, binding: Binding) -> Content:
        reason = self._place.why_not(binding.action.partition("(")[0])
        what = _key(self.app.get_key_display(binding), binding.description)
        return what + said((f"  ({reason})", MUTED)) if reason else what


def _paragraphs(text: str) -> list[str]:
    """Text as it is written in the code, without the line breaks inside its paragraphs."""
    found = (" ".join(part.split()) for part in text.split("\n\n"))
    return [line for part in found for line in (part, "")][:-1]


def _key(key: str, what: str) -> Content:
    return said((f"  {key:<16}", ACCENT), what)
