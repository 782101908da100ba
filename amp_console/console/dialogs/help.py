"""The help of a screen: a few words about it, and all its keys."""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, pairwise, zip_longest
from typing import ClassVar, NamedTuple

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from amp_console.console.context import services_of
from amp_console.console.keymap import action_name, by_action
from amp_console.console.texts import ACCENT, MUTED, STRONG, lines, safe_text
from amp_console.console.widgets.grid import Grid
from amp_console.console.widgets.key_footer import FooterKey, FooterKeys, KeyFooter
from amp_console.console.widgets.scroll_pane import ScrollBox
from amp_console.console.words import zone

CLOSING = FooterKeys((FooterKey("app.pop_screen", "Esc", "Close"),))
MAX_WIDTH = 150  # columns of the box
BORDER = 7  # columns of border, padding and scrollbar
FRAME = 3  # lines of the border and of the footer
COLUMN_WIDTH = 33  # minimum width of a key and what it does, in columns
ENTER = ("enter",)
LISTS = (
    (("up", "down", "j", "k", "g", "G"), "↑↓ jk gG", "Move; first, last"),
    (ENTER, "Enter", "Open"),
    (("space",), "space", "Mark a row"),
    (("a",), "a", "Mark or unmark all"),
    (("o", "O"), "o O", "Sort; reverse the order"),
)
"""The keys of lists: the keys, their label, and what they do."""
OF_ALL_SCREENS = {"next_panel", "back"}
"""Actions that every screen has; they come last among its keys."""

LETTERS = """\
These letters mean the same on every screen that has them: e opens the settings, r reconciles, R \
retries rejected users, u asks Amplitude, Segment or a warehouse again, v changes what is \
listed, t enables or disables, T tests, c ends what is under way, E exports, x opens the errors, \
m the field mapping. Others, such as l, n, p and w, follow the screen: what they do there is \
listed above. Buttons of dialogs show their keys."""
"""Shown unless the settings remap keys."""


class HelpRow(NamedTuple):
    """A key and what it does; `reason` says why it does nothing now, in which case it is paler."""

    key: str
    what: str
    reason: str = ""


class HelpSection(NamedTuple):
    """Some keys under a title."""

    title: str
    rows: Sequence[HelpRow]


class HelpScreen(ModalScreen[None]):
    """What the screen below is for, and its keys, side by side if there is room."""

    CSS_PATH = "help.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,f1,q,enter", "app.pop_screen", "Close"),
    ]

    def __init__(
        self,
        screen: Screen[None],
        name: str,
        about: str,
        disabled_reason: Callable[[str], str | None],
        opens: str = "",
        panes: Sequence[DOMNode] = (),
    ) -> None:
        """`about` has paragraphs; `disabled_reason` returns why an action is unavailable.

        `opens` names what Enter opens in the list of the screen, and `panes` have keys of their
        own.
        """
        super().__init__()
        self._opens = opens
        self._panes = panes
        self._subject = screen
        self._name = name
        self._about = about
        self._disabled_reason = disabled_reason
        self.sections = self._read_sections()

    def compose(self) -> ComposeResult:
        """A box of text."""
        with ScrollBox(services_of(self).glyphs.down, id="help") as box:
            box.border_title = f"Help · {self._name}"
            yield Static(id="keys")
            texts = _paragraphs(self._about)
            if not services_of(self).appearance.keys:
                texts += ["", LETTERS]
            texts += ["", f"Times are local ({zone()})."]
            about = [safe_text(row, max_length=900) for row in texts]
            yield Static(lines(*about), id="about")
        yield KeyFooter(lambda: CLOSING, self.run_action)

    def on_mount(self) -> None:
        """Lay the keys out for this width."""
        self.on_resize()

    def on_resize(self) -> None:
        """Lay the keys out for the new width."""
        width = int(min(self.app.size.width * 0.96, MAX_WIDTH)) - BORDER
        for keys in self.query("#keys").results(Static):
            keys.update(in_columns(self.sections, width, self.app.size.height - FRAME))

    def _read_sections(self) -> list[HelpSection]:
        """The keys that work here, in the order in which one looks for them, without duplicates."""
        used: set[str] = set()
        of_lists = self._list_rows(used)  # a list gets keys before its screen
        own = [
            row
            for owner in (*self._panes, self._subject)
            for row in self._rows(owner, used, lambda binding: not _is_place(binding))
        ]
        places = self._rows(self.app, used, _is_place)
        rest = self._rows(self.app, used, lambda binding: not _is_place(binding))
        sections = [
            HelpSection("On this screen", own),
            HelpSection("Places", places),
            HelpSection("In lists", of_lists),
            HelpSection("Everywhere", rest),
        ]
        return [section for section in sections if section.rows]

    def _list_rows(self, used: set[str]) -> list[HelpRow]:
        """The keys of lists that work in one of the screen's lists."""
        grids = [item for item in self._subject.query(Grid) if item.visible and item.region]
        bindings = (
            services_of(self._subject).appearance.bindings_of(grids[0]).key_to_bindings
            if grids
            else {}
        )
        works = {
            key
            for grid in grids
            for key, found in bindings.items()
            if any(grid.check_action(action_name(item.action), ()) for item in found)
        }
        rows = []
        for keys, shown, what in LISTS:
            if works.issuperset(keys):
                used.update(keys)
                rows.append(HelpRow(shown, self._opens or what if keys == ENTER else what))
        return rows

    def _rows(
        self, owner: DOMNode, used: set[str], is_meant: Callable[[Binding], bool]
    ) -> list[HelpRow]:
        """The keys of a screen or of the application that work now and are not `used`."""
        bindings = [
            binding
            for _, binding in services_of(self._subject).appearance.bindings_of(owner)
            if binding.description
            and binding.id is not None
            and binding.key not in used
            and is_meant(binding)
            and owner.check_action(action_name(binding.action), ()) is not False
        ]
        bindings.sort(key=lambda item: item.id in OF_ALL_SCREENS)
        used.update(item.key for item in bindings)
        return [self._row(some) for some in by_action(bindings).values()]

    def _row(self, bindings: Sequence[Binding]) -> HelpRow:
        """The row of an action, with all its visible keys, plain ones first."""
        bindings = sorted(bindings, key=lambda item: "+" in item.key)
        first = bindings[0]
        reason = self._disabled_reason(action_name(first.action)) or ""
        keys = dict.fromkeys(map(self._subject.app.get_key_display, bindings))
        return HelpRow(" ".join(keys), first.description, reason)


def in_columns(sections: Sequence[HelpSection], width: int, height: int | None = None) -> Content:
    """Lay sections out side by side, unbroken, in the number of columns that makes them shortest.

    Blank lines separate them, unless that makes them longer than `height`.
    """
    key_width = max(cell_len(row.key) for section in sections for row in section.rows) + 2
    most = max(1, min(3, width // COLUMN_WIDTH, len(sections)))
    columns = min(
        (shared for count in range(1, most + 1) for shared in _shared(sections, count)),
        key=lambda shared: max(map(_height, shared)),
    )
    has_blanks = height is None or max(map(_height, columns)) <= height
    room = width // len(columns)
    painted = [
        _painted_column(column, key_width, room, has_blanks=has_blanks) for column in columns
    ]
    return lines(
        *(
            Content("").join([cell.pad_right(room - cell.cell_length) for cell in cells])
            for cells in zip_longest(*painted, fillvalue=safe_text(""))
        )
    )


def _shared(
    sections: Sequence[HelpSection], count: int
) -> Iterator[Sequence[Sequence[HelpSection]]]:
    """Yield every way to distribute sections over so many columns in their order."""
    for cuts in combinations(range(1, len(sections)), count - 1):
        yield [sections[start:end] for start, end in pairwise((0, *cuts, len(sections)))]


def _height(column: Sequence[HelpSection]) -> int:
    """How many lines stacked sections take, each with a title, and blank lines between them."""
    return sum(len(section.rows) + 2 for section in column) - 1


def _painted_column(
    column: Sequence[HelpSection], key_width: int, room: int, *, has_blanks: bool
) -> Sequence[Content]:
    painted: list[Content] = []
    for section in column:
        painted += [safe_text("")] if painted and has_blanks else []
        painted += [safe_text((section.title, STRONG))]
        painted += [_painted(row, key_width, room) for row in section.rows]
    return painted


def _painted(row: HelpRow, key_width: int, room: int) -> Content:
    key = safe_text((row.key, MUTED if row.reason else f"{STRONG} {ACCENT}"))
    what = safe_text((row.what, MUTED if row.reason else ""))
    return (key.pad_right(key_width - key.cell_length) + what).truncate(room - 1, ellipsis=True)


def _is_place(binding: Binding) -> bool:
    return (binding.id or "").startswith("go.")


def _paragraphs(text: str) -> list[str]:
    """The paragraphs of a text from the code, without the line breaks inside them."""
    found = (" ".join(part.split()) for part in text.split("\n\n"))
    return [line for part in found for line in (part, "")][:-1]
