"""What an operator asks next about one audience: its trend, its last error, its last runs."""

from collections.abc import Collection

import msgspec

from amp_console.ledger import Db
from amp_console.ledger.audience_queries import AudienceQuery, query_of
from amp_console.ledger.audiences import Audience
from amp_console.ledger.cohorts import COHORT_GONE
from amp_console.ledger.comparisons import Comparison, last_comparison
from amp_console.ledger.membership_changes import Movement, daily_movement, recent_movement
from amp_console.ledger.outcomes import OFF, PAUSED, STOPPED, AudienceRun, runs_of_audience
from amp_console.ledger.rejected import last_rejection
from amp_console.ledger.runs import RunKind, RunStatus
from amp_console.sync.delivery.plan import same_key_words
from amp_console.sync.queries.person import reason_text

DAYS = 7
HOUR = 31  # intervals of two minutes: nothing of the last 60 minutes is left out
MAX_RUNS = 5  # among which an error is looked for
LISTED_RUNS = 3
_AS_ASKED = frozenset({STOPPED, PAUSED, OFF})
"""The notes of audiences that an operator stopped, paused or disabled."""
DELIVERING = tuple(kind for kind in RunKind if kind is not RunKind.COMPARE)


class LastError(msgspec.Struct, frozen=True):
    """What went wrong for an audience most recently, and when, in microseconds since 1970.

    `is_past`: a later run has left nothing pending; `was_delivered`: it sent something for that.
    """

    text: str
    at: int | None
    is_past: bool = False
    was_delivered: bool = False


class AudienceTrend(msgspec.Struct, frozen=True):
    """Recent movement, what went wrong, the last runs, the last comparison and the query, if any.

    Comparisons are not among the `runs`: those deliver. `same_key`: see `same_key_words`.
    """

    days: Movement
    hour: Movement
    error: LastError | None
    runs: tuple[AudienceRun, ...]
    comparison: Comparison | None = None
    query: AudienceQuery | None = None
    same_key: str = ""


def audience_trend(db: Db, known: Audience, now: int, dead: Collection[int] = ()) -> AudienceTrend:
    """Read it; that takes as long for any number of members. `dead`: as in `all_runs`."""
    runs = runs_of_audience(db, known.id, MAX_RUNS, dead)
    return AudienceTrend(
        daily_movement(db, known, now, DAYS),
        recent_movement(db, known, now, HOUR),
        _last_error(db, known, runs),
        tuple(runs_of_audience(db, known.id, LISTED_RUNS, dead, DELIVERING)),
        last_comparison(db, known.id),
        query_of(db, known.id),
        same_key_words(db, known),
    )


def last_run_of(db: Db, audience_id: int, dead: Collection[int] = ()) -> int | None:
    """The id of the newest run that delivered an audience; None if there is none."""
    found = runs_of_audience(db, audience_id, 1, dead, DELIVERING)
    return found[0].run.id if found else None


def _last_error(db: Db, known: Audience, runs: list[AudienceRun]) -> LastError | None:
    """The newest of: why the link is broken, why a run did not deliver, why a user is rejected."""
    if known.broken:
        return LastError(known.broken, known.last_sync_at)
    found = []
    at = next((at for at, run in enumerate(runs) if _is_error(run)), None)
    if at is not None:
        later = [item for item in runs[:at] if _has_delivered(item)]
        was_delivered = any(item.counts.requests for item in later)
        found.append(LastError(_reason(runs[at]), runs[at].at, bool(later), was_delivered))
    rejection = last_rejection(db, known.id)
    if rejection is not None:
        code, reason, rejected_at = rejection
        found.append(LastError(reason_text(code, reason), rejected_at))
    return max(found, key=lambda error: error.at or 0, default=None)


def _has_delivered(audience_run: AudienceRun) -> bool:
    """Whether a run without an error has delivered what was pending for the audience."""
    if audience_run.run.kind not in {RunKind.SYNC, RunKind.LIVE}:
        return False
    is_done = audience_run.status in {RunStatus.DELIVERED, RunStatus.PARTIAL}
    return is_done or (audience_run.run.kind is RunKind.LIVE and audience_run.counts.requests > 0)


def _is_error(audience_run: AudienceRun) -> bool:
    """Whether a run left users pending for a reason that holds for the audience's link of today.

    A link that is not broken is not the one that such a run broke. What the operator asked for is
    no error.
    """
    why = _reason(audience_run)
    return bool(why) and why not in _AS_ASKED and not why.startswith(COHORT_GONE)


def _reason(audience_run: AudienceRun) -> str:
    """Why a run left users of this audience pending; "" where it did not."""
    if audience_run.counts.note:
        return audience_run.counts.note
    is_failed = audience_run.status in {RunStatus.STOPPED, RunStatus.INTERRUPTED}
    return audience_run.run.note if is_failed else ""
