"""What a grid shows: rows that are all here, or pages of them that are fetched when looked at."""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import NamedTuple, Protocol

PAGE = 200  # rows
MOST_SORTED = 1_000  # rows; a longer list comes page by page, in the order that it has


class Cell(NamedTuple):
    """One cell's text and the tone it is said in: good, warn, bad, dim, accent or "".

    `since` is a moment in microseconds since 1970 whose age the cell says: the text is what it was
    when the row was made, and the grid paints what it is by now.
    """

    text: str
    tone: str = ""
    since: int | None = None


class Row(NamedTuple):
    """One row. `key` tells it from the others; `sort` are the values its columns sort by."""

    key: Hashable
    cells: tuple[Cell, ...]
    sort: tuple[object, ...] = ()


class Rows(Protocol):
    """What a grid looks at."""

    def __len__(self) -> int:
        """How many rows there are."""

    def get(self, index: int) -> Row | None:
        """The row, or None where it has to be fetched first."""

    def find(self, key: Hashable) -> int | None:
        """Where the row of this key stands, if that is known."""


class Listed:
    """Rows that are all here, filtered by a text and sorted by a column."""

    def __init__(
        self,
        rows: Sequence[Row],
        needle: str = "",
        sort: int | None = None,
        descending: bool = False,
    ) -> None:
        wanted = needle.casefold()
        found = [row for row in rows if not wanted or wanted in _text_of(row)]
        if sort is not None:
            found.sort(key=lambda row: _sortable(row, sort), reverse=descending)
        elif descending:
            found.reverse()
        self.total = len(rows)
        self._rows = found
        self._at = {row.key: index for index, row in enumerate(found)}

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, index: int) -> Row | None:
        """The row at a place."""
        return self._rows[index]

    def find(self, key: Hashable) -> int | None:
        """Where the row of this key stands."""
        return self._at.get(key)

    def keys(self) -> list[Hashable]:
        """The keys of all rows shown, in their order."""
        return list(self._at)


def _text_of(row: Row) -> str:
    return "\n".join(cell.text for cell in row.cells).casefold()


def _sortable(row: Row, column: int) -> tuple[bool, bool, object]:
    """Unknown values last; numbers are never compared with texts."""
    value = row.sort[column] if column < len(row.sort) else row.cells[column].text
    text = value.casefold() if isinstance(value, str) else value
    return (value is None, isinstance(text, str), text if value is not None else 0)


Load = Callable[[int, int], Awaitable[Sequence[Row]]]
"""Fetches `limit` rows from `offset` on."""


class Paged:
    """Rows of which only the pages that were looked at are here, however many there are."""

    def __init__(self, count: int, load: Load) -> None:
        self._count = count
        self._load = load
        self._pages: dict[int, Sequence[Row]] = {}
        self._at: dict[Hashable, int] = {}

    def __len__(self) -> int:
        return self._count

    def get(self, index: int) -> Row | None:
        """The row at a place, None while its page is not here."""
        page = self._pages.get(index // PAGE)
        place = index % PAGE
        return page[place] if page is not None and place < len(page) else None

    def find(self, key: Hashable) -> int | None:
        """Where the row of this key stands, among those that are here."""
        return self._at.get(key)

    def lacks(self, page: int) -> bool:
        """Whether a page has yet to be fetched."""
        return page not in self._pages and 0 <= page * PAGE < self._count

    async def fetch(self, page: int) -> None:
        """Fetch a page."""
        rows = await self._load(page * PAGE, PAGE)
        self._pages[page] = rows
        self._at.update((row.key, page * PAGE + place) for place, row in enumerate(rows))


async def rows_or_pages(count: int, load: Load) -> Sequence[Row] | Paged:
    """Fetch all rows of a short list, which can be sorted then; of a long one the first page."""
    if count <= MOST_SORTED:
        return await load(0, count)
    pages = Paged(count, load)
    await pages.fetch(0)
    return pages
