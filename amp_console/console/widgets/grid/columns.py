"""The widths of a grid's columns, and fitting text into them: arithmetic without widgets."""

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from rich.cells import cell_len, set_cell_size

from amp_console.console.widgets.grid.rows import Cell, CellPart, Row, Shorten
from amp_console.text import clean

GAP = 2  # columns between two cells
LEAD = 2  # columns before the first cell: the cursor and the mark
MAX_LENGTH = 300  # characters of a cell; no screen is wider
LEAST_PATH = 8  # columns from which on a path is shortened in the middle
SHOWS_BEGIN = 16  # columns from which on a shortened path also shows its beginning
LEAST_FLEX = 4  # columns that a flexible one has at least
FIRST_NAME = 24  # columns that a name in the first column always gets
HELD = 2  # columns that numbers may leave empty: a digit and a separator
MAX_NAME = 40  # columns that a name gets before other columns get theirs
LETTERS = "abcdefghijklmnpqrstuvwxyz0123456789"
"""The letters to choose a column by, without o, the key that asks for one."""


class Column(NamedTuple):
    """One column: at least `width` wide; `flex` is its share of the width left over.

    If there is too little room, columns of the highest `rank` are left out first (0: never). A
    `right` column contains numbers: it is as wide as its widest cell. So is a column with
    `narrows`; if there is too little room, it is narrowed to `width` and the first part of each
    cell when columns of that rank are left out. A column that `hides` is left out while all its
    cells are empty.
    """

    label: str
    width: int
    flex: int = 0
    right: bool = False
    rank: int = 0
    narrows: int = 0
    hides: bool = False


class Fitted(NamedTuple):
    """A column as it is drawn: its index, and its width."""

    at: int
    width: int


class CellWidths(NamedTuple):
    """The width of a column's cells: at least, in full, and with their optional parts."""

    least: int = 0
    full: int = 0
    whole: int = 0


class ColumnLayout:
    """The columns of a grid, fitted to its width and its cells.

    `scrollbar` returns how many columns a scrollbar takes now. A single line can make it appear or
    disappear, so its columns come from the last flexible column: no other column moves.
    """

    def __init__(self, columns: Sequence[Column], scrollbar: Callable[[], int] = lambda: 0) -> None:
        self.columns = tuple(columns)
        self._scrollbar = scrollbar
        self._fitted: list[Fitted] = []
        self._width = self._beside = -1
        self._cells = [CellWidths()] * len(self.columns)
        self._hidden: frozenset[int] = frozenset()

    def measure(self, rows: Iterable[Row]) -> None:
        """Fit the columns to these cells.

        A column of numbers stays up to `HELD` columns wider than its cells while there are rows:
        otherwise all columns would move whenever a number gains or loses a digit. A bar needs no
        more than its column's width.
        """
        grown = [
            (at, not column.narrows)
            for at, column in enumerate(self.columns)
            if column.right or column.narrows or column.flex or column.hides
        ]
        measured = tuple(rows)
        sizes = [CellWidths()] * len(self.columns)
        for row in measured:
            for at, is_whole in grown:
                cell = row.cells[at]
                full = full_width(cell) if cell.share is None else self.columns[at].width
                least = full if is_whole else least_width(cell)
                found = CellWidths(least, full, cell_len(cell.text))
                sizes[at] = CellWidths(*map(max, sizes[at], found))
        hidden = frozenset(
            at for at, column in enumerate(self.columns) if column.hides and not sizes[at].full
        )
        held = zip(self.columns, self._cells, sizes, strict=True)
        cells = [
            CellWidths(*map(_held, before, size)) if column.right and measured else size
            for column, before, size in held
        ]
        if (cells, hidden) != (self._cells, self._hidden):
            self._cells, self._hidden, self._width = cells, hidden if measured else frozenset(), -1

    @property
    def wanted(self) -> int:
        """The width that shows every column, with each name in full unless it is long."""
        return self._width_with(MAX_NAME)

    @property
    def whole(self) -> int:
        """The width that shows every cell in full."""
        return self._width_with(MAX_LENGTH)

    def _width_with(self, longest: int) -> int:
        """The width if each flexible column gets at most `longest` columns."""
        widths = [
            max(column.width, min(size.full, longest)) if column.flex else max(column.width, *size)
            for column, size in zip(self.columns, self._cells, strict=True)
        ]
        shown = [at for at in range(len(widths)) if at not in self._hidden]
        return LEAD + _needed(widths, shown)

    def fit(self, width: int) -> list[Fitted]:
        """Return the columns that fit into a grid of this width."""
        beside = self._scrollbar()
        if (width, beside) != (self._width, self._beside):
            self._width, self._beside = width, beside
            room = width - LEAD
            fitted = fit_columns(self.columns, room + beside, self._cells, self._hidden)
            narrowed = _narrowed(self.columns, fitted, beside)
            self._fitted = narrowed or fit_columns(self.columns, room, self._cells, self._hidden)
        return self._fitted

    def width_of(self, column: int, width: int) -> int:
        """Return how wide a column is drawn; 0 if there is no room for it."""
        return next((item.width for item in self.fit(width) if item.at == column), 0)

    def column_at(self, x: int, width: int) -> int | None:
        """Return the index of the column at this offset in the line."""
        left = LEAD
        for item in self.fit(width):
            if left <= x < left + item.width + GAP:
                return item.at
            left += item.width + GAP
        return None

    def link_at(self, x: int, width: int, cells: Sequence[Cell]) -> Any:
        """Return the link at this offset in a row with these cells, None if there is none."""
        left = LEAD
        for item in self.fit(width):
            cell = cells[item.at]
            at = left
            for part in fitted_parts(cell, item.width) if cell.parts else ():
                right = at + cell_len(part.text)
                if part.link is not None and at <= x < right:
                    return part.link
                at = right
            left += item.width + GAP
        return None

    def letters(self, width: int) -> dict[str, int]:
        """Return the letter of each visible column: the first unused letter of its label."""
        found: dict[str, int] = {}
        for item in self.fit(width):
            label = self.columns[item.at].label.casefold()
            choices = [letter for letter in label + LETTERS if letter in LETTERS] if label else []
            letter = next((letter for letter in choices if letter not in found), None)
            if letter is not None:
                found[letter] = item.at
        return found


def _held(before: int, now: int) -> int:
    """The width of a column: the one before, unless much less is enough now."""
    return before if 0 <= before - now <= HELD else now


def fit_columns(
    columns: Sequence[Column],
    room: int,
    cells: Sequence[CellWidths] = (),
    hidden: Collection[int] = (),
) -> list[Fitted]:
    """Return the columns that fit into `room`; flexible ones share the remaining width.

    `hidden` are the indexes of columns that are always left out.
    """
    cells = cells or [CellWidths()] * len(columns)
    least = [max(item.width, size.least) for item, size in zip(columns, cells, strict=True)]
    least = [
        column.width if column.flex else width for column, width in zip(columns, least, strict=True)
    ]
    if columns and columns[0].flex:
        # The name of a row comes before columns that can be left out.
        least[0] = max(least[0], min(cells[0].full, FIRST_NAME))
    widths = [
        width if column.flex else max(width, size.full)
        for column, width, size in zip(columns, least, cells, strict=True)
    ]
    shown = [at for at in range(len(columns)) if at not in hidden]
    while _needed(widths, shown) > room:
        steps = [(columns[at].rank, at, False) for at in shown if columns[at].rank]
        steps += [(columns[at].narrows, at, True) for at in shown if widths[at] > least[at]]
        if not steps:
            break
        _, at, is_narrowed = max(steps)
        if is_narrowed:
            widths[at] = least[at]
        else:
            shown.remove(at)
    for index in shown:  # a name is shown in full before another column gets more than it needs
        if columns[index].flex and columns[index].label:
            spare = max(0, room - _needed(widths, shown))
            widths[index] += min(spare, max(0, cells[index].full - widths[index]), MAX_NAME)
    for index in shown:  # narrowed columns take what the names leave
        if columns[index].narrows:
            spare = max(0, room - _needed(widths, shown))
            widths[index] += min(spare, max(0, cells[index].whole - widths[index]))
    spare = max(0, room - _needed(widths, shown))
    flex = sum(columns[index].flex for index in shown)
    fitted = []
    for index in shown:
        extra = spare * columns[index].flex // flex if flex else 0
        fitted.append(Fitted(index, widths[index] + extra))
    return _without_cut_numbers(columns, _shrunk(columns, fitted, cells, room), room)


def _needed(widths: Sequence[int], shown: Sequence[int]) -> int:
    return sum(widths[index] for index in shown) + GAP * max(0, len(shown) - 1)


def _over(fitted: Sequence[Fitted], room: int) -> int:
    return sum(item.width for item in fitted) + GAP * max(0, len(fitted) - 1) - room


def _shrunk(
    columns: Sequence[Column], fitted: list[Fitted], cells: Sequence[CellWidths], room: int
) -> list[Fitted]:
    """Narrow the flexible columns if even the indispensable ones do not fit.

    Blanks in columns without a label are removed first, then such columns (e.g. bars) are narrowed,
    then labeled ones, the last one first: the first one has the name of a row.
    """
    over, widths = _over(fitted, room), {item.at: item.width for item in fitted}
    flexible = [at for at in widths if columns[at].flex]
    unlabelled = [at for at in flexible if not columns[at].label]
    named = [at for at in reversed(flexible) if columns[at].label]
    steps = [(at, max(LEAST_FLEX, cells[at].full)) for at in unlabelled]
    steps += [(at, LEAST_FLEX) for at in (*unlabelled, *named)]
    for at, least in steps:
        give = min(max(0, over), max(0, widths[at] - least))
        over -= give
        widths[at] -= give
    return [Fitted(at, width) for at, width in widths.items()]


def _narrowed(columns: Sequence[Column], fitted: list[Fitted], by: int) -> list[Fitted]:
    """Narrow the last flexible column that can spare `by`; no columns if none can."""
    for index in reversed(range(len(fitted))):
        at, width = fitted[index]
        if columns[at].flex and width - by >= LEAST_FLEX:
            return [*fitted[:index], Fitted(at, width - by), *fitted[index + 1 :]]
    return []


def _without_cut_numbers(
    columns: Sequence[Column], fitted: list[Fitted], room: int
) -> list[Fitted]:
    """Leave out number columns that the edge of the screen would cut, the last ones first."""
    while len(fitted) > 1 and _over(fitted, room) > 0:
        numbers = [item for item in fitted[1:] if columns[item.at].right]
        if not numbers:
            break
        fitted = [item for item in fitted if item is not numbers[-1]]
    return fitted


def full_width(cell: Cell) -> int:
    """The width of a cell that shows everything that no other column says."""
    return _length(_spaced(*_required(cell))) if cell.parts else cell_len(cell.text)


def _required(cell: Cell) -> tuple[CellPart, list[CellPart]]:
    """The first part of a cell, and the others that are not optional."""
    first, *others = cell.parts
    return first, [part for part in others if not part.is_optional]


def least_width(cell: Cell) -> int:
    """The width of a cell that shows its first part, and only the signs of the others.

    If they have none, one more column indicates that there are others. A text without parts may be
    cut, so it needs no more than its column's width.
    """
    if not cell.parts:
        return 0
    first, others = _required(cell)
    signs = [cell_len(part.sign) for part in others if part.sign]
    if len(signs) < len(others):
        signs.append(1)
    return cell_len(first.text) + sum(GAP + sign for sign in signs)


def fitted_parts(cell: Cell, width: int, more: str = "…") -> list[CellPart]:
    """Return the parts of a cell that fit into `width` columns.

    The optional ones are left out first. Then the last ones lose their words, and keep their signs.
    If parts are left out completely, `more` indicates that, if there is room for it.
    """
    first, *others = cell.parts
    gap = " " * GAP
    if _length(_spaced(first, others)) > width:
        first, others = _required(cell)
    for many in range(len(others), -1, -1):
        signs = [part._replace(text=part.sign) for part in others[many:]]
        if all(part.sign for part in others[many:]):
            shown = _spaced(first, [*others[:many], *signs])
            if _length(shown) <= width:
                return [*shown, CellPart(" " * (width - _length(shown)))]
    for many in range(len(others), -1, -1):
        shown = _spaced(first, others[:many])
        if _length(shown) > width:
            continue
        rest = [CellPart(gap + more, "dim")] if many < len(others) else []
        shown += rest if _length([*shown, *rest]) <= width else []
        return [*shown, CellPart(" " * (width - _length(shown)))]
    return [CellPart(fitted_text(first.text, width, False, more), first.tone, first.link)]


def _spaced(first: CellPart, others: Sequence[CellPart]) -> list[CellPart]:
    return [first, *(part._replace(text=" " * GAP + part.text) for part in others)]


def _length(parts: Sequence[CellPart]) -> int:
    return sum(cell_len(part.text) for part in parts)


@lru_cache(maxsize=16_384)
def fitted_text(
    text: str, width: int, right: bool, more: str = "…", shorten: Shorten | None = None
) -> str:
    """Return text that takes exactly `width` columns and contains no control characters.

    If even the text that `shorten` returns is too long, it is cut off, and ends in `more`. A text
    that ends in parentheses keeps them: they tell audiences of one name apart.
    """
    shown = clean(text, MAX_LENGTH)
    if shorten is not None and cell_len(shown) > width:
        shown = clean(shorten(text, width, more), MAX_LENGTH)
    gap = " " * (width - cell_len(shown))
    if cell_len(shown) <= width:
        return gap + shown if right else shown + gap
    if width <= 0:
        return ""
    if shown.endswith(")") and width >= SHOWS_BEGIN:
        return _cut_before_the_end(shown, width, more)
    return str(set_cell_size(shown, width - 1)) + more


def _cut_before_the_end(text: str, width: int, more: str) -> str:
    """Shorten a text that ends in parentheses, keeping those, or their end, and its beginning."""
    room = width - 1
    end = _last_columns(text[text.rfind("(") :], room // 2)
    return str(set_cell_size(text, room - cell_len(end))) + more + end


def _last_columns(text: str, room: int) -> str:
    """The end of a text, in at most `room` columns."""
    end = text[-room:]
    while cell_len(end) > room:
        end = end[1:]
    return end


def shortened_path(text: str, width: int, more: str) -> str:
    """Shorten a path, keeping its last folders and the file name.

    It also keeps its beginning, unless there is too little room to recognize either.
    """
    if width < LEAST_PATH:
        return text
    shown = clean(text, 10 * MAX_LENGTH)
    begin = max(2, width // 6) if width >= SHOWS_BEGIN else 0
    most = width - 1 - begin  # the width of the end
    end = _last_columns(shown, most)
    separator = max(end.find("/"), end.find("\\"))
    if 0 < separator < len(end) - 1:
        end = end[separator:]
    return str(set_cell_size(shown, width - 1 - cell_len(end))) + more + end
