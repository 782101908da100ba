"""Leases: at most one process delivers an audience at a time.

The lease is a lock file, which the operating system lets go of the moment its process dies,
however it dies: nothing to time out, nothing to recover. The table only says who holds it.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection

from filelock import FileLock, Timeout

from amp_console.ledger.folders import lock_folder


class AudienceBusy(Exception):
    """Another process is delivering the audience."""


@contextmanager
def lease(ledger: Path, audience_id: int) -> Iterator[None]:
    """Hold an audience's lease; raises `AudienceBusy` at once where another process holds it."""
    lock = FileLock(lock_folder(ledger) / f"{audience_id}.lock", mode=0o600, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise AudienceBusy from None
    try:
        yield
    finally:
        lock.release()


def note_holder(db: Connection, audience_id: int, now: int) -> None:
    """Write down that this process holds the lease, for whoever meets it."""
    db.execute(
        "INSERT OR REPLACE INTO lease VALUES (?, ?, ?, ?)",
        (audience_id, os.getpid(), socket.gethostname(), now),
    )


def busy_because(db: Connection, audience_id: int) -> str:
    """Say who holds the lease that could not be had."""
    row = db.execute("SELECT pid, host FROM lease WHERE audience_id = ?", (audience_id,)).fetchone()
    if row == (os.getpid(), socket.gethostname()):
        return "A run of this console is delivering this audience. Try again when it has finished."
    who = f" (process {row[0]} on {row[1]})" if row else ""
    return f"Another amp-console{who} is syncing this audience. Try again when it has finished."
