"""Taking events in: from the sources `engage` reads into what the ledger wants."""

import gc
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from operator import attrgetter

import msgspec

from amp_console.engage import (
    EventBatch,
    ReadOptions,
    Source,
    SourceKind,
    UnreadableSource,
    open_source,
)
from amp_console.ledger import Ledger, sources
from amp_console.ledger.audiences import all_audiences
from amp_console.ledger.event_log import add_log_entry
from amp_console.ledger.sources import ReadCounts
from amp_console.sync.ingest.buffer import ChangeBuffer, merge_changes
from amp_console.sync.ingest.future_events import latest_credible
from amp_console.sync.ingest.known_audiences import KnownAudiences
from amp_console.sync.ingest.log_entry import import_entry
from amp_console.sync.ingest.no_changes import nothing_taken
from amp_console.sync.ingest.snapshot import SnapshotReader, SnapshotReport
from amp_console.sync.timing import now_in_microseconds
from amp_console.text import clean, plural
from amp_console.values import AudienceRef

_at = attrgetter("at")

AHEAD = 1  # parts that wait for the ledger while the next one is read


class ImportProgress(msgspec.Struct, frozen=True):
    """How far the reading is: `position` of `size` bytes of one source (None: not known)."""

    source: str
    position: int
    size: int | None
    tally: ReadCounts


class ImportReport(msgspec.Struct, frozen=True):
    """What was read: from all sources together, for which audiences, and what could not be opened.

    `snapshot` is what became of a snapshot, where the sources are the parts of one; `events` names
    those of them that hold events, which say themselves who leaves. `updated` counts the members
    with something new, except those of a snapshot. `nothing_taken` says of each
    source that held events, and no change, what it looks like. `dated_ahead` counts changes that
    are dated more than a day in the future. `audiences` names those that the sources speak of and
    that the ledger knew before; `new_audiences` names those that the sources added to it.
    """

    tally: ReadCounts
    filtered: dict[str, int]
    audience_ids: tuple[int, ...]
    unreadable: tuple[str, ...]
    was_stopped: bool
    snapshot: SnapshotReport | None = None
    events: tuple[str, ...] = ()
    updated: int = 0
    nothing_taken: tuple[str, ...] = ()
    dated_ahead: int = 0
    audiences: tuple[str, ...] = ()
    new_audiences: tuple[str, ...] = ()


MOST_AUDIENCES = 5  # that a sentence names


def audience_sentences(report: ImportReport) -> Iterator[str]:
    """Say which audiences the sources speak of, and which of them are new to the ledger."""
    if report.audiences:
        noun = "Audience" if len(report.audiences) == 1 else "Audiences"
        yield f"{noun}: {_listed(report.audiences)}."
    if not report.new_audiences:
        return
    is_one = len(report.new_audiences) == 1
    noun, cohorts, them = (
        ("New audience", "a cohort for it", "it")
        if is_one
        else ("New audiences", "cohorts for them", "them")
    )
    yield (
        f"{noun}: {_listed(report.new_audiences)}. The next sync creates {cohorts}, unless you "
        f"disable or link {them} first."
    )


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(clean(name, 100) for name in names[:MOST_AUDIENCES])
    more = len(names) - MOST_AUDIENCES
    return f"{shown} and {more:,} more" if more > 0 else shown


def changes_of(report: ImportReport) -> str:
    """Say how many changes were read, and what was new in them: "3 changes (1 member updated)"."""
    changes = plural(report.tally.changes, "change")
    if report.snapshot or not report.tally.changes:
        return changes
    return f"{changes} ({plural(report.updated, 'member')} updated)"


Watch = Callable[[ImportProgress], None]


class Importer:
    """Reads sources one after the other; what was folded is kept, however it ends."""

    def __init__(
        self,
        ledger: Ledger,
        options: ReadOptions,
        *,
        snapshot: SnapshotReader | None = None,
        watch: Watch | None = None,
        now: Callable[[], int] = now_in_microseconds,
        is_logged: bool = True,
    ) -> None:
        """`snapshot`: the CSV downloads of an audience hold all its members; the others left.

        `is_logged` writes a line into the ledger's log.
        """
        self._is_logged = is_logged
        self._ledger = ledger
        self._options = options
        self._snapshot = snapshot
        self._watch = watch
        self._now = now
        self._audiences = KnownAudiences(ledger)
        self._folds: deque[Future[int]] = deque()
        self._tally = ReadCounts()
        self._updated = 0
        self._filtered: Counter[str] = Counter()
        self._events: list[str] = []
        self._nothing_taken: list[str] = []
        self._dated_ahead = 0
        self._latest = latest_credible(now())
        self._stop = False

    def stop(self) -> None:
        """Stop reading after the block at hand; what was read so far is kept."""
        self._stop = True

    def run(self, paths: Iterable[str]) -> ImportReport:
        """Read every source; one that can't be read stops none of the others.

        Raises `LedgerError`, and `AudienceAmbiguous` for a list of members.
        """
        unreadable: list[str] = []
        names: list[str] = []
        known = {audience.id for audience in self._ledger.read(all_audiences)}
        with _no_garbage():
            for path in paths:
                if self._stop:
                    break
                names.append(path)
                try:
                    with open_source(path, self._options) as source:
                        self._read(source)
                except UnreadableSource as error:
                    unreadable.append(str(error))
                    if self._snapshot:
                        self._snapshot.note_problem(str(error))
        if self._is_logged and names:
            self._log(names, unreadable)
        ended = self._snapshot.finish(was_stopped=self._stop) if self._snapshot else None
        met = dict.fromkeys(self._audiences.ids.values())
        audiences = [
            audience for audience in self._ledger.read(all_audiences) if audience.id in met
        ]
        return ImportReport(
            self._tally,
            dict(self._filtered),
            tuple(met),
            tuple(unreadable),
            self._stop,
            ended,
            tuple(self._events),
            self._updated,
            tuple(self._nothing_taken),
            self._dated_ahead,
            tuple(audience.name for audience in audiences if audience.id in known),
            tuple(audience.name for audience in audiences if audience.id not in known),
        )

    def _log(self, names: list[str], unreadable: list[str]) -> None:
        entry = import_entry(
            names,
            self._tally,
            self._now(),
            was_stopped=self._stop,
            unreadable=unreadable,
            is_snapshot=self._snapshot is not None,
        )
        self._ledger.write(add_log_entry, entry)

    def _read(self, source: Source) -> None:
        path = None if source.name == "stdin" else source.name
        source_id = self._ledger.write(sources.begin_source, source.name, path, self._now())
        is_list = source.kind is SourceKind.AUDIENCE_CSV
        staged = self._snapshot if is_list else None
        if staged:
            staged.begin(self._listed_audience(), source_id, source)
        part, before, filtered = ChangeBuffer(), self._tally, self._filtered.copy()
        for batch in source:
            if not part.has_room_for(batch):
                self._fold(source_id, part)
                part = ChangeBuffer()
            part.add(batch, is_staged=staged is not None)
            if staged:
                staged.add(batch)
            else:
                if is_list and batch.changes:
                    self._listed_audience()
                self._audiences.meet(part, batch)
            self._count_ahead(batch)
            self._show(source, part.tally)
            if self._stop:
                break
        self._fold(source_id, part)
        self._wait(0)
        tally = self._tally - before
        self._end(source, staged, tally)
        if tally.filtered and not tally.changes and not self._stop:
            name = clean(source.name, 300)
            self._nothing_taken.append(nothing_taken(name, self._filtered - filtered))

    def _count_ahead(self, batch: EventBatch) -> None:
        if max(map(_at, batch.changes), default=0) > self._latest:
            self._dated_ahead += sum(at > self._latest for at in map(_at, batch.changes))

    def _end(self, source: Source, staged: SnapshotReader | None, tally: ReadCounts) -> None:
        if staged:
            staged.end(source, tally.invalid)
        elif self._snapshot and tally.read:
            self._events.append(source.name)
        elif self._snapshot:
            self._snapshot.note_problem(f"{source.name} is empty: it has not even a header.")

    def _listed_audience(self) -> int:
        """The audience of a list of members: the one that was named exactly, else by its key."""
        ref = AudienceRef("", "", self._options.audience or "")
        if self._options.ref is not None:
            self._audiences.choose(ref, self._options.ref)
        return self._audiences.ids.get(ref) or self._audiences.discover(ref)

    def _fold(self, source_id: int, part: "ChangeBuffer") -> None:
        self._tally += part.tally
        self._filtered.update(part.filtered)
        self._folds.append(
            self._ledger.submit(merge_changes, source_id, part, dict(self._audiences.ids))
        )
        self._wait(AHEAD)

    def _wait(self, ahead: int) -> None:
        """Let the ledger catch up until `ahead` parts are left; raises its errors."""
        while len(self._folds) > ahead:
            self._updated += self._folds.popleft().result()

    def _show(self, source: Source, since: ReadCounts) -> None:
        if self._watch:
            tally = self._tally + since
            self._watch(ImportProgress(source.name, source.position(), source.size, tally))


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Events are trees, and die by themselves: looking for cycles takes a tenth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
