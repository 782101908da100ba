"""The interface of a warehouse, and what can go wrong with it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import NamedTuple, Protocol

CHUNK = 10_000  # rows that are handed over at once

Row = Sequence[object]
NO_ROWS = ("The query returns no rows.", "Write it as a SELECT.")


class WarehouseError(Exception):
    """A warehouse that can't be opened, or a query that fails.

    It has two sentences: `what` happened, and the advice on what to do. The sentence between them,
    on what was kept, is added later.
    """

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(f"{what} {advice}")
        self.what = what
        self.advice = advice

    def sentence(self, kept: str) -> str:
        """What happened, what was kept, and what to do."""
        return f"{self.what} {kept} {self.advice}"


class DriverMissing(WarehouseError):
    """The driver of a kind of warehouse is not installed."""

    def __init__(self, product: str, packages: str, extra: str) -> None:
        named = " ".join(f"'{package}'" for package in packages.split())
        super().__init__(
            f"The driver for {product} is not installed.",
            f"Install it with: pipx inject amp-console {named}, or "
            f"pip install 'amp-console[{extra}]'.",
        )


class QueryResult(NamedTuple):
    """The names of a result's columns, and its rows in chunks. Iterating raises WarehouseError.

    `types` are those of the columns, as the engine calls them; () where its columns have none.
    """

    columns: tuple[str, ...]
    chunks: Iterator[Sequence[Row]]
    types: tuple[str, ...] = ()


class Engine(Protocol):
    """An open warehouse that can only be read. One query runs at a time, in one thread."""

    def version(self) -> str:
        """Its product and version, e.g. "PostgreSQL 15.18". Raises WarehouseError."""

    def query(self, sql: str, timeout: float, since: datetime | None = None) -> QueryResult:
        """Run a query of at most `timeout` seconds. Raises WarehouseError.

        An engine that has no time limit of its own may leave it to its caller. `since` is the value
        of the parameter `:cursor`; with it, times without an offset are in UTC.
        """

    def cancel(self) -> None:
        """Cancel the query under way, from any thread; without one, nothing happens."""

    def close(self) -> None:
        """Close it; raises nothing."""


def in_chunks(
    fetch: Callable[[int], Sequence[Row]], explained: Callable[[], AbstractContextManager[None]]
) -> Iterator[Sequence[Row]]:
    """Yield what `fetch` returns for so many rows until there are none; errors are `explained`."""
    while True:
        with explained():
            rows = fetch(CHUNK)
        if not rows:
            return
        yield rows


def position_in(sql: str, offset: int) -> str:
    """Where a character of a query is, for people; `offset` counts from 0."""
    before = sql[:offset]
    return f"line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"
