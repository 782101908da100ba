"""Reading a ledger's file that is not open: once, and without changing anything."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from amp_console.ledger.backups import open_to_read
from amp_console.ledger.db import Db
from amp_console.ledger.errors import damaged, explained, not_locked
from amp_console.ledger.files import refuse_empty
from amp_console.ledger.locks import FileLocks
from amp_console.ledger.moved import running_locks_if_in_use
from amp_console.ledger.schema import MIGRATIONS, check_version

T = TypeVar("T")


def peek_at_file(path: Path, work: Callable[[Db, frozenset[int]], T]) -> T | None:
    """Run `work` as `peek` of `amp_console.ledger.opening` does, on a ledger in a file."""
    with explained(path):
        if not path.exists():
            return None
        refuse_empty(path)
        with closing(open_to_read(path)) as db:
            version = check_version(db)
            if not version:
                raise damaged(path, "is not a ledger")
            if version < len(MIGRATIONS):
                return None
            db.create_function("this_operator", 0, str)  # of no one's
            db.execute("BEGIN")
            return work(db, FileLocks(path, not_locked).dead(running_locks_if_in_use(db)))
