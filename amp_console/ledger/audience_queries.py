"""The queries that audiences are refreshed from, and the result of the last refresh."""

import enum

import msgspec

from amp_console.ledger.db import Db, as_json


class RefreshOutcome(enum.StrEnum):
    """How a refresh ended."""

    APPLIED = "applied"
    INCOMPLETE = "incomplete"  # rows were refused: who is listed was merged, no one was removed
    ASKS = "asks"  # it waits to be confirmed; nothing was changed
    DECLINED = "not confirmed"  # nothing was changed
    FAILED = "failed"  # nothing was changed
    CANCELLED = "cancelled"  # nothing was changed
    DRY_RUN = "dry run"  # nothing was changed


class LastRefresh(msgspec.Struct, frozen=True):
    """The last refresh: when it began (microseconds since 1970), how long it took in seconds.

    `rows` is how many the query returned; `note` is what an operator has to know about it.
    """

    at: int
    seconds: float
    rows: int
    outcome: RefreshOutcome
    note: str = ""


class AudienceQuery(msgspec.Struct, frozen=True):
    """The query of one audience, the name of the source that runs it, and when it was set.

    It lists the members or, if it `is_changes`, who entered or left, and when. Changes were read up
    to `cursor` (microseconds since 1970; None: none yet). The next refresh starts `overlap` seconds
    before it. `column_types` are those of the last refresh, by column.
    """

    audience_id: int
    source: str
    sql: str
    set_at: int
    last: LastRefresh | None = None
    is_changes: bool = False
    overlap: float = 0.0
    cursor: int | None = None
    column_types: dict[str, str] = {}


_COLUMNS = (
    "audience_id, source, sql, set_at, refreshed_at, seconds, row_count, outcome, note, "
    "is_changes, overlap, cursor, column_types"
)


def query_of(db: Db, audience_id: int) -> AudienceQuery | None:
    """The query of an audience, None if it has none."""
    return audience_queries(db).get(audience_id)


def audience_queries(db: Db) -> dict[int, AudienceQuery]:
    """The queries of all audiences that have one, by the audience's id."""
    found = {}
    for row in db.execute(f"SELECT {_COLUMNS} FROM audience_query"):
        id_, source, sql, set_at, at, seconds, rows, outcome, note, *changes, types = row
        last = None
        if at is not None:
            last = LastRefresh(at, seconds, rows, RefreshOutcome(outcome), note)
        is_changes, overlap, cursor = changes
        types = msgspec.json.decode(types, type=dict[str, str])
        found[id_] = AudienceQuery(
            id_, source, sql, set_at, last, bool(is_changes), overlap, cursor, types
        )
    return found


def set_query(db: Db, query: AudienceQuery) -> None:
    """Refresh an audience from this query from now on, as if it had never been read."""
    db.execute("DELETE FROM audience_query WHERE audience_id = ?", (query.audience_id,))
    db.execute(
        "INSERT INTO audience_query (audience_id, source, sql, set_at, is_changes, overlap) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (
            query.audience_id,
            query.source,
            query.sql,
            query.set_at,
            int(query.is_changes),
            query.overlap,
        ),
    )


def drop_query(db: Db, audience_id: int) -> None:
    """Stop refreshing an audience; its members stay."""
    db.execute("DELETE FROM audience_query WHERE audience_id = ?", (audience_id,))


def keep_last_refresh(
    db: Db, query: AudienceQuery, last: LastRefresh, types: dict[str, str]
) -> None:
    """Record how a refresh ended, and the types of its columns, as far as they were read.

    Nothing is recorded if the query was dropped or another one set meanwhile.
    """
    types = query.column_types | types
    db.execute(
        "UPDATE audience_query SET refreshed_at = ?, seconds = ?, row_count = ?, outcome = ?, "
        f"note = ?, column_types = ? WHERE {_SAME}",
        (
            last.at,
            last.seconds,
            last.rows,
            last.outcome,
            last.note,
            as_json(types),
            *_identity(query),
        ),
    )


def keep_cursor(db: Db, query: AudienceQuery, cursor: int | None) -> None:
    """Record until when changes were read, unless another query was set meanwhile."""
    db.execute(f"UPDATE audience_query SET cursor = ? WHERE {_SAME}", (cursor, *_identity(query)))


_SAME = "audience_id = ? AND set_at = ? AND sql = ?"


def _identity(query: AudienceQuery) -> tuple[int, int, str]:
    """The values of `_SAME`: they differ once a query is set again."""
    return query.audience_id, query.set_at, query.sql
