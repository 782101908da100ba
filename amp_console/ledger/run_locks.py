"""Who carries out a run: a lock file per run, let go of the moment its process dies.

The lock is the truth; process and host stand in the run for people to read. So a process number
that is used again, or a machine that went down, makes no dead run look alive.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from amp_console.ledger.folders import lock_folder


@contextmanager
def hold_run(ledger: Path) -> Iterator[str]:
    """Hold a new lock while a run goes on, and yield its name, for `begin_run` to write down.

    It is had before the run is in the ledger, so that nobody meets a run without it.
    """
    name = f"run-{os.urandom(8).hex()}"
    path = lock_folder(ledger) / f"{name}.lock"
    lock = FileLock(path, mode=0o600, thread_local=False)
    lock.acquire(blocking=False)
    try:
        yield name
    finally:
        lock.release()
        with suppress(OSError):  # somebody looks at it: then it stays, and means nothing
            path.unlink()


def is_held(db: sqlite3.Connection, name: str | None) -> bool:
    """Whether the process that holds this lock lives. A lock that can't be tried counts as held."""
    if name is None:
        return False
    ledger = db.execute("PRAGMA database_list").fetchone()[2]
    path = lock_folder(Path(ledger)) / f"{name}.lock"
    if not path.exists():
        return False
    lock = FileLock(path, mode=0o600, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except (Timeout, OSError):
        return True
    lock.release()
    return False
