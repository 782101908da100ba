"""What an operator asks next about one audience: its trend, its last error, its last runs."""

from collections.abc import Collection

import msgspec

from amp_console.ledger import Db
from amp_console.ledger.audiences import Audience
from amp_console.ledger.comparisons import Comparison, last_comparison
from amp_console.ledger.membership_changes import Movement, daily_movement, recent_movement
from amp_console.ledger.outcomes import AudienceRun, runs_of_audience
from amp_console.ledger.rejected import last_rejection
from amp_console.ledger.runs import RunStatus

DAYS = 7
HOUR = 30  # short intervals
MAX_RUNS = 5  # among which an error is looked for


class LastError(msgspec.Struct, frozen=True):
    """What went wrong for an audience most recently, and when, in microseconds since 1970."""

    text: str
    at: int | None


class AudienceTrend(msgspec.Struct, frozen=True):
    """Who moved lately, what went wrong, the last runs, and the last comparison if there is one."""

    days: Movement
    hour: Movement
    error: LastError | None
    runs: tuple[AudienceRun, ...]
    comparison: Comparison | None = None


def audience_trend(db: Db, known: Audience, now: int, dead: Collection[int] = ()) -> AudienceTrend:
    """Read it; that takes as long for any number of members. `dead`: as in `all_runs`."""
    runs = runs_of_audience(db, known.id, MAX_RUNS, dead)
    return AudienceTrend(
        daily_movement(db, known, now, DAYS),
        recent_movement(db, known, now, HOUR),
        _last_error(db, known, runs),
        tuple(runs),
        last_comparison(db, known.id),
    )


def _last_error(db: Db, known: Audience, runs: list[AudienceRun]) -> LastError | None:
    """The newest of: why the link is broken, why a run did not deliver, why a user is rejected."""
    if known.broken:
        return LastError(known.broken, known.last_run_at)
    found = []
    failed = next((run for run in runs if _reason(run)), None)
    if failed is not None:
        found.append(LastError(_reason(failed), failed.run.ended_at or failed.run.started_at))
    rejection = last_rejection(db, known.id)
    if rejection is not None:
        found.append(LastError(*rejection))
    return max(found, key=lambda error: error.at or 0, default=None)


def _reason(audience_run: AudienceRun) -> str:
    """Why a run left users of this audience pending; "" where it did not."""
    if audience_run.counts.note:
        return audience_run.counts.note
    is_failed = audience_run.run.status in {RunStatus.STOPPED, RunStatus.INTERRUPTED}
    return audience_run.run.note if is_failed else ""
