"""The rows of a query, as members of an audience or as changes of them, in batches."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import NoneType
from typing import NamedTuple, Self

from amp_console.engage import EventBatch
from amp_console.engage.batch import EventCounts
from amp_console.engage.identifiers import UnusableIdentifier
from amp_console.sync.sources.warehouse.cursor import NextCursor
from amp_console.sync.sources.warehouse.engine import Engine, QueryResult, Row, WarehouseError
from amp_console.sync.sources.warehouse.rows import (
    EPOCH,
    IDENTIFIERS,
    Columns,
    UnusableRow,
    find_columns,
    read_identifier,
    read_membership,
    read_time,
)
from amp_console.values import AudienceRef, Change, IdType, now_in_microseconds

TIMEOUT = 3_600.0  # seconds
AND = " and "  # between the types of values of one column
_TYPES = {str: "text", int: "integer", float: "real", bytes: "blob"}


class ChangesFrom(NamedTuple):
    """A query lists changes: read on from `cursor` (microseconds since 1970; None: all).

    As rows may come late, it is read from so many seconds of `overlap` before that.
    """

    cursor: int | None
    overlap: float

    @property
    def parameter(self) -> datetime:
        """The time that the query is given as `:cursor`."""
        if self.cursor is None:
            return EPOCH
        since = EPOCH + timedelta(microseconds=self.cursor) - timedelta(seconds=self.overlap)
        return max(since, EPOCH)


class QueryReader:
    """Runs one query, and iterates once over its rows as members of an audience, or as changes.

    As a context manager it begins the query. Beginning and iterating raise WarehouseError; a list
    whose iteration ends without one is complete. `refused` counts the rows that were left out, by
    reason, and `ignored` names the columns that are not used.
    """

    def __init__(
        self,
        engine: Engine,
        sql: str,
        audience: AudienceRef,
        *,
        changes: ChangesFrom | None = None,
        timeout: float = TIMEOUT,
        now: Callable[[], int] = now_in_microseconds,
    ) -> None:
        """`timeout` is in seconds."""
        self.taken_at = 0
        self.rows = 0
        self.refused: Counter[str] = Counter()
        self.cursor = NextCursor(changes.cursor if changes else None)
        self._engine = engine
        self._sql = sql.strip().rstrip(";")
        self._audience = audience
        self._changes = changes
        self._timeout = timeout
        self._now = now
        self._result = QueryResult((), iter(()))
        self._columns = Columns({}, None, None, ())
        self._indexes: tuple[int | None, int | None] = (None, None)
        self._seen: dict[int, set[type]] = {}
        self._ended_by = ""
        self._is_over = False
        self._lock = threading.Lock()  # an engine that is being closed can't be cancelled
        self._timer = threading.Timer(timeout, self._end, ["limit"])
        self._timer.daemon = True

    @property
    def id_types(self) -> tuple[IdType, ...]:
        """The ID types by which the rows name people."""
        return tuple(self._columns.identifiers)

    @property
    def ignored(self) -> tuple[str, ...]:
        """The columns that are not used."""
        return self._columns.ignored

    @property
    def types(self) -> dict[str, str]:
        """The types of the columns that are used, by their names in lower case.

        Where an engine's columns have no types, the identifiers have those of their values.
        """
        names, declared = self._result.columns, self._result.types
        if declared:
            return {names[index].lower(): declared[index] for index in self._columns.used}
        seen = {names[index].lower(): kinds for index, kinds in self._seen.items() if kinds}
        return {name: AND.join(sorted(map(_type_name, kinds))) for name, kinds in seen.items()}

    def cancel(self) -> None:
        """Cancel the query, from any thread; call it again if the query has not ended."""
        self._end("operator")

    def __enter__(self) -> Self:
        if not self._sql.strip():
            raise WarehouseError("The query is empty.", "Write it as a SELECT.")
        if "\0" in self._sql:  # PostgreSQL would run what comes before it
            raise WarehouseError("The query contains a NUL character.", "Set it as plain text.")
        self._timer.start()
        try:
            with self._interruptible():
                self.taken_at = self._now()  # what the query sees is no older than that
                since = self._changes.parameter if self._changes else None
                self._result = self._engine.query(self._sql, self._timeout, since)
            found = find_columns(self._result.columns, are_changes=self._changes is not None)
            self._columns, by_type = found, found.identifiers
            self._indexes = by_type.get(IdType.USER_ID), by_type.get(IdType.AMPLITUDE_ID)
        except BaseException:
            self._finish()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._finish()

    def __iter__(self) -> Iterator[EventBatch]:
        chunks = iter(self._result.chunks)
        batch = self._list_batch if self._changes is None else self._change_batch
        while True:
            with self._interruptible():
                chunk = next(chunks, None)
            if chunk is None:
                return
            if not self._result.types:
                self._see_types(chunk)
            yield batch(chunk)

    def _end(self, by: str) -> None:
        with self._lock:
            if not self._is_over:
                self._ended_by = self._ended_by or by
                self._engine.cancel()

    def _finish(self) -> None:
        self._timer.cancel()
        with self._lock:
            self._is_over = True

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Say of a query that was cancelled what cancelled it, whatever the engine says."""
        self._check()
        try:
            yield
        except WarehouseError:
            self._check()
            raise
        self._check()

    def _check(self) -> None:
        if self._ended_by == "operator":
            raise QueryCancelled from None
        if self._ended_by == "limit":
            raise TimeLimitReached(self._timeout) from None

    def _see_types(self, rows: Sequence[Row]) -> None:
        for index in self._columns.identifiers.values():
            kinds = {type(row[index]) for row in rows}
            self._seen[index] = (self._seen.get(index, set()) | kinds) - {NoneType}

    def _list_batch(self, rows: Sequence[Row]) -> EventBatch:
        counts = EventCounts()
        audience, at = self._audience, self.taken_at
        line = self.rows
        for row in rows:
            line += 1
            try:
                user_id, other = self._identifiers(row)
            except (UnusableIdentifier, UnusableRow) as error:
                self._refuse(counts, line, error)
            else:
                counts.changes.append(Change(audience, user_id, other, True, at, line))
        self.rows = line
        return counts.batch()

    def _change_batch(self, rows: Sequence[Row]) -> EventBatch:
        counts = EventCounts()
        is_member, changed_at = self._columns.is_member, self._columns.changed_at
        assert is_member is not None
        assert changed_at is not None
        line = self.rows
        for row in rows:
            line += 1
            at = None
            try:
                at = read_time(row[changed_at])
                user_id, other = self._identifiers(row)
                entered = read_membership(row[is_member])
            except (UnusableIdentifier, UnusableRow) as error:
                self._refuse(counts, line, error)
                if at is not None:
                    self.cursor.refuse(at)
            else:
                counts.changes.append(Change(self._audience, user_id, other, entered, at, line))
                self.cursor.read(at, self.taken_at)
        self.rows = line
        return counts.batch()

    def _identifiers(self, row: Row) -> tuple[str | None, str | None]:
        """The User ID and the Amplitude ID of a row, at least one of them."""
        user, amplitude = self._indexes
        user_id = None if user is None else read_identifier(row[user], "user_id")
        other = None if amplitude is None else read_identifier(row[amplitude], "amplitude_id")
        if user_id is None and other is None:
            names = [name for name, id_type in IDENTIFIERS.items() if id_type in self.id_types]
            raise UnusableRow(f"no {' or '.join(names)} in this row")
        return user_id, other

    def _refuse(self, counts: EventCounts, line: int, why: Exception) -> None:
        counts.refuse(line, str(why))
        self.refused[str(why)] += 1


class RunningQuery:
    """A query that any thread may cancel, before its reader is known and while it is read."""

    def __init__(self) -> None:
        self.reader: QueryReader | None = None
        self._is_cancelled = False

    @property
    def rows(self) -> int:
        """How many rows were read so far."""
        return self.reader.rows if self.reader else 0

    def read_by(self, reader: QueryReader) -> QueryReader:
        """Return its reader. Raises QueryCancelled where it was cancelled already."""
        self.reader = reader
        if self._is_cancelled:
            raise QueryCancelled
        return reader

    def cancel(self) -> None:
        """Cancel it; call this again until it has ended."""
        self._is_cancelled = True
        if self.reader:
            self.reader.cancel()


def _type_name(kind: type) -> str:
    return _TYPES.get(kind, kind.__name__)


class QueryCancelled(WarehouseError):
    """The operator has cancelled the query."""

    def __init__(self) -> None:
        super().__init__("The query was cancelled in the warehouse.", "Refresh again to run it.")


class TimeLimitReached(WarehouseError):
    """The query took longer than it may."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"The query took longer than the time limit of {seconds:,g} s and was cancelled.",
            "Make the query faster, or raise the limit.",
        )
