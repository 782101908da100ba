"""What reading gives: changes, refusals and counts, about a mebibyte of input at a time."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from amp_console.values import AudienceHints, AudienceRef, Change, Refusal

LISTED = 10_000
"""Refusals that a batch lists; past them it counts by reason, or a file of noise fills memory."""


def batched(lines: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Yield the lines in lists of at most `LISTED`."""
    for at in range(0, len(lines), LISTED):
        yield lines[at : at + LISTED]


@dataclass(frozen=True, slots=True)
class EventBatch:
    """The outcome of a stretch of input. Every event in it is in exactly one of the collections.

    `filtered` counts, by reason, the events that say nothing about a member. `hints` is what
    Segment's destination knew about an audience, where it is seen first or has changed. `unlisted`
    counts, by reason, the refusals past `LISTED`. `lines` is how many lines or elements were
    judged: an empty one holds no event, an envelope several.
    """

    changes: Sequence[Change] = ()
    refusals: list[Refusal] = field(default_factory=list)
    filtered: Mapping[str, int] = field(default_factory=dict)
    hints: Mapping[AudienceRef, AudienceHints] = field(default_factory=dict)
    unlisted: Mapping[str, int] = field(default_factory=dict)
    lines: int = 0

    @property
    def invalid(self) -> int:
        """How many refusals there are, listed or not."""
        return len(self.refusals) + sum(self.unlisted.values())

    @property
    def read(self) -> int:
        """How many events it accounts for; a refusal of the whole source is not an event."""
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
        self.hints: dict[AudienceRef, AudienceHints] = {}
        self.unlisted: Counter[str] = Counter()

    def refuse(self, line: int, reason: str) -> None:
        """Count an event as unreadable; of each reason at least one is listed."""
        is_full = len(self.refusals) >= self._listed
        if is_full and reason in self.unlisted:
            self.unlisted[reason] += 1
            return
        self.refusals.append(Refusal(line, reason))
        if is_full:
            self.unlisted[reason] = 0

    def absorb(self, other: "EventCounts") -> None:
        """Count what another tally has counted, too."""
        self.changes += other.changes
        for refusal in other.refusals:
            self.refuse(*refusal)
        self.unlisted.update(other.unlisted)
        self.filtered += other.filtered
        self.hints |= other.hints

    def batch(self) -> EventBatch:
        """Return what was gathered."""
        return EventBatch(
            self.changes, self.refusals, self.filtered, self.hints, self.unlisted, self.lines
        )
