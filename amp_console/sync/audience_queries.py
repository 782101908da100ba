"""Giving an audience a query, or taking it away."""

from collections.abc import Callable
from typing import NamedTuple

from amp_console.connections import Connection, named_source
from amp_console.connections.read_only import guard
from amp_console.ledger import Db, Ledger
from amp_console.ledger import audience_queries as known
from amp_console.ledger.audiences import (
    Audience,
    AudienceNotFound,
    audience,
    discover,
    find_audience,
    set_name,
)
from amp_console.ledger.event_log import LogEntry, LogKind, add_log_entry, last_changed_by
from amp_console.sync.audience_settings import DifferingSetting, SettingsConflict
from amp_console.text import clean, trimmed
from amp_console.values import AudienceRef, now_in_microseconds

MAX_NAME_LENGTH = 200
MAX_LENGTH = 300  # characters of a query that is named
OVERLAP = 600.0  # seconds for which a change may come late


class SeenQuery(NamedTuple):
    """The query that an audience had when an operator began to edit it; None: it had none."""

    query: known.AudienceQuery | None


def set_query(
    ledger: Ledger,
    connection: Connection,
    name: str,
    source: str,
    sql: str,
    *,
    new_name: str | None = None,
    is_changes: bool = False,
    overlap: float = OVERLAP,
    seen: SeenQuery | None = None,
    now: Callable[[], int] = now_in_microseconds,
) -> Audience:
    """Give the audience called `name` a query; a new one has it as its key, and may get a name.

    With `is_changes` the query lists who entered and left, and each refresh reads on from `overlap`
    seconds before the newest change. Raises ValueError for a query or name that can't be right,
    `SettingsConflict` if the audience's query is no longer the one `seen`, `UnknownSource`,
    `ReadOnly`, `AudienceAmbiguous` and `LedgerError`.
    """
    guard(connection)
    source = named_source(connection, source).name
    sql = sql.strip().rstrip(";").rstrip()
    if not sql:
        raise ValueError("The query is empty. Nothing was changed.")
    for text in (name, new_name):
        if text is not None and not trimmed(text):
            raise ValueError("The key or the name is blank. Nothing was changed.")

    now = ledger.clock(now)

    def change(db: Db) -> Audience:
        try:
            found = find_audience(db, name)
        except AudienceNotFound:
            found = discover(db, AudienceRef("", "", name))
        if new_name is not None:
            set_name(db, found.id, new_name)
            found = audience(db, found.id)
        query = known.AudienceQuery(
            found.id, source, sql, now(), is_changes=is_changes, overlap=overlap
        )
        before = known.query_of(db, found.id)
        if seen is not None and _content(before) not in {_content(seen.query), _content(query)}:
            differing = DifferingSetting("query", _in_words(before), _in_words(query))
            raise SettingsConflict(found, (differing,), last_changed_by(db, found.id))
        known.set_query(db, query)
        kind = "a query of changes" if is_changes else "a query"
        _log(db, found, f"refreshed by {kind} of source {source}", now())
        return found

    return ledger.write(change)


def drop_query(
    ledger: Ledger,
    connection: Connection,
    found: Audience,
    *,
    now: Callable[[], int] = now_in_microseconds,
) -> None:
    """Remove an audience's query; its members stay. Raises `ReadOnly` and `LedgerError`."""
    guard(connection)

    def change(db: Db) -> None:
        known.drop_query(db, found.id)
        _log(db, found, "no query anymore", ledger.clock(now)())

    ledger.write(change)


def _content(query: known.AudienceQuery | None) -> tuple[object, ...]:
    """The fields of a query that an operator enters."""
    return () if query is None else (query.source, query.sql, query.is_changes, query.overlap)


def _in_words(query: known.AudienceQuery | None) -> str:
    return "none" if query is None else clean(f"{query.sql} (of {query.source})", MAX_LENGTH)


def _log(db: Db, found: Audience, what: str, now: int) -> None:
    text = f"Settings of “{clean(found.name, MAX_NAME_LENGTH)}” changed: {what}."
    add_log_entry(db, LogEntry(now, LogKind.SETTINGS, text, audience_id=found.id))
