"""The mark of a ledger that was moved: where the ledger in use is.

A marked ledger can't be opened. Triggers refuse the writes of a process that opened it before,
whatever its version, so that nothing is written there and goes unnoticed until much later.
"""

import socket
from typing import NamedTuple

from amp_console.ledger.db import Db, ServerDb
from amp_console.ledger.errors import LedgerMoved
from amp_console.ledger.layout import quoted_name, tables_of
from amp_console.ledger.runs import running_locks
from amp_console.text import local_time

MARK = "moved"
"""The table of the mark: the only one that belongs to a place, and not to what is kept there."""
_WRITES = ("INSERT", "UPDATE", "DELETE")


class Mark(NamedTuple):
    """Where the ledger in use is, and when it was moved, in microseconds since 1970."""

    address: str
    host: str
    at: int

    def __str__(self) -> str:
        """In words: "was moved to …, on 4 May 2026 …"."""
        is_file = "://" not in self.address
        place = f"the file {self.address} of {self.host}" if is_file else self.address
        return f"was moved to {place} ({local_time(self.at)})"

    def names(self, address: str) -> bool:
        """Whether the ledger in use is at an address, which is a path of this machine or a URL."""
        return self.address == address and ("://" in address or self.host == socket.gethostname())

    @property
    def remedy(self) -> str:
        """What an operator does about it."""
        is_file = "://" not in self.address
        if is_file and not self.names(self.address):
            return "Only that machine can use it: to share it again, move it back from there."
        setting = "file" if is_file else self.address
        return f"To use it from here, set the ledger of the connection to: {setting}"


def mark_of(db: Db) -> Mark | None:
    """The mark of a ledger; None if the ledger is in use."""
    row = db.execute(f"SELECT address, host, at FROM {MARK}").fetchone()
    return None if row is None else Mark(*row)


def running_locks_if_in_use(db: Db) -> dict[int, str | None]:
    """What `running_locks` says of a ledger that is in use. Raises `LedgerMoved` for another."""
    _refuse_if_moved(db)
    return running_locks(db)


def _refuse_if_moved(db: Db) -> None:
    """Raise `LedgerMoved` for a ledger that is not in use."""
    mark = mark_of(db)
    if mark is not None:
        text = f"This ledger {mark}. It was not changed. {mark.remedy}"
        raise LedgerMoved(text, mark.address)


def put_mark(db: Db, address: str, now: int) -> Mark:
    """Mark a ledger as moved to an address; `now` is in microseconds since 1970."""
    mark = Mark(address, socket.gethostname(), now)
    db.execute(f"DELETE FROM {MARK}")
    db.execute(f"INSERT INTO {MARK} (address, host, at) VALUES (?, ?, ?)", tuple(mark))
    return mark


def refuse_writes(db: Db, mark: Mark) -> None:
    """Make each write of any process fail from now on, even if it has opened the ledger before."""
    text = f"The ledger {mark}. The last step was undone. Quit amp-console and start it again."
    names = [table.name for table in tables_of(db) if table.name != MARK]
    if isinstance(db, ServerDb):
        db.refuse_writes(names, text)
        return
    literal = text.replace("'", "''")
    for name in names:
        for write in _WRITES:
            db.execute(
                f"CREATE TRIGGER {MARK}_{name}_{write.lower()} BEFORE {write} "
                f"ON {quoted_name(name)} BEGIN SELECT RAISE(ABORT, '{literal}'); END"
            )


def remove_mark(db: Db) -> None:
    """Let a ledger be used again."""
    if isinstance(db, ServerDb):
        db.accept_writes()
    else:
        query = f"SELECT name FROM sqlite_schema WHERE type = 'trigger' AND name GLOB '{MARK}_*'"
        for (name,) in db.execute(query).fetchall():
            db.execute(f"DROP TRIGGER {name}")
    db.execute(f"DELETE FROM {MARK}")
