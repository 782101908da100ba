"""Why comparing and repairing are unavailable."""

from amp_console.console.jobs.reconcile import ReconcileJob
from amp_console.console.jobs.under_way import under_way
from amp_console.ledger.audiences import Audience
from amp_console.ledger.comparisons import Comparison

BUSY = "A comparison or a repair is already running. Wait for it, or cancel it."
NOT_COMPARED = "Compare first: press r."


def reason_in_comparison(
    action: str,
    latest: ReconcileJob | None,
    audience: Audience | None,
    comparison: Comparison | None,
    run_id: int | None,
) -> str | None:
    """Why an action on one audience's comparison is unavailable; None if it works.

    `latest` is the console's last job of this kind, `run_id` the run of this audience's job.
    """
    if action in {"compare", "list", "repair"} and (why := _reason_to_wait(latest, audience)):
        return why
    if action == "errors" and (comparison is None or not comparison.missing_rejected):
        return "The comparison found no rejected users. For all errors press 2."
    if action == "run" and run_id is None:
        return "Nothing has run here since the console was opened. For past runs press 3."
    if action in {"repair", "export", "filter", "person"}:
        return _reason_without_differences(action, comparison)
    return None


def _reason_to_wait(latest: ReconcileJob | None, audience: Audience | None) -> str | None:
    if under_way(latest):
        return BUSY
    if audience is not None and audience.cohort_id is None:
        return "It has no cohort: the next sync creates one."
    if audience is not None and audience.broken:
        return (
            "Its link is broken: press 1 for Audiences, then l to link another cohort or to unlink "
            "this one."
        )
    return None


def _reason_without_differences(action: str, comparison: Comparison | None) -> str | None:
    if comparison is None:
        return NOT_COMPARED
    if action == "repair":
        is_same = not comparison.is_repairable
        return "They are the same: nothing to repair." if is_same else None
    return None if comparison.has_differences else "There is no difference to show."
