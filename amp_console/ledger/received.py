"""Events that were received but not merged yet: they are saved here before the answer 200.

Merging touches a page for almost each member, appending a few pages for thousands of events. So a
receiver appends, answers, and merges many appended batches at once; the transaction that merges
them deletes them. If a process is killed, the next one that opens the ledger merges what it left.
"""

from collections.abc import Collection
from typing import NamedTuple

from amp_console.ledger.db import Db, as_json


class NotReceived(Exception):
    """Batches are no longer in the ledger: other processes have merged them. Nothing is changed."""

    def __init__(self, lines: frozenset[int]) -> None:
        """`lines` are the first lines of those batches."""
        super().__init__(f"{len(lines)} batches were merged by another process")
        self.lines = lines


class ReceivedBatch(NamedTuple):
    """Judged events of a source from a line on, counted from 1; only `sync` reads the content."""

    source_id: int
    line: int
    content: bytes


def append_received(db: Db, batch: ReceivedBatch) -> None:
    """Save a batch until it is merged."""
    db.execute("INSERT INTO received (source_id, line, content) VALUES (?, ?, ?)", batch)


def received_until(db: Db) -> dict[int, int]:
    """The first line of the last batch that waits to be merged, by the id of its source."""
    return dict(
        db.execute(
            "SELECT source_id, max(line) FROM received GROUP BY source_id ORDER BY source_id"
        ).fetchall()
    )


def received_batches(db: Db, source_id: int, until: int, limit: int) -> list[ReceivedBatch]:
    """The first batches of a source, at most `limit`, in their order; none is after `until`."""
    rows = db.execute(
        "SELECT source_id, line, content FROM received WHERE source_id = ? AND line <= ? "
        "ORDER BY line LIMIT ?",
        (source_id, until, limit),
    )
    return [ReceivedBatch(*row) for row in rows]


def take_received(db: Db, source_id: int, lines: Collection[int]) -> None:
    """Delete batches of a source in the transaction that merges them.

    `lines` are their first lines. Raises `NotReceived`.
    """
    taken = db.execute(
        "DELETE FROM received WHERE source_id = ? AND line IN "
        "(SELECT CAST(value AS INTEGER) FROM json_each(?)) RETURNING line",
        (source_id, as_json(sorted(lines))),
    ).fetchall()
    if missing := frozenset(lines).difference(line for (line,) in taken):
        raise NotReceived(missing)
