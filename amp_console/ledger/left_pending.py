"""What has become of the users that a run left pending."""

from collections.abc import Sequence

import msgspec

from amp_console.ledger.audiences import audience
from amp_console.ledger.cohorts import COHORT_GONE
from amp_console.ledger.counts import pending_of
from amp_console.ledger.db import Db
from amp_console.ledger.runs import Run, RunAudience, RunKind


def with_present_state(
    db: Db, run: Run, audiences: Sequence[RunAudience]
) -> tuple[RunAudience, ...]:
    """The audiences of a run, with what has become of the users that it left pending."""
    pending = pending_of(db, [item.audience_id for item in audiences if item.pending])
    return tuple(
        msgspec.structs.replace(
            item,
            is_settled=bool(item.pending)
            and (not pending[item.audience_id] or _was_settled(db, run.id, item.audience_id)),
            obstacle=_obstacle(db, run.kind, item.audience_id) if item.counts.note else "",
        )
        for item in audiences
    )


def _was_settled(db: Db, run_id: int, audience_id: int) -> bool:
    """Whether a later run left nothing pending: what is pending now arrived after it."""
    row = db.execute(
        "SELECT 1 FROM run_audience WHERE audience_id = ? AND run_id > ? AND pending = 0 LIMIT 1",
        (audience_id, run_id),
    ).fetchone()
    return row is not None


def _obstacle(db: Db, kind: RunKind, audience_id: int) -> str:
    """Why a run of this kind does nothing for an audience before an operator acts; "" if it does.

    The last run that could deliver says why: a comparison can't, and only tells of comparisons. A
    link that a run found broken has been replaced or removed if it is not broken now.
    """
    if broken := audience(db, audience_id).broken:
        return broken
    row = db.execute(
        "SELECT run_audience.note, is_stuck FROM run_audience JOIN run ON run.id = run_id "
        "WHERE audience_id = ? AND (kind <> ? OR kind = ?) ORDER BY run_id DESC LIMIT 1",
        (audience_id, RunKind.COMPARE, kind),
    ).fetchone()
    note, is_stuck = row or ("", False)
    return note if is_stuck and not note.startswith(COHORT_GONE) else ""
