"""Objects and files that could not be read when they were last tried, until they are read."""

import msgspec

from amp_console.ledger.checkpoints import LAST
from amp_console.ledger.db import Db


class UnreadSource(msgspec.Struct, frozen=True):
    """An object or a file that could not be read; `key` is that of an object's checkpoint.

    `name` is what people call it; it was tried last `at` (microseconds since 1970).
    """

    key: str
    name: str
    reason: str
    at: int


def keep_unread(db: Db, source: UnreadSource) -> None:
    """Remember that a source could not be read, and why, until it has a checkpoint."""
    db.execute(
        "INSERT INTO unread_source (key, name, reason, at) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (key) DO UPDATE SET reason = excluded.reason, at = excluded.at",
        (source.key, source.name, source.reason, source.at),
    )


def forget_unread(db: Db, key: str) -> None:
    """Forget a source that was read, or is gone."""
    db.execute("DELETE FROM unread_source WHERE key = ?", (key,))


def unread_below(db: Db, prefix: str) -> list[str]:
    """The keys of the sources that could not be read, of those that begin with `prefix`."""
    rows = db.execute(
        "SELECT key FROM unread_source WHERE key >= ? AND key < ?", (prefix, prefix + LAST)
    )
    return [key for (key,) in rows]


def unread_sources(db: Db, limit: int) -> list[UnreadSource]:
    """The sources that could not be read, the most recently tried first."""
    rows = db.execute(
        "SELECT key, name, reason, at FROM unread_source ORDER BY at DESC, key LIMIT ?", (limit,)
    )
    return [UnreadSource(*row) for row in rows]
