"""What was read since the last run began: the events that the next one delivers, among others."""

from amp_console.ledger.db import Db
from amp_console.ledger.sources import ReadCounts


def read_since_last_run(db: Db) -> ReadCounts:
    """Sum up the sources whose reading began after the last run did."""
    row = db.execute(
        "SELECT coalesce(sum(read), 0), coalesce(sum(changes), 0), coalesce(sum(filtered), 0), "
        "coalesce(sum(invalid), 0) FROM source "
        "WHERE read_at > coalesce((SELECT max(started_at) FROM run), -1)"
    ).fetchone()
    return ReadCounts(*row)
