"""The queries that audiences are refreshed from, and what became of the last refresh."""

import enum

import msgspec

from amp_console.ledger.db import Db


class RefreshOutcome(enum.StrEnum):
    """What became of a refresh."""

    APPLIED = "applied"
    INCOMPLETE = "incomplete"  # rows were refused: who is listed was merged, no one was removed
    ASKS = "asks"  # it waits to be confirmed; nothing was changed
    DECLINED = "not confirmed"  # nothing was changed
    FAILED = "failed"  # nothing was changed
    CANCELLED = "cancelled"  # nothing was changed
    DRY_RUN = "dry run"  # nothing was changed


class LastRefresh(msgspec.Struct, frozen=True):
    """The last refresh: when it began (microseconds since 1970), how long it took in seconds.

    `rows` are those that the query returned; `note` says what an operator has to know about it.
    """

    at: int
    seconds: float
    rows: int
    outcome: RefreshOutcome
    note: str = ""


class AudienceQuery(msgspec.Struct, frozen=True):
    """The query of one audience, the name of the source that runs it, and when it was set."""

    audience_id: int
    source: str
    sql: str
    set_at: int
    last: LastRefresh | None = None


_COLUMNS = "audience_id, source, sql, set_at, refreshed_at, seconds, row_count, outcome, note"


def query_of(db: Db, audience_id: int) -> AudienceQuery | None:
    """The query of an audience, None if it has none."""
    return audience_queries(db).get(audience_id)


def audience_queries(db: Db) -> dict[int, AudienceQuery]:
    """The queries of all audiences that have one, by the audience's id."""
    found = {}
    for id_, source, sql, set_at, at, *rest in db.execute(f"SELECT {_COLUMNS} FROM audience_query"):
        last = None
        if at is not None:
            seconds, rows, outcome, note = rest
            last = LastRefresh(at, seconds, rows, RefreshOutcome(outcome), note)
        found[id_] = AudienceQuery(id_, source, sql, set_at, last)
    return found


def set_query(db: Db, audience_id: int, source: str, sql: str, now: int) -> None:
    """Refresh an audience from this query from now on; another one has no last refresh yet."""
    db.execute(
        "INSERT INTO audience_query (audience_id, source, sql, set_at) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (audience_id) DO UPDATE SET source = excluded.source, sql = excluded.sql, "
        "set_at = excluded.set_at, refreshed_at = NULL, seconds = NULL, row_count = NULL, "
        "outcome = NULL, note = NULL",
        (audience_id, source, sql, now),
    )


def drop_query(db: Db, audience_id: int) -> None:
    """Refresh an audience no more; its members stay."""
    db.execute("DELETE FROM audience_query WHERE audience_id = ?", (audience_id,))


def keep_last_refresh(db: Db, audience_id: int, last: LastRefresh) -> None:
    """Keep what became of a refresh; nothing where the query was dropped meanwhile."""
    db.execute(
        "UPDATE audience_query SET refreshed_at = ?, seconds = ?, row_count = ?, outcome = ?, "
        "note = ? WHERE audience_id = ?",
        (last.at, last.seconds, last.rows, last.outcome, last.note, audience_id),
    )
