"""What reading gives: changes, refusals and counts, about a mebibyte of input at a time."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from amp_console.values import AudienceHints, AudienceRef, Change, Refusal


@dataclass(frozen=True, slots=True)
class Batch:
    """The outcome of a stretch of input. Every event in it is in exactly one of the first three.

    `filtered` counts, by reason, the events that say nothing about a member. `hints` tells what
    Segment's destination knew about an audience, where it is seen first or has changed.
    """

    changes: list[Change] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    filtered: Mapping[str, int] = field(default_factory=dict)
    hints: Mapping[AudienceRef, AudienceHints] = field(default_factory=dict)

    @property
    def read(self) -> int:
        """How many events it accounts for; a refusal of the whole source is not an event."""
        refused = sum(refusal.line > 0 for refusal in self.refusals)
        return len(self.changes) + refused + sum(self.filtered.values())


class Tally:
    """A batch while it is being made."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.refusals: list[Refusal] = []
        self.filtered: Counter[str] = Counter()
        self.hints: dict[AudienceRef, AudienceHints] = {}

    def refuse(self, line: int, reason: str) -> None:
        """Count an event as unreadable."""
        self.refusals.append(Refusal(line, reason))

    def absorb(self, other: "Tally") -> None:
        """Count what another tally has counted, too."""
        self.changes += other.changes
        self.refusals += other.refusals
        self.filtered += other.filtered
        self.hints |= other.hints

    def batch(self) -> Batch:
        """Return what was gathered."""
        return Batch(self.changes, self.refusals, self.filtered, self.hints)
