"""Carrying out a plan for a command: confirm, deliver, answer Ctrl-C, say how it went."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from shlex import quote
from typing import Any, TypeVar

from amp_console.amplitude import AmplitudeClient
from amp_console.cli.exits import Exit
from amp_console.cli.meter import Meter
from amp_console.cli.output import ask, say
from amp_console.cli.text import clean, plural, table
from amp_console.connections import Connection
from amp_console.ledger import Ledger
from amp_console.ledger.runs import RunStatus
from amp_console.ledger.sources import ReadCounts
from amp_console.sync.delivery.context import RunContext
from amp_console.sync.delivery.plan import Plan, remarks
from amp_console.sync.delivery.run import AudienceReport, RunReport, deliver
from amp_console.sync.timing import Stop

T = TypeVar("T")

GRACE = 10.0  # seconds the request in flight has to end after the first Ctrl-C
LONGEST_NOTE = 1000  # characters; some of them are Amplitude's


def plan_lines(plan: Plan) -> list[str]:
    """Show a plan to a person."""
    rows = [
        (
            audience.name,
            f"{'create ' if audience.creates else ''}{audience.cohort_name}",
            audience.id_type.label,
            f"+{audience.add:,}" if audience.add else "",
            f"-{audience.remove:,}" if audience.remove else "",
            f"{audience.requests:,}",
            remarks(audience),
        )
        for audience in plan.audiences
    ]
    header = ("AUDIENCE", "COHORT", "ID-TYPE", "ADD", "REMOVE", "REQUESTS", "")
    return table(header, rows, "ADD REMOVE REQUESTS")


def is_agreed(plan: Plan, *, yes: bool) -> bool:
    """Have the plan confirmed: by --yes, by the person at the terminal, or by being routine."""
    if yes or all(audience.is_idle for audience in plan.audiences):
        return True
    for line in plan_lines(plan):
        say(line, err=True)
    for concern in plan.concerns:
        say(f"This {clean(concern, 300)}.", err=True)
    if is_watched():
        return ask("Send this to Amplitude?")
    if plan.concerns:
        say("Nothing was sent. Confirm it beforehand with --yes.", err=True)
        return False
    return True


def is_watched() -> bool:
    """Whether a person is at the terminal, who can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def run_plan(
    plan: Plan, connection: Connection, ledger: Ledger, client: AmplitudeClient, tally: ReadCounts
) -> RunReport:
    """Deliver a plan, with progress on stderr.

    The first Ctrl-C lets the request in flight end, for ten seconds at most; the second gives it
    up (KeyboardInterrupt). Either way everything is kept.
    """
    with Meter("Syncing") as meter:
        return until_interrupted(
            client,
            lambda stop: deliver(
                plan,
                RunContext(connection, ledger, client, stop=stop, observe=meter.run),
                tally=tally,
            ),
        )


def until_interrupted(client: AmplitudeClient, work: Callable[[Stop], Coroutine[Any, Any, T]]) -> T:
    """Do a run's work with a client, and answer Ctrl-C and SIGTERM as `run_plan` says."""
    return asyncio.run(_until_interrupted(client, work))


async def _until_interrupted(
    client: AmplitudeClient, work: Callable[[Stop], Coroutine[Any, Any, T]]
) -> T:
    stop = Stop()
    async with client:
        task = asyncio.ensure_future(work(stop))
        _on_interrupt(stop, task)
        try:
            return await task
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None


def _on_interrupt(stop: Stop, work: "asyncio.Future[T]") -> None:
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        if stop.is_asked:
            work.cancel()
            return
        say("Stopping after the current request (Ctrl-C again stops at once)…", err=True)
        stop.ask()
        loop.call_later(GRACE, work.cancel)

    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, interrupted)
        except NotImplementedError:  # Windows: Ctrl-C ends asyncio.run, and everything is kept
            return


def report_lines(report: RunReport, tally: ReadCounts, *, has_commands: bool = True) -> list[str]:
    """Say in lines what a run did, and with which commands to look at it."""
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
    return [*lines, *_next_commands(report, tally)] if has_commands else lines


def _next_commands(report: RunReport, tally: ReadCounts) -> list[str]:
    """Say with which commands to look at what is left."""
    lines = []
    if any(audience.left.rejected for audience in report.audiences) or tally.invalid:
        lines.append("See who was rejected and why with: amp-console errors")
    if any(audience.left.pending and audience.held_until for audience in report.audiences):
        lines.append("Send before that time with: amp-console sync --now")
    elif any(
        audience.left.pending and not audience.counts.is_stuck for audience in report.audiences
    ):
        what = (
            "What else"
            if any(audience.counts.is_stuck for audience in report.audiences)
            else "What"
        )
        lines.append(f"{what} is pending is delivered by the next run: amp-console sync")
    return lines


def _note_lines(of: AudienceReport) -> list[str]:
    """Say why an audience's users are still pending, and which command sees to it."""
    if not of.note:
        return []
    lines = [f"{clean(of.audience.name)}: {clean(of.note, LONGEST_NOTE)}"]
    if of.audience.broken:
        command = f"amp-console audience {quote(clean(of.audience.handle, 300))}"
        lines.append(f"  Link another: {command} --cohort-id ID")
        lines.append(f"  Have a new one made: {command} --unlink")
    return lines


def _verdict(report: RunReport, tally: ReadCounts) -> str:
    """Say how a run ended; `tally` is of the events that were read for it."""
    uncertain = sum(audience.left.uncertain for audience in report.audiences)
    is_certain = not uncertain or any(audience.left.pending for audience in report.audiences)
    if is_certain or report.was_stopped or report.keys_refused:
        if report.status is RunStatus.PARTIAL:
            return _partial(
                sum(audience.left.rejected for audience in report.audiences), tally.invalid
            )
        return _VERDICT[report.status]
    return f"everything sent, {plural(uncertain, 'user')} to confirm again"


def _partial(rejected: int, invalid: int) -> str:
    left = [plural(rejected, "rejected user")] if rejected else []
    left += [plural(invalid, "invalid event")] if invalid else []
    return f"delivered, except {' and '.join(left)}"


_VERDICT = {
    RunStatus.DELIVERED: "everything delivered",
    RunStatus.STOPPED: "stopped with users pending",
}


def exit_of(report: RunReport) -> Exit:
    """Return the exit status of a run."""
    if report.keys_refused:
        return Exit.KEYS
    if report.was_stopped:
        return Exit.INTERRUPTED
    return {
        RunStatus.DELIVERED: Exit.DELIVERED,
        RunStatus.PARTIAL: Exit.PARTIAL,
    }.get(report.status, Exit.STOPPED)
