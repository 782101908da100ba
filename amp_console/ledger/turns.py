"""Turns: which run, in any process, has the lease of an audience now, and how far along it is.

Runs write everything needed anyway: other processes see each of Amplitude's answers once it is
saved.
"""

from collections.abc import Collection

import msgspec

from amp_console.ledger.db import Db
from amp_console.ledger.event_log import process_name
from amp_console.ledger.runs import RunKind, RunStatus, done_unrecorded


class Turn(msgspec.Struct, frozen=True):
    """A run that is working on an audience; `done` users have been answered for.

    `process` as in `LogEntry`; `operator` is the person who uses it, "" if that is the one who
    asks.
    """

    run_id: int
    kind: RunKind
    process: str
    operator: str
    done: int


def turns(db: Db, dead: Collection[int] = ()) -> dict[int, Turn]:
    """Every turn by its audience's id; `dead` as in `all_runs`.

    A live session has turns all the time: see `live_audiences`.
    """
    rows = db.execute(
        "SELECT lease.audience_id, run.id, run.kind, run.pid, run.host, "
        "CASE WHEN run.operator = this_operator() THEN '' ELSE run.operator END "
        "FROM lease JOIN run ON run.id = lease.run_id WHERE run.status = ? AND run.kind <> ? "
        "AND NOT EXISTS (SELECT 1 FROM run_audience WHERE run_audience.run_id = run.id "
        "AND run_audience.audience_id = lease.audience_id)",
        (RunStatus.RUNNING, RunKind.LIVE),
    ).fetchall()
    done: dict[int, dict[int, int]] = {}
    found = {}
    for audience_id, run_id, kind, pid, host, operator in rows:
        if run_id in dead:
            continue
        if run_id not in done:
            done[run_id] = done_unrecorded(db, run_id)
        found[audience_id] = Turn(
            run_id,
            RunKind(kind),
            process_name(pid, host),
            operator,
            done[run_id].get(audience_id, 0),
        )
    return found
