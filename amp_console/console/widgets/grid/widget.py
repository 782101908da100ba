"""The widget: rows under a header, with a cursor, marks and a column to sort by."""

import enum
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from amp_console.console.glyphs import PLAIN, Glyphs
from amp_console.console.lifecycle import deferred
from amp_console.console.widgets.grid.columns import Column, ColumnLayout
from amp_console.console.widgets.grid.painter import Age, LinePainter, PaintedAges
from amp_console.console.widgets.grid.palette import STYLES, GridPalette
from amp_console.console.widgets.grid.rows import PAGE, Listed, Paged, Row, RowModel
from amp_console.console.widgets.grid.selection import CursorMemory, Marks, moved
from amp_console.text import clean

READING = "Reading…"
NAMED_LENGTH = 40  # characters of a filter in a sentence


def no_match(noun: str, needle: str) -> str:
    """Say that a filter leaves no row, and how to see all of them: "No run matches “x”. …"."""
    return f"No {noun} matches “{clean(needle, NAMED_LENGTH)}”. Press Esc to show all."


class RowsState(enum.Enum):
    """What a grid knows about its rows."""

    UNKNOWN = enum.auto()  # nothing has been read, and nothing is being read
    LOADING = enum.auto()
    LOADED = enum.auto()  # all rows are known; there may be none
    FAILED = enum.auto()


_TONES = {RowsState.LOADING: "dim", RowsState.FAILED: "bad"}


@dataclass
class GridMessage(Message):
    """A message from a grid to the widgets around it, even to the one whose handler caused it.

    Textual does not deliver a message to the widget in whose handler it was created, as if that
    widget had sent it: a panel that filters its list would not learn that the cursor has moved.
    """

    grid: "Grid"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.set_sender(self.grid)

    @property
    def control(self) -> "Grid":
        return self.grid


class Grid(ScrollView, can_focus=True):
    """Rows under a header, with a cursor, marks and a column to sort by.

    It posts `Moved` when the cursor reaches another row, `Opened` for Enter or a second click,
    `MarksChanged`, and `Failed` when a page could not be fetched. It starts in the state LOADING,
    so that it never claims to be empty before its rows were read. Its text is never parsed as
    markup.

    Textual's DataTable takes 0.3 ms to add a row, and repaints every row when one cell changes; a
    ledger may contain 100,000 rejected users, and a sync changes cells ten times a second.
    """

    DEFAULT_CSS = STYLES
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move('down')", "Down", show=False, id="grid.down"),
        Binding("up,k", "move('up')", "Up", show=False, id="grid.up"),
        Binding(
            "pagedown,ctrl+d", "move('page_down')", "Page down", show=False, id="grid.page_down"
        ),
        Binding("pageup,ctrl+u", "move('page_up')", "Page up", show=False, id="grid.page_up"),
        Binding("home,g", "move('first')", "First row", show=False, id="grid.first"),
        Binding("end,G", "move('last')", "Last row", show=False, id="grid.last"),
        Binding("enter", "open_row", "Open", show=False, key_display="Enter", id="grid.open"),
        Binding("space", "mark", "Mark", show=False, id="grid.mark"),
        Binding("a", "mark_all", "Mark all", show=False, id="grid.mark_all"),
        Binding("o", "sort", "Sort by a column", show=False, id="grid.sort"),
        Binding("O", "reverse", "Reverse the order", show=False, id="grid.reverse"),
    ]
    cursor: reactive[int] = reactive(0, repaint=False)

    @dataclass
    class Moved(GridMessage):
        """The cursor is on another row; `key` is None if there is none."""

        key: Hashable | None

    class Opened(Moved):
        """The row was opened."""

    @dataclass
    class LinkClicked(Moved):
        """A part of a row with a link was clicked."""

        link: Any = None

    class MarksChanged(GridMessage):
        """Rows were marked or unmarked."""

    @dataclass
    class Choosing(GridMessage):
        """The next key is the letter of the column to sort by, or no longer (`is_over`)."""

        is_over: bool = False

    class Sorted(GridMessage):
        """The operator sorted the rows by another column, or reversed them."""

    class Measured(GridMessage):
        """The columns need another width for new rows."""

    @dataclass
    class Failed(GridMessage):
        """A page of rows could not be fetched, and why."""

        error: Exception

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        empty: str = "",
        noun: str = "row",
        glyphs: Glyphs = PLAIN,
        age: Age | None = None,
        marks: bool = False,
        sort: int | None = None,
        opens: str = "",
        id: str | None = None,  # noqa: A002  # Textual's word
    ) -> None:
        """`empty` is shown if the loaded list has no rows; with `marks`, rows can be marked.

        `noun` is what a row is called in the text for a filter without matches, e.g. "audience".
        `age` keeps the ages in cells current; without it they stay as they were. `opens` names in a
        word what Enter opens, for the footer.
        """
        super().__init__(id=id)
        self.columns = tuple(columns)
        self.rows = RowModel(sort)
        self.initial_sort = sort
        """The column to sort by where the operator has chosen none; None: as the rows come."""

        def show_marks() -> None:
            self.refresh()
            self.post_message(self.MarksChanged(self))
            if self.is_attached:
                self.screen.refresh_bindings()  # the footer names what keys act on

        self.marks = Marks(show_marks)
        self.is_choosing = False
        """Whether the next key is the letter of the column to sort by."""
        self.can_mark = marks
        self.empty = empty
        self.opens = opens
        self._noun = noun
        self.state = RowsState.LOADING
        self._notice = READING  # shown instead of rows unless the state is LOADED
        self._glyphs = glyphs
        self._memory = CursorMemory()
        self._palette = GridPalette(self)
        self.ages = PaintedAges(age) if age else None
        self.fitting = ColumnLayout(columns, lambda: self.scrollbar_size_vertical)
        self._painter = LinePainter(self.fitting, glyphs, self._palette, self.ages)

    # What is shown.

    @property
    def row(self) -> Row | None:
        """The row under the cursor."""
        rows = self.rows.shown
        return rows.get(self.cursor) if self.cursor < len(rows) else None

    @property
    def key(self) -> Hashable | None:
        """The key of the row under the cursor."""
        row = self.row
        return row.key if row else None

    def show(self, rows: Sequence[Row] | Paged) -> None:
        """Show these rows; the cursor stays on its row.

        A list is filtered and sorted as before; pages are already filtered and sorted.
        """
        self.state = RowsState.LOADED
        key = self.key
        if self.rows.replace(rows):
            self._rows_changed(key)

    def show_notice(self, state: RowsState, text: str = READING) -> None:
        """Show a text instead of rows; UNKNOWN drops the rows that were read before."""
        if state is RowsState.UNKNOWN:
            self.show(())
        elif state is RowsState.FAILED:
            text = f"{self._glyphs.bad} {text}"
        if (state, text) != (self.state, self._notice):
            self.state, self._notice = state, text
            self.refresh()

    def reshape(self, columns: Sequence[Column]) -> None:
        """Show other columns; the next rows must have their cells, and the cursor stays on its row.

        Rows with a different number of cells can't be painted under them, so they are dropped.
        """
        if tuple(columns) == self.columns:
            return
        key = self.key
        _await_letter(self, False)
        before, self.columns = self.columns, tuple(columns)
        self.fitting = ColumnLayout(columns, lambda: self.scrollbar_size_vertical)
        self._painter = LinePainter(self.fitting, self._glyphs, self._palette, self.ages)
        if len(columns) != len(before):
            self.rows.replace(())
            self.show_notice(RowsState.LOADING)
        _measure(self, self.rows.known)
        if [column.label for column in columns] != [column.label for column in before]:
            self.rows.sort_by(None, descending=False)  # the order was another column's
        index = self._memory.index(self.rows.shown, key, self.cursor)
        if len(self.rows):
            self.set_reactive(Grid.cursor, index)
        self.refresh()

    def filter(self, needle: str) -> None:
        """Show only rows with this text in any cell, ignoring case. Pages are already filtered."""
        key = self.key
        self.rows.filter(needle)
        self._rows_changed(key)

    def go_to(self, key: Hashable) -> bool:
        """Move the cursor to the row with this key; False if it is not shown."""
        index = self.rows.shown.find(key)
        if index is not None:
            self.cursor = index
        return index is not None

    def _rows_changed(self, key: Hashable | None) -> None:
        """Paint new rows; `key` is that of the row previously under the cursor."""
        rows = self.rows.shown
        if isinstance(rows, Listed):  # with pages, not all rows are known
            self.marks.keep(rows)
        _measure(self, self.rows.known)
        self.virtual_size = Size(self.size.width, len(rows) + 1)
        self.set_reactive(Grid.cursor, self._memory.index(rows, key, self.cursor))
        self._keep_in_view()
        self.refresh()
        if self.key != key:
            self.post_message(self.Moved(self, self.key))

    def watch_cursor(self, before: int, cursor: int) -> None:
        """Repaint the two rows that look different now, or all rows if they scroll."""
        self._memory.forget()
        if self._keep_in_view():
            self.refresh()
        else:
            self.refresh_line(1 + before)  # below the header
            self.refresh_line(1 + cursor)
        self.post_message(self.Moved(self, self.key))

    def _keep_in_view(self) -> bool:
        """Scroll to the row under the cursor; False if it was in view."""
        height = max(1, self.size.height - 1)
        top = round(self.scroll_y)
        wanted = min(max(top, self.cursor - height + 1), self.cursor)
        if wanted != top:
            # Forced: before the next layout, Textual considers all new rows visible.
            self.scroll_to(y=wanted, animate=False, immediate=True, force=True)
        return wanted != top

    # Keys and mouse.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide the keys that have no effect on these rows."""
        if action in {"mark", "mark_all"} and not self.can_mark:
            return False
        if action in {"sort", "reverse", "mark_all"} and not self.rows.can_sort:
            return False
        return super().check_action(action, parameters)

    def action_move(self, motion: str) -> None:
        page = max(1, self.size.height - 2)
        self.cursor = moved(motion, self.cursor, len(self.rows.shown), page)

    def action_open_row(self) -> None:
        if self.key is not None:
            self.post_message(self.Opened(self, self.key))

    def action_mark(self) -> None:
        if self.can_mark and self.key is not None:
            self.marks.toggle(self.key)
            self.action_move("down")

    def action_mark_all(self) -> None:
        if self.can_mark and isinstance(self.rows.shown, Listed):
            self.marks.toggle_all(self.rows.shown.keys())

    def action_sort(self) -> None:
        """Sort by a column: the headers show the letters, one of which is the next key."""
        _await_letter(self, True)

    def action_reverse(self) -> None:
        """Reverse the order of the rows."""
        self.sort_by(self.rows.sort_column, descending=not self.rows.descending)

    def sort_by(self, column: int | None, *, descending: bool | None = None) -> None:
        """Sort by a column, or reverse its order; None: the order in which the rows came.

        Numbers, which are aligned right, begin with the largest. Rows that are no longer in the
        column's order are sorted again.
        """
        _await_letter(self, False)
        if not self.rows.can_sort:
            return
        if descending is None:
            is_right = column is not None and self.columns[column].right
            is_again = column is not None and column == self.rows.sort_column
            is_reversed = self.rows.descending != self.rows.is_sorted
            descending = is_reversed if is_again else is_right
        key = self.key
        self.rows.sort_by(column, descending=descending)
        self._rows_changed(key)
        self.post_message(self.Sorted(self))

    def on_key(self, event: events.Key) -> None:
        """Sort by the column of a letter, while waiting for one; O reverses the order.

        Any other letter, and Esc, leave the order as it is. So do other keys, which then do what
        they always do.
        """
        if not self.is_choosing:
            return
        if event.key != "escape" and not (event.character or "").isalpha():
            self.on_blur()
            return
        event.stop()
        event.prevent_default()
        letters = self.fitting.letters(self.scrollable_content_region.width)
        if event.key == "o":
            self.sort_by(self.initial_sort, descending=False)
        elif event.character in letters:
            self.sort_by(letters[event.character])
        elif event.key == "O":
            self.action_reverse()
        else:
            self.on_blur()

    def on_blur(self) -> None:
        """Stop waiting for a letter."""
        _await_letter(self, False)
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to a row; open it on the second click; sort by a header."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y == 0:
            column = self.fitting.column_at(offset.x, self.scrollable_content_region.width)
            if column is not None:
                self.sort_by(column)
            return
        index = offset.y - 1 + round(self.scroll_y)
        if index < len(self.rows.shown):
            self.cursor = index
            width, row = self.scrollable_content_region.width, self.row
            link = self.fitting.link_at(offset.x, width, row.cells) if row is not None else None
            if row is not None and link is not None:
                self.post_message(self.LinkClicked(self, row.key, link))
            elif event.chain >= 2:
                self.action_open_row()

    # Painting.

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, len(self.rows.shown) + 1)
        self._keep_in_view()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._palette.forget()

    def render_line(self, y: int) -> Strip:
        """Paint one line: the header, a row, or the text shown if there are no rows."""
        width, painter, rows = self.scrollable_content_region.width, self._painter, self.rows.shown
        if y == 0 and not len(rows) and self.state is RowsState.LOADING:
            return painter.blank(width)  # which columns there is room for depends on the rows
        if y == 0:
            order = self.rows
            return painter.header(
                width,
                order.sort_column,
                descending=order.descending,
                is_sorted=order.is_sorted,
                has_letters=self.is_choosing,
            )
        if not len(rows):
            text = _text_without_rows(self)
            size = Size(width, self.size.height - 1)  # without the header
            return painter.notice(size, y - 1, text, _TONES.get(self.state, "empty"))
        index = y - 1 + round(self.scroll_y)
        if index >= len(rows):
            return painter.blank(width)
        row = rows.get(index)
        if row is None:
            if isinstance(rows, Paged) and (page := rows.request(index)) is not None:
                self.run_worker(deferred(_fetch, self, rows, page), group="page")
            return painter.loading(width)
        ground = ""
        if index == self.cursor:
            ground = "cursor" if self.has_focus else "cursor-blurred"
        return painter.row(width, row, ground, is_marked=row.key in self.marks)


def _await_letter(grid: Grid, is_awaited: bool) -> None:
    """Start or stop waiting for the letter of a column, and post that."""
    if grid.is_choosing is not is_awaited:
        grid.is_choosing = is_awaited
        grid.refresh()
        grid.post_message(grid.Choosing(grid, is_over=not is_awaited))


def stop_choosing(nodes: Iterable[DOMNode]) -> None:
    """Stop waiting for the letter of a column in the lists of these nodes."""
    for node in nodes:
        for grid in node.query(Grid):
            _await_letter(grid, False)


def _text_without_rows(grid: Grid) -> str:
    if grid.state is not RowsState.LOADED:
        return grid._notice
    if grid.rows.needle and len(grid.rows.known):
        return no_match(grid._noun, grid.rows.needle)
    return grid.empty


def _measure(grid: Grid, rows: Sequence[Row]) -> None:
    """Fit the columns to these rows; post `Measured` if they need another width."""
    wanted = grid.fitting.wanted
    grid.fitting.measure(rows)
    if grid.fitting.wanted != wanted:
        grid.post_message(grid.Measured(grid))


def clear_marks(node: DOMNode) -> bool:
    """Unmark the rows of the lists on screen below a node; False if none is marked."""
    marked = [grid for grid in node.query(Grid) if grid.marks and grid.region]
    for grid in marked:
        grid.marks.clear()
    return bool(marked)


async def _fetch(grid: Grid, rows: Paged, page: int) -> None:
    """Fetch a page that came into view, and show it."""
    try:
        await rows.fetch(page)
    except Exception as error:  # for the screen; the next key requests the page again
        grid.post_message(grid.Failed(grid, error))
        return
    if rows is grid.rows.shown:
        _measure(grid, rows.fetched)
        grid.refresh(Region(0, 0, *grid.size))
        if grid.cursor // PAGE == page:
            grid.post_message(grid.Moved(grid, grid.key))


def keep_cursor(grid: Grid) -> None:
    """Keep the cursor on its row from now on, even if the row it was on before comes back."""
    if grid.row is not None:
        grid._memory.forget()
