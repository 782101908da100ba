"""The JSON document of the log; scripts rely on its keys."""

from collections.abc import Iterable

import msgspec

from amp_console.ledger.audiences import Audience
from amp_console.ledger.event_log import LogEntry
from amp_console.sync.formatting import iso_time


class LogEntryDocument(msgspec.Struct, frozen=True):
    """One entry in `log --json`. `audience` is its key, or its computation ID where keys clash."""

    id: int
    at: str | None
    kind: str
    severity: str
    text: str
    run: int | None
    audience: str | None
    process: str
    operator: str


class LogDocument(msgspec.Struct, frozen=True):
    """What `log --json` prints. `total` counts all entries that match, printed or not."""

    schema: int
    total: int
    entries: list[LogEntryDocument]


def log_entry_documents(
    entries: Iterable[LogEntry], audiences: Iterable[Audience]
) -> list[LogEntryDocument]:
    """Describe entries, in their order."""
    handles = {audience.id: audience.handle for audience in audiences}
    return [
        LogEntryDocument(
            entry.id,
            iso_time(entry.at),
            entry.kind,
            entry.severity.name.lower(),
            entry.text,
            entry.run_id,
            handles.get(entry.audience_id) if entry.audience_id is not None else None,
            entry.process,
            entry.operator,
        )
        for entry in entries
    ]
