"""Taking events in: from the sources `engage` reads into what the ledger wants."""

import gc
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import msgspec

from amp_console.engage import ReadOptions, Source, SourceKind, UnreadableSource, open_source
from amp_console.ledger import Ledger, members, sources
from amp_console.ledger.sources import Tally
from amp_console.sync.known_audiences import KnownAudiences
from amp_console.sync.part import Part, fold_part
from amp_console.sync.timing import now_in_microseconds
from amp_console.values import AudienceRef, IdType

AHEAD = 1  # parts that wait for the ledger while the next one is read


class IntakeProgress(msgspec.Struct, frozen=True):
    """How far the reading is: `position` of `size` bytes of one source (None: not known)."""

    source: str
    position: int
    size: int | None
    tally: Tally


class IntakeReport(msgspec.Struct, frozen=True):
    """What was read: from all sources together, for which audiences, and what could not be opened.

    `left` counts those who left because a snapshot does not hold them.
    """

    tally: Tally
    filtered: dict[str, int]
    audience_ids: tuple[int, ...]
    unreadable: tuple[str, ...]
    left: int
    was_stopped: bool


Watch = Callable[[IntakeProgress], None]


class Intake:
    """Reads sources one after the other; what was folded is kept, however it ends."""

    def __init__(
        self,
        ledger: Ledger,
        options: ReadOptions,
        *,
        is_snapshot: bool = False,
        watch: Watch | None = None,
        now: Callable[[], int] = now_in_microseconds,
    ) -> None:
        """`is_snapshot`: an audience's CSV download holds all its members; the others left."""
        self._ledger = ledger
        self._options = options
        self._is_snapshot = is_snapshot
        self._watch = watch
        self._now = now
        self._audiences = KnownAudiences(ledger)
        self._folds: deque[Future[None]] = deque()
        self._tally = Tally()
        self._filtered: Counter[str] = Counter()
        self._left = 0
        self._stop = False

    def stop(self) -> None:
        """Stop reading after the block at hand; what was read so far is kept."""
        self._stop = True

    def run(self, paths: Iterable[str]) -> IntakeReport:
        """Read every source; one that can't be read stops none of the others.

        Raises `LedgerError`.
        """
        unreadable: list[str] = []
        with _no_garbage():
            for path in paths:
                if self._stop:
                    break
                try:
                    with open_source(path, self._options) as source:
                        self._read(source)
                except UnreadableSource as error:
                    unreadable.append(str(error))
        return IntakeReport(
            self._tally,
            dict(self._filtered),
            tuple(dict.fromkeys(self._audiences.ids.values())),
            tuple(unreadable),
            self._left,
            self._stop,
        )

    def _read(self, source: Source) -> None:
        path = None if source.name == "stdin" else source.name
        source_id = self._ledger.write(sources.begin_source, source.name, path, self._now())
        part = Part()
        for batch in source:
            if not part.has_room_for(batch):
                self._fold(source_id, part)
                part = Part()
            part.add(batch)
            self._audiences.meet(part, batch, may_refuse=source.kind is not SourceKind.AUDIENCE_CSV)
            self._show(source, part.tally)
            if self._stop:
                break
        self._fold(source_id, part)
        self._wait(0)
        if self._is_snapshot and source.kind is SourceKind.AUDIENCE_CSV and not self._stop:
            self._end_snapshot(source, source_id)

    def _fold(self, source_id: int, part: "Part") -> None:
        self._tally += part.tally
        self._filtered.update(part.filtered)
        self._folds.append(
            self._ledger.submit(fold_part, source_id, part, dict(self._audiences.ids))
        )
        self._wait(AHEAD)

    def _wait(self, ahead: int) -> None:
        """Let the ledger catch up until `ahead` parts are left; raises its errors."""
        while len(self._folds) > ahead:
            self._folds.popleft().result()

    def _show(self, source: Source, since: Tally) -> None:
        if self._watch:
            tally = self._tally + since
            self._watch(IntakeProgress(source.name, source.position(), source.size, tally))

    def _end_snapshot(self, source: Source, source_id: int) -> None:
        ref = AudienceRef("", "", self._options.audience or "")
        audience_id = self._audiences.ids.get(ref) or self._audiences.discover(ref)
        id_types = [IdType.USER_ID]
        if self._options.amplitude_id_column:
            id_types.append(IdType.AMPLITUDE_ID)
        self._left += self._ledger.write(
            members.fold_snapshot, audience_id, source_id, source.taken_at, id_types
        )


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
