"""Ending a run in the history that could not end itself: it was given up in the middle."""

from amp_console.ledger import Db, Ledger, runs
from amp_console.ledger.runs import RunStatus
from amp_console.sync.delivery.progress import RunSnapshot


async def end_abandoned(ledger: Ledger, last: RunSnapshot, note: str, now: int) -> None:
    """Write down that a run is over, and how far each audience was when it was last seen.

    A request that is still open is voided by whoever syncs its audience next. Raises
    `LedgerError`.
    """
    await ledger.awrite(_end, last, note, now)


def _end(db: Db, last: RunSnapshot, note: str, now: int) -> None:
    for audience in last.audiences:
        if not audience.is_over:
            runs.record_audience(db, last.run_id, audience.audience_id, audience.counts, now)
    runs.end_run(db, last.run_id, RunStatus.STOPPED, note, now)
