"""The rows of a grid: all in memory, or in pages that are fetched when they come into view."""

from collections.abc import Awaitable, Callable, Collection, Hashable, Sequence
from typing import Any, NamedTuple, Protocol

PAGE = 200  # rows
MAX_SORTED = 1_000  # rows; a longer list is read page by page, in its own order


class CellPart(NamedTuple):
    """A part of a cell with its own tone; one with a `link` can be clicked.

    `link` is what the screen gets for a click. `sign` replaces the text if there is no room for it;
    "" if there is none. A part that `is_optional` is left out, without a sign, if there is no room
    for all: another column says the same.
    """

    text: str
    tone: str = ""
    link: Any = None
    sign: str = ""
    is_optional: bool = False


Shorten = Callable[[str, int, str], str]
"""Shortens a text to a number of columns, if it can; the third argument is the sign for more."""


class Cell(NamedTuple):
    """One cell's text and its tone: good, warn, bad, dim, accent or "".

    `since` is a time in microseconds since 1970 whose age the cell shows: `text` is the age when
    the row was created, and the grid paints the current one. `parts` form the text; only the first
    ones are shown if there is no room for all. `shorten` shortens a text that does not fit, instead
    of cutting off its end. `share` is how much of something is done, from 0.0 to 1.0: the cell has
    no text, but a bar as wide as its column.
    """

    text: str
    tone: str = ""
    since: int | None = None
    parts: tuple[CellPart, ...] = ()
    shorten: Shorten | None = None
    share: float | None = None


def parts_cell(parts: Sequence[CellPart]) -> Cell:
    """A cell of several parts; its text contains them all."""
    tone = parts[0].tone if parts else ""
    return Cell("  ".join(part.text for part in parts), tone, None, tuple(parts))


class Row(NamedTuple):
    """One row. `key` identifies it; `sort` has one value per cell, or is empty to sort by text."""

    key: Hashable
    cells: tuple[Cell, ...]
    sort: tuple[object, ...] = ()


class Rows(Protocol):
    """The rows a grid shows, in order."""

    def __len__(self) -> int: ...

    def get(self, index: int) -> Row | None:
        """Return the row, or None if it has to be fetched first."""

    def find(self, key: Hashable) -> int | None:
        """Return the index of the row with this key, None if it is unknown."""


class Listed:
    """Rows that are all in memory, filtered by a text and sorted by a column.

    Rows that are in `before` keep its order; the others follow.
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
        """Return the keys of all rows shown, in order."""
        return list(self._at)


def _place(index: int | None) -> tuple[bool, int]:
    return (index is None, index or 0)


def _text_of(row: Row) -> str:
    return "\n".join(cell.text for cell in row.cells).casefold()


def _sortable(row: Row, column: int) -> tuple[bool, bool, object]:
    """Unknown values come last; numbers are never compared with texts."""
    value = row.sort[column] if column < len(row.sort) else _value_of(row.cells[column])
    text = value.casefold() if isinstance(value, str) else value
    return (value is None, isinstance(text, str), text if value is not None else 0)


def _value_of(cell: Cell) -> object:
    """The sort value of a cell without an explicit one: its time, its number, or its text."""
    if cell.since is not None:
        return cell.since
    digits = cell.text.replace(",", "")
    return int(digits) if digits.isdecimal() else cell.text


Load = Callable[[int, int], Awaitable[Sequence[Row]]]
"""Fetches up to `limit` rows, starting at `offset`."""


class Paged:
    """Rows in pages; only those that came into view are in memory."""

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
        """Return the page to fetch for a row; None while it is being fetched, and after that."""
        page = index // PAGE
        if page in self._pages or page in self._requested or not 0 <= index < self._count:
            return None
        self._requested.add(page)
        return page

    async def fetch(self, page: int) -> None:
        """Fetch a page. Raises what `load` raises; the page can be requested again then."""
        try:
            rows = await self._load(page * PAGE, PAGE)
        finally:
            self._requested.discard(page)
        self._pages[page] = rows
        self._at.update((row.key, page * PAGE + at) for at, row in enumerate(rows))


class RowModel:
    """The rows of a grid with their filter and order; pages have their own order."""

    def __init__(self, sort_column: int | None) -> None:
        self.shown: Rows = Listed(())
        self.sort_column = sort_column
        self.descending = False
        self.keeps_order = False
        """Whether the rows shown keep their order when others replace them."""
        self.is_sorted = True
        """Whether the rows shown are in the order of the sort column."""
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
        """The rows in memory, whether or not the filter shows them."""
        return self.shown.fetched if isinstance(self.shown, Paged) else self._all

    def get(self, index: int) -> Row | None:
        """Return a row that is shown, or None if it has to be fetched first."""
        return self.shown.get(index)

    def replace(self, rows: Sequence[Row] | Paged) -> bool:
        """Show other rows, filtered and sorted as before; False if they are the same."""
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
        """Sort by a column; None: the order in which the rows came."""
        self.sort_column, self.descending = column, descending
        if self.can_sort:
            self._list()

    def in_order(self, keys: Collection[Hashable]) -> list[Hashable]:
        """Return keys in the order in which the rows came."""
        if not self._all:
            return sorted(keys, key=repr)
        return [row.key for row in self._all if row.key in keys]

    def _list(self, before: Rows | None = None) -> None:
        order = self.needle, self.sort_column, self.descending
        shown = Listed(self._all, *order, before)
        self.is_sorted = before is None or shown.keys() == Listed(self._all, *order).keys()
        self.shown = shown


async def rows_or_pages(count: int, load: Load) -> Sequence[Row] | Paged:
    """Fetch all rows of a short list, so that it can be sorted, or the first page of a long one."""
    if count <= MAX_SORTED:
        return await load(0, count)
    pages = Paged(count, load)
    await pages.fetch(0)
    return pages
