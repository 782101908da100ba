"""Cancelling a comparison or a repair, once that is confirmed."""

from collections.abc import Awaitable

from amp_console.console.dialogs.base import Confirm
from amp_console.console.jobs.reconcile import CompareOperation, ReconcileJob


def cancel_question(job: ReconcileJob) -> Confirm:
    """Ask before a job is cancelled: c also begins one, and may be pressed twice."""
    what = "comparison" if isinstance(job.operation, CompareOperation) else "repair"
    kept = "Everything sent so far stays sent, and the rest is still to be repaired."
    if what == "comparison":
        kept = "Nothing was sent. A download that Amplitude has begun counts towards the quota."
    return Confirm(f"Cancel this {what}?", [kept], f"Cancel the {what}", "Keep it running")


async def cancel_if(job: ReconcileJob, asked: Awaitable[bool | None]) -> None:
    """Cancel a job if that is confirmed."""
    if await asked:
        job.cancel()
