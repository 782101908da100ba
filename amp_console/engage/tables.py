"""Rows out of CSV files, each with the line it starts on."""

import csv
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from amp_console.engage import json_text
from amp_console.engage.batch import Batch, Tally
from amp_console.engage.intake import Intake
from amp_console.engage.lines import LINE_LIMIT, lines_of
from amp_console.engage.reader import NOT_UTF8
from amp_console.values import Refusal

BATCH_ROWS = 2_000
DELIMITERS = ",|\t;:"

# A cell may hold all the traits of a person. The csv module knows one limit for all its users.
csv.field_size_limit(LINE_LIMIT)


class BrokenCell(ValueError):
    """A cell that should hold JSON and does not; the text says which."""


class Row(NamedTuple):
    """A row under its header: the cells by the names of their columns."""

    line: int
    cells: dict[str, str]


def columns_in(header: str, known: frozenset[str]) -> tuple[list[str], str]:
    """Split a header line by the delimiter that gives most of the known columns.

    Returns the columns and the delimiter.
    """

    def split(delimiter: str) -> list[str]:
        try:
            cells = next(csv.reader([header], delimiter=delimiter), [])
        except csv.Error:  # lone carriage returns, or a line without end
            return []
        return [cell.strip() for cell in cells]

    best = max(DELIMITERS, key=lambda delimiter: len(known.intersection(split(delimiter))))
    return split(best), best


def rows_of(intake: Intake, columns: Sequence[str], delimiter: str) -> Iterator[Row | Refusal]:
    """Yield the rows after the header; what is no row, as a refusal."""
    reader = csv.reader(_texts(intake), delimiter=delimiter, strict=True)
    is_header = True
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            if intake.trouble is None:
                yield Refusal(line, f"not a CSV row: {error}")
            continue
        if len(cells) <= 1 and not "".join(cells).strip():
            continue
        if is_header:
            is_header = False
        elif len(cells) != len(columns):
            yield Refusal(line, f"cells in the row: {len(cells)}, in the header: {len(columns)}")
        elif not _is_text(cells):
            yield Refusal(line, NOT_UTF8)
        else:
            yield Row(line, dict(zip(columns, cells, strict=True)))
    if intake.trouble is not None:
        yield intake.trouble.refusal(line)


def batches(rows: Iterator[Row | Refusal], enter: Callable[[Row, Tally], None]) -> Iterator[Batch]:
    """Let `enter` put the rows into one tally after another; it may raise BrokenCell."""
    tally = Tally()
    for count, row in enumerate(rows, 1):
        try:
            if isinstance(row, Refusal):
                tally.refusals.append(row)
            else:
                enter(row, tally)
        except BrokenCell as error:
            tally.refuse(row.line, str(error))
        if count % BATCH_ROWS == 0:
            yield tally.batch()
            tally = Tally()
    yield tally.batch()


def json_in(column: str, cell: str) -> Any:
    """Decode a cell. Raises BrokenCell."""
    try:
        return json_text.decode(cell.encode("utf-8", "surrogateescape"))
    except ValueError:
        raise BrokenCell(f"the {column} cell is not JSON") from None


def _texts(intake: Intake) -> Iterator[str]:
    for lines in lines_of(intake):
        for line in lines:
            yield line.decode("utf-8", "surrogateescape") + "\n"


def _is_text(cells: list[str]) -> bool:
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:
        return False
    return True
