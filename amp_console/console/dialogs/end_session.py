"""The question before a live session ends."""

from collections.abc import Sequence

from amp_console.console.context import Services
from amp_console.console.dialogs.base import Confirm
from amp_console.console.jobs.live import LiveJob
from amp_console.sync.live.progress import LiveAudience, pending_by_audience


async def ask_to_end(services: Services, job: LiveJob) -> None:
    """End a session, after confirmation."""
    if await end_question(job).asked(services):
        job.cancel()


def end_question(job: LiveJob) -> Confirm:
    """Ask before a session ends; it names the audiences whose changes stay pending."""
    audiences = job.snapshot.audiences if job.snapshot else ()
    consequences = [
        f"It stops reading events for {_all_of(audiences)}. What it has read is delivered first.",
        "To stop sending for one audience only, pause it under Live (p).",
    ]
    waiting = pending_by_audience(item for item in audiences if item.waits)
    if waiting:
        consequences.append(f"Stays pending: {', '.join(waiting)}.")
    consequences.append(
        "Changes that Amplitude has not accepted within 30 seconds also stay pending."
    )
    return Confirm("End the live session?", consequences, "End the session", "Keep it running")


def _all_of(audiences: Sequence[LiveAudience]) -> str:
    if len(audiences) < 2:
        return "every audience"
    live = sum(item.is_live for item in audiences)
    some = f", {live:,} of them live" if live < len(audiences) else ""
    return f"all {len(audiences):,} audiences{some}"
