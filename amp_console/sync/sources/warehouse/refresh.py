"""Refreshing an audience from its query: read everything, count, then apply or discard it.

A list is a snapshot as of the moment before the query; changes have their own times. Nothing
changes until the query has ended. If it fails, is cancelled, or is not confirmed, nothing changes
at all.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import msgspec

from amp_console.connections import KeysError, SettingsError
from amp_console.engage.batch import LISTED
from amp_console.ledger import Db, Ledger, LedgerError, sources
from amp_console.ledger.applied_lists import applied_lists
from amp_console.ledger.audience_queries import (
    AudienceQuery,
    LastRefresh,
    RefreshOutcome,
    keep_last_refresh,
    query_of,
)
from amp_console.ledger.audiences import Audience
from amp_console.ledger.event_log import LogEntry, LogFilter, LogKind, Severity, add_log_entry
from amp_console.ledger.snapshots import Removal
from amp_console.ledger.sources import ReadCounts
from amp_console.sync.ingest.snapshot import SnapshotReport, SnapshotState
from amp_console.sync.sources.warehouse.engine import Engine, WarehouseError
from amp_console.sync.sources.warehouse.reader import (
    AND,
    TIMEOUT,
    ChangesFrom,
    QueryCancelled,
    QueryReader,
    RunningQuery,
)
from amp_console.sync.sources.warehouse.rows import columns_not_used
from amp_console.sync.sources.warehouse.staging import (
    StagedChangeRows,
    StagedList,
    StagedRows,
)
from amp_console.text import clean, plural
from amp_console.values import Refusal, now_in_microseconds

KEPT = "Nothing was changed."
NOTHING = Removal(0, 0, 0)
LARGE_REMOVAL = "A refresh asks before it removes this many members."
MAX_LENGTH = 1_000  # characters of a sentence that quotes a server
MAX_NAME_LENGTH = 200

_OUTCOME = {
    SnapshotState.APPLIED: RefreshOutcome.APPLIED,
    SnapshotState.INCOMPLETE: RefreshOutcome.INCOMPLETE,
    SnapshotState.ASKS: RefreshOutcome.ASKS,
    SnapshotState.DECLINED: RefreshOutcome.DECLINED,
}
_TAKEN = {RefreshOutcome.APPLIED, RefreshOutcome.INCOMPLETE}
_LOGGED_HEAD = re.compile(rf"\ARefresh of “.*?” from .*?: (?=(?:{'|'.join(RefreshOutcome)})\.)")


class RefreshReport(msgspec.Struct, frozen=True):
    """What a query returned, and what the refresh did with it.

    `refused` counts the rows that can't be used, `duplicates` those of someone listed before.
    `question` is what there is to confirm, if it asks. `notes` are sentences. For a query that
    lists changes (`is_changes`), `removal.listed` counts these.
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
    is_changes: bool = False

    @property
    def leaving(self) -> int:
        """How many members left, or would leave: none by a list with refused rows."""
        return 0 if self.refused and not self.is_changes else self.removal.leaving


class AudienceRefresh:
    """One refresh of one audience; `run` may block for as long as the query takes.

    `open_engine` raises WarehouseError, KeysError or SettingsError. `timeout` is in seconds. With
    `is_dry`, it only counts, and is not even logged. With `asks_first`, every change has to be
    confirmed, not only one that removes many. Unless it `logs_repeats`, a refresh that changes no
    one and ends like the previous one is not logged.
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
        logs_repeats: bool = True,
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
        self._logs_repeats = logs_repeats
        self._now = ledger.clock(now)
        self._monotonic = monotonic
        kind = StagedChangeRows if query.is_changes else StagedList
        self._staged: StagedRows = kind(ledger, query, now)
        self._running = RunningQuery()
        self._is_unfinished = False  # a changed type is confirmed first
        self._rows_read: tuple[QueryReader, list[Refusal]] | None = None
        self._at = 0

    @property
    def rows(self) -> int:
        """How many rows were read so far; any thread may ask."""
        return self._running.rows

    def cancel(self) -> None:
        """Cancel the query, from any thread; call it again until `run` has returned."""
        self._running.cancel()

    def run(self) -> RefreshReport:
        """Run the query, and apply what it lists unless that has to be confirmed.

        Raises `LedgerError`.
        """
        started, self._at = self._monotonic(), self._now()
        try:
            reader, refusals = self._read()
            report = self._apply_staged(reader, refusals)
        except (WarehouseError, KeysError, SettingsError) as error:
            report = self._failed(error)
        except BaseException:
            with suppress(LedgerError):
                self._staged.discard()
            raise
        report = msgspec.structs.replace(report, seconds=self._monotonic() - started)
        if report.outcome is not RefreshOutcome.ASKS:
            self._keep(report)
        return report

    def confirm(self, asked: RefreshReport) -> RefreshReport:
        """Apply what was confirmed; it asks again if more people would leave by now."""
        is_unfinished, self._is_unfinished = self._is_unfinished, False
        staged = self._staged
        try:
            self._check_is_set()
        except QueryReplaced as error:
            report = self._failed(error)
        else:
            ended = (staged.finish if is_unfinished else staged.confirm)(asked.removal)
            report = self._ended(asked, ended)
        if report.outcome is not RefreshOutcome.ASKS:
            self._keep(report)
        return report

    def decline(self, asked: RefreshReport) -> RefreshReport:
        """Change nothing."""
        report = msgspec.structs.replace(
            asked, outcome=RefreshOutcome.DECLINED, notes=(f"It was not confirmed. {KEPT}",)
        )
        self._keep(report)
        return report

    def _read(self) -> tuple[QueryReader, list[Refusal]]:
        """Stage all rows; return their reader, and the first ones that were refused.

        The warehouse is closed before the ledger's longest transaction begins: a server keeps no
        connection open for it, and DuckDB gives back the 36 MiB that it took for 2,000,000 rows.
        """
        query = self._query
        refusals: list[Refusal] = []
        with closing(self._open_engine()) as engine:
            reader = self._running.read_by(
                QueryReader(
                    engine,
                    query.sql,
                    self._audience.ref,
                    changes=ChangesFrom(query.cursor, query.overlap) if query.is_changes else None,
                    timeout=self._timeout,
                    now=self._now if query.is_changes else self._after_last_list,
                )
            )
            with reader:
                source_id = 0 if self._is_dry else self._ledger.write(self._begin_source)
                self._staged.begin(reader, source_id)
                for batch in reader:
                    self._staged.add(batch)
                    refusals += batch.refusals[: LISTED - len(refusals)]
        return reader, refusals

    def _after_last_list(self) -> int:
        """The time, but always later than that of the last list, which was applied before.

        Otherwise, after a clock was set back, no list would count until that time is reached again.
        """
        lists = self._ledger.read(applied_lists, self._audience.id).values()
        return max([self._now(), *(item.at + 1 for item in lists)])

    def _apply_staged(self, reader: QueryReader, refusals: list[Refusal]) -> RefreshReport:
        """Count what the staged rows change, and apply them unless that has to be confirmed."""
        query = self._query
        self._check_is_set()
        self._rows_read = reader, refusals
        found = self._staged.flips()
        read = self._report(
            RefreshOutcome.DRY_RUN,
            rows=reader.rows,
            refused=reader.refused.total(),
            entering=found.entering,
            notes=tuple(_remarks(reader, query)),
        )
        read = _counting(read, found.removal)
        question = _changed_types(query.column_types, reader.types)
        if self._is_dry:
            asks = found.removal.needs_consent and bool(read.leaving)
            expected = (question, *self._staged.problems(), LARGE_REMOVAL * asks)
            return msgspec.structs.replace(read, notes=(*read.notes, *filter(None, expected)))
        if self._asks_first and (read.entering or read.leaving):
            asked = self._ended(read, self._staged.insist(found.removal))
            notes = (*(question,) * bool(question), *asked.notes)
            question = f"{question} {asked.question}".strip()
            return msgspec.structs.replace(asked, question=question, notes=notes)
        if question:
            self._is_unfinished = True
            return msgspec.structs.replace(read, outcome=RefreshOutcome.ASKS, question=question)
        return self._ended(read, self._staged.finish(found.removal))

    def _check_is_set(self) -> None:
        """Raise QueryReplaced if the audience has another query by now, or none."""
        ran, known = self._query, self._ledger.read(query_of, self._query.audience_id)
        if known is None or (known.source, known.sql, known.set_at) != (
            ran.source,
            ran.sql,
            ran.set_at,
        ):
            raise QueryReplaced

    def _failed(self, error: WarehouseError | KeysError | SettingsError) -> RefreshReport:
        is_cancelled = isinstance(error, QueryCancelled)
        outcome = RefreshOutcome.CANCELLED if is_cancelled else RefreshOutcome.FAILED
        message = f"{str(error).rstrip('.')}. {KEPT}"
        said = error.sentence(KEPT) if isinstance(error, WarehouseError) else message
        return self._report(outcome, rows=self.rows, notes=(said,))

    def _account(self, db: Db, *, is_applied: bool) -> None:
        """Record the refused rows; the others count if they were applied."""
        if self._rows_read is None:
            return
        reader, refusals = self._rows_read
        refused = reader.refused.total()
        unlisted = reader.refused.copy()
        for refusal in refusals:
            unlisted[refusal.reason] -= 1
        taken = reader.rows - refused if is_applied else 0
        counts = ReadCounts(taken + refused, taken, 0, refused)
        # Begun again: another refresh may have ended since this one began.
        source_id = self._begin_source(db)
        sources.account(db, source_id, counts, {}, refusals, +unlisted)

    def _begin_source(self, db: Db) -> int:
        """The source of its rows in the ledger, the same for every refresh of an audience."""
        name = f"{self._query.source}: query of {self._audience.key}"
        return sources.begin_source(db, name, f"query:{self._audience.id}", self._now())

    def _ended(self, read: RefreshReport, ended: SnapshotReport) -> RefreshReport:
        outcome = _OUTCOME[ended.state]
        notes = (*(ended.note,) * bool(ended.note), *read.notes, *ended.problems)
        return msgspec.structs.replace(
            _counting(read, ended.removal or read.removal),
            outcome=outcome,
            question=self._staged.question(ended) if outcome is RefreshOutcome.ASKS else "",
            notes=tuple(dict.fromkeys(notes)),
        )

    def _report(self, outcome: RefreshOutcome, **more: object) -> RefreshReport:
        kind = self._query.is_changes
        return RefreshReport(
            self._audience,
            self._query.source,
            outcome,
            0.0,
            is_changes=kind,
            **more,  # type: ignore[arg-type]
        )

    def _keep(self, report: RefreshReport) -> None:
        """Record the outcome with the query and in the log, and drop the rows."""
        self._staged.discard()
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

        reader = self._running.reader
        types = reader.types if reader and report.outcome in _TAKEN else {}
        is_logged = self._logs_repeats or not self._is_repeat(report, last)

        def write(db: Db) -> None:
            self._account(db, is_applied=report.outcome in _TAKEN)
            keep_last_refresh(db, self._query, last, types)
            if is_logged:
                add_log_entry(db, entry)

        self._ledger.write(write)

    def _is_repeat(self, report: RefreshReport, last: LastRefresh) -> bool:
        """Whether a refresh changed no one, and ended as the one before."""
        before = self._query.last
        has_moved = report.outcome in _TAKEN and (report.entering or report.leaving)
        return bool(
            before and not has_moved and (before.outcome, before.note) == (last.outcome, last.note)
        )


def logged_refreshes(audience_id: int) -> LogFilter:
    """The filter for log entries about refreshes of an audience."""
    return LogFilter(kinds=(LogKind.IMPORT,), audience_id=audience_id)


def logged_words(entry: LogEntry) -> str:
    """The text of such an entry without its source and its audience, whose name may have changed.

    "applied. 10 listed, 10 entering, 0 leaving."
    """
    return _LOGGED_HEAD.sub("", entry.text, count=1)


class QueryReplaced(WarehouseError):
    """The query was set again or removed while it ran: its result is no longer wanted."""

    def __init__(self) -> None:
        super().__init__(
            "The query of this audience was set again or removed after it had begun.",
            "Refresh again to run the query that it has now.",
        )


def _counting(report: RefreshReport, removal: Removal) -> RefreshReport:
    """Add to a report what a snapshot would change, or has changed."""
    duplicates = report.rows - report.refused - removal.listed
    return msgspec.structs.replace(report, removal=removal, duplicates=duplicates)


def counted(report: RefreshReport) -> str:
    """What a query returned, in words: "48,210 listed, 12 entering, 3 leaving"."""
    listed = report.removal.listed
    parts = [plural(listed, "change") if report.is_changes else f"{listed:,} listed"]
    parts += [f"{report.entering:,} entering", f"{report.leaving:,} leaving"]
    if report.refused:
        parts.append(f"{plural(report.refused, 'row')} refused")
    if report.duplicates:
        parts.append(plural(report.duplicates, "duplicate"))
    return ", ".join(parts)


def _remarks(reader: QueryReader, query: AudienceQuery) -> Iterator[str]:
    if reader.ignored:
        yield columns_not_used(reader.ignored)
    # A query of changes that never returned one may compare its cursor with something else.
    if query.is_changes and query.cursor is None and not reader.rows:
        yield "The query has returned no changes yet. Check how it compares :cursor."


def _changed_types(before: dict[str, str], now: dict[str, str]) -> str:
    """What there is to confirm if columns have changed their types; "" if none has."""
    changed = [
        f"The column {name} has changed its type since the last refresh, from {before[name]} to "
        f"{now[name]}."
        for name in now
        if not {*now[name].split(AND)} <= {*before.get(name, now[name]).split(AND)}
    ]
    return " ".join([*changed, "Check that it still holds the same values."]) if changed else ""
