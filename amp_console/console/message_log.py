"""The console's messages to its operator, kept in the log of the open connection."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

from amp_console.console.session import Session
from amp_console.ledger.errors import LedgerClosed
from amp_console.ledger.event_log import LogEntry, LogKind, Severity, add_local_entry

MAX_UNSAVED = 1_000  # messages


class MessageLog:
    """Writes messages into the ledger, in the ledger's thread and in order.

    Without an open connection, or if its ledger can't be written, they wait in `unsaved`, the
    oldest first, with ids below 0.
    """

    def __init__(self, session: Callable[[], Session | None]) -> None:
        self.unsaved: deque[LogEntry] = deque(maxlen=MAX_UNSAVED)
        self._session = session
        self._count = 0

    def add(self, text: str, severity: Severity, now: int) -> None:
        """Log a message; `now` is in microseconds since 1970."""
        self._count += 1
        entry = LogEntry(now, LogKind.MESSAGE, text, severity, id=-self._count)
        self.unsaved.append(entry)
        self.flush()

    def flush(self) -> None:
        """Write the unsaved messages, if a connection is open."""
        session = self._session()
        while session is not None and self.unsaved:
            entry = self.unsaved.popleft()
            try:
                writing = session.ledger.submit(add_local_entry, entry)
            except LedgerClosed:  # only just
                self.unsaved.appendleft(entry)
                return
            writing.add_done_callback(_returner(self.unsaved, entry))


def _returner(unsaved: deque[LogEntry], entry: LogEntry) -> Callable[["Future[None]"], None]:
    def return_if_failed(writing: "Future[None]") -> None:
        if writing.cancelled() or writing.exception() is not None:
            unsaved.append(entry)

    return return_if_failed
