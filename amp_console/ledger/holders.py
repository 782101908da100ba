"""Who is working on a ledger: the processes that hold leases, runs and sources."""

import msgspec

from amp_console.ledger.db import Db
from amp_console.ledger.event_log import process_name
from amp_console.ledger.locks import Locks
from amp_console.ledger.runs import Run, run, running_locks
from amp_console.text import listed, plural


class LeaseHolder(msgspec.Struct, frozen=True):
    """Who delivers an audience, since when in microseconds since 1970.

    A `process` ("process 71 on desk") of an operator ("ana@laptop"). "" and None where the process
    has only just taken the lease.
    """

    audience: str
    process: str
    since: int | None
    operator: str = ""


class Holders(msgspec.Struct, frozen=True):
    """The leases that are held, the runs under way, and how many sources are read."""

    leases: list[LeaseHolder]
    runs: list[Run]
    sources: int

    def __bool__(self) -> bool:
        return bool(self.leases or self.runs or self.sources)

    def __str__(self) -> str:
        """In words: "2 leases and 1 run"."""
        counts = (
            (len(self.leases), "lease"),
            (len(self.runs), "run"),
            (self.sources, "source"),
        )
        return listed([plural(count, what) for count, what in counts if count])


def holders(db: Db, locks: Locks) -> Holders:
    """Find out who is working on it. The locks show what is held; the rest is for people."""
    rows = db.execute(
        "SELECT audience.id, key, pid, host, since, operator FROM audience "
        "LEFT JOIN lease ON audience_id = audience.id ORDER BY key"
    ).fetchall()
    held = locks.holds([row[0] for row in rows], running_locks(db))
    leases = [
        LeaseHolder(key, process_name(pid, host) if pid else "", since, operator or "")
        for audience_id, key, pid, host, since, operator in rows
        if audience_id in held.audiences
    ]
    runs = [found for run_id in sorted(held.runs) if (found := run(db, run_id))]
    return Holders(leases, runs, held.sources)
