"""Writing rows into a file for other programs: CSV or NDJSON."""

import csv
import os
import stat
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TextIO

import msgspec

from amp_console.engage.spreadsheets import defuse
from amp_console.text import escaped

STDOUT = Path("-")
NDJSON = frozenset({".ndjson", ".jsonl"})  # suffixes

Row = Sequence[str]
Write = Callable[[Row], object]


class ExportError(Exception):
    """The file can't be written."""


def write_csv(path: Path, header: Row, rows: Iterable[Row], *, exact: bool = False) -> int:
    """Write rows as CSV; return how many.

    Only this user may read the file (0600). Cells that a spreadsheet would run as formulas get an
    apostrophe in front; with `exact`, every cell is written as it is. Raises `ExportError`.
    """
    return _write(path, rows, lambda file: _csv_writer(file, header, exact=exact))


def write_ndjson(path: Path, header: Row, rows: Iterable[Row]) -> int:
    """Write rows as NDJSON objects with the names of `header`; return how many.

    Only this user may read the file (0600). Raises `ExportError`.
    """
    return _write(path, rows, lambda file: _ndjson_writer(file, header))


def _write(path: Path, rows: Iterable[Row], writer: Callable[[TextIO], Write]) -> int:
    count = 0
    try:
        with _open(path) as file:
            write = writer(file)
            for row in rows:
                write(row)
                count += 1
    except OSError as error:
        if path == STDOUT and isinstance(error, BrokenPipeError):
            return count  # the reader, such as head, has enough
        raise ExportError(
            f"{path} can't be written ({error.strerror}). Choose another file."
        ) from error
    return count


def _csv_writer(file: TextIO, header: Row, *, exact: bool) -> Write:
    rows = csv.writer(file)
    rows.writerow(header)
    if file.isatty():  # a cell must not steer the terminal
        return lambda row: rows.writerow([escaped(cell) for cell in row])
    if exact:
        return rows.writerow
    return lambda row: rows.writerow([defuse(cell) for cell in row])


def _ndjson_writer(file: TextIO, header: Row) -> Write:
    def write(row: Row) -> None:
        entry = dict(zip(header, row, strict=True))
        file.write(msgspec.json.encode(entry).decode() + "\n")

    return write


def _open(path: Path) -> TextIO:
    """Open a file for this user alone; "-" is a duplicate of the standard output."""
    if path == STDOUT:
        sys.stdout.flush()
        handle = os.dup(sys.stdout.fileno())
    else:
        handle = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    file = os.fdopen(handle, "w", newline="", encoding="utf-8", errors="surrogatepass")
    try:
        # Not for /dev/stdout or a pipe. An existing file may be readable by other users.
        if path != STDOUT and stat.S_ISREG(os.fstat(handle).st_mode):
            path.chmod(0o600)
    except OSError:
        file.close()
        raise
    return file
