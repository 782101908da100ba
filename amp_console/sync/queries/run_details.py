"""One run with everything that its screen says: what it did, planned and found."""

from collections.abc import Collection

import msgspec

from amp_console.ledger import Db
from amp_console.ledger.audiences import Audience, all_audiences, are_all_enabled
from amp_console.ledger.comparisons import Comparison, SizeCheck, comparisons_in, size_checks_in
from amp_console.ledger.counts import outstanding_of_all
from amp_console.ledger.left_pending import with_present_state
from amp_console.ledger.operators import has_several_operators
from amp_console.ledger.outcomes import BROKEN, NO_COHORT, OFF
from amp_console.ledger.rejected import RejectedFilter, count_rejected
from amp_console.ledger.runs import (
    AudienceCounts,
    Run,
    RunAudience,
    RunKind,
    RunStatus,
    run,
    run_audiences,
)
from amp_console.ledger.since_plan import SincePlan, since_plan_of


class RunDetails(msgspec.Struct, frozen=True):
    """A run of the history; `comparisons` are those that it made, by audience ID.

    `size_checks`: what Amplitude's list said after a repair, by audience ID.
    `operator` is who ran it; "" where that is not known, or only one operator is.
    `is_of_all`: it was for every audience that is enabled now. So many of the users that it
    rejected are `still_rejected` as it left them.
    """

    run: Run
    audiences: tuple[RunAudience, ...]
    comparisons: dict[int, Comparison]
    size_checks: dict[int, SizeCheck]
    since_plan: SincePlan | None = None
    operator: str = ""
    is_of_all: bool = False
    still_rejected: int = 0


def _followed(db: Db, begun: Collection[RunAudience]) -> tuple[RunAudience, ...]:
    """Every audience, as a session under way follows them all, with what is pending now.

    `begun` are those that it has sent something for, or that wait.
    """
    known = {item.audience_id: item for item in begun}
    left = outstanding_of_all(db)
    return tuple(
        msgspec.structs.replace(
            known.get(item.id)
            or RunAudience(item.id, item.key, item.name, AudienceCounts(note=_waits(item)), None),
            pending=left[item.id].pending if item.id in left else 0,
        )
        for item in all_audiences(db)
    )


def _waits(item: Audience) -> str:
    """What an audience waits for that a session has not sent anything for; "" if for nothing."""
    if not item.enabled:
        return OFF
    return BROKEN if item.broken else NO_COHORT if item.cohort_id is None else ""


def run_details(db: Db, run_id: int, dead: Collection[int] = ()) -> RunDetails | None:
    """Read a run; None if there is none with this id. `dead` as in `all_runs`."""
    found = run(db, run_id, dead)
    if found is None:
        return None
    audiences = with_present_state(db, found, run_audiences(db, run_id))
    if found.kind is RunKind.LIVE and found.status is RunStatus.RUNNING:
        audiences = _followed(db, audiences)
    return RunDetails(
        found,
        audiences,
        {item.audience_id: item for item in comparisons_in(db, run_id)},
        size_checks_in(db, run_id),
        since_plan_of(db, run_id),
        found.operator if has_several_operators(db) else "",
        are_all_enabled(db, {item.audience_id for item in audiences}),
        count_rejected(db, RejectedFilter(run_id=run_id)) if found.rejected else 0,
    )
