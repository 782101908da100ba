"""The rows of a query between their reading and the ledger: staged, counted, then applied."""

from collections.abc import Callable
from typing import Protocol

from amp_console.engage import EventBatch
from amp_console.ledger import Ledger, staged_changes
from amp_console.ledger.audience_queries import AudienceQuery
from amp_console.ledger.audiences import audience
from amp_console.ledger.snapshots import Application, Removal
from amp_console.ledger.staged_changes import Flips, StagedChanges
from amp_console.sync.ingest.snapshot import (
    SnapshotReader,
    SnapshotReport,
    SnapshotState,
    apply_if_routine,
)
from amp_console.sync.sources.warehouse.reader import QueryReader
from amp_console.text import plural

COMPLETE_IT = "Leave such rows out in the query, so that the list is complete."
CORRECT_THEM = "Correct such rows, or leave them out in the query."
NO_ONE_REMOVED = "While rows are refused, members who are not listed stay."
READ_AGAIN = "The next refresh reads on from the first of them."


class StagedRows(Protocol):
    """The rows of one query. Every method may raise `LedgerError`.

    Counting takes long where there are millions, so a figure that was `counted` is passed on.
    Applying counts again, in its transaction.
    """

    def begin(self, reader: QueryReader, source_id: int) -> None:
        """Start; the rows are of this source in the ledger."""

    def add(self, batch: EventBatch) -> None:
        """Stage what was read next."""

    def flips(self) -> Flips:
        """Count who would enter and leave now."""

    def finish(self, counted: Removal) -> SnapshotReport:
        """Apply what was read to the end, unless that has to be confirmed."""

    def insist(self, counted: Removal) -> SnapshotReport:
        """Ask for it to be confirmed in any case."""

    def confirm(self, agreed: Removal) -> SnapshotReport:
        """Apply it; where more people would leave by now, it asks again."""

    def discard(self) -> None:
        """Drop what was staged, if anything was: nothing changes."""

    def problems(self) -> tuple[str, ...]:
        """What rows that were refused mean, in sentences."""

    def question(self, report: SnapshotReport) -> str:
        """What there is to confirm, in a sentence."""


class StagedList:
    """Rows that list the members of an audience."""

    def __init__(self, ledger: Ledger, query: AudienceQuery, now: Callable[[], int]) -> None:
        self._audience_id = query.audience_id
        self._snapshot = SnapshotReader(ledger, now=now)
        self._reader: QueryReader | None = None
        self.add, self.discard = self._snapshot.add, self._snapshot.discard

    def begin(self, reader: QueryReader, source_id: int) -> None:
        self._reader = reader
        self._snapshot.begin(self._audience_id, source_id, reader.taken_at, reader.id_types)

    def flips(self) -> Flips:
        return Flips(self._snapshot.entering(), self._snapshot.removal())

    def finish(self, counted: Removal) -> SnapshotReport:
        self._note_problems()
        ended = self._snapshot.finish(counted=counted)
        assert ended is not None  # something was read
        return ended

    def insist(self, counted: Removal) -> SnapshotReport:
        self._note_problems()
        return self._snapshot.insist(counted)

    def confirm(self, agreed: Removal) -> SnapshotReport:
        """A list with refused rows removes no one."""
        return self.finish(agreed) if self.problems() else self._snapshot.confirm(agreed)

    def problems(self) -> tuple[str, ...]:
        return _problems(self._reader, COMPLETE_IT, NO_ONE_REMOVED)

    def question(self, report: SnapshotReport) -> str:
        return report.question("query")

    def _note_problems(self) -> None:
        for problem in self.problems():
            self._snapshot.note_problem(problem)


class StagedChangeRows:
    """Rows that say who entered and who left an audience, and when."""

    def __init__(self, ledger: Ledger, query: AudienceQuery, now: Callable[[], int]) -> None:
        self._ledger = ledger
        self._query = query
        self._now = ledger.clock(now)
        self._source_id = 0
        self._staging = 0
        self._reader: QueryReader | None = None

    def begin(self, reader: QueryReader, source_id: int) -> None:
        self._reader, self._source_id = reader, source_id
        self._staging = self._ledger.stage(staged_changes.begin_changes)

    def add(self, batch: EventBatch) -> None:
        self._ledger.stage(staged_changes.add_changes, self._staging, batch.changes)

    def flips(self) -> Flips:
        return self._ledger.read(staged_changes.flips, self._staged)

    def finish(self, counted: Removal) -> SnapshotReport:
        return self._report(apply_if_routine(counted, self._apply))

    def insist(self, counted: Removal) -> SnapshotReport:
        return self._report(Application(counted, is_applied=False))

    def confirm(self, agreed: Removal) -> SnapshotReport:
        return self._report(self._apply(agreed))

    def discard(self) -> None:
        self._ledger.stage(staged_changes.drop_changes, self._staging)

    def problems(self) -> tuple[str, ...]:
        return _problems(self._reader, CORRECT_THEM, READ_AGAIN)

    def question(self, report: SnapshotReport) -> str:
        return report.question("query", "change")

    @property
    def _staged(self) -> StagedChanges:
        reader = self._reader
        assert reader is not None  # it began
        count = reader.rows - reader.refused.total()
        return StagedChanges(
            self._query, self._staging, self._source_id, count, reader.cursor.value
        )

    def _apply(self, agreed: Removal) -> Application:
        return self._ledger.writes_of(self._query.audience_id).write(
            staged_changes.apply_changes, self._staged, agreed.leaving, self._now()
        )

    def _report(self, ended: Application) -> SnapshotReport:
        problems = self.problems()
        state = SnapshotState.INCOMPLETE if problems else SnapshotState.APPLIED
        if not ended.is_applied:
            state = SnapshotState.ASKS
        name = self._ledger.read(audience, self._query.audience_id).name
        return SnapshotReport(name, state, ended.removal, problems)


def _problems(reader: QueryReader | None, advice: str, consequence: str) -> tuple[str, ...]:
    if reader is None or not reader.refused:
        return ()
    reasons = "; ".join(f"{reason} ({count:,})" for reason, count in reader.refused.most_common(3))
    were = plural(reader.refused.total(), "row was", "rows were")
    return f"{were} refused: {reasons}. {advice}", consequence
