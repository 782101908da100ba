"""Running a live session for a command: figures every ten seconds, and an orderly end."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING

from amp_console.cli.exits import Exit
from amp_console.cli.interrupts import with_signals
from amp_console.cli.options import ServiceOptions
from amp_console.cli.output import is_read, say
from amp_console.cli.session_log import SessionEvent, SessionFormat, SessionLog
from amp_console.ledger.runs import RunStatus
from amp_console.sync.delivery.context import RunContext
from amp_console.sync.live.alerts import Alerts, limits_for
from amp_console.sync.live.options import LiveOptions
from amp_console.sync.live.progress import LiveReport, LiveSnapshot, pending_by_audience
from amp_console.sync.live.session import LiveSession
from amp_console.sync.sources.protocols import EventStream
from amp_console.sync.sources.streams import StreamGroup
from amp_console.text import clean, listed, plural

if TYPE_CHECKING:
    from starlette.routing import Route

    from amp_console.sync.live.monitoring import Monitoring

EVERY = 10.0  # seconds between two printed lines


class _Printer:
    """Prints a line every ten seconds, and alerts at once."""

    def __init__(self, options: LiveOptions, log: SessionLog) -> None:
        self._log = log
        self._printed_at = -EVERY
        self._alerts = Alerts(limits_for(options))
        self._is_unread = False

    def __call__(self, now: LiveSnapshot) -> None:
        for alert in self._alerts.observe(now):
            event = SessionEvent.ALERT_OVER if alert.is_over else SessionEvent.ALERT
            self._log.write(event, alert.text)
        if time.monotonic() - self._printed_at >= EVERY:
            self.print(now)

    def print(self, now: LiveSnapshot) -> None:
        """Print the figures of a snapshot."""
        self._printed_at = time.monotonic()
        self._log.figures(now)
        if not self._is_unread and not is_read():
            self._is_unread = True
            say("The output was closed. Events are still delivered.", err=True)


def run_logged(service: ServiceOptions, work: Callable[[SessionLog], Exit]) -> Exit:
    """Run the work of a command with the log of its session.

    Raises what the work raises, unless the log is JSON: then failures are in the log.
    """
    log = SessionLog(_format_of(service))
    try:
        return work(log)
    except Exception as error:
        if not log.is_records:
            raise
        from amp_console.cli.failures import failure

        status = failure(error)
        if status is None:
            raise
        log.write(SessionEvent.FAILED, str(error))
        return status


class LiveCommand:
    """A live session of a command, with its metrics and health checks."""

    def __init__(
        self,
        context: RunContext,
        options: LiveOptions,
        service: ServiceOptions,
        log: SessionLog,
    ) -> None:
        self.log = log
        self._context = context
        self._service = service
        self._printer = _Printer(options, self.log)
        self._session = LiveSession(context, options, self._printer)

    def receiver_routes(self) -> "list[Route]":
        """The receiver's routes beside webhooks; metrics only if they have no separate port."""
        monitoring = self._monitoring()
        own = [monitoring.metrics_route()] if self._service.metrics_port is None else []
        return [*monitoring.health_routes(), *own]

    def run(self, open_sources: Callable[[], Iterable[EventStream]]) -> Exit:
        """Open the sources, run until SIGTERM or SIGINT, then deliver pending changes.

        The second signal cancels the requests in flight and raises KeyboardInterrupt; everything is
        kept. Raises what opening the sources raises, `CannotBind` for the metrics, and what
        `LiveSession.run` raises.
        """
        report = asyncio.run(self._run(StreamGroup(*open_sources())))
        self._printer.print(report.last)
        for event, sentence, fields in _left(report):
            self.log.write(event, sentence, **fields)
        return _exit_of(report)

    async def _run(self, source: EventStream) -> LiveReport:
        def interrupted(task: "asyncio.Future[LiveReport]") -> None:
            if self._session.ending.is_set():
                task.cancel()
                return
            self.log.write(
                SessionEvent.ENDING,
                "Delivering pending changes before ending. Press Ctrl-C again to stop at once.",
            )
            self._session.end()

        async with self._served():
            return await with_signals(
                self._context.client, lambda: self._session.run(source), interrupted
            )

    def _served(self) -> AbstractAsyncContextManager[None]:
        """Serve the metrics port, if there is one. Raises `CannotBind`."""
        host, port = self._service.metrics_host, self._service.metrics_port
        if port is None:
            return nullcontext()
        from amp_console.sync.live.monitoring import served
        from amp_console.sync.sources.http_server import listen_on, url_of

        monitoring, listener = self._monitoring(), listen_on(host, port)
        url = f"{url_of(host, port)}metrics"
        self.log.write(SessionEvent.METRICS, f"Metrics on {url}", url=url)
        return served([*monitoring.health_routes(), monitoring.metrics_route()], listener)

    def _monitoring(self) -> "Monitoring":
        from amp_console.sync.live.monitoring import Monitoring

        return Monitoring(self._session, self._context.ledger)


def _format_of(service: ServiceOptions) -> SessionFormat:
    if service.log_format == "json":
        return SessionFormat.RECORDS
    return SessionFormat.FIGURES if service.as_json else SessionFormat.LINES


def _exit_of(report: LiveReport) -> Exit:
    """Return the exit status of a session: not 0 while users have failed."""
    if report.keys_refused:
        return Exit.KEYS
    only_waits = report.last.waiting and not (report.pending or report.uncertain)
    if report.status is RunStatus.STOPPED and not only_waits:
        return Exit.STOPPED
    is_left = report.rejected or report.unidentified or report.status is not RunStatus.DELIVERED
    return Exit.PARTIAL if is_left else Exit.DELIVERED


def _left(report: LiveReport) -> Iterator[tuple[SessionEvent, str, dict[str, int]]]:
    """Say what was not delivered, and what will deliver it; with the counts as fields."""
    last = report.last
    if report.keys_refused:
        yield SessionEvent.KEYS_REFUSED, report.keys_refused, {}
    if total := last.queue + last.waiting:
        named = ", ".join(pending_by_audience(last.audiences))
        text = f"Ended with {plural(total, 'change')} pending: {named}. {_next(last)}"
        yield SessionEvent.PENDING, text, {"pending": total}
    if report.uncertain:
        text = (
            f"Ended with {plural(report.uncertain, 'user')} not yet certain. "
            "The next run or session confirms them again."
        )
        yield SessionEvent.UNCERTAIN, text, {"uncertain": report.uncertain}
    errors = []
    if report.rejected:
        errors.append(f"{plural(report.rejected, 'user is', 'users are')} rejected")
    if unidentified := report.unidentified:
        errors.append(plural(unidentified, "user has a missing ID", "users have missing IDs"))
    if invalid := last.tally.invalid:
        errors.append(f"{plural(invalid, 'event was', 'events were')} invalid")
    if errors:
        text = f"{listed(errors)}. To see why: amp-console errors"
        counts = {"rejected": report.rejected, "unidentified": unidentified, "invalid": invalid}
        yield SessionEvent.ERRORS, text, counts


def _next(last: LiveSnapshot) -> str:
    """Say what will deliver the users who are pending after a session."""
    if not last.queue:
        return "They stay pending until you resolve that."
    if not last.waiting:
        return "The next run or session delivers them."
    waiting = [f"“{clean(item.name)}”" for item in last.audiences if item.waits and item.queue]
    return f"The next run or session delivers them, except those of {', '.join(waiting)}."
