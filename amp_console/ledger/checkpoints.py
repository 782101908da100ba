"""How far each source was read, saved in the same transaction as the events that were read."""

from typing import NamedTuple

from amp_console.ledger.db import Db

LAST = "\U0010ffff"
"""Comes after every other character in the order of keys."""


class Checkpoint(NamedTuple):
    """Where to resume a source: `value` is JSON that only the source understands.

    `key` identifies the source: its scheme, a colon, and what distinguishes it from others of its
    kind.
    """

    key: str
    value: str


def checkpoints(db: Db, scheme: str) -> list[Checkpoint]:
    """Every checkpoint of the sources of one scheme, such as "file"."""
    return checkpoints_below(db, f"{scheme}:")


def checkpoints_below(db: Db, prefix: str) -> list[Checkpoint]:
    """The checkpoints whose keys begin with `prefix`, in the order of their keys."""
    rows = db.execute(
        "SELECT key, value FROM checkpoint WHERE key >= ? AND key < ? ORDER BY key",
        (prefix, prefix + LAST),
    )
    return [Checkpoint(*row) for row in rows]


def checkpoints_with(db: Db, scheme: str, text: str) -> list[Checkpoint]:
    """The checkpoints of the sources of one scheme whose values contain a text."""
    rows = db.execute(
        "SELECT key, value FROM checkpoint WHERE key >= ? AND key < ? AND instr(value, ?) > 0",
        (f"{scheme}:", f"{scheme}:{LAST}", text),
    )
    return [Checkpoint(*row) for row in rows]


def find_checkpoint(db: Db, key: str) -> str | None:
    """The value of a source's checkpoint; None if it has none."""
    row = db.execute("SELECT value FROM checkpoint WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])


def keep_checkpoint(db: Db, checkpoint: Checkpoint) -> None:
    """Replace a source's checkpoint; it was read, so it is no longer listed as unreadable."""
    db.execute("DELETE FROM unread_source WHERE key = ?", (checkpoint.key,))
    db.execute(
        "INSERT INTO checkpoint (key, value) VALUES (?, ?) "
        "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        checkpoint,
    )


def forget_between(db: Db, after: str, before: str) -> None:
    """Forget the sources whose keys are between these two, exclusively."""
    db.execute("DELETE FROM checkpoint WHERE key > ? AND key < ?", (after, before))


def forget_checkpoint(db: Db, key: str) -> None:
    """Forget a source: it is read from its beginning if it comes back."""
    db.execute("DELETE FROM checkpoint WHERE key = ?", (key,))
