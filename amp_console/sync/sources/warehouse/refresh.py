"""Refreshing an audience from its query: read everything, count, then apply or leave it be.

The list is a snapshot as of the moment before the query. Nothing changes until the query has
ended; one that fails, is cancelled, or is not confirmed changes nothing at all.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import closing

import msgspec

from amp_console.connections import KeysError, SettingsError
from amp_console.engage.batch import LISTED
from amp_console.ledger import Db, Ledger, sources
from amp_console.ledger.audience_queries import (
    AudienceQuery,
    LastRefresh,
    RefreshOutcome,
    keep_last_refresh,
)
from amp_console.ledger.audiences import Audience
from amp_console.ledger.event_log import LogEntry, LogKind, Severity, add_log_entry
from amp_console.ledger.snapshots import Removal
from amp_console.ledger.sources import ReadCounts
from amp_console.sync.ingest.snapshot import SnapshotReader, SnapshotReport, SnapshotState
from amp_console.sync.sources.warehouse.engine import Engine, WarehouseError
from amp_console.sync.sources.warehouse.reader import TIMEOUT, QueryCancelled, QueryReader
from amp_console.text import clean, plural
from amp_console.values import Refusal, now_in_microseconds

KEPT = "Nothing was changed."
NOTHING = Removal(0, 0, 0)
NO_ONE_REMOVED = "While rows are refused, members who are not listed stay."
MAX_LENGTH = 1_000  # characters of a sentence that quotes a server
MAX_NAME_LENGTH = 200
MAX_IGNORED = 5  # columns that a sentence names

_OUTCOME = {
    SnapshotState.APPLIED: RefreshOutcome.APPLIED,
    SnapshotState.INCOMPLETE: RefreshOutcome.INCOMPLETE,
    SnapshotState.ASKS: RefreshOutcome.ASKS,
    SnapshotState.DECLINED: RefreshOutcome.DECLINED,
}


class RefreshReport(msgspec.Struct, frozen=True):
    """What a query returned, and what the refresh did with that.

    `refused` counts its rows without a usable identifier, `duplicates` those of someone listed
    before. `question` is what there is to confirm where it asks. `notes` are sentences.
    """

    audience: Audience
    source: str
    outcome: RefreshOutcome
    seconds: float
    rows: int = 0
    refused: int = 0
    duplicates: int = 0
    removal: Removal = NOTHING
    entering: int = 0
    question: str = ""
    notes: tuple[str, ...] = ()

    @property
    def leaving(self) -> int:
        """How many members left, or would leave: no one where rows were refused."""
        return 0 if self.refused else self.removal.leaving


class AudienceRefresh:
    """One refresh of one audience; `run` may block for as long as the query takes.

    `open_engine` raises WarehouseError, KeysError or SettingsError. `timeout` is in seconds.
    With `is_dry` it counts only, and not even the log knows. With `asks_first` every change has to
    be confirmed, not only one that removes many.
    """

    def __init__(
        self,
        ledger: Ledger,
        audience: Audience,
        query: AudienceQuery,
        open_engine: Callable[[], Engine],
        *,
        timeout: float = TIMEOUT,
        is_dry: bool = False,
        asks_first: bool = False,
        now: Callable[[], int] = now_in_microseconds,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._audience = audience
        self._query = query
        self._open_engine = open_engine
        self._timeout = timeout
        self._is_dry = is_dry
        self._asks_first = asks_first
        self._now = now
        self._monotonic = monotonic
        self._snapshot = SnapshotReader(ledger, now=now)
        self._reader: QueryReader | None = None
        self._is_cancelled = False
        self._at = 0

    @property
    def rows(self) -> int:
        """How many rows were read so far; any thread may ask."""
        return self._reader.rows if self._reader else 0

    def cancel(self) -> None:
        """Cancel the query, from any thread; call it again until `run` has returned."""
        self._is_cancelled = True
        if self._reader:
            self._reader.cancel()

    def run(self) -> RefreshReport:
        """Run the query, and apply what it lists unless that has to be confirmed.

        Raises `LedgerError`.
        """
        started, self._at = self._monotonic(), self._now()
        try:
            with closing(self._open_engine()) as engine:
                report = self._read(engine)
        except (WarehouseError, KeysError, SettingsError) as error:
            self._snapshot.discard()
            is_cancelled = isinstance(error, QueryCancelled)
            outcome = RefreshOutcome.CANCELLED if is_cancelled else RefreshOutcome.FAILED
            said = error.sentence(KEPT) if isinstance(error, WarehouseError) else f"{error} {KEPT}"
            report = self._report(outcome, rows=self.rows, notes=(said,))
        report = msgspec.structs.replace(report, seconds=self._monotonic() - started)
        if report.outcome is not RefreshOutcome.ASKS:
            self._keep(report)
        return report

    def confirm(self, asked: RefreshReport) -> RefreshReport:
        """Apply what asks; where more people would leave by now, it asks again."""
        report = self._ended(asked, self._applied(asked))
        if report.outcome is not RefreshOutcome.ASKS:
            self._keep(report)
        return report

    def decline(self, asked: RefreshReport) -> RefreshReport:
        """Change nothing."""
        self._snapshot.discard()
        report = msgspec.structs.replace(
            asked, outcome=RefreshOutcome.DECLINED, notes=(f"It was not confirmed. {KEPT}",)
        )
        self._keep(report)
        return report

    def _read(self, engine: Engine) -> RefreshReport:
        audience = self._audience
        self._reader = reader = QueryReader(
            engine,
            self._query.source,
            self._query.sql,
            audience.ref,
            timeout=self._timeout,
            now=self._now,
        )
        if self._is_cancelled:
            raise QueryCancelled
        source_id = 0
        refusals: list[Refusal] = []
        with reader:
            if not self._is_dry:
                source_id = self._ledger.write(self._begin_source)
            self._snapshot.begin(audience.id, source_id, reader.taken_at, reader.id_types)
            for batch in reader:
                self._snapshot.add(batch)
                refusals += batch.refusals[: LISTED - len(refusals)]
        refused = reader.refused.total()
        read = self._report(
            RefreshOutcome.DRY_RUN,
            rows=reader.rows,
            refused=refused,
            entering=self._snapshot.entering(),
            notes=tuple(_notes(reader)),
        )
        if self._is_dry:
            removal = self._snapshot.insist().removal or NOTHING
            self._snapshot.discard()
            read = _counting(read, removal)
            return msgspec.structs.replace(read, notes=(*read.notes, *_expected(reader, removal)))
        unlisted = reader.refused.copy()
        for refusal in refusals:
            unlisted[refusal.reason] -= 1
        counts = ReadCounts(reader.rows, reader.rows - refused, 0, refused)
        self._ledger.write(sources.account, source_id, counts, {}, refusals, +unlisted)
        if refused:
            self._snapshot.note_problem(_refused(reader))
        if self._asks_first:
            asked = self._ended(read, self._snapshot.insist())
            if asked.entering or asked.leaving:
                return asked
        return self._ended(read, self._finished())

    def _applied(self, asked: RefreshReport) -> SnapshotReport:
        """What was confirmed, applied; a list with refused rows removes no one."""
        return self._finished() if asked.refused else self._snapshot.confirm(asked.removal)

    def _finished(self) -> SnapshotReport:
        ended = self._snapshot.finish(was_stopped=False)
        assert ended is not None  # something was read
        return ended

    def _begin_source(self, db: Db) -> int:
        """The source of its rows in the ledger, the same for every refresh of an audience."""
        name = f"{self._query.source}: query of {self._audience.key}"
        return sources.begin_source(db, name, f"query:{self._audience.id}", self._now())

    def _ended(self, read: RefreshReport, ended: SnapshotReport) -> RefreshReport:
        outcome = _OUTCOME[ended.state]
        notes = (*(ended.note,) * bool(ended.note), *read.notes, *ended.problems)
        if read.refused:
            notes += (NO_ONE_REMOVED,)
        return msgspec.structs.replace(
            _counting(read, ended.removal or read.removal),
            outcome=outcome,
            question=ended.question("query") if outcome is RefreshOutcome.ASKS else "",
            notes=tuple(dict.fromkeys(notes)),
        )

    def _report(self, outcome: RefreshOutcome, **more: object) -> RefreshReport:
        return RefreshReport(self._audience, self._query.source, outcome, 0.0, **more)  # type: ignore[arg-type]

    def _keep(self, report: RefreshReport) -> None:
        """Keep the outcome, with the query and in the log."""
        if self._is_dry:
            return
        note = clean(" ".join(report.notes), MAX_LENGTH)
        last = LastRefresh(self._at, report.seconds, report.rows, report.outcome, note)
        is_good = report.outcome is RefreshOutcome.APPLIED
        name = clean(self._audience.name, MAX_NAME_LENGTH)
        text = f"Refresh of “{name}” from {report.source}: {report.outcome}."
        if report.outcome is not RefreshOutcome.FAILED:
            text += f" {counted(report)}."
        if note and not is_good:
            text += f" {note}"
        entry = LogEntry(
            self._now(),
            LogKind.IMPORT,
            text,
            Severity.INFORMATION if is_good else Severity.WARNING,
            audience_id=self._audience.id,
        )

        def write(db: Db) -> None:
            keep_last_refresh(db, self._audience.id, last)
            add_log_entry(db, entry)

        self._ledger.write(write)


def _counting(report: RefreshReport, removal: Removal) -> RefreshReport:
    """Add to a report what a snapshot would change, or has changed."""
    duplicates = report.rows - report.refused - removal.listed
    return msgspec.structs.replace(report, removal=removal, duplicates=duplicates)


def counted(report: RefreshReport) -> str:
    """What a query returned, in words: "48,210 listed, 12 entering, 3 leaving"."""
    parts = [f"{report.removal.listed:,} listed"]
    parts += [f"{report.entering:,} entering", f"{report.leaving:,} leaving"]
    if report.refused:
        parts.append(f"{plural(report.refused, 'row')} refused")
    if report.duplicates:
        parts.append(plural(report.duplicates, "duplicate"))
    return ", ".join(parts)


def _notes(reader: QueryReader) -> list[str]:
    if not reader.ignored:
        return []
    names = ", ".join(clean(name) for name in reader.ignored[:MAX_IGNORED])
    more = len(reader.ignored) - MAX_IGNORED
    names += f" and {plural(more, 'more column')}" if more > 0 else ""
    return [f"Columns not used: {names}."]


def _expected(reader: QueryReader, removal: Removal) -> Iterator[str]:
    """What a refresh would say that is not dry."""
    if reader.refused:
        yield _refused(reader)
        yield NO_ONE_REMOVED
    elif removal.needs_consent:
        yield "A refresh asks before it removes so many members."


def _refused(reader: QueryReader) -> str:
    reasons = "; ".join(f"{reason} ({count:,})" for reason, count in reader.refused.most_common(3))
    were = "row was" if reader.refused.total() == 1 else "rows were"
    return (
        f"{reader.refused.total():,} {were} refused: {reasons}. Leave such rows out in the query, "
        "so that the list is complete."
    )
