"""The ledger's record of leases: who took each of them last, and how often it was taken.

A process may lose a lease without noticing: its machine was suspended, or its network was cut, so
the server ended its session. If another process has taken the lease since, nothing that the former
one writes may count.
"""

import os
import socket
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from amp_console.ledger.db import Db
from amp_console.ledger.errors import LeaseLost
from amp_console.ledger.event_log import by_whom, process_name
from amp_console.ledger.locks import Fence

P = ParamSpec("P")
T = TypeVar("T")


def note_holder(db: Db, audience_id: int, now: int, run_id: int | None = None) -> None:
    """Record that this process holds the lease, and in which run, for what other processes show."""
    db.execute(
        "INSERT INTO lease (audience_id, pid, host, since, run_id, operator) "
        "VALUES (?, ?, ?, ?, ?, this_operator()) ON CONFLICT (audience_id) DO UPDATE SET "
        "pid = excluded.pid, host = excluded.host, since = excluded.since, "
        "run_id = excluded.run_id, operator = excluded.operator",
        (audience_id, os.getpid(), socket.gethostname(), now, run_id),
    )


def _taken_by(db: Db, audience_id: int) -> tuple[int, str, str] | None:
    """Process, host and, unless it is the one who asks, operator of who took a lease last."""
    row = db.execute(
        "SELECT pid, host, CASE WHEN operator <> this_operator() THEN operator ELSE '' END "
        "FROM lease WHERE audience_id = ?",
        (audience_id,),
    ).fetchone()
    return None if row is None else tuple(row)


def busy_because(db: Db, audience_id: int, then: str = "Try again when it has finished.") -> str:
    """Return a sentence on who holds the lease of a busy audience, and what happens then."""
    row = _taken_by(db, audience_id)
    if row == (os.getpid(), socket.gethostname(), ""):
        return f"A run of this console is delivering this audience. {then}"
    return f"{_holder(row)} is syncing this audience. {then}"


def holder(db: Db, audience_id: int) -> str:
    """Name the holder of the lease of a busy audience: "another amp-console (…)"."""
    return _holder(_taken_by(db, audience_id)).replace("A", "a", 1)


def _holder(taken_by: tuple[int, str, str] | None) -> str:
    who = f" ({by_whom(taken_by[2], process_name(*taken_by[:2]))})" if taken_by else ""
    return f"Another amp-console{who}"


def fenced(
    db: Db,
    fence: Fence | None,
    work: Callable[Concatenate[Db, P], T],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Do the work, unless the lease was taken again since; then raise `LeaseLost`.

    Other writers to the audience wait until the transaction ends, so a process that takes the lease
    meanwhile sees all its changes.
    """
    if fence is not None:
        row = db.execute("SELECT number FROM lease WHERE audience_id = ?", fence[:1]).fetchone()
        if row is None or row[0] != fence.number:
            raise LeaseLost
    return work(db, *args, **kwargs)
