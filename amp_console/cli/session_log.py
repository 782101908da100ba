"""What a live session of a command prints: lines for people, or JSON for a log collector."""

import enum
import time
from datetime import UTC, datetime
from shlex import quote

import msgspec

from amp_console.cli.documents import RefusedDocument, refused_documents
from amp_console.cli.output import say, say_json
from amp_console.sync.formatting import refused_words
from amp_console.sync.ingest.report import news_of
from amp_console.sync.live.progress import LiveAudience, LiveSnapshot
from amp_console.sync.sources.protocols import SourceStatus
from amp_console.text import clean, plural

BACKLOG = 1_000_000  # unread bytes of a file, from which on its progress is shown
MAX_BACKLOGS = 3  # files


class SessionEvent(enum.StrEnum):
    """What a record of the JSON log is about."""

    LISTENING = "listening"
    METRICS = "metrics"
    FIGURES = "figures"
    ALERT = "alert"
    ALERT_OVER = "alert_over"
    ENDING = "ending"
    PENDING = "pending"
    UNCERTAIN = "uncertain"
    ERRORS = "errors"
    KEYS_REFUSED = "keys_refused"
    FAILED = "failed"


_WARNINGS = {
    SessionEvent.ALERT,
    SessionEvent.PENDING,
    SessionEvent.UNCERTAIN,
    SessionEvent.ERRORS,
}
_ERRORS = {SessionEvent.KEYS_REFUSED, SessionEvent.FAILED}


class SessionFormat(enum.StrEnum):
    """What is printed: lines, lines with the figures as JSON, or JSON records for everything."""

    LINES = "lines"
    FIGURES = "figures"
    RECORDS = "records"


class LiveDocument(msgspec.Struct, frozen=True):
    """One line of `--json`: all audiences together; times in seconds.

    `updated` counts the members that the `valid` events changed. `queue_waiting` counts changes of
    audiences that wait for the operator; `queue` excludes them. `lag_95_omits_waits`: some changes
    waited for the operator first, which does not count in `lag_95`.
    """

    at: str
    read: int
    valid: int
    updated: int
    filtered: int
    invalid: int
    queue: int
    queue_waiting: int
    lag: float
    lag_95: float
    lag_95_omits_waits: bool
    added: int
    removed: int
    rejected: int
    requests: int
    waiting: dict[str, str]
    trouble: dict[str, str]
    refused: list[RefusedDocument]


class SessionLog:
    """Prints figures on stdout and messages on stderr; as records, everything on stdout."""

    def __init__(self, style: SessionFormat) -> None:
        self._style = style

    @property
    def is_records(self) -> bool:
        """Whether everything is printed as JSON records."""
        return self._style is SessionFormat.RECORDS

    def write(self, event: SessionEvent, text: str, **fields: object) -> None:
        """Print a message; `fields` are its values for programs."""
        if self.is_records:
            _write_record(event, text, fields)
        else:
            say(text, err=True)

    def figures(self, now: LiveSnapshot) -> None:
        """Print the figures of a snapshot."""
        if self.is_records:
            _write_record(SessionEvent.FIGURES, figures_line(now), _figures(now))
        elif self._style is SessionFormat.FIGURES:
            say_json(msgspec.json.encode(live_document(now)))
        else:
            clock, first, *more = time.strftime("%H:%M:%S"), figures_line(now), *details(now)
            say(f"{clock}  {first}", *(f"  {text}" for text in more))


def _write_record(event: SessionEvent, text: str, fields: dict[str, object]) -> None:
    level = "error" if event in _ERRORS else "warning" if event in _WARNINGS else "info"
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    record = {"time": at, "level": level, "event": event, "message": text, **fields}
    say_json(msgspec.json.encode(record))


def _figures(now: LiveSnapshot) -> dict[str, object]:
    """The fields of the figures: those of `--json`, and what the lines say beyond them."""
    fields: dict[str, object] = msgspec.to_builtins(live_document(now))
    del fields["at"]  # every record has its time
    fields["would_remove"] = {
        audience.key: audience.would_remove for audience in now.audiences if audience.would_remove
    }
    fields["backlogs"] = [
        {"source": source.name, "position": source.position or 0, "size": source.size}
        for source in _backlogs(now)
    ]
    return fields


def live_document(now: LiveSnapshot) -> LiveDocument:
    """A snapshot of a session as a document."""
    counts, tally = now.counts, now.tally
    return LiveDocument(
        at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        read=tally.read,
        valid=tally.valid,
        updated=now.updated,
        filtered=tally.filtered,
        invalid=tally.invalid,
        queue=now.queue,
        queue_waiting=now.waiting,
        lag=round(now.lag, 3),
        lag_95=round(now.lag_95, 3),
        lag_95_omits_waits=now.omits_waits,
        added=counts.added,
        removed=counts.removed,
        rejected=counts.rejected,
        requests=counts.requests,
        waiting={audience.key: audience.state for audience in now.audiences if audience.state},
        trouble={source.name: source.trouble for source in now.sources if source.trouble},
        refused=refused_documents(now.refused),
    )


def figures_line(now: LiveSnapshot) -> str:
    """The figures on one line."""
    counts = now.counts
    omitted = ", not counting waits for you" if now.omits_waits else ""
    return "  ".join(
        [
            f"{now.tally.read:,} read" + (f" ({news_of(now.updated)})" if now.tally.valid else ""),
            *([f"{now.tally.invalid:,} invalid"] if now.tally.invalid else []),
            f"pending {now.queue:,}" + (f" + {now.waiting:,} waiting" if now.waiting else ""),
            f"lag {now.lag:.1f} s (95%: {now.lag_95:.1f} s{omitted})",
            f"{counts.added:,} added, {counts.removed:,} removed",
            *([f"{counts.rejected:,} rejected"] if counts.rejected else []),
            plural(counts.requests, "request"),
            *([refused_words(now.refused)] if now.refused else []),
        ]
    )


def details(now: LiveSnapshot) -> list[str]:
    """A line for the progress of each large file, then one for each waiting audience."""
    waiting = [
        f"{clean(audience.name)} {clean(audience.state, 200)}{_removal(audience)}"
        for audience in now.audiences
        if audience.state
    ]
    return [*backlog(now), *waiting]


def _removal(audience: LiveAudience) -> str:
    """How many members an audience is waiting to remove, and the command that removes them."""
    if not audience.would_remove:
        return ""
    command = f"amp-console sync {quote(clean(audience.key))}"
    return f" (removes {audience.would_remove}). To send it: {command}"


def backlog(now: LiveSnapshot) -> list[str]:
    """The progress of large files that are not yet read to the end."""
    return [
        f"{clean(source.name, 60)}: {(source.position or 0) / size:.0%} of "
        f"{size / 1_000_000:,.0f} MB read"
        for source in _backlogs(now)
        if (size := source.size)
    ]


def _backlogs(now: LiveSnapshot) -> list[SourceStatus]:
    found = [
        source
        for source in now.sources
        if source.size and source.size - (source.position or 0) >= BACKLOG
    ]
    return found[:MAX_BACKLOGS]
