"""Logging changes to a connection; no change fails because it can't be logged."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from amp_console.connections import Connection
from amp_console.connections.ledger_server import FILE
from amp_console.ledger import Db, LedgerError
from amp_console.ledger.event_log import LogEntry, LogKind, add_local_entry
from amp_console.sync.ledgers import Ledgers
from amp_console.text import clean, plural
from amp_console.values import now_in_microseconds

Now = Callable[[], int]


def log_connection_saved(
    ledgers: Ledgers,
    before: Connection | None,
    after: Connection,
    *,
    has_new_keys: bool = False,
    are_keys_stored: bool = True,
    now: Now = now_in_microseconds,
) -> None:
    """Log what has changed in a connection; nothing if it has no ledger yet. It may block."""
    name, at, entries = clean(after.name), now(), []
    if before is None:
        entries.append(LogEntry(at, LogKind.SETTINGS, f"Connection “{name}” created."))
    elif changes := "; ".join(_changes(before, after)):
        text = f"Connection “{name}” changed: {changes}."
        entries.append(LogEntry(at, LogKind.SETTINGS, text))
    if has_new_keys:
        text = f"Keys of “{name}” {'saved' if before is None else 'replaced'}."
        if not are_keys_stored:
            text = f"Keys of “{name}” entered for one session. They are not saved."
        entries.append(LogEntry(at, LogKind.KEYS, text))
    _keep(ledgers, after, entries)


def log_webhook_secret(
    ledgers: Ledgers, connection: Connection, now: Now = now_in_microseconds
) -> None:
    """Log that the shared secret of the webhooks was replaced. It may block."""
    text = f"Webhook secret of “{clean(connection.name)}” saved."
    _keep(ledgers, connection, [LogEntry(now(), LogKind.KEYS, text)])


def log_connection_deleted(
    ledgers: Ledgers, connection: Connection, now: Now = now_in_microseconds
) -> None:
    """Log that a connection was deleted, whose ledger stays. It may block."""
    text = f"Connection “{clean(connection.name)}” deleted. Its ledger is kept."
    _keep(ledgers, connection, [LogEntry(now(), LogKind.SETTINGS, text)])


def _keep(ledgers: Ledgers, connection: Connection, entries: Sequence[LogEntry]) -> None:
    def write(db: Db) -> None:
        for entry in entries:
            add_local_entry(db, entry)

    if entries and ledgers.exists(connection):
        with suppress(LedgerError), ledgers.open(connection) as ledger:
            ledger.write(write)


def kept_for(connection: Connection) -> str:
    """How long the history is kept: "for ever"."""
    days = connection.keep_history
    return "for ever" if days is None else f"for {plural(days, 'day')}"


def _ledger_of(connection: Connection) -> str:
    return FILE if connection.ledger is None else connection.ledger.url


def _changes(before: Connection, after: Connection) -> Iterator[str]:
    for label, old, new in (
        ("name", before.name, after.name),
        ("App ID", before.app_id, after.app_id),
        ("cohort owner", before.owner_email, after.owner_email),
        ("region", before.region.label, after.region.label),
        ("base URL", before.base_url, after.base_url),
        ("User ID from", before.user_id_path, after.user_id_path),
        ("Amplitude ID from", before.amplitude_id_path, after.amplitude_id_path),
        ("ledger", _ledger_of(before), _ledger_of(after)),
        ("operator", before.operator, after.operator),
    ):
        if new != old:
            yield f"{label} {clean(str(new or 'none'), 100)}"
    names = {source.name: source for source in before.sources}
    for source in after.sources:
        if source != names.pop(source.name, None):
            yield f"source {source.name}"
    yield from (f"source {name} removed" for name in names)
    if after.segment != before.segment:
        yield f"Segment space {after.segment.id}" if after.segment else "Segment space removed"
    if after.prefix is not before.prefix:
        yield "new cohorts with prefix" if after.prefix else "new cohorts without prefix"
    if after.keep_history != before.keep_history:
        yield f"history kept {kept_for(after)}"
    if after.read_only is not before.read_only:
        yield "read-only" if after.read_only else "read and write"
