"""What the ledger holds of leases: who took each of them last, and how often it was taken.

A process may lose a lease and not notice: its machine was suspended, or its network was cut, so the
server ended its session. When another process has taken the lease since, nothing that the former
one writes must count.
"""

import os
import socket
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from amp_console.ledger.db import Db
from amp_console.ledger.errors import LeaseLost
from amp_console.ledger.locks import Fence

P = ParamSpec("P")
T = TypeVar("T")


def note_holder(db: Db, audience_id: int, now: int) -> None:
    """Record that this process holds the lease, for the message that other processes show."""
    db.execute(
        "INSERT INTO lease (audience_id, pid, host, since) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (audience_id) DO UPDATE SET "
        "pid = excluded.pid, host = excluded.host, since = excluded.since",
        (audience_id, os.getpid(), socket.gethostname(), now),
    )


def busy_because(db: Db, audience_id: int) -> str:
    """Say who holds the lease of an audience that is busy."""
    row = db.execute("SELECT pid, host FROM lease WHERE audience_id = ?", (audience_id,)).fetchone()
    if row == (os.getpid(), socket.gethostname()):
        return "A run of this console is delivering this audience. Try again when it has finished."
    who = f" (process {row[0]} on {row[1]})" if row else ""
    return f"Another amp-console{who} is syncing this audience. Try again when it has finished."


def fenced(
    db: Db,
    fence: Fence | None,
    work: Callable[Concatenate[Db, P], T],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Do the work, unless the lease was taken again since; then raise `LeaseLost`.

    Other writers to the audience wait until the transaction ends, so who takes the lease meanwhile
    finds all its changes.
    """
    if fence is not None:
        row = db.execute("SELECT number FROM lease WHERE audience_id = ?", fence[:1]).fetchone()
        if row is None or row[0] != fence.number:
            raise LeaseLost
    return work(db, *args, **kwargs)
