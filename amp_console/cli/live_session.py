"""Running a live session for a command: figures every ten seconds, and an orderly end."""

import asyncio
import time
from shlex import quote

import msgspec

from amp_console.cli.documents import RefusedDocument, refused_documents
from amp_console.cli.exits import Exit
from amp_console.cli.interrupts import with_signals
from amp_console.cli.output import is_read, say, say_json
from amp_console.ledger.runs import RunStatus
from amp_console.sync.delivery.context import RunContext
from amp_console.sync.formatting import refused_words
from amp_console.sync.live.alerts import Alerts, limits_for
from amp_console.sync.live.options import LiveOptions
from amp_console.sync.live.progress import (
    LiveAudience,
    LiveReport,
    LiveSnapshot,
    pending_by_audience,
)
from amp_console.sync.live.session import LiveSession
from amp_console.sync.sources.protocols import EventStream
from amp_console.text import clean, plural

EVERY = 10.0  # seconds between two printed lines
BACKLOG = 1_000_000  # unread bytes of a file from which its progress is shown
MAX_BACKLOGS = 3  # files


class LiveDocument(msgspec.Struct, frozen=True):
    """One line of `--json`: all audiences together; times in seconds.

    `queue_waiting` counts changes of audiences that wait for the operator; `queue` excludes them.
    """

    at: str
    read: int
    changes: int
    filtered: int
    invalid: int
    queue: int
    queue_waiting: int
    lag: float
    lag_95: float
    added: int
    removed: int
    rejected: int
    requests: int
    waiting: dict[str, str]
    trouble: dict[str, str]
    refused: list[RefusedDocument]


def live_document(now: LiveSnapshot) -> LiveDocument:
    """A snapshot of a session as a document."""
    counts, tally = now.counts, now.tally
    return LiveDocument(
        at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        read=tally.read,
        changes=tally.changes,
        filtered=tally.filtered,
        invalid=tally.invalid,
        queue=now.queue,
        queue_waiting=now.waiting,
        lag=round(now.lag, 3),
        lag_95=round(now.lag_95, 3),
        added=counts.added,
        removed=counts.removed,
        rejected=counts.rejected,
        requests=counts.requests,
        waiting={audience.key: audience.state for audience in now.audiences if audience.state},
        trouble={source.name: source.trouble for source in now.sources if source.trouble},
        refused=refused_documents(now.refused),
    )


def line(now: LiveSnapshot) -> list[str]:
    """One line of figures, then one for each backlog and each waiting audience."""
    counts = now.counts
    parts = [
        time.strftime("%H:%M:%S"),
        f"{now.tally.read:,} read",
        *([f"{now.tally.invalid:,} invalid"] if now.tally.invalid else []),
        f"queue {now.queue:,}" + (f" + {now.waiting:,} waiting" if now.waiting else ""),
        f"lag {now.lag:.1f} s (95%: {now.lag_95:.1f} s)",
        f"{counts.added:,} added, {counts.removed:,} removed",
        *([f"{counts.rejected:,} rejected"] if counts.rejected else []),
        plural(counts.requests, "request"),
        *([refused_words(now.refused)] if now.refused else []),
    ]
    waiting = [
        f"{clean(audience.name)} {clean(audience.state, 200)}{_removal(audience)}"
        for audience in now.audiences
        if audience.state
    ]
    return ["  ".join(parts), *(f"  {text}" for text in (*backlog(now), *waiting))]


def _removal(audience: LiveAudience) -> str:
    """What an audience waits to remove, and the command that sends it."""
    if not audience.would_remove:
        return ""
    command = f"amp-console sync {quote(clean(audience.key))}"
    return f" (removes {audience.would_remove}). To send it: {command}"


def backlog(now: LiveSnapshot) -> list[str]:
    """The progress of large files that are not yet read to the end."""
    found = [
        (source.name, source.position or 0, source.size)
        for source in now.sources
        if source.size and source.size - (source.position or 0) >= BACKLOG
    ]
    return [
        f"{clean(name, 60)}: {position / size:.0%} of {size / 1_000_000:,.0f} MB read"
        for name, position, size in found[:MAX_BACKLOGS]
    ]


class _Printer:
    """Prints a line every ten seconds, and alerts at once."""

    def __init__(self, options: LiveOptions, *, as_json: bool) -> None:
        self._as_json = as_json
        self._printed_at = -EVERY
        self._alerts = Alerts(limits_for(options))
        self._is_unread = False

    def __call__(self, now: LiveSnapshot) -> None:
        for alert in self._alerts.observe(now):
            say(alert.text, err=True)
        if time.monotonic() - self._printed_at >= EVERY:
            self.print(now)

    def print(self, now: LiveSnapshot) -> None:
        """Print the figures of a snapshot."""
        self._printed_at = time.monotonic()
        if self._as_json:
            say_json(msgspec.json.encode(live_document(now)))
        else:
            say(*line(now))
        if not self._is_unread and not is_read():
            self._is_unread = True
            say("The output was closed. Events are still delivered.", err=True)


def run_live(
    context: RunContext, options: LiveOptions, source: EventStream, *, as_json: bool
) -> Exit:
    """Run a live session until SIGTERM or SIGINT, then deliver what is pending.

    The second signal cancels the requests in flight and raises KeyboardInterrupt; everything is
    kept.
    """
    printer = _Printer(options, as_json=as_json)
    report = asyncio.run(_run(context, options, source, printer))
    printer.print(report.last)
    for sentence in _left(report):
        say(sentence, err=True)
    return _exit_of(report)


def _exit_of(report: LiveReport) -> Exit:
    """Return the exit status of a session: not 0 while users are rejected."""
    if report.keys_refused:
        return Exit.KEYS
    only_waits = report.last.waiting and not (report.pending or report.uncertain)
    if report.status is RunStatus.STOPPED and not only_waits:
        return Exit.STOPPED
    is_left = report.rejected or report.status is not RunStatus.DELIVERED
    return Exit.PARTIAL if is_left else Exit.DELIVERED


def _left(report: LiveReport) -> list[str]:
    """Say what was not delivered, and what delivers it."""
    last = report.last
    found = [report.keys_refused] if report.keys_refused else []
    if total := last.queue + last.waiting:
        named = ", ".join(pending_by_audience(last.audiences))
        found.append(f"Ended with {plural(total, 'user')} pending: {named}. {_next(last)}")
    if report.uncertain:
        found.append(
            f"Ended with {plural(report.uncertain, 'user')} not yet certain. "
            "The next run or session confirms them again."
        )
    errors = []
    if report.rejected:
        is_one = report.rejected == 1
        errors.append(f"{plural(report.rejected, 'user')} {'is' if is_one else 'are'} rejected")
    if invalid := last.tally.invalid:
        errors.append(f"{plural(invalid, 'event')} {'was' if invalid == 1 else 'were'} invalid")
    if errors:
        found.append(f"{' and '.join(errors)}. To see why: amp-console errors")
    return found


def _next(last: LiveSnapshot) -> str:
    """Say what delivers the users who are pending after a session."""
    if not last.queue:
        return "They stay pending until you resolve that."
    if not last.waiting:
        return "The next run or session delivers them."
    waiting = [f"“{clean(item.name)}”" for item in last.audiences if item.waits and item.queue]
    return f"The next run or session delivers them, except those of {', '.join(waiting)}."


async def _run(
    context: RunContext, options: LiveOptions, source: EventStream, printer: "_Printer"
) -> LiveReport:
    session = LiveSession(context, options, printer)

    def interrupted(task: "asyncio.Future[LiveReport]") -> None:
        if session.ending.is_set():
            task.cancel()
            return
        say(
            "Delivering pending changes before ending. Press Ctrl-C again to stop at once.",
            err=True,
        )
        session.end()

    return await with_signals(context.client, lambda: session.run(source), interrupted)
