"""Taking events in as they come: every part is in the ledger, with its place, before the next."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple

from amp_console.engage import Batch, ReadOptions
from amp_console.ledger import Db, Ledger, sources
from amp_console.ledger.audiences import NO_HINTS, AudienceAmbiguous, discover
from amp_console.ledger.sources import Tally
from amp_console.sync.intake import Part, fold_part, in_order
from amp_console.sync.timing import now_in_microseconds
from amp_console.values import AudienceRef

Keep = Callable[[Db], None]
"""What is to be kept in the same transaction as what was read."""


class Taken(NamedTuple):
    """What was taken in: what became of the events, and how many changes of which audiences."""

    tally: Tally
    changes: dict[int, int]


class Feed:
    """The door of live events into the ledger. It may block; one thread uses it at a time."""

    def __init__(
        self,
        ledger: Ledger,
        options: ReadOptions,
        now: Callable[[], int] = now_in_microseconds,
    ) -> None:
        self.ledger = ledger
        self.options = options
        self._now = now
        self._audiences: dict[AudienceRef, int] = {}

    def begin(self, name: str) -> int:
        """Begin a source that can't be read again from its beginning; return its id."""
        return self.ledger.write(sources.begin_source, name, None, self._now())

    def take(self, source_id: int, batches: Iterable[Batch], keep: Keep | None = None) -> Taken:
        """Take batches in, and keep the place with the last of them. Raises `LedgerError`."""
        part, taken = Part(), Taken(Tally(), {})
        for batch in batches:
            if part.is_full or not part.gathered.takes(batch.changes):
                taken = self._fold(source_id, part, taken, None)
                part = Part()
            part.add(batch)
            self._meet(part, batch)
            for change in batch.changes:
                audience_id = self._audiences.get(change.audience)
                if audience_id is not None:
                    taken.changes[audience_id] = taken.changes.get(audience_id, 0) + 1
        return self._fold(source_id, part, taken, keep)

    def _meet(self, part: Part, batch: Batch) -> None:
        for ref in in_order(part.gathered.audiences - self._audiences.keys()):
            try:
                self._discover(ref, batch)
            except AudienceAmbiguous:
                part.refuse(ref, batch)
        for ref in batch.hints:
            with suppress(AudienceAmbiguous):  # whose events, if there are any, were refused above
                self._discover(ref, batch)

    def _discover(self, ref: AudienceRef, batch: Batch) -> None:
        hints = batch.hints.get(ref, NO_HINTS)
        self._audiences[ref] = self.ledger.write(discover, ref, hints).id

    def _fold(self, source_id: int, part: Part, taken: Taken, keep: Keep | None) -> Taken:
        audiences = dict(self._audiences)

        def fold(db: Db) -> None:
            fold_part(db, source_id, part, audiences)
            if keep is not None:
                keep(db)

        self.ledger.write(fold)
        return Taken(taken.tally + part.tally, taken.changes)
