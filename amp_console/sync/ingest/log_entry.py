"""The entry that an import leaves in the log."""

from collections.abc import Sequence
from pathlib import PurePath

from amp_console.ledger.event_log import LogEntry, LogKind, Severity
from amp_console.ledger.sources import ReadCounts
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
    is_snapshot: bool = False,
) -> LogEntry:
    """Describe an import of these sources."""
    files = named([_short(name) for name in names], MAX_NAMES, MAX_LENGTH)
    what = "Snapshot" if is_snapshot else "Import"
    how = " was stopped" if was_stopped else ""
    counts = (
        plural(tally.read, "event"),
        plural(tally.changes, "change"),
        f"{tally.filtered:,} filtered",
        f"{tally.invalid:,} invalid",
    )
    text = f"{what} of {files}{how}: {', '.join(counts)}."
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
