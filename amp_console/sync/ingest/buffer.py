"""Between a source and the ledger: batches are buffered, then merged in one transaction each."""

import dataclasses
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import NamedTuple

from amp_console.engage import EventBatch
from amp_console.engage.membership import FilterReason
from amp_console.ledger import Db, Ledger, members, sources
from amp_console.ledger.audiences import NO_HINTS, AudienceAmbiguous, audience_of, discover
from amp_console.ledger.checkpoints import Checkpoint, keep_checkpoint
from amp_console.ledger.forgotten import (
    NO_ONE_FORGOTTEN,
    Forgotten,
    forgotten_people,
)
from amp_console.ledger.members import LARGEST_MERGE, NewestChanges
from amp_console.ledger.received import take_received
from amp_console.ledger.sources import ReadCounts
from amp_console.values import AudienceHints, AudienceRef, Refusal, times_of

AMBIGUOUS = "several audiences have this key, and the event does not say which is meant"
MAX_REFUSALS = 10_000  # in one transaction
MAX_SOURCES = 1_000  # in one transaction, however few events they have


class KnownAudiences:
    """The audiences in the events so far, and their ids in the ledger.

    `forgotten` are the people whose older events no longer count; before `refresh`, no one is.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.ids: dict[AudienceRef, int] = {}
        self.forgotten = NO_ONE_FORGOTTEN

    def refresh(self) -> None:
        """Find out who was forgotten since. Raises `LedgerError`."""
        self.forgotten = self._ledger.read(forgotten_people, self.forgotten)

    def choose(self, by_key: AudienceRef, exactly: AudienceRef) -> None:
        """Make a key alone mean one audience of the ledger: the operator's choice for a list."""
        found = self._ledger.read(audience_of, exactly)
        if found is not None:
            self.ids[by_key] = found

    def discover(self, ref: AudienceRef, hints: AudienceHints = NO_HINTS) -> int:
        """Return an audience's id; a new audience is added to the ledger.

        Raises `AudienceAmbiguous` and `LedgerError`.
        """
        known = None
        if ref.computation_id and hints == NO_HINTS:  # a key alone may mean several
            known = self._ledger.read(audience_of, ref)
        self.ids[ref] = known or self._ledger.write(discover, ref, hints).id
        return self.ids[ref]


class _Unmerged:
    """What was read since the last transaction, without people who were `forgotten`."""

    def __init__(self, forgotten: Forgotten, most: int) -> None:
        """There is room for one more batch until there are `most` identifiers."""
        self._most = most
        self.changes = NewestChanges(forgotten)
        self.counts = ReadCounts()
        self.filtered: Counter[str] = Counter()
        self.refusals: list[Refusal] = []
        self.unlisted: Counter[str] = Counter()

    def has_room_for(self, batch: EventBatch) -> bool:
        is_full = self.changes.size >= self._most or len(self.refusals) >= MAX_REFUSALS
        return not is_full and self.changes.accepts(batch.changes)

    def add(self, batch: EventBatch) -> None:
        self.filtered.update(batch.filtered)
        self.refusals += batch.refusals
        self.unlisted.update(batch.unlisted)
        changes, filtered = len(batch.changes), sum(batch.filtered.values())
        invalid = batch.invalid
        self.counts += ReadCounts(changes + filtered + invalid, changes, filtered, invalid)

    def refuse(self, ref: AudienceRef, batch: EventBatch) -> None:
        """Refuse an audience's changes, all of which are in the batch added last."""
        lines = [change.line for change in batch.changes if change.audience == ref]
        self.changes.drop(ref)
        self.refusals += [Refusal(line, AMBIGUOUS) for line in lines]
        self.counts += ReadCounts(valid=-len(lines), invalid=len(lines))


class _Merge(NamedTuple):
    """What one transaction merges of one source, and its new checkpoint.

    `received` are the first lines of the batches it merges that the ledger kept until now.
    """

    source_id: int
    unmerged: _Unmerged
    audiences: dict[AudienceRef, int]
    checkpoint: Checkpoint | None
    received: Sequence[int]
    now: int


class MergeQueue:
    """Hands the ledger what was read, in transactions of several small sources or of a part of one.

    `ahead` transactions may wait for the ledger while the next batches are read. A transaction
    begins when `gathered` events are waiting: one for each of thousands of small files would take
    three times as long. Every method raises `LedgerError`; what was merged before is kept. After a
    failed transaction, nothing more is merged: a checkpoint means that everything before it is in
    the ledger.
    """

    def __init__(self, ledger: Ledger, *, ahead: int = 0, gathered: int = 0) -> None:
        self.updated = 0
        """Members that changed; only merged ones count."""
        self.ledger = ledger
        self._ahead = ahead
        self._gathered = gathered
        self._waiting: list[_Merge] = []
        self._events = 0  # that are waiting
        self._merges: deque[Future[int]] = deque()
        self._last: Future[int] | None = None

    def add(self, merge: _Merge) -> None:
        """Merge this after what was added before, now or later."""
        self._waiting.append(merge)
        self._events += merge.unmerged.counts.read
        if self._events >= self._gathered or len(self._waiting) >= MAX_SOURCES:
            self._begin()
            self._wait(self._ahead)

    def begin(self) -> bool:
        """Begin to merge everything; return whether there is anything to wait for."""
        if self._waiting:
            self._begin()
        return bool(self._merges)

    def flush(self) -> None:
        """Wait until everything is in the ledger."""
        self.begin()
        self._wait(0)

    def _begin(self) -> None:
        waiting, self._waiting, self._events = self._waiting, [], 0
        audience_ids = {
            merge.audiences[ref] for merge in waiting for ref in merge.unmerged.changes.audiences
        }
        writes = self.ledger.writes_of(*audience_ids)
        # What is merged ahead waits for what was merged before it, which has to be committed.
        queue = writes.submit if self._ahead else writes.share
        self._last = queue(_merge_all, waiting, self._last)
        self._merges.append(self._last)

    def _wait(self, ahead: int) -> None:
        while len(self._merges) > ahead:
            self.updated += self._merges.popleft().result()


class ChangeBuffer:
    """Buffers the batches of one source until there are enough to merge. Raises `LedgerError`."""

    def __init__(
        self,
        merges: MergeQueue,
        audiences: KnownAudiences,
        source_id: int,
        now: Callable[[], int],
        first_merge: int = LARGEST_MERGE,
    ) -> None:
        """The first merge has about `first_merge` identifiers, and each one up to twice as many."""
        self.filtered: Counter[str] = Counter()
        """Events that say nothing about a member, by reason; only those that are merged."""
        self.source_id = source_id
        self._merges = merges
        self._audiences = audiences
        self._met: set[AudienceRef] = set()
        self.times: tuple[int, int] | None = None
        """The times of the oldest and of the newest change, in microseconds since 1970 (UTC)."""
        self._had_hints = False
        self._now = now
        self._merged = ReadCounts()
        self._forgotten = audiences.forgotten
        self._most = first_merge
        self._unmerged = _Unmerged(self._forgotten, self._most)

    @property
    def counts(self) -> ReadCounts:
        """The outcome of the events so far, merged or not."""
        return self._merged + self._unmerged.counts

    def lasting_audiences(self) -> set[int] | None:
        """The ids of the audiences that the source speaks of; None where that may not last.

        Which audience a key alone means, other sources decide as well; and of the settings that an
        audience begins with, it takes those it lacks whenever they are read.
        """
        refs = self._met | self._unmerged.changes.audiences
        if self._had_hints or not all(ref.computation_id for ref in refs):
            return None
        return {self._audiences.ids[ref] for ref in refs}

    def add(self, batch: EventBatch) -> EventBatch:
        """Add what was read next, and return what counts of the batch.

        Changes whose key alone means several audiences are refused; older ones of people who were
        forgotten are filtered.
        """
        batch = self.count(batch)
        self._unmerged.changes.add(batch.changes)
        if batch.changes:
            times = [*times_of(batch.changes), *(self.times or ())]
            self.times = min(times), max(times)
        self._had_hints = self._had_hints or bool(batch.hints)
        # Audiences known by their key alone come after those they may mean.
        unknown = sorted(
            self._unmerged.changes.audiences - self._audiences.ids.keys(),
            key=lambda ref: (not ref.computation_id, ref),
        )
        for ref in unknown:
            try:
                self._audiences.discover(ref)
            except AudienceAmbiguous:
                self._unmerged.refuse(ref, batch)
        for ref, hints in batch.hints:
            with suppress(AudienceAmbiguous):  # its events, if there are any, were refused above
                self._audiences.discover(ref, hints)
        return batch

    def count(self, batch: EventBatch) -> EventBatch:
        """Count what was read next, whose changes are merged elsewhere; return what counts."""
        batch = without_forgotten(batch, self._forgotten)
        if not self._unmerged.has_room_for(batch):
            self.merge()
        self._unmerged.add(batch)
        return batch

    def merge(self, checkpoint: Checkpoint | None = None, received: Sequence[int] = ()) -> None:
        """Merge what is buffered, and keep the checkpoint, in one transaction.

        It also deletes the batches that were `received`, by their first lines.
        """
        self._most = min(2 * self._most, LARGEST_MERGE)
        unmerged, self._unmerged = self._unmerged, _Unmerged(self._forgotten, self._most)
        self._met |= unmerged.changes.audiences
        self._merged += unmerged.counts
        self.filtered.update(unmerged.filtered)
        audiences = dict(self._audiences.ids)
        self._merges.add(
            _Merge(self.source_id, unmerged, audiences, checkpoint, received, self._now())
        )


def without_forgotten(batch: EventBatch, forgotten: Forgotten) -> EventBatch:
    """Filter events about people that are older than their deletion requests."""
    changes = forgotten.without(batch.changes)
    if len(changes) == len(batch.changes):
        return batch
    filtered = {**batch.filtered, FilterReason.FORGOTTEN: len(batch.changes) - len(changes)}
    return dataclasses.replace(batch, changes=changes, filtered=filtered)


def _merge_all(db: Db, merges: list[_Merge], before: Future[int] | None) -> int:
    """Merge and account, in the transaction under way; return how many members were updated.

    The one `before` is over, as the ledger has one thread; where it failed, this one does, too.
    """
    if before is not None:
        before.result()
    updated = 0
    for source_id, unmerged, audiences, checkpoint, received, now in merges:
        if received:
            take_received(db, source_id, received)
        updated += members.merge(db, source_id, unmerged.changes, audiences, now)
        sources.account(
            db, source_id, unmerged.counts, unmerged.filtered, unmerged.refusals, unmerged.unlisted
        )
        if checkpoint is not None:
            keep_checkpoint(db, checkpoint)
    return updated
