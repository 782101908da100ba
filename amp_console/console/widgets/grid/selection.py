"""The selection in a grid: the marked rows, and the row that the cursor follows."""

from collections.abc import Callable, Collection, Hashable, Iterator

from amp_console.console.widgets.grid.rows import Rows


class Marks(Collection[Hashable]):
    """The keys of the marked rows. `changed` is called after each change."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._keys: frozenset[Hashable] = frozenset()

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def toggle(self, key: Hashable) -> None:
        """Mark a row, or unmark it."""
        self._set(self._keys ^ {key})

    def toggle_all(self, shown: Collection[Hashable]) -> None:
        """Mark exactly the rows that are shown; if they are already marked, unmark all."""
        keys = frozenset(shown)
        self._set(frozenset() if keys <= self._keys else keys)

    def keep(self, shown: Rows) -> None:
        """Unmark rows that are not shown: keys act on marked rows, so these must be visible."""
        keys = frozenset(key for key in self._keys if shown.find(key) is not None)
        if keys != self._keys:
            self._set(keys)

    @property
    def words(self) -> str:
        """How many rows are marked: "2 marked"; "" without marks."""
        return f"{len(self):,} marked" if self._keys else ""

    def clear(self) -> None:
        if self._keys:
            self._set(frozenset())

    def _set(self, keys: frozenset[Hashable]) -> None:
        self._keys = keys
        self._changed()


class CursorMemory:
    """Keeps the cursor on its row while rows appear and disappear.

    It remembers a row that is not shown: the cursor returns when the row does, unless the operator
    has moved it in the meantime.
    """

    def __init__(self) -> None:
        self._missing: Hashable | None = None

    def forget(self) -> None:
        """Forget the row, because the operator has moved the cursor."""
        self._missing = None

    def index(self, rows: Rows, key: Hashable | None, before: int) -> int:
        """Return the cursor's index in new rows; `key` and `before` are its old row and index."""
        wanted = key if self._missing is None else self._missing
        found = rows.find(wanted) if wanted is not None else None
        self._missing = wanted if found is None else None
        if found is None and key is not None:
            found = rows.find(key)
        return max(0, min(before if found is None else found, len(rows) - 1))


def moved(motion: str, cursor: int, count: int, page: int) -> int:
    """Return the index after a motion, with `count` rows, of which `page` are in view."""
    last = count - 1
    target = {
        "down": cursor + 1,
        "up": cursor - 1,
        "page_down": cursor + page,
        "page_up": cursor - page,
        "first": 0,
        "last": last,
    }[motion]
    return max(0, min(target, last))
