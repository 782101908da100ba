"""What was read from sources that belong together: the objects of a bucket, or several files."""

from collections.abc import Collection

import msgspec

from amp_console.ledger.checkpoints import LAST
from amp_console.ledger.db import Db, as_json
from amp_console.ledger.sources import ReadCounts


class SourceTotals(msgspec.Struct, frozen=True):
    """The number of sources, the outcome of their events, and which source was read last.

    `read_at` is when that began, in microseconds since 1970.
    """

    sources: int
    counts: ReadCounts
    read_at: int
    newest: str


_SUMS = (
    "SELECT count(*), sum(read), sum(changes), sum(filtered), sum(invalid), max(read_at) "
    "FROM source WHERE "
)


def totals_below(db: Db, prefix: str) -> SourceTotals | None:
    """Sum up the sources whose paths begin with `prefix`; None if there are none."""
    return _totals(db, "path >= ? AND path < ?", prefix, prefix + LAST)


def totals_of(db: Db, source_ids: Collection[int]) -> SourceTotals | None:
    """Sum up these sources; None if there are none."""
    ids = as_json(list(source_ids))
    return _totals(db, "id IN (SELECT CAST(value AS INTEGER) FROM json_each(?))", ids)


def next_path(db: Db, after: str, below: str) -> str | None:
    """The first path that comes after one and begins with `below`; None if there is none."""
    row = db.execute(
        "SELECT min(path) FROM source WHERE path > ? AND path < ?", (after, below + LAST)
    ).fetchone()
    return None if row[0] is None else str(row[0])


def _totals(db: Db, condition: str, *values: object) -> SourceTotals | None:
    count, *numbers, read_at = db.execute(_SUMS + condition, values).fetchone()
    if not count:
        return None
    (newest,) = db.execute(
        f"SELECT name FROM source WHERE {condition} ORDER BY read_at DESC LIMIT 1", values
    ).fetchone()
    return SourceTotals(count, ReadCounts(*numbers), read_at, newest)
