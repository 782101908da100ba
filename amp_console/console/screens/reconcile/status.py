"""The progress of a comparison or a repair, and its result, in a line."""

from textual.content import Content

from amp_console.console.glyphs import Glyphs, bar
from amp_console.console.jobs.reconcile import ReconcileJob, RepairOperation
from amp_console.console.texts import ACCENT, BAD, GOOD, WARN, safe_text
from amp_console.sync.reconcile.descriptions import describe_result
from amp_console.text import capitalized

BAR = 24  # columns


def doing(work: ReconcileJob, audience_id: int, glyphs: Glyphs) -> Content:
    """What a job under way is doing for an audience."""
    now = work.progress_of(audience_id)
    if work.stop.is_asked:
        return safe_text((f"{glyphs.live} stopping after the current request", WARN))
    if now is None:
        return safe_text((f"{glyphs.live} {work.operation.VERB.lower()}: getting the keys", ACCENT))
    wait = ""
    if now.wait_until is not None:
        wait = f" in {max(0, now.wait_until - work.elapsed):.0f} s"
    share = f"{bar(glyphs, now.done, now.total, BAR)} " if now.total else ""
    # The comparison beside it already shows how many a repair has repaired.
    is_counted = now.total and not isinstance(work.operation, RepairOperation)
    count = f"  {now.done:,}/{now.total:,}" if is_counted else ""
    return safe_text((f"{glyphs.live} {share}", ACCENT), f"{now.state}{wait}{count}")


def sent_by(work: ReconcileJob | None, audience_id: int) -> int:
    """How many users of an audience a repair has sent and Amplitude answered; 0 without one."""
    if work is None or not isinstance(work.operation, RepairOperation):
        return 0
    now = work.progress_of(audience_id)
    return now.done if now is not None else 0


def result_text(work: ReconcileJob, audience_id: int) -> Content | None:
    """The result of a job that is over; None if the comparison says everything."""
    note = work.note_of(audience_id)
    if note:
        return safe_text((note, BAD if work.failure else WARN))
    repair = work.operation
    if not isinstance(repair, RepairOperation) or repair.report is None:
        return None
    done = repair.report.results.get(audience_id)
    if done is None:
        return None
    counts = done.counts
    rejected = f", {counts.rejected:,} rejected" if counts.rejected else ""
    what = f"{counts.added:,} added, {counts.removed:,} removed{rejected}"
    if done.plan.sends_nothing:
        what = "Nothing was sent"
    tone = GOOD if done.is_equal else WARN
    outcome = describe_result(done)
    return safe_text((f"{what}. {capitalized(outcome)}.", tone))
