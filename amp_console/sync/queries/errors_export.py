"""Writing rejected users and invalid events into a file for other programs."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from amp_console.ledger.deliveries import Reason
from amp_console.ledger.rejected import RejectedUser
from amp_console.ledger.sources import InvalidEvent
from amp_console.sync.export import Row, write_csv
from amp_console.sync.formatting import iso_time

HEADER = ("kind", "audience", "id", "operation", "reason", "code", "at", "source", "line")


def write_errors_csv(
    path: Path,
    rejected: Iterable[RejectedUser],
    invalid: Iterable[InvalidEvent],
    *,
    exact: bool = False,
) -> int:
    """Write one row per user and per invalid event, as `write_csv`; return how many.

    A user is either "rejected", or has a "missing ID" and was never sent.
    """
    return write_csv(path, HEADER, _rows(rejected, invalid), exact=exact)


def _rows(rejected: Iterable[RejectedUser], invalid: Iterable[InvalidEvent]) -> Iterator[Row]:
    for user in rejected:
        at = iso_time(user.at) or ""
        what = (user.audience, user.id, user.operation, user.reason, user.code)
        kind = "missing ID" if user.code is Reason.NO_IDENTIFIER else "rejected"
        yield (kind, *what, at, "", "")
    for event in invalid:
        yield ("invalid", "", "", "", event.reason, "", "", event.source, str(event.line))
