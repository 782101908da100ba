"""Writing what could not be delivered or read into a file for other programs."""

import csv
import os
import stat
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TextIO

import msgspec

from amp_console.engage.spreadsheets import defuse
from amp_console.ledger.comparisons import Difference
from amp_console.ledger.rejected import RejectedUser
from amp_console.ledger.sources import InvalidEvent
from amp_console.sync.reconcile.descriptions import KIND_WORDS, knew
from amp_console.sync.words import moment
from amp_console.text import escaped

DIFFERENCE_HEADER = (
    "audience",
    "when",
    "difference",
    "id_type",
    "id",
    "the_ledger_knew",
    "resembles",
)
STDOUT = Path("-")
NDJSON = frozenset({".ndjson", ".jsonl"})
HEADER = ("kind", "audience", "id", "operation", "reason", "code", "at", "source", "line")


class ExportError(Exception):
    """The file can't be written."""


def write_errors_csv(
    path: Path,
    rejected: Iterable[RejectedUser],
    invalid: Iterable[InvalidEvent],
    *,
    exact: bool = False,
) -> int:
    """Write one row per rejected user and per invalid event; return how many.

    Only this user may read the file (0600). Cells that a spreadsheet would run as formulas get an
    apostrophe in front; with `exact`, every cell is written as it is. Raises `ExportError`.
    """
    count = 0
    try:
        with _opened(path) as file:
            write = _csv_writer(file, HEADER, exact=exact)
            for u in rejected:
                at = moment(u.at) or ""
                write(("rejected", u.audience, u.id, u.operation, u.reason, u.code, at, "", ""))
                count += 1
            for event in invalid:
                where = (event.source, str(event.line))
                write(("invalid", "", "", "", event.reason, "", "", *where))
                count += 1
    except OSError as error:
        if path == STDOUT and isinstance(error, BrokenPipeError):
            return count  # the reader, such as head, has enough
        raise ExportError(
            f"{path} can't be written ({error.strerror}). Name another file."
        ) from error
    return count


def write_differences(
    path: Path, found: Iterable[tuple[str, str, Iterable[Difference]]], *, exact: bool = False
) -> int:
    """Write one row per difference; return how many. `found`: audience, "before" or "after", whom.

    It is NDJSON, which is always exact, where the name ends so; else it is CSV, as
    `write_errors_csv` says.
    """
    count = 0
    try:
        with _opened(path) as file:
            if path.suffix in NDJSON:
                write = _ndjson_writer(file)
            else:
                write = _csv_writer(file, DIFFERENCE_HEADER, exact=exact)
            for audience, when, differences in found:
                for difference in differences:
                    known, alike = (
                        knew(difference.kind, difference.knew),
                        difference.resembles or "",
                    )
                    kind = KIND_WORDS[difference.kind]
                    write((audience, when, kind, difference.id_type, difference.id, known, alike))
                    count += 1
    except OSError as error:
        if path == STDOUT and isinstance(error, BrokenPipeError):
            return count  # the reader, such as head, has enough
        raise ExportError(
            f"{path} can't be written ({error.strerror}). Name another file."
        ) from error
    return count


Write = Callable[[Sequence[str]], object]


def _csv_writer(file: TextIO, header: Sequence[str], *, exact: bool) -> Write:
    rows = csv.writer(file)
    rows.writerow(header)
    if file.isatty():  # a cell must not steer the terminal
        return lambda row: rows.writerow([escaped(cell) for cell in row])
    if exact:
        return rows.writerow
    return lambda row: rows.writerow([defuse(cell) for cell in row])


def _ndjson_writer(file: TextIO) -> Write:
    def write(row: Sequence[str]) -> None:
        entry = dict(zip(DIFFERENCE_HEADER, row, strict=True))
        file.write(msgspec.json.encode(entry).decode() + "\n")

    return write


def _opened(path: Path) -> TextIO:
    """Open a file for this user alone; "-" is the standard output, as a handle of its own."""
    if path == STDOUT:
        sys.stdout.flush()
        handle = os.dup(sys.stdout.fileno())
    else:
        handle = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    file = os.fdopen(handle, "w", newline="", encoding="utf-8", errors="surrogatepass")
    try:
        if path != STDOUT and stat.S_ISREG(
            os.fstat(handle).st_mode
        ):  # and not /dev/stdout, or a pipe
            path.chmod(0o600)  # a file that was there before may be open to all
    except OSError:
        file.close()
        raise
    return file
