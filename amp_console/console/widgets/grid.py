"""What keys and the mouse do with a table: open, mark, sort."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from amp_console.console.widgets.grid_rows import Listed
from amp_console.console.widgets.grid_view import GridView


class Grid(GridView):
    """Rows under a header, with a cursor, marks and a column to sort by.

    It says `Moved` when the cursor comes to another row, `Opened` for Enter or a second click,
    and `MarksChanged`.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down", show=False, id="grid.down"),
        Binding("up,k", "move(-1)", "Up", show=False, id="grid.up"),
        Binding("pagedown,ctrl+d", "page(1)", "Page down", show=False, id="grid.page_down"),
        Binding("pageup,ctrl+u", "page(-1)", "Page up", show=False, id="grid.page_up"),
        Binding("home,g", "go_to(0)", "First row", show=False, id="grid.first"),
        Binding("end,G", "go_to(-1)", "Last row", show=False, id="grid.last"),
        Binding("enter", "open", "Open", show=False, id="grid.open"),
        Binding("space", "mark", "Mark", show=False, id="grid.mark"),
        Binding("a", "mark_all", "Mark all", show=False, id="grid.mark_all"),
        Binding("o", "sort", "Sort by the next column", show=False, id="grid.sort"),
        Binding("O", "reverse", "Reverse the order", show=False, id="grid.reverse"),
    ]

    @dataclass
    class Opened(GridView.Moved):
        """The row was opened."""

    @dataclass
    class MarksChanged(Message):
        """Rows were marked or unmarked."""

        grid: "Grid"

        @property
        def control(self) -> "Grid":
            """The grid."""
            return self.grid

    # Marks, order, keys and mouse.

    def chosen(self) -> list[Hashable]:
        """The keys of the marked rows; without marks, that of the row under the cursor."""
        if self.marked:
            return [key for key in self._order() if key in self.marked]
        return [] if self.key is None else [self.key]

    def _order(self) -> Iterable[Hashable]:
        return (row.key for row in self._all) if self._all else sorted(self.marked, key=repr)

    def action_move(self, by: int) -> None:
        """Move the cursor by rows."""
        self._put(self.cursor + by)

    def action_page(self, by: int) -> None:
        """Move the cursor by pages."""
        self._put(self.cursor + by * max(1, self.size.height - 2))

    def action_go_to(self, place: int) -> None:
        """Move the cursor to the first row (0) or the last one (-1)."""
        self._put(len(self._rows) - 1 if place < 0 else place)

    def action_open(self) -> None:
        """Open the row under the cursor."""
        if self.key is not None:
            self.post_message(self.Opened(self, self.key))

    def action_mark(self) -> None:
        """Mark the row under the cursor, or take its mark away, and go on to the next."""
        if self._may_mark and self.key is not None:
            self.marked ^= {self.key}
            self._put(self.cursor + 1)
            self._marks_changed()

    def action_mark_all(self) -> None:
        """Mark all rows that are shown; if they are marked, unmark them."""
        if self._may_mark and isinstance(self._rows, Listed):
            shown = set(self._rows.keys())
            self.marked = set() if shown <= self.marked else shown
            self._marks_changed()

    def unmark(self) -> None:
        """Take all marks away."""
        if self.marked:
            self.marked = set()
            self._marks_changed()

    @property
    def can_sort(self) -> bool:
        """Whether the rows can be sorted: those that come page by page have an order of theirs."""
        return isinstance(self._rows, Listed)

    @property
    def can_mark(self) -> bool:
        """Whether rows can be marked."""
        return self._may_mark

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what works with these rows."""
        if action in {"sort", "reverse"} and not self.can_sort:
            return False
        if action in {"mark", "mark_all"} and not self._may_mark:
            return False
        if action == "mark_all" and not isinstance(self._rows, Listed):
            return False
        return super().check_action(action, parameters)

    def action_sort(self) -> None:
        """Sort by the next column; after the last one, not at all."""
        if not self.can_sort:
            return
        shown = [item.at for item in self._lines.fit(self._room)]
        following = [i for i in shown if self.sort_column is None or i > self.sort_column]
        self._sort_by(following[0] if following else None)

    def action_reverse(self) -> None:
        """Reverse the order."""
        if self.can_sort:
            self.descending = not self.descending
            self._list()

    def _sort_by(self, column: int | None) -> None:
        if not self.can_sort:
            return
        self.descending = column is not None and self.columns[column].right
        self.sort_column = column
        self._list()

    def _marks_changed(self) -> None:
        self.refresh()
        self.post_message(self.MarksChanged(self))

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on a row, open it with the second click; sort by a header."""
        place = event.get_content_offset(self)
        if place is None:
            return
        if place.y == 0:
            self._click_header(place.x)
            return
        row = place.y - 1 + round(self.scroll_y)
        if row < len(self._rows):
            self.cursor = row
            if event.chain >= 2:
                self.action_open()

    def _click_header(self, x: int) -> None:
        column = self._lines.column_at(x, self._room)
        if column is None:
            return
        if self.sort_column == column:
            self.action_reverse()
        else:
            self._sort_by(column)
