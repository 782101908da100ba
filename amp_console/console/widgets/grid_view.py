"""A table that draws only the lines that are seen: as quick with a million rows as with ten.

Textual's DataTable takes 0.3 ms for each row it is given, and redraws all it knows when one cell
changes; a ledger may hold 100,000 rejected users, and a sync changes cells ten times a second.
"""

import enum
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from amp_console.console.glyphs import PLAIN, Glyphs
from amp_console.console.widgets.grid_layout import Column, wrapped
from amp_console.console.widgets.grid_lines import LEAD, GridLines
from amp_console.console.widgets.grid_paint import GridPaint
from amp_console.console.widgets.grid_rows import PAGE, Cell, Listed, Paged, Row, Rows

READING = "Reading…"


class RowsState(enum.Enum):
    """What is known of the rows of a grid."""

    UNKNOWN = enum.auto()  # nothing has asked for rows yet
    LOADING = enum.auto()
    LOADED = enum.auto()  # all of them, which may be none
    FAILED = enum.auto()


class GridView(ScrollView, can_focus=True):
    """Rows under a header, with a cursor. It says `Moved` when the cursor comes to another row.

    A grid begins in the state LOADING, so that it never claims to be empty before its rows were
    read. Text is drawn as it is: nothing in it is markup.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "grid--header",
        "grid--cursor",
        "grid--cursor-blurred",
        "grid--marked",
        "grid--good",
        "grid--warn",
        "grid--bad",
        "grid--dim",
        "grid--accent",
        "grid--empty",
    }
    DEFAULT_CSS = """
    GridView {
        height: 1fr;
        min-height: 2;
        overflow-x: hidden;
        scrollbar-size-vertical: 1;
        background: transparent;
        color: $foreground;
        & > .grid--header { color: $foreground 60%; text-style: bold; }
        & > .grid--cursor { background: $primary 30%; text-style: bold; }
        & > .grid--cursor-blurred { background: $primary 12%; }
        & > .grid--marked { color: $text-accent; text-style: bold; }
        & > .grid--good { color: $text-success; }
        & > .grid--warn { color: $text-warning; }
        & > .grid--bad { color: $text-error; }
        & > .grid--dim { color: $foreground 60%; }
        & > .grid--accent { color: $text-accent; }
        & > .grid--empty { color: $foreground 70%; }
    }
    """
    cursor: reactive[int] = reactive(0)

    @dataclass
    class Moved(Message, namespace="grid"):
        """The cursor is on another row; `key` is None where there is none."""

        grid: "GridView"
        key: Hashable | None

        @property
        def control(self) -> "GridView":
            """The grid."""
            return self.grid

    @dataclass
    class Failed(Message, namespace="grid"):
        """A page of rows could not be fetched, and why."""

        grid: "GridView"
        error: Exception

        @property
        def control(self) -> "GridView":
            """The grid."""
            return self.grid

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        empty: str = "",
        glyphs: Glyphs = PLAIN,
        marks: bool = False,
        sort: int | None = None,
        id: str | None = None,  # noqa: A002  # Textual's word
        classes: str | None = None,
    ) -> None:
        """`empty` is shown once it is known that there are no rows; `marks` lets rows be marked."""
        super().__init__(id=id, classes=classes)
        self.columns = list(columns)
        self.empty = empty
        self.state = RowsState.LOADING
        self._instead = READING  # what is shown in place of rows, unless they were read
        self.marked: set[Hashable] = set()
        self.sort_column = sort
        self.descending = False
        self._load = glyphs
        self._may_mark = marks
        self._all: Sequence[Row] = ()
        self._needle = ""
        self._rows: Rows = Listed(())
        self._asked: set[int] = set()
        self._missed: Hashable | None = None  # the cursor's row, while it is not shown
        self._paint = GridPaint(self)
        self._lines = GridLines(self.columns, glyphs, self._paint, self._age)

    # What is shown.

    def show(self, rows: Sequence[Row]) -> None:
        """Show these rows, filtered and sorted as before; the cursor stays on its row."""
        self.state = RowsState.LOADED
        if rows and rows == self._all and isinstance(self._rows, Listed):
            return  # nothing to paint; without rows, what is said instead may have changed
        self._all = rows
        self._list()

    def load(self, text: str = READING) -> None:
        """Say that rows are being read; those that were read before stay until then."""
        self._without_rows(RowsState.LOADING, text)

    def fail(self, why: str) -> None:
        """Say why rows could not be read; those that were read before stay."""
        self._without_rows(RowsState.FAILED, f"{self._load.bad} {why}")

    def clear(self, text: str) -> None:
        """Show no rows, and say what to do to see some."""
        self._all = ()
        self._list()
        self._without_rows(RowsState.UNKNOWN, text)

    def _without_rows(self, state: RowsState, text: str) -> None:
        if (state, text) != (self.state, self._instead):
            self.state, self._instead = state, text
            self.refresh()

    def reshape(self, columns: Sequence[Column]) -> None:
        """Show other columns from now on; the next rows must have their cells.

        Rows with another number of cells can't be painted under them, so those go at once.
        """
        if len(columns) != len(self.columns):
            self._all, self._rows = (), Listed(())
            self.load()
        if [column.label for column in columns] != [column.label for column in self.columns]:
            self.sort_column, self.descending = None, False  # it was another column's
        self.columns = list(columns)
        self._lines = GridLines(self.columns, self._load, self._paint, self._age)
        self.refresh()

    def show_rows_or_pages(self, rows: Sequence[Row] | Paged) -> None:
        """Show what `rows_or_pages` fetched."""
        if isinstance(rows, Paged):
            self.show_pages(rows)
        else:
            self.show(rows)

    def show_pages(self, rows: Paged) -> None:
        """Show rows that are fetched page by page; filter and order are theirs."""
        self.sort_column, self.descending = None, False
        self.state = RowsState.LOADED
        self._asked.clear()
        self._replace(rows)

    def filter(self, needle: str) -> None:
        """Show only rows that hold this text in any cell, whatever its case."""
        self._needle = needle
        self._list()

    @property
    def key(self) -> Hashable | None:
        """The key of the row under the cursor."""
        row = self.row
        return row.key if row else None

    @property
    def row(self) -> Row | None:
        """The row under the cursor."""
        return self._rows.get(self.cursor) if self.cursor < len(self._rows) else None

    @property
    def count(self) -> int:
        """How many rows are shown."""
        return len(self._rows)

    def go_to(self, key: Hashable) -> bool:
        """Put the cursor on the row of this key; False where it is not shown."""
        place = self._rows.find(key)
        if place is not None:
            self.cursor = place
        return place is not None

    def _list(self) -> None:
        self._replace(Listed(self._all, self._needle, self.sort_column, self.descending))

    def _replace(self, rows: Rows) -> None:
        key, before = self.key, self.cursor
        self._rows = rows
        self.virtual_size = Size(self.size.width, len(rows) + 1)
        wanted = key if self._missed is None else self._missed
        place = rows.find(wanted) if wanted is not None else None
        self._missed = wanted if place is None else None
        if place is None:
            place = rows.find(key) if key is not None else None
        place = before if place is None else place
        self.set_reactive(GridView.cursor, max(0, min(place, len(rows) - 1)))
        self._keep_in_sight()
        self.refresh()
        if self.key != key:
            self.post_message(self.Moved(self, self.key))

    def _age(self, cell: Cell) -> str:
        """What a cell with a moment says by now, by the clock that all ages of the screen have."""
        age_of: Callable[[int | None], str] | None = getattr(self.app, "age_of", None)
        return cell.text if age_of is None else age_of(cell.since)

    def _put(self, place: int) -> None:
        self.cursor = max(0, min(place, len(self._rows) - 1))

    def watch_cursor(self) -> None:
        """Show the cursor where it is now, and tell."""
        self._missed = None
        self._keep_in_sight()
        self.refresh()
        self.post_message(self.Moved(self, self.key))

    def _keep_in_sight(self) -> None:
        height = max(1, self.size.height - 1)
        top = round(self.scroll_y)
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, immediate=True)
        elif self.cursor >= top + height:
            self.scroll_to(y=self.cursor - height + 1, animate=False, immediate=True)

    # Drawing.

    def on_resize(self) -> None:
        """Keep the cursor in sight."""
        self.virtual_size = Size(self.size.width, len(self._rows) + 1)
        self._keep_in_sight()

    def notify_style_update(self) -> None:
        """Forget the styles of another theme."""
        super().notify_style_update()
        self._paint.forget()

    @property
    def _room(self) -> int:
        return self.scrollable_content_region.width

    def render_line(self, y: int) -> Strip:
        """Draw one line: the header, a row, or what is said where there are no rows."""
        width, lines = self._room, self._lines
        if y == 0:
            return lines.header(width, self.sort_column, descending=self.descending)
        if not len(self._rows):
            return self._line_instead(width, y - 2)
        index = y - 1 + round(self.scroll_y)
        if index >= len(self._rows):
            return lines.blank(width)
        row = self._rows.get(index)
        if row is None:
            self._ask_for(index)
            return lines.waiting(width)
        ground = ""
        if index == self.cursor:
            ground = "cursor" if self.has_focus else "cursor-blurred"
        return lines.row(width, row, ground, is_marked=row.key in self.marked)

    def _line_instead(self, width: int, number: int) -> Strip:
        """One line of what is said where there are no rows."""
        text = self.empty if self.state is RowsState.LOADED else self._instead
        said = wrapped(text, max(1, width - LEAD))
        tone = {RowsState.LOADING: "dim", RowsState.FAILED: "bad"}.get(self.state, "empty")
        return self._lines.instead(width, said[number] if 0 <= number < len(said) else "", tone)

    def _ask_for(self, index: int) -> None:
        rows, page = self._rows, index // PAGE
        if isinstance(rows, Paged) and page not in self._asked and rows.lacks(page):
            self._asked.add(page)
            self.run_worker(self._fetch(rows, page), group="page")

    async def _fetch(self, rows: Paged, page: int) -> None:
        try:
            await rows.fetch(page)
        except Exception as error:
            self._asked.discard(page)  # the next key asks once more
            self.post_message(self.Failed(self, error))
            return
        if rows is self._rows:
            self.refresh(Region(0, 0, *self.size))
            if self.cursor // PAGE == page:
                self.post_message(self.Moved(self, self.key))
