"""How far watched files were read, kept in the same transaction as what was read of them."""

import msgspec

from amp_console.ledger.db import Db


class Tail(msgspec.Struct, frozen=True):
    """One file that is followed: which file it is, and the place from where to read on.

    `position` in bytes, `line` the number of the next line; `before` is the digest of the bytes
    before it. A file that is only read as a whole (`is_whole`) has its size and its time
    (nanoseconds since 1970) there instead, or `UNFINISHED` while it is read. `modified` is the time
    of the file when it was read last (nanoseconds since 1970).
    """

    path: str
    source_id: int
    device: int
    inode: int
    head_size: int
    head: str
    position: int
    line: int
    is_whole: bool = False
    before: str = ""
    modified: int = 0


UNFINISHED = -1
"""The position in a file that is read as a whole, and was not read to its end yet."""

_COLUMNS = ", ".join(Tail.__struct_fields__)


def tails(db: Db) -> list[Tail]:
    """Every file that is, or was, followed."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM tail")
    found = [Tail(*row) for row in rows]
    return [msgspec.structs.replace(item, is_whole=bool(item.is_whole)) for item in found]


def keep_tail(db: Db, tail: Tail) -> None:
    """Keep how far a file was read."""
    marks = ", ".join("?" * len(Tail.__struct_fields__))
    db.execute(
        f"INSERT OR REPLACE INTO tail ({_COLUMNS}) VALUES ({marks})", msgspec.structs.astuple(tail)
    )


def forget_tail(db: Db, path: str) -> None:
    """Forget a file that is gone; one of its name is read from its beginning then."""
    db.execute("DELETE FROM tail WHERE path = ?", (path,))
