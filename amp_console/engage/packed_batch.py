"""Batches that leave the process: for another process, or for the ledger until they are merged."""

import msgspec

from amp_console.engage.batch import EventBatch
from amp_console.values import (
    AudienceHints,
    AudienceRef,
    Change,
    ChangeColumns,
    ChangeTable,
    Refusal,
)


class PackedBatch(msgspec.Struct, frozen=True, array_like=True):
    """An `EventBatch` in arrays: its changes are columns, or rows in the order of their lines.

    A ledger may contain some that an earlier version wrote, so fields are only ever appended.
    """

    columns: list[ChangeColumns] = []
    changes: list[Change] = []
    refusals: list[Refusal] = []
    filtered: dict[str, int] = {}
    hints: list[tuple[AudienceRef, AudienceHints]] = []
    unlisted: dict[str, int] = {}
    lines: int = 0

    @classmethod
    def of_batch(cls, batch: EventBatch) -> "PackedBatch":
        """Pack a batch."""
        columns, changes = list[ChangeColumns](), batch.changes
        if isinstance(changes, ChangeTable):
            columns = [item._replace(lines=list(item.lines)) for item in changes.columns]
            changes = ()
        return cls(
            columns,
            list(changes),
            batch.refusals,
            dict(batch.filtered),
            list(batch.hints),
            dict(batch.unlisted),
            batch.lines,
        )

    def batch(self, skipped: int = 0) -> EventBatch:
        """Return the batch, with its lines numbered as if so many others came before them."""
        columns, changes, refusals = self.columns, self.changes, self.refusals
        if skipped:
            columns = [
                item._replace(lines=[line + skipped for line in item.lines]) for item in columns
            ]
            changes = [change._replace(line=change.line + skipped) for change in changes]
            refusals = [Refusal(line + skipped, reason) for line, reason in refusals]
        return EventBatch(
            ChangeTable(columns) if columns else changes,
            refusals,
            self.filtered,
            self.hints,
            self.unlisted,
            self.lines,
        )
