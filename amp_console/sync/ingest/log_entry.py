"""The entry that an import leaves in the log."""

from collections.abc import Sequence
from pathlib import PurePath

from amp_console.ledger.event_log import LogEntry, LogKind, Severity
from amp_console.ledger.sources import ReadCounts
from amp_console.sync.ingest.report import counts_of
from amp_console.text import named, plural

MAX_LENGTH = 200  # characters of a name
MAX_NAMES = 3  # files that an entry names


def import_entry(
    names: Sequence[str],
    tally: ReadCounts,
    now: int,
    *,
    was_stopped: bool = False,
    unreadable: Sequence[str] = (),
    updated: int | None = None,
) -> LogEntry:
    """Describe an import of these sources; `updated` is None for a snapshot."""
    files = named([_short(name) for name in names], MAX_NAMES, MAX_LENGTH)
    what = "Snapshot" if updated is None else "Import"
    how = " was stopped" if was_stopped else ""
    text = f"{what} of {files}{how}: {plural(tally.read, 'event')}, {counts_of(tally, updated)}."
    if unreadable:
        text += f" {plural(len(unreadable), 'source')} could not be read."
    is_bad = was_stopped or bool(unreadable) or bool(tally.invalid)
    return LogEntry(now, LogKind.IMPORT, text, Severity.WARNING if is_bad else Severity.INFORMATION)


def _short(name: str) -> str:
    """The name of a file without its folder; a URL without settings, and without a password."""
    scheme, is_url, rest = name.partition("://")
    if not is_url:
        return PurePath(name).name or name
    place = rest.partition("?")[0].rpartition("@")[2]
    return f"{scheme}://{place}"
