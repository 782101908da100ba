"""The members of an audience as a query lists them, in batches."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from types import TracebackType
from typing import Self
from uuid import UUID

from amp_console.engage import EventBatch
from amp_console.engage.batch import EventCounts
from amp_console.engage.identifiers import (
    BROKEN_IDENTIFIER,
    UnusableIdentifier,
    identifier,
)
from amp_console.engage.json_text import is_text
from amp_console.sync.sources.warehouse.engine import Engine, QueryResult, Row, WarehouseError
from amp_console.text import clean
from amp_console.values import AudienceRef, Change, IdType, now_in_microseconds

TIMEOUT = 3_600.0  # seconds
MAX_NAMES = 20  # columns that a sentence names
MAX_LENGTH = 60  # characters of a column's name

COLUMNS = {"user_id": IdType.USER_ID, "amplitude_id": IdType.AMPLITUDE_ID}
"""The columns that hold identifiers, by their names in lower case."""


class QueryReader:
    """Runs one query, and iterates once over its rows as members of an audience.

    As a context manager it begins the query. Beginning and iterating raise WarehouseError; a list
    whose iteration ends without one is complete. `refused` counts the rows that were left out, by
    reason, and `ignored` names the columns that hold no identifiers.
    """

    def __init__(
        self,
        engine: Engine,
        name: str,
        sql: str,
        audience: AudienceRef,
        *,
        timeout: float = TIMEOUT,
        now: Callable[[], int] = now_in_microseconds,
    ) -> None:
        """`name` is what people call the source; `timeout` is in seconds."""
        self.name = name
        self.taken_at = 0
        self.id_types: tuple[IdType, ...] = ()
        self.ignored: tuple[str, ...] = ()
        self.rows = 0
        self.refused: Counter[str] = Counter()
        self._engine = engine
        self._sql = sql.strip().rstrip(";")
        self._audience = audience
        self._timeout = timeout
        self._now = now
        self._result = QueryResult((), iter(()))
        self._indexes: dict[IdType, int] = {}
        self._ended_by = ""
        self._is_over = False
        self._lock = threading.Lock()  # an engine that is being closed can't be cancelled
        self._timer = threading.Timer(timeout, self._end, ["limit"])
        self._timer.daemon = True

    def cancel(self) -> None:
        """Cancel the query, from any thread; call it again if the query has not ended."""
        self._end("operator")

    def __enter__(self) -> Self:
        if not self._sql.strip():
            raise WarehouseError("The query is empty.", "Write it as a SELECT.")
        self._timer.start()
        try:
            with self._interruptible():
                self.taken_at = self._now()  # what the query sees is no older than that
                self._result = self._engine.query(self._sql, self._timeout)
            self._find_columns()
        except BaseException:
            self._finish()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._finish()

    def __iter__(self) -> Iterator[EventBatch]:
        chunks = iter(self._result.chunks)
        while True:
            with self._interruptible():
                chunk = next(chunks, None)
            if chunk is None:
                return
            yield self._batch(chunk)

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

    def _find_columns(self) -> None:
        columns = self._result.columns
        lowered = [column.lower() for column in columns]
        for name, id_type in COLUMNS.items():
            if lowered.count(name) > 1:
                raise WarehouseError(
                    f"The query returns several columns called {name}.",
                    "Keep the one that holds the identifiers.",
                )
            if name in lowered:
                self._indexes[id_type] = lowered.index(name)
        if not self._indexes:
            found = ", ".join(clean(column, MAX_LENGTH) for column in columns[:MAX_NAMES])
            raise WarehouseError(
                f"The query returns no column called user_id or amplitude_id, but {found}.",
                "Name the column that holds the identifiers: SELECT … AS user_id.",
            )
        self.id_types = tuple(self._indexes)
        used = {*self._indexes.values()}
        self.ignored = tuple(item for index, item in enumerate(columns) if index not in used)

    def _batch(self, rows: Sequence[Row]) -> EventBatch:
        counts = EventCounts()
        audience, at = self._audience, self.taken_at
        user, amplitude = (self._indexes.get(id_type) for id_type in COLUMNS.values())
        missing = f"no {' or '.join(self._names())} in this row"
        line = self.rows
        for row in rows:
            line += 1
            try:
                user_id = None if user is None else self._identifier(row[user], "user_id")
                other = (
                    None if amplitude is None else self._identifier(row[amplitude], "amplitude_id")
                )
            except UnusableIdentifier as error:
                counts.refuse(line, str(error))
                self.refused[str(error)] += 1
                continue
            if user_id is None and other is None:
                counts.refuse(line, missing)
                self.refused[missing] += 1
            else:
                counts.changes.append(Change(audience, user_id, other, True, at, line))
        self.rows = line
        return counts.batch()

    def _names(self) -> list[str]:
        return [name for name, id_type in COLUMNS.items() if id_type in self._indexes]

    def _identifier(self, value: object, column: str) -> str | None:
        """The identifier in a cell, exactly as it is; None for NULL and for blanks."""
        if isinstance(value, str):
            if not value or value.isspace():
                return None
            if not value.isascii() and not is_text(value):
                raise UnusableIdentifier(BROKEN_IDENTIFIER)
            return value
        if value is None:
            return None
        if isinstance(value, UUID):
            return str(value)
        is_number = isinstance(value, int) and not isinstance(value, bool)
        if is_number or (isinstance(value, Decimal) and value.is_finite()):
            return identifier(value)
        raise _WrongType(column, value)


class _WrongType(WarehouseError):
    """A column holds values that are no identifiers, or have lost their digits."""

    def __init__(self, column: str, value: object) -> None:
        if isinstance(value, float | Decimal):
            what, why = "floating-point numbers", "which do not keep all digits of an identifier"
        elif isinstance(value, bool):
            what, why = "true and false", "which are not identifiers"
        else:
            what, why = f"values of the type {type(value).__name__}", "which are not identifiers"
        super().__init__(
            f"The column {column} holds {what}, {why}.",
            f"Convert it in the query to text or to a whole number: CAST({column} AS …).",
        )


class QueryCancelled(WarehouseError):
    """The operator has cancelled the query."""

    def __init__(self) -> None:
        super().__init__(
            "The query was cancelled in the warehouse.", "Refresh again to run it anew."
        )


class TimeLimitReached(WarehouseError):
    """The query took longer than it may."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"The query took longer than the time limit of {seconds:,g} s and was cancelled.",
            "Make the query faster, or raise the limit.",
        )
