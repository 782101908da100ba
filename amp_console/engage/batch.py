"""The results of reading: changes, refusals and counts, for about a mebibyte of input at a time."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from amp_console.values import (
    AudienceHints,
    AudienceRef,
    Change,
    ChangeColumns,
    ChangeTable,
    Refusal,
)

LISTED = 10_000
"""Refusals that a batch lists; past them it counts by reason, or a file of noise fills memory."""

JOINED = 2_000
"""Lines that are worth a batch."""


def batched(lines: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Yield the lines in lists of at most `LISTED`."""
    for at in range(0, len(lines), LISTED):
        yield lines[at : at + LISTED]


@dataclass(frozen=True, slots=True)
class EventBatch:
    """The outcome of a stretch of input. Every event in it is in exactly one of the collections.

    `filtered` counts, by reason, the events that say nothing about a member. `hints` is what
    Segment's destination knew about an audience: everything not reported before, in the order of
    the lines. `unlisted` counts, by reason, the refusals past `LISTED`. `lines` is how many lines
    or elements were judged: an empty one contains no event, an envelope several.
    """

    changes: Sequence[Change] = ()
    refusals: list[Refusal] = field(default_factory=list)
    filtered: Mapping[str, int] = field(default_factory=dict)
    hints: Sequence[tuple[AudienceRef, AudienceHints]] = ()
    unlisted: Mapping[str, int] = field(default_factory=dict)
    lines: int = 0

    @property
    def invalid(self) -> int:
        """How many refusals there are, listed or not."""
        return len(self.refusals) + sum(self.unlisted.values())

    @property
    def read(self) -> int:
        """The number of events it accounts for; a refusal of the whole source is not an event."""
        refused = sum(refusal.line > 0 for refusal in self.refusals)
        unlisted = sum(self.unlisted.values())
        return len(self.changes) + refused + unlisted + sum(self.filtered.values())


class EventCounts:
    """A batch while it is being made."""

    def __init__(self, listed: int = LISTED) -> None:
        """Refusals past `listed` are counted by reason."""
        self._listed = listed
        self.lines = 0
        self.changes: list[Change] = []
        self.refusals: list[Refusal] = []
        self.filtered: Counter[str] = Counter()
        self.hints: list[tuple[AudienceRef, AudienceHints]] = []
        self.unlisted: Counter[str] = Counter()

    def refuse(self, line: int, reason: str) -> None:
        """Count an event as unreadable; at least one event is listed for each reason."""
        is_full = len(self.refusals) >= self._listed
        if is_full and reason in self.unlisted:
            self.unlisted[reason] += 1
            return
        self.refusals.append(Refusal(line, reason))
        if is_full:
            self.unlisted[reason] = 0

    def absorb(self, other: "EventCounts") -> None:
        """Add what another tally has counted."""
        self.changes += other.changes
        for refusal in other.refusals:
            self.refuse(*refusal)
        self.unlisted.update(other.unlisted)
        self.filtered += other.filtered
        self.hints += other.hints

    def batch(self, columns: Sequence[ChangeColumns] = ()) -> EventBatch:
        """Return what was gathered, with these changes instead of its own if there are any."""
        changes = ChangeTable(columns) if columns else self.changes
        return EventBatch(
            changes, self.refusals, self.filtered, self.hints, self.unlisted, self.lines
        )


def larger_batches(batches: Iterable[EventBatch]) -> Iterator[EventBatch]:
    """Join batches whose changes are columns into batches of at least `JOINED` lines.

    Every batch costs its users some work, however small it is.
    """
    waiting: list[EventBatch] = []
    lines = 0
    for batch in batches:
        has_rows = bool(batch.changes) and not isinstance(batch.changes, ChangeTable)
        if waiting and (has_rows or lines >= JOINED):
            yield _joined(waiting)
            waiting, lines = [], 0
        if has_rows:
            yield batch
        else:
            waiting.append(batch)
            lines += batch.lines
    if waiting:
        yield _joined(waiting)


def _joined(batches: list[EventBatch]) -> EventBatch:
    if len(batches) == 1:
        return batches[0]
    counts = EventCounts()
    columns: dict[AudienceRef, list[ChangeColumns]] = {}
    for batch in batches:
        counts.lines += batch.lines
        counts.refusals += batch.refusals
        counts.filtered.update(batch.filtered)
        counts.hints += batch.hints
        counts.unlisted.update(batch.unlisted)
        if isinstance(batch.changes, ChangeTable):
            for item in batch.changes.columns:
                columns.setdefault(item.audience, []).append(item)
    return counts.batch([ChangeColumns.joined(parts) for parts in columns.values()])
