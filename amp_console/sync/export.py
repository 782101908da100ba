"""Writing what could not be delivered or read into a file for other programs."""

import csv
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from amp_console.ledger.rejected import RejectedUser
from amp_console.ledger.sources import InvalidEvent
from amp_console.sync.words import moment

HEADER = ("kind", "audience", "id", "operation", "reason", "code", "at", "source", "line")


class ExportError(Exception):
    """The file can't be written."""


def write_errors_csv(
    path: Path, rejected: Iterable[RejectedUser], invalid: Iterable[InvalidEvent]
) -> int:
    """Write one row per rejected user and per invalid event; return how many.

    Only this user may read the file (0600). Identifiers stand in it exactly as they are.
    Raises `ExportError`.
    """
    count = 0
    try:
        with _opened(path) as file:
            rows = csv.writer(file)
            rows.writerow(HEADER)
            for u in rejected:
                at = moment(u.at)
                rows.writerow(
                    ("rejected", u.audience, u.id, u.operation, u.reason, u.code, at, "", "")
                )
                count += 1
            for event in invalid:
                place = (event.source, event.line)
                rows.writerow(("invalid", "", "", "", event.reason, "", "", *place))
                count += 1
    except OSError as error:
        raise ExportError(
            f"{path} can't be written ({error.strerror}). Name another file."
        ) from error
    return count


def _opened(path: Path) -> TextIO:
    handle = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    file = os.fdopen(handle, "w", newline="", encoding="utf-8", errors="surrogatepass")
    try:
        if stat.S_ISREG(os.fstat(handle).st_mode):  # and not /dev/stdout, or a pipe
            path.chmod(0o600)  # a file that was there before may be open to all
    except OSError:
        file.close()
        raise
    return file
