"""What changed between a plan and the end of its run, counted by the ledger and kept with the run.

A plan records a mark of the ledger. The run counts from there, so that it can explain why it was
for more or fewer users than its plan.
"""

from collections.abc import Sequence

import msgspec

from amp_console.ledger.audiences import Audience
from amp_console.ledger.db import Db
from amp_console.ledger.deliveries import RequestKind
from amp_console.ledger.membership_changes import ChangeCounter, change_counter, changes_since
from amp_console.ledger.requests import RequestState


class PlanMark(msgspec.Struct, frozen=True):
    """The state of one audience in the ledger when a plan was made: its changes, its last request.

    The plan was for `users` users.
    """

    changes: ChangeCounter
    request_id: int
    users: int


class SincePlan(msgspec.Struct, frozen=True):
    """How many users the plan was for, and what happened from then to the end of the run.

    `changes` counts the membership changes that arrived, `elsewhere` the users that other runs
    delivered.
    """

    planned: int
    changes: int
    elsewhere: int


def total_since(found: Sequence[SincePlan | None]) -> SincePlan | None:
    """The sum over audiences; None unless it is known for each of them."""
    known = [item for item in found if item is not None]
    if not known or len(known) < len(found):
        return None
    return SincePlan(
        sum(item.planned for item in known),
        sum(item.changes for item in known),
        sum(item.elsewhere for item in known),
    )


def plan_mark(db: Db, known: Audience, users: int) -> PlanMark:
    """Record the state of an audience, for which a plan sends this many users."""
    (request_id,) = db.execute("SELECT coalesce(max(id), 0) FROM request").fetchone()
    return PlanMark(change_counter(db, known), request_id, users)


def keep_since_plan(db: Db, run_id: int, known: Audience, mark: PlanMark, now: int) -> SincePlan:
    """Keep what happened since the plan; `record_audience` has recorded the audience.

    `now` in microseconds since 1970.
    """
    elsewhere = db.execute(
        "SELECT coalesce(sum(size - skipped), 0) FROM request WHERE audience_id = ? AND id > ? "
        "AND run_id <> ? AND state = ? AND kind <> ?",
        (known.id, mark.request_id, run_id, RequestState.CONFIRMED, RequestKind.UPLOAD),
    ).fetchone()[0]
    since = SincePlan(mark.users, changes_since(db, known, mark.changes, now), elsewhere)
    db.execute(
        "UPDATE run_audience SET planned = ?, changes_since_plan = ?, sent_elsewhere = ? "
        "WHERE run_id = ? AND audience_id = ?",
        (since.planned, since.changes, since.elsewhere, run_id, known.id),
    )
    return since


def since_plan_of(db: Db, run_id: int) -> SincePlan | None:
    """What happened since the plan of a run, summed over its audiences; None where unknown."""
    rows = db.execute(
        "SELECT planned, changes_since_plan, sent_elsewhere FROM run_audience WHERE run_id = ?",
        (run_id,),
    )
    return total_since([None if row[0] is None else SincePlan(*row) for row in rows])
