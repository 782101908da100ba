"""What a grid shows: rows in memory, or pages that are fetched when they come into view."""

from collections.abc import Awaitable, Callable, Collection, Hashable, Sequence
from typing import Any, NamedTuple, Protocol

PAGE = 200  # rows
MAX_SORTED = 1_000  # rows; a longer list comes page by page, in the order that it has


class CellPart(NamedTuple):
    """A part of a cell with a tone of its own; one with a `link` can be clicked.

    `link` is whatever the screen makes of a click. `sign` says it all where there is no
    room for its words; "" where nothing does.
    """

    text: str
    tone: str = ""
    link: Any = None
    sign: str = ""


class Cell(NamedTuple):
    """One cell's text and its tone: good, warn, bad, dim, accent or "".

    `since` is a moment in microseconds since 1970 whose age the cell shows: `text` is the age when
    the row was made, and the grid paints the current one. `parts` make up the text of a cell that
    shows its first ones where there is no room for all. A path is cut in its middle, and a bar
    without a sign for more.
    """

    text: str
    tone: str = ""
    since: int | None = None
    parts: tuple[CellPart, ...] = ()
    is_path: bool = False
    is_bar: bool = False


def parts_cell(parts: Sequence[CellPart]) -> Cell:
    """A cell of several parts; its text holds them all."""
    tone = parts[0].tone if parts else ""
    return Cell("  ".join(part.text for part in parts), tone, None, tuple(parts))


class Row(NamedTuple):
    """One row. `key` identifies it; `sort` holds one value per cell, or none: then texts sort."""

    key: Hashable
    cells: tuple[Cell, ...]
    sort: tuple[object, ...] = ()


class Rows(Protocol):
    """The rows a grid shows, in their order."""

    def __len__(self) -> int: ...

    def get(self, index: int) -> Row | None:
        """Return the row, or None where it has to be fetched first."""

    def find(self, key: Hashable) -> int | None:
        """Return the index of the row with this key, None where it is unknown."""


class Listed:
    """Rows that are all in memory, filtered by a text and sorted by a column.

    Rows that are in `before` keep its order; the others come after them.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        needle: str = "",
        sort: int | None = None,
        descending: bool = False,
        before: Rows | None = None,
    ) -> None:
        wanted = needle.casefold()
        found = [row for row in rows if not wanted or wanted in _text_of(row)]
        if sort is not None:
            found.sort(key=lambda row: _sortable(row, sort), reverse=descending)
        elif descending:
            found.reverse()
        if before is not None:
            found.sort(key=lambda row: _place(before.find(row.key)))
        self.total = len(rows)
        self._rows = found
        self._at = {row.key: index for index, row in enumerate(found)}

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, index: int) -> Row | None:
        return self._rows[index]

    def find(self, key: Hashable) -> int | None:
        return self._at.get(key)

    def keys(self) -> list[Hashable]:
        """Return the keys of all rows shown, in their order."""
        return list(self._at)


def _place(index: int | None) -> tuple[bool, int]:
    return (index is None, index or 0)


def _text_of(row: Row) -> str:
    return "\n".join(cell.text for cell in row.cells).casefold()


def _sortable(row: Row, column: int) -> tuple[bool, bool, object]:
    """Unknown values last; numbers are never compared with texts."""
    value = row.sort[column] if column < len(row.sort) else _value_of(row.cells[column])
    text = value.casefold() if isinstance(value, str) else value
    return (value is None, isinstance(text, str), text if value is not None else 0)


def _value_of(cell: Cell) -> object:
    """What a cell without a sort value is sorted by: its moment, its number, or its text."""
    if cell.since is not None:
        return cell.since
    digits = cell.text.replace(",", "")
    return int(digits) if digits.isdecimal() else cell.text


Load = Callable[[int, int], Awaitable[Sequence[Row]]]
"""Fetches up to `limit` rows, starting at `offset`."""


class Paged:
    """Rows of which only the pages that came into view are in memory."""

    def __init__(self, count: int, load: Load) -> None:
        self._count = count
        self._load = load
        self._pages: dict[int, Sequence[Row]] = {}
        self._requested: set[int] = set()
        self._at: dict[Hashable, int] = {}

    def __len__(self) -> int:
        return self._count

    def get(self, index: int) -> Row | None:
        page = self._pages.get(index // PAGE)
        at = index % PAGE
        return page[at] if page is not None and at < len(page) else None

    def find(self, key: Hashable) -> int | None:
        return self._at.get(key)

    @property
    def fetched(self) -> list[Row]:
        """The rows of the pages in memory."""
        return [row for page in self._pages.values() for row in page]

    def request(self, index: int) -> int | None:
        """Return the page to fetch for a row; None while it is being fetched, and afterwards."""
        page = index // PAGE
        if page in self._pages or page in self._requested or not 0 <= index < self._count:
            return None
        self._requested.add(page)
        return page

    async def fetch(self, page: int) -> None:
        """Fetch a page. Raises what loading raises; the page can be requested again then."""
        try:
            rows = await self._load(page * PAGE, PAGE)
        finally:
            self._requested.discard(page)
        self._pages[page] = rows
        self._at.update((row.key, page * PAGE + at) for at, row in enumerate(rows))


class RowModel:
    """The rows of a grid with their filter and their order; pages have an order of their own."""

    def __init__(self, sort_column: int | None) -> None:
        self.shown: Rows = Listed(())
        self.sort_column = sort_column
        self.descending = False
        self.keeps_order = False
        """Whether rows that are shown keep their order when others replace them."""
        self.is_sorted = True
        """Whether the rows shown are in the order of the column they are sorted by."""
        self._all: Sequence[Row] = ()
        self.needle = ""
        """The text that the rows shown contain; "" shows all."""

    @property
    def can_sort(self) -> bool:
        return isinstance(self.shown, Listed)

    def __len__(self) -> int:
        return len(self.shown)

    @property
    def known(self) -> Sequence[Row]:
        """The rows in memory, whether the filter shows them or not."""
        return self.shown.fetched if isinstance(self.shown, Paged) else self._all

    def get(self, index: int) -> Row | None:
        """Return a row that is shown, or None where it has to be fetched first."""
        return self.shown.get(index)

    def replace(self, rows: Sequence[Row] | Paged) -> bool:
        """Show other rows, filtered and sorted as before; False where they are the same."""
        if isinstance(rows, Paged):
            self.sort_by(None, descending=False)
            self._all, self.shown = (), rows
            return True
        if rows and rows == self._all and self.can_sort and (self.keeps_order or self.is_sorted):
            return False
        self._all = rows
        self._list(self.shown if self.keeps_order else None)
        return True

    def filter(self, needle: str) -> None:
        """Show only rows with this text in any cell, ignoring case."""
        self.needle = needle
        if self.can_sort:
            self._list()

    def sort_by(self, column: int | None, *, descending: bool) -> None:
        """Sort by a column; None: the order the rows came in."""
        self.sort_column, self.descending = column, descending
        if self.can_sort:
            self._list()

    def in_order(self, keys: Collection[Hashable]) -> list[Hashable]:
        """Return keys in the order the rows came in."""
        if not self._all:
            return sorted(keys, key=repr)
        return [row.key for row in self._all if row.key in keys]

    def _list(self, before: Rows | None = None) -> None:
        order = self.needle, self.sort_column, self.descending
        shown = Listed(self._all, *order, before)
        self.is_sorted = before is None or shown.keys() == Listed(self._all, *order).keys()
        self.shown = shown


async def rows_or_pages(count: int, load: Load) -> Sequence[Row] | Paged:
    """Fetch all rows of a short list, so that it can be sorted; of a long one the first page."""
    if count <= MAX_SORTED:
        return await load(0, count)
    pages = Paged(count, load)
    await pages.fetch(0)
    return pages
