"""The palette: every action, audience and person, found by a few letters of its name."""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, NamedTuple

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.fuzzy import Matcher
from textual.signal import Signal
from textual.timer import Timer
from textual.widgets import Input, Static

from amp_console.console.dialogs.base import DIALOG_SHEET, Dialog, Sheets
from amp_console.console.failures import expected_failures
from amp_console.console.lifecycle import deferred
from amp_console.console.texts import MUTED, safe_text
from amp_console.console.widgets.grid import Cell, Column, Grid, Row

MAX_SHOWN = 100  # entries; typing more letters finds the others
SEARCH_DELAY = 0.1  # seconds without a new letter, until the ledger is searched
ABOUT = 1  # the column that says what an entry does
SAID = 0.001  # the score of an entry whose description contains the text: below any name
NO_MATCH = "No matches."


class PaletteEntry(NamedTuple):
    """One line: a name, what choosing it does, and the key that does the same."""

    name: str
    about: str
    key: str
    run: Callable[[], None]
    is_available: bool = True


Search = Callable[[str], Awaitable[Sequence[PaletteEntry]]]
"""Finds more entries in the background; they keep their order, below the known ones."""


class Palette(Dialog[PaletteEntry]):
    """An input, and below it the matching entries, the best one first.

    Enter returns the entry under the cursor. Letters may be left out: "expcs" finds "Export as
    CSV".
    """

    CSS_PATH: ClassVar[Sheets] = [DIALOG_SHEET, "palette.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "move('down')", show=False),
        Binding("up", "move('up')", show=False),
        Binding("pagedown", "move('page_down')", show=False),
        Binding("pageup", "move('page_up')", show=False),
    ]
    COLUMNS = (Column("Name", 24, flex=1), Column("What it does", 20, flex=2), Column("Key", 5))

    def __init__(
        self,
        entries: Sequence[PaletteEntry],
        *,
        title: str = "Commands",
        placeholder: str = "an action, an audience or an identifier",
        search: Search | None = None,
        start: str = "",
        preview: Callable[[PaletteEntry], None] | None = None,
    ) -> None:
        """`entries` are shown in this order until something is typed.

        The cursor starts on the entry named `start`; `preview` is called with each entry it
        reaches.
        """
        super().__init__()
        self._entries = entries
        self._title = title
        self._placeholder = placeholder
        self._search = search
        self._start = start
        self._preview = preview
        self._found: Sequence[PaletteEntry] = ()  # found by the search for the current text
        self._shown: Sequence[PaletteEntry] = ()
        self._waiting: Timer | None = None

    @property
    def box_title(self) -> str:
        return self._title

    def box(self) -> ComposeResult:
        yield Input(placeholder=self._placeholder, id="wanted")
        yield Grid(self.COLUMNS, glyphs=self.services.glyphs, empty=NO_MATCH)
        yield Static(id="about")

    def on_mount(self) -> None:
        self.query_one(Grid).can_focus = False
        self.query_one(Input).focus()
        self._show()
        names = [entry.name for entry in self._shown]
        self.query_one(Grid).go_to(names.index(self._start) if self._start in names else 0)

    def on_resize(self) -> None:
        self.call_after_refresh(self._show_about)

    def follow(self, changed: Signal[Any], entries: Callable[[], Sequence[PaletteEntry]]) -> None:
        """List the entries again whenever `changed` is published."""

        def show(_: object) -> None:
            self._entries = entries()
            self._show()

        self.call_after_refresh(lambda: changed.subscribe(self, show))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show matches at once; search the ledger when no letter follows."""
        event.stop()
        self._found = ()
        self._show()
        if self._waiting is not None:
            self._waiting.stop()
        if self._search is not None:
            self._waiting = self.set_timer(SEARCH_DELAY, self._ask)

    def _ask(self) -> None:
        self.run_worker(deferred(self._find), group="search", exclusive=True)

    async def _find(self) -> None:
        text = self.query_one(Input).value.strip()
        if self._search is None or not text:
            return
        try:
            found = await self._search(text)
        except expected_failures() as error:
            self.services.notifications.post(str(error), "error")
            return
        if text == self.query_one(Input).value.strip():
            self._found = found
            self._show()

    def _show(self) -> None:
        text = self.query_one(Input).value.strip()
        self._shown = [*best(self._entries, text), *self._found][:MAX_SHOWN]
        grid = self.query_one(Grid)
        before = grid.key
        grid.show([_row(number, entry) for number, entry in enumerate(self._shown)])
        if not self._found or before is None:
            grid.cursor = 0
        self._show_about()

    def _show_about(self) -> None:
        """Show the full description of the entry under the cursor if its column cuts it."""
        grid = self.query_one(Grid)
        key = grid.key
        about = self._shown[key].about if isinstance(key, int) and key < len(self._shown) else ""
        is_cut = cell_len(about) > grid.fitting.width_of(ABOUT, grid.size.width)
        self.query_one("#about", Static).update(safe_text((about if is_cut else "", MUTED)))

    def action_move(self, motion: str) -> None:
        self.query_one(Grid).action_move(motion)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.query_one(Grid).action_open_row()

    def on_grid_moved(self, event: Grid.Moved) -> None:
        event.stop()
        self._show_about()
        if self._preview is not None and isinstance(event.key, int):
            self._preview(self._shown[event.key])

    def on_grid_opened(self, event: Grid.Opened) -> None:
        event.stop()
        if isinstance(event.key, int):
            self.dismiss(self._shown[event.key])


def best(entries: Sequence[PaletteEntry], text: str) -> list[PaletteEntry]:
    """Return the entries whose name contains these letters in this order, the best match first.

    Entries whose description contains the text follow. Equal matches keep their order.
    """
    if not text:
        return list(entries)
    matcher, part = Matcher(text), text.casefold()
    scores = [
        matcher.match(entry.name) or (SAID if part in entry.about.casefold() else 0)
        for entry in entries
    ]
    order = sorted(range(len(entries)), key=lambda index: -scores[index])
    return [entries[index] for index in order if scores[index] > 0]


def _row(number: int, entry: PaletteEntry) -> Row:
    name = Cell(entry.name, "" if entry.is_available else "dim")
    about = Cell(entry.about, "dim", shorten=whole_clauses)
    return Row(number, (name, about, Cell(entry.key, "accent")))


def whole_clauses(text: str, width: int, _: str) -> str:
    """The first clauses of a description: as many as fit, without a sign for the others.

    The line below the list shows them all.
    """
    ends = [found.start() for found in re.finditer("[,;:] ", text[: width + 2])]
    return text[: ends[-1]] if ends else text
