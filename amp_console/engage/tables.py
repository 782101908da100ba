"""Rows out of CSV files, each with the line it starts on."""

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from amp_console.engage import json_text
from amp_console.engage.batch import EventBatch, EventCounts
from amp_console.engage.byte_stream import ByteStream
from amp_console.engage.identifiers import UnusableIdentifier
from amp_console.engage.lines import LINE_LIMIT, lines_of
from amp_console.values import Refusal

BATCH_ROWS = 2_000
DELIMITERS = ",|\t;:"

# A cell may hold all the traits of a person. The csv module knows one limit for all its users.
csv.field_size_limit(LINE_LIMIT)

_NEVER_CLOSES = "a quote opens in this row and never closes"
_BETWEEN_WORDS = re.compile(r"[\s_-]+")


_UNENDED = "unexpected end of data"


class BrokenCell(ValueError):
    """A cell that can't be used although it is needed; the text says why."""


class TableRow(NamedTuple):
    """A row under its header: the cells by the names of their columns.

    What is not UTF-8 in a cell is lone surrogates: only a cell that is needed has to be text.
    """

    line: int
    cells: dict[str, str]


class Header(NamedTuple):
    """The first row of a table, and how the others are written.

    `has_tabs`: every cell begins with a tab, as in Amplitude's own exports. `lines_before` counts
    lines before the header: spreadsheets write `sep=;` there.
    """

    columns: tuple[str, ...]
    delimiter: str = ","
    has_tabs: bool = False
    lines_before: int = 0

    def renamed(self, known: Iterable[str], kept: frozenset[str] = frozenset()) -> "Header":
        """Call columns by their known names, however they are spelt ("User ID", "userId").

        A column that has a known name already, or one of those `kept`, is that column.
        """
        names = {_squeezed(name): name for name in known if name not in self.columns}
        columns = []
        for column in self.columns:
            name = None if column in kept else names.pop(_squeezed(column), None)
            columns.append(name or column)
        return self._replace(columns=tuple(columns))


def header_in(head: str, known: frozenset[str]) -> Header:
    """Read the header by the delimiter that gives most of the known columns.

    A first line `sep=;` names the delimiter.
    """
    first, _, rest = head.partition("\n")
    separator = re.fullmatch(r'"?sep=(.)"?[\s,;]*', first, re.IGNORECASE)
    if separator:
        return _split(rest.strip().partition("\n")[0], separator[1])._replace(lines_before=1)
    found = [_split(first, delimiter) for delimiter in DELIMITERS]
    return max(found, key=lambda header: len(known.intersection(header.renamed(known).columns)))


def cells_of(line: str, delimiter: str) -> list[str]:
    """Split a line into its cells; none where it is not one row."""
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:  # carriage returns within it, or a line without end
        return []


def rows_of(
    stream: ByteStream, header: Header, needed: frozenset[str] = frozenset()
) -> Iterator[TableRow | Refusal]:
    """Yield the rows after the header; what is no row, as a refusal.

    Many programs write no newline after the last row. Where the input may still grow, such a row
    counts if nothing can be missing: its last cell is in quotes, or in no `needed` column.
    """
    to_skip = header.lines_before + 1
    reader = csv.reader(_texts(stream), delimiter=header.delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            if not _may_continue(stream, error):
                yield Refusal(line, _fault(error, reader.line_num - line))
            continue
        if _is_unfinished(cells, stream, header, needed):
            break
        if len(cells) <= 1 and not "".join(cells).strip():
            continue
        if to_skip:
            to_skip -= 1
        else:
            yield _row(line, cells, header)
    if stream.trouble is not None:
        yield stream.trouble.refusal(line)


def _row(line: int, cells: list[str], header: Header) -> TableRow | Refusal:
    columns = header.columns
    row = _fitted(cells, columns)
    if row is None:
        return Refusal(line, f"cells in the row: {len(cells)}, in the header: {len(columns)}")
    if header.has_tabs:
        row = [cell.removeprefix("\t") for cell in row]
    return TableRow(line, dict(zip(columns, row, strict=True)))


def _is_unfinished(
    cells: list[str], stream: ByteStream, header: Header, needed: frozenset[str]
) -> bool:
    """Whether a row is the last one, and may have been cut."""
    if stream.is_cut and _fitted(cells, header.columns) is not None:
        is_closed = stream.cut_line.rstrip(b"\r").endswith(b'"')
        stream.is_cut = not is_closed and header.columns[-1] in needed
    return stream.is_cut


def _may_continue(stream: ByteStream, error: csv.Error) -> bool:
    """Whether the rest of a row that is not whole is missing, or may still come."""
    stream.is_cut = stream.is_cut or (stream.may_grow and _UNENDED in str(error))
    return stream.is_cut or stream.trouble is not None


def batches(
    rows: Iterator[TableRow | Refusal], judge_row: Callable[[TableRow, EventCounts], None]
) -> Iterator[EventBatch]:
    """Let `judge_row` put the rows into one tally after another.

    It may raise BrokenCell or UnusableIdentifier.
    """
    counts = EventCounts()
    for count, row in enumerate(rows, 1):
        try:
            if isinstance(row, Refusal):
                counts.refusals.append(row)
            else:
                judge_row(row, counts)
        except (BrokenCell, UnusableIdentifier) as error:
            counts.refuse(row.line, str(error))
        if count % BATCH_ROWS == 0:
            yield counts.batch()
            counts = EventCounts()
    yield counts.batch()


def json_in(column: str, cell: str) -> Any:
    """Decode a cell. Raises BrokenCell."""
    try:
        return json_text.decode(cell.encode("utf-8", "surrogateescape"))
    except ValueError:
        raise BrokenCell(f"the {column} cell is not JSON") from None


def _split(line: str, delimiter: str) -> Header:
    cells = cells_of(line, delimiter)
    has_tabs = any(cell.startswith("\t") for cell in cells)
    return Header(tuple(cell.strip() for cell in cells), delimiter, has_tabs)


def _squeezed(name: str) -> str:
    return _BETWEEN_WORDS.sub("", name).casefold()


def _fitted(cells: list[str], columns: tuple[str, ...]) -> list[str] | None:
    """The cells, one for each column; None where they don't fit.

    A delimiter after the last cell, in the rows or in the header alone, moves nothing.
    """
    surplus = len(cells) - len(columns)
    if surplus > 0 and not any(cell.strip() for cell in cells[len(columns) :]):
        return cells[: len(columns)]
    if surplus == -1 and not columns[-1]:
        return [*cells, ""]
    return None if surplus else cells


def _fault(error: csv.Error, lines_after: int) -> str:
    if _UNENDED not in str(error):
        return f"not a CSV row: {error}"
    if lines_after < 2:
        return _NEVER_CLOSES + ": the line after it was not read" * lines_after
    return f"{_NEVER_CLOSES}: the {lines_after:,} lines after it were not read"


def _texts(stream: ByteStream) -> Iterator[str]:
    for lines in lines_of(stream):
        for line in lines:
            yield line.decode("utf-8", "surrogateescape") + "\n"
    if stream.is_cut:
        yield stream.cut_line.decode("utf-8", "surrogateescape")
