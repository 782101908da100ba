"""Writing the log into a file for other programs."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from amp_console.ledger.event_log import LogEntry
from amp_console.sync.export import NDJSON, Row, write_csv, write_ndjson
from amp_console.sync.formatting import iso_time

HEADER = ("at", "kind", "severity", "text", "run", "audience_id", "process", "operator")


def write_log(path: Path, entries: Iterable[LogEntry], *, exact: bool = False) -> int:
    """Write one row per entry; return how many.

    The file is NDJSON, which is always exact, if its suffix says so; else CSV as `write_csv`
    writes it.
    """
    if path.suffix in NDJSON:
        return write_ndjson(path, HEADER, _rows(entries))
    return write_csv(path, HEADER, _rows(entries), exact=exact)


def _rows(entries: Iterable[LogEntry]) -> Iterator[Row]:
    for entry in entries:
        yield (
            iso_time(entry.at) or "",
            entry.kind,
            entry.severity.name.lower(),
            entry.text,
            "" if entry.run_id is None else str(entry.run_id),
            "" if entry.audience_id is None else str(entry.audience_id),
            entry.process,
            entry.operator,
        )
