"""A part of a source: what is read between two folds, which are one transaction each."""

from collections import Counter

from amp_console.engage import EventBatch
from amp_console.ledger import Db, members, sources
from amp_console.ledger.members import NewestChanges
from amp_console.ledger.sources import ReadCounts
from amp_console.values import AudienceRef, Refusal

AMBIGUOUS = "several audiences have this key, and the event does not say which is meant"
MOST_REFUSALS = 10_000


class ChangeBuffer:
    """Gathers batches until there is enough for a transaction."""

    def __init__(self) -> None:
        self.gathered = NewestChanges()
        self.tally = ReadCounts()
        self.filtered: Counter[str] = Counter()
        self.refusals: list[Refusal] = []
        self.unlisted: Counter[str] = Counter()

    def has_room_for(self, batch: EventBatch) -> bool:
        """Whether a batch may be added, or the part is to be folded before."""
        is_full = self.gathered.is_full or len(self.refusals) >= MOST_REFUSALS
        return not is_full and self.gathered.takes(batch.changes)

    def add(self, batch: EventBatch, *, is_staged: bool = False) -> None:
        """Add what was read next; `is_staged` changes are counted only, and merged elsewhere."""
        if not is_staged:
            self.gathered.add(batch.changes)
        self.filtered.update(batch.filtered)
        self.refusals += batch.refusals
        self.unlisted.update(batch.unlisted)
        changes, filtered = len(batch.changes), sum(batch.filtered.values())
        invalid = batch.invalid
        self.tally += ReadCounts(changes + filtered + invalid, changes, filtered, invalid)

    def refuse(self, ref: AudienceRef, batch: EventBatch) -> None:
        """Refuse the changes of an audience, all of which stand in the batch added last."""
        lines = [change.line for change in batch.changes if change.audience == ref]
        self.gathered.drop(ref)
        self.refusals += [Refusal(line, AMBIGUOUS) for line in lines]
        self.tally += ReadCounts(changes=-len(lines), invalid=len(lines))


def merge_changes(
    db: Db, source_id: int, part: ChangeBuffer, audiences: dict[AudienceRef, int]
) -> int:
    """Fold a part of a source, and account for it, in the transaction under way.

    Returns for how many members something was new.
    """
    updated = members.fold(db, source_id, part.gathered, audiences)
    sources.account(db, source_id, part.tally, part.filtered, part.refusals, part.unlisted)
    return updated
