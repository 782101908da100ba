"""Reading a snapshot of an audience: all its members at one moment, so the others have left.

The whole snapshot is read before any member changes. A list that is incomplete removes no one,
unless the operator insists, and one that removes many is confirmed first.
"""

import enum
from collections.abc import Callable, Sequence

import msgspec

from amp_console.engage import EventBatch
from amp_console.ledger import Ledger, Writes, snapshots
from amp_console.ledger.audiences import audience
from amp_console.ledger.snapshots import Application, Removal, Snapshot
from amp_console.sync.ingest.batch_reader import BatchReader
from amp_console.text import plural
from amp_console.values import IdType, now_in_microseconds


class SnapshotState(enum.StrEnum):
    """How a snapshot ended."""

    APPLIED = "applied"
    INCOMPLETE = "incomplete"  # its members were merged, and no one was removed
    ASKS = "asks"  # it waits to be confirmed; nothing was changed
    DECLINED = "declined"  # nothing was changed


class SnapshotReport(msgspec.Struct, frozen=True):
    """The result of a snapshot of the audience called `name`.

    `problems` are sentences on why it is incomplete. `removal` is how many people it removed, or
    would remove; None if no list of members could be read. `note` is what else to know.
    """

    name: str
    state: SnapshotState
    removal: Removal | None
    problems: tuple[str, ...] = ()
    note: str = ""

    @property
    def removed(self) -> int:
        """How many members left because the snapshot does not list them."""
        is_applied = self.state is SnapshotState.APPLIED and self.removal is not None
        return self.removal.leaving if is_applied and self.removal else 0

    @property
    def changed_nothing(self) -> bool:
        """Whether not even the members it lists were merged."""
        return self.state in {SnapshotState.ASKS, SnapshotState.DECLINED}

    @property
    def can_be_insisted(self) -> bool:
        """Whether the members that an incomplete snapshot does not list can be removed anyway."""
        return self.state is SnapshotState.INCOMPLETE and self.removal is not None

    def question(self, what: str = "snapshot", entry: str = "member") -> str:
        """What there is to confirm, in a sentence; `what` lists members or other entries."""
        removal = self.removal or Removal(0, 0, 0)
        lists = plural(removal.listed, entry) if removal.listed else f"no {entry}s"
        return (
            f"The {what} lists {lists}. It removes {removal.leaving:,} of the "
            f"{plural(removal.members, 'member')} of “{self.name}”."
        )


class SnapshotReader:
    """Stages the parts of a snapshot, and applies it when all of them were read.

    Several files are the parts of one download: a member in any of them has not left.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        allow_incomplete: bool = False,
        now: Callable[[], int] = now_in_microseconds,
    ) -> None:
        """`now` tells the time in microseconds since 1970."""
        self._ledger = ledger
        self._now = ledger.clock(now)
        self._allow_incomplete = allow_incomplete
        self._audience_id: int | None = None
        self._snapshot: Snapshot | None = None
        self._problems: list[str] = []
        self._is_merged = False
        self._name = ""
        self._note = ""

    def begin(
        self, audience_id: int, source_id: int, taken_at: int, id_types: Sequence[IdType]
    ) -> None:
        """Start on one more list of members, true at `taken_at`. Raises `LedgerError`."""
        if self._snapshot is None:
            staging = self._ledger.stage(snapshots.begin_staging)
            known = self._ledger.read(audience, audience_id)
            self._name = known.name
            if known.id_type not in id_types:
                self._note = (
                    f"It has no column of {known.id_type.label}s, which this audience uses: "
                    f"members known only by {known.id_type.label} stay."
                )
            self._snapshot = Snapshot(audience_id, source_id, taken_at, tuple(id_types), staging)
        before = self._snapshot
        both = tuple(id_type_ for id_type_ in before.id_types if id_type_ in id_types)
        at = min(before.at, taken_at)
        self._snapshot = Snapshot(audience_id, source_id, at, both, before.staging)

    def add(self, batch: EventBatch) -> None:
        """Stage what was read next."""
        assert self._snapshot is not None
        snapshot = self._snapshot
        self._ledger.stage(
            snapshots.stage_changes, snapshot.staging, snapshot.source_id, batch.changes
        )

    def end(self, source: BatchReader, refused: int) -> None:
        """Note what is wrong with a list that was read to its end, so many rows `refused`."""
        if source.trouble:
            self._problems.append(f"{source.name} is incomplete. {source.trouble}")
            refused -= 1  # the trouble itself
        if refused > 0:
            were = plural(refused, "row was", "rows were")
            self._problems.append(f"{were} refused in {source.name}.")

    def note_problem(self, problem: str) -> None:
        """Note that a part of the snapshot could not be read at all."""
        self._problems.append(problem)

    def finish(
        self, *, was_stopped: bool = False, counted: Removal | None = None
    ) -> SnapshotReport | None:
        """Apply the snapshot, unless it is incomplete or has to be confirmed.

        `counted` is what `removal` returned, where it was asked. Returns None where there was
        nothing to read it from. Raises `LedgerError`.
        """
        if was_stopped:
            self._problems.append("Reading was stopped before the end.")
        snapshot = self._snapshot
        if snapshot is None:
            state = SnapshotState.INCOMPLETE
            return self._report(state, None) if self._problems else None
        if was_stopped or (self._problems and not self._allow_incomplete):
            self._writes.write(snapshots.merge_staged, snapshot)
            self._is_merged = True
            return self._report(SnapshotState.INCOMPLETE, counted or self.removal())
        return self._applied(apply_if_routine(counted or self.removal(), self._apply))

    def removal(self) -> Removal:
        """Count the people who would leave now. Raises `LedgerError`."""
        return self._ledger.stage(snapshots.removal, self._staged)

    def entering(self) -> int:
        """Count the people who would become members now. Raises `LedgerError`."""
        return self._ledger.stage(snapshots.entering, self._staged)

    def discard(self) -> None:
        """Drop what was staged, if anything was: nothing changes. Raises `LedgerError`."""
        if self._snapshot is not None:
            self._ledger.stage(snapshots.drop_staged, self._snapshot.staging)

    def insist(self, counted: Removal) -> SnapshotReport:
        """Ask for the snapshot to be applied, although it is incomplete or routine."""
        return self._report(SnapshotState.ASKS, counted)

    def confirm(self, agreed: Removal) -> SnapshotReport:
        """Apply the snapshot; where more people would leave by now, it asks again."""
        return self._applied(self._apply(agreed))

    def decline(self, asked: Removal) -> SnapshotReport:
        """Remove no one. What an incomplete snapshot lists was merged before; else nothing was."""
        if self._is_merged:
            return self._report(SnapshotState.INCOMPLETE, asked)
        self.discard()
        return self._report(SnapshotState.DECLINED, asked)

    @property
    def _staged(self) -> Snapshot:
        assert self._snapshot is not None
        return self._snapshot

    @property
    def _writes(self) -> Writes:
        return self._ledger.writes_of(self._staged.audience_id)

    def _apply(self, agreed: Removal) -> Application:
        return self._writes.write(
            snapshots.apply_snapshot, self._staged, agreed.leaving, self._now()
        )

    def _applied(self, ended: Application) -> SnapshotReport:
        state = SnapshotState.APPLIED if ended.is_applied else SnapshotState.ASKS
        return self._report(state, ended.removal)

    def _report(self, state: SnapshotState, removal: Removal | None) -> SnapshotReport:
        return SnapshotReport(self._name, state, removal, tuple(self._problems), self._note)


def apply_if_routine(counted: Removal, apply: Callable[[Removal], Application]) -> Application:
    """Apply what is staged, unless it removes so many that this has to be confirmed.

    `apply` agrees to a removal; it counts again, in one transaction with what it changes.
    """
    ended = Application(counted, is_applied=False)
    while not ended.is_applied and not ended.removal.needs_consent:
        ended = apply(ended.removal)
    return ended
