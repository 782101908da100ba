"""Delivering a plan for a command: confirm it, send it, report the result."""

import sys
from typing import TYPE_CHECKING

from amp_console.cli.exits import Exit
from amp_console.cli.interrupts import LEASE_WAIT, until_interrupted
from amp_console.cli.output import ask, say
from amp_console.cli.tables import table
from amp_console.connections import Connection
from amp_console.ledger import Ledger
from amp_console.ledger.runs import RunStatus
from amp_console.ledger.sources import ReadCounts
from amp_console.sync.delivery.plan import Plan, remarks
from amp_console.sync.delivery.run import AudienceReport, RunReport, deliver
from amp_console.sync.formatting import since_plan_text, with_missing_ids
from amp_console.text import blank_if_zero, clean, listed, plural

if TYPE_CHECKING:
    from amp_console.amplitude.client import AmplitudeClient

MAX_NOTE_LENGTH = 1000  # characters; some of them are Amplitude's


def plan_lines(plan: Plan) -> list[str]:
    """A plan as a table."""
    rows = [
        (
            audience.name,
            f"{'create ' if audience.creates else ''}{audience.cohort_name}",
            audience.id_type.label,
            blank_if_zero(audience.add, "+"),
            blank_if_zero(audience.remove, "-"),
            f"{audience.requests:,}",
            remarks(audience),
        )
        for audience in plan.audiences
    ]
    header = ("AUDIENCE", "COHORT", "ID-TYPE", "ADD", "REMOVE", "REQUESTS", "")
    return table(header, rows, "ADD REMOVE REQUESTS")


def is_agreed(plan: Plan, *, yes: bool, confirm: str = "add --yes") -> bool:
    """Whether the plan is confirmed: by --yes, at the terminal, or because it raises no concerns.

    `confirm` tells the operator how to confirm it in advance.
    """
    if yes or all(audience.is_idle for audience in plan.audiences):
        return True
    say(*plan_lines(plan), err=True)
    for concern in plan.concerns:
        say(f"This {clean(concern, 300)}.", err=True)
    if is_interactive():
        return ask("Send these changes to Amplitude?")
    if plan.concerns:
        say(f"Nothing was sent. To confirm in advance, {confirm}.", err=True)
        return False
    return True


def is_interactive() -> bool:
    """Whether a person at a terminal can answer questions."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def run_plan(
    plan: Plan,
    connection: Connection,
    ledger: Ledger,
    client: "AmplitudeClient",
    tally: ReadCounts,
    *,
    lease_wait: float = LEASE_WAIT,
) -> RunReport:
    """Deliver a plan, with progress on stderr; interruptible as `until_interrupted` says."""
    return until_interrupted(
        "Syncing",
        connection,
        ledger,
        client,
        lambda context: deliver(plan, context, tally=tally),
        lease_wait=lease_wait,
    )


def report_lines(report: RunReport, tally: ReadCounts, *, has_commands: bool = True) -> list[str]:
    """What a run did, and the commands that show or finish the rest."""
    rows = [
        (
            audience.audience.name,
            audience.audience.cohort_id or "–",
            f"{audience.counts.added:,}",
            f"{audience.counts.removed:,}",
            f"{audience.left.rejected:,}",
            f"{audience.left.pending:,}",
        )
        for audience in report.audiences
    ]
    header = ("AUDIENCE", "COHORT", "ADDED", "REMOVED", "REJECTED", "PENDING")
    lines = table(header, rows, "ADDED REMOVED REJECTED PENDING")
    for audience in report.audiences:
        lines += _note_lines(audience)
    requests = sum(audience.counts.requests for audience in report.audiences)
    lines.append(
        f"Run {report.run_id}: {_verdict(report, tally)}, "
        f"{plural(requests, 'request')}, {report.elapsed:.1f} s."
    )
    if report.since_plan is not None:
        lines += filter(None, [since_plan_text(report.since_plan, report.users)])
    return [*lines, *_next_commands(report, tally)] if has_commands else lines


def _next_commands(report: RunReport, tally: ReadCounts) -> list[str]:
    """The commands that show or finish what is left."""
    lines = []
    if any(audience.left.failed for audience in report.audiences) or tally.invalid:
        lines.append("To see who failed and why: amp-console errors")
    if any(audience.left.pending and audience.limited_until for audience in report.audiences):
        lines.append("To send before that: amp-console sync --now")
    elif any(
        audience.left.pending and not audience.counts.is_stuck for audience in report.audiences
    ):
        what = (
            "what else"
            if any(audience.counts.is_stuck for audience in report.audiences)
            else "what"
        )
        lines.append(f"To deliver {what} is pending: amp-console sync")
    return lines


def _note_lines(report: AudienceReport) -> list[str]:
    """Why an audience's changes are still pending, and the commands that fix it."""
    if not report.note:
        return []
    from amp_console.cli.audiences import link_commands

    lines = [f"{clean(report.audience.name)}: {clean(report.note, MAX_NOTE_LENGTH)}"]
    return lines + [f"  {line}" for line in link_commands(report.audience)]


def _verdict(report: RunReport, tally: ReadCounts) -> str:
    """How a run ended; `tally` counts the events read for it."""
    uncertain = sum(audience.left.uncertain for audience in report.audiences)
    is_certain = not uncertain or any(audience.left.pending for audience in report.audiences)
    if is_certain or report.was_stopped or report.keys_refused:
        rejected = sum(audience.left.rejected for audience in report.audiences)
        unidentified = sum(audience.left.unidentified for audience in report.audiences)
        if report.status is RunStatus.STOPPED:
            return "stopped with changes pending"
        is_all = report.status is RunStatus.DELIVERED and not (rejected or unidentified)
        pending = sum(audience.left.pending for audience in report.audiences)
        since = f", {plural(pending, 'change')} pending since" if pending else ""
        if is_all:
            return f"everything delivered{since}"
        return _partial(rejected, unidentified, tally.invalid) + since
    return f"everything sent, {plural(uncertain, 'user')} to confirm again"


def _partial(rejected: int, unidentified: int, invalid: int) -> str:
    left = [plural(rejected, "rejected user")] if rejected else []
    left += [with_missing_ids(unidentified)] if unidentified else []
    left += [plural(invalid, "invalid event")] if invalid else []
    return f"delivered, except {listed(left)}"


def exit_of(report: RunReport) -> Exit:
    """Return the exit status of a run: not 0 while users of its audiences have failed."""
    if report.keys_refused:
        return Exit.KEYS
    if report.was_stopped:
        return Exit.INTERRUPTED
    if report.status is RunStatus.STOPPED:
        return Exit.STOPPED
    is_left = any(audience.left.failed for audience in report.audiences)
    return Exit.PARTIAL if is_left or report.status is RunStatus.PARTIAL else Exit.DELIVERED
