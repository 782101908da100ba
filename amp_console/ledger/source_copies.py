"""Taking over the results of an older source for a new one with the same content, without reading.

The newest event of a member is the newest by (time, source, line). So where the older source had
decided, its copy decides now, with the same event. If an event of a third source could lose against
the copy, only reading shows whether it does, and nothing is taken over.
"""

import msgspec

from amp_console.ledger.applied_lists import applied_lists_of
from amp_console.ledger.db import Db, as_json
from amp_console.ledger.membership_changes import KEPT_SHORT, last_member
from amp_console.ledger.sources import begin_source, counts_of_source, is_known_path

_MEMBERS_FOR_EACH_EVENT = 10
"""With more members, looking at them all would take longer than reading the events."""


_ACCOUNTS = (
    ("filtered", "reason, count", "reason"),
    ("invalid_event", "line, reason", "id"),
    ("invalid_reason", "reason, count", "reason"),
)
"""Tables that account for the events of a source, with their columns and their order."""


class SourceCopy(msgspec.Struct, frozen=True):
    """A new source with the same content as the source `original`.

    `times` are those of its oldest and its newest change, in microseconds since 1970 (UTC).
    Members have no other changes of the original than those that it still holds, and its audiences
    and its events would be judged as they were.
    """

    original: int
    name: str
    path: str
    audience_ids: tuple[int, ...]
    times: tuple[int, int]


def copy_source(db: Db, copy: SourceCopy, now: int) -> int | None:
    """Begin the source with the results of the original; return its id.

    Returns None, and changes nothing, if its events have to be read. `now` is in microseconds since
    1970.
    """
    if not _can_be_taken_over(db, copy, now):
        return None
    source_id = begin_source(db, copy.name, copy.path, now)
    values = {"copy": source_id, "original": copy.original}
    db.execute("UPDATE member SET source_id = :copy WHERE source_id = :original", values)
    db.execute(
        "UPDATE source SET (read, changes, filtered, invalid) = "
        "(SELECT read, changes, filtered, invalid FROM source WHERE id = :original) "
        "WHERE id = :copy",
        values,
    )
    for table, columns, order in _ACCOUNTS:
        db.execute(
            f"INSERT INTO {table} (source_id, {columns}) SELECT :copy, {columns} FROM {table} "
            f"WHERE source_id = :original ORDER BY {order}",
            values,
        )
    return source_id


def _can_be_taken_over(db: Db, copy: SourceCopy, now: int) -> bool:
    oldest, newest = copy.times
    if (
        is_known_path(db, copy.path)  # its earlier events may have members
        or newest >= now - KEPT_SHORT  # what changes lately is counted by what the ledger knew
        or last_member(db) > _MEMBERS_FOR_EACH_EVENT * counts_of_source(db, copy.original).valid
        or applied_lists_of(db, copy.audience_ids)
    ):
        return False
    (may_be_tied,) = db.execute(
        "SELECT EXISTS (SELECT 1 FROM member WHERE source_id > :original "
        "AND event_at BETWEEN :oldest AND :newest AND +audience_id IN "
        "(SELECT CAST(value AS INTEGER) FROM json_each(:audiences)))",
        {
            "original": copy.original,
            "oldest": oldest,
            "newest": newest,
            "audiences": as_json(copy.audience_ids),
        },
    ).fetchone()
    return not may_be_tied
