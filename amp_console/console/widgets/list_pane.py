"""A list with a filter and marks, read page by page from a source that can change."""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from textual.app import ComposeResult
from textual.containers import Container

from amp_console.console.glyphs import Glyphs
from amp_console.console.texts import safe_text
from amp_console.console.widgets.filter_bar import FilterBar
from amp_console.console.widgets.grid import (
    Age,
    Column,
    Grid,
    Row,
    RowsState,
    no_match,
    rows_or_pages,
)
from amp_console.text import plural

Q = TypeVar("Q")
T = TypeVar("T")


@dataclass(frozen=True)
class ListSource(Generic[Q, T]):
    """What a pane shows.

    Marks are kept while `query` is equal, and rows that were read, while `revision` is equal, too.
    The cursor stays on its row while `subject` is equal: a list of another subject begins at its
    first row.
    """

    query: Q
    title: str
    columns: Sequence[Column]
    count: Callable[[], Awaitable[int]]
    read: Callable[[int, int], Awaitable[Sequence[T]]]
    """Reads up to `limit` items, starting at `offset`."""
    row: Callable[[T], Row]
    revision: object = field(default_factory=object)
    subject: object = None


class ListPane(Container, Generic[Q, T]):
    """A panel with a list; the title says what is listed, the subtitle how many, and marked."""

    def __init__(
        self,
        source: Callable[[str], ListSource[Q, T] | None],
        noun: tuple[str, str],
        *,
        grid_id: str,
        id: str,  # noqa: A002  # Textual's word
        glyphs: Glyphs,
        age: Age | None = None,
        empty: str,
        columns: Sequence[Column] = (),
        opens: str = "",
    ) -> None:
        """`source` returns what to show for a filter's text; None to show nothing.

        `opens` names in a word what Enter opens.
        """
        super().__init__(id=id, classes="panel")
        self._source = source
        self._noun = noun
        self._glyphs = glyphs
        self._empty = empty
        self._grid: Grid = Grid(
            columns, glyphs=glyphs, age=age, empty=empty, marks=True, opens=opens, id=grid_id
        )
        self._filter = FilterBar()
        self._items: dict[Hashable, T] = {}
        self._shown: ListSource[Q, T] | None = None
        self._count = 0

    def compose(self) -> ComposeResult:
        yield self._filter
        yield self._grid

    @property
    def wanted(self) -> ListSource[Q, T] | None:
        """What should be shown now; the list shows it once it is read."""
        return self._source(self._filter.value)

    @property
    def filter_text(self) -> str:
        return self._filter.value

    @property
    def count(self) -> int:
        """How many items there are, of which not all may have been read."""
        return self._count

    @property
    def is_without_match(self) -> bool:
        """Whether the filter leaves no row."""
        return bool(self.filter_text) and self._shown is not None and not self._count

    @property
    def current(self) -> T | None:
        """The item under the cursor."""
        return self.find(self._grid.key)

    def find(self, key: Hashable) -> T | None:
        """Return the item of a row, if it was read."""
        return self._items.get(key)

    @property
    def marked(self) -> list[T]:
        """The marked items."""
        return [self._items[key] for key in self._grid.marks if key in self._items]

    @property
    def marked_words(self) -> str:
        """How many rows are marked: "2 marked"; "" without marks."""
        return self._grid.marks.words

    @property
    def has_cursor(self) -> bool:
        """Whether the list has the focus."""
        return self._grid.has_focus

    def focus_list(self) -> None:
        self._grid.focus()

    def open_filter(self) -> None:
        self._filter.open()

    def unmark(self) -> None:
        self._grid.marks.clear()

    async def load(self) -> None:
        """Read what should be shown, and show it. Raises what reading raises."""
        source = self.wanted
        if source is None:
            self._grid.show_notice(RowsState.UNKNOWN, "")
            return
        shown = self._shown
        if shown is not None and (source.query, source.revision) == (shown.query, shown.revision):
            return
        count = await source.count()

        async def read(offset: int, limit: int) -> Sequence[Row]:
            items = await source.read(offset, limit)
            rows = [source.row(item) for item in items]
            self._items.update(zip((row.key for row in rows), items, strict=True))
            return rows

        rows = await rows_or_pages(count, read)
        wanted = self.wanted
        if wanted is None or wanted.query != source.query:
            return  # the operator has moved on
        if shown is None or shown.query != source.query:
            self.unmark()
        self._shown, self._count = source, count
        text = self.filter_text
        self._grid.empty = no_match(self._noun[0], text) if text else self._empty
        self._grid.reshape(source.columns)
        self._grid.show(rows)
        if shown is not None and shown.subject != source.subject:
            self._grid.action_move("first")
        self._show_titles()

    def _show_titles(self) -> None:
        if self._shown is None:
            return
        self.border_title = safe_text(self._shown.title, max_length=90)
        parts = [plural(self._count, *self._noun), self._grid.marks.words]
        self.border_subtitle = self._glyphs.separator.join(part for part in parts if part)

    def on_grid_marks_changed(self) -> None:
        self._show_titles()

    def on_filter_bar_left(self, event: FilterBar.Left) -> None:
        event.stop()
        self.focus_list()
