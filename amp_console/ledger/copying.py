"""Copying a whole ledger into another one, of either engine, and verifying the copy.

The catalog determines what is copied: there is no hand-written list of tables and columns. Rows are
streamed from one ledger into the other, so memory does not grow with the ledger.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from amp_console.ledger.db import Db, ServerDb, each_row
from amp_console.ledger.errors import LedgerError
from amp_console.ledger.layout import Table, listed_names, quoted_name, tables_of
from amp_console.ledger.moved import MARK
from amp_console.text import named, plural

OBSERVED = 4_096  # rows between two reports of the progress
_MAX_INDEXED = 2_600  # bytes of texts in one entry of an index: PostgreSQL takes 2,704 in all
_LISTED = 3  # rows of a table that are named
_MODULUS = 1 << 128


class CopyProgress(msgspec.Struct, frozen=True):
    """How many of all rows were copied, or read again to check them; `table` is the current one."""

    table: str
    done: int
    total: int


Observe = Callable[[CopyProgress], None]
"""Is called now and then; what it raises ends the copying, and undoes it."""


class TableSum(msgspec.Struct, frozen=True):
    """How many rows a table has, and their checksum, independent of their order: 32 hex digits."""

    table: str
    rows: int
    checksum: str


class Unstorable(LedgerError):
    """The ledger has rows that PostgreSQL can't store; none was copied."""


class _Sum:
    """Adds up the digests of rows: their order does not matter, the number of equal rows does."""

    def __init__(self) -> None:
        self.rows = 0
        self._total = 0

    def over(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        """Yield the rows, and add each to the sum."""
        encode, digest = msgspec.msgpack.Encoder().encode, hashlib.blake2b
        for row in rows:
            packed = digest(encode(row), digest_size=16).digest()
            self._total += int.from_bytes(packed)
            self.rows += 1
            yield row

    def result(self, table: str) -> TableSum:
        """The sum over all rows that were yielded, as that of a table."""
        return TableSum(table, self.rows, f"{self._total % _MODULUS:032x}")


def copied_tables(db: Db) -> list[Table]:
    """The tables that are copied: all except the mark of a moved ledger."""
    return [table for table in tables_of(db) if table.name != MARK]


def sums_of(db: Db) -> list[TableSum]:
    """Count the rows of each table and compute its checksum; this reads the whole ledger."""
    return sorted(
        (_summed(db, table, lambda _: None) for table in copied_tables(db)),
        key=lambda summed: summed.table,
    )


def used_tables(db: Db) -> list[str]:
    """The tables that have a row."""
    return [
        table.name
        for table in copied_tables(db)
        if db.execute(f"SELECT 1 FROM {quoted_name(table.name)} LIMIT 1").fetchone()
    ]


def copy_ledger(source: Db, target: Db, observe: Observe) -> list[TableSum]:
    """Copy all rows of a ledger into another one, whose rows are deleted first.

    Both are in a transaction and have the same version. Returns the checksums, which are the same
    on both sides. Raises `Unstorable`, and `LedgerError` if the checksums differ.
    """
    tables = copied_tables(source)
    if _columns(tables) != _columns(copied_tables(target)):
        raise LedgerError(
            "The two ledgers do not have the same tables. Nothing was copied. Update amp-console "
            "wherever it uses one of them."
        )
    if isinstance(target, ServerDb):
        _require_storable(source, tables)
    total = 2 * sum(_count(source, table) for table in tables)
    delete_rows(target)
    done = 0
    sums = []

    def observe_rows(table: Table) -> Callable[[int], None]:
        return lambda rows: observe(CopyProgress(table.name, done + rows, total))

    for table in tables:
        summed = _copy(source, target, table, observe_rows(table))
        sums.append(summed)
        done += summed.rows
    if isinstance(target, ServerDb):
        target.number_on()
    for table, summed in zip(tables, sums, strict=True):
        found = _summed(target, table, observe_rows(table))
        if found != summed:
            raise LedgerError(
                f"The copy of {table.name} differs from the original: "
                f"{_difference(summed, found)}. The copy was deleted. Try again, and check the "
                "memory and the disk if this happens once more."
            )
        done += found.rows
    return sorted(sums, key=lambda item: item.table)


def _columns(tables: list[Table]) -> dict[str, tuple[str, ...]]:
    return {table.name: table.columns for table in tables}


def _difference(sent: TableSum, found: TableSum) -> str:
    if sent.rows != found.rows:
        return f"{plural(sent.rows, 'row')} sent, {found.rows:,} found"
    return "the checksums differ"


def _count(db: Db, table: Table) -> int:
    return int(db.execute(f"SELECT count(*) FROM {quoted_name(table.name)}").fetchone()[0])


def delete_rows(db: Db) -> None:
    """Delete all rows of a ledger but its mark."""
    tables = copied_tables(db)
    if isinstance(db, ServerDb):
        db.empty(table.name for table in tables)
        return
    for table in reversed(tables):
        db.execute(f"DELETE FROM {quoted_name(table.name)}")


def _copy(source: Db, target: Db, table: Table, observe: Callable[[int], None]) -> TableSum:
    summed = _Sum()
    rows = summed.over(_observed(_rows(source, table), observe))
    columns = listed_names(table.columns)
    if isinstance(target, ServerDb):
        target.copy(quoted_name(table.name), columns, rows)
    else:
        values = ", ".join("?" * len(table.columns))
        target.executemany(
            f"INSERT INTO {quoted_name(table.name)} ({columns}) VALUES ({values})", rows
        )
    return summed.result(table.name)


def _summed(db: Db, table: Table, observe: Callable[[int], None]) -> TableSum:
    summed = _Sum()
    for _ in summed.over(_observed(_rows(db, table), observe)):
        pass
    return summed.result(table.name)


def _rows(db: Db, table: Table) -> Iterable[tuple[Any, ...]]:
    return each_row(db, table.selection())


def _observed(
    rows: Iterable[tuple[Any, ...]], observe: Callable[[int], None]
) -> Iterator[tuple[Any, ...]]:
    observe(0)
    for number, row in enumerate(rows, 1):
        if number % OBSERVED == 0:
            observe(number)
        yield row


def _require_storable(source: Db, tables: list[Table]) -> None:
    """Raise `Unstorable`, naming the rows; those of a server were stored on one before."""
    if isinstance(source, ServerDb):
        return
    found = [row for table in tables for row in _unstorable_rows(source, table)]
    if found:
        raise Unstorable(
            f"PostgreSQL can't store some rows of this ledger: {named(found, 5, 200)}. Nothing was "
            "copied. Delete members with amp-console forget, and the history with amp-console "
            "prune. Then move again."
        )


def _unstorable_rows(db: Db, table: Table) -> Iterator[str]:
    """List the rows of a SQLite ledger that contain a NUL, or more text than an index can hold."""
    reasons = {
        f"a NUL in {text}": f"instr({quoted_name(text)}, char(0)) > 0" for text in table.texts
    }
    sizes = [
        " + ".join(f"coalesce(length(CAST({quoted_name(text)} AS BLOB)), 0)" for text in texts)
        for texts in _indexed_texts(db, table)
    ]
    if sizes:
        too_long = " OR ".join(f"{size} > {_MAX_INDEXED}" for size in sizes)
        reasons[f"more text than an index can hold ({_MAX_INDEXED:,} bytes)"] = f"({too_long})"
    name = quoted_name(table.name)
    query = f"SELECT 1 FROM {name} WHERE {' OR '.join(reasons.values())} LIMIT 1"
    if not reasons or db.execute(query).fetchone() is None:
        return
    for reason, condition in reasons.items():
        (count,) = db.execute(f"SELECT count(*) FROM {name} WHERE {condition}").fetchone()
        keys = listed_names(table.key) or "''"
        query = f"SELECT {keys} FROM {name} WHERE {condition} LIMIT {_LISTED}"
        if count:
            rows = "; ".join(", ".join(map(str, row)) for row in db.execute(query))
            more = ", …" if count > _LISTED else ""
            yield f"{plural(count, 'row')} of {table.name} with {reason} ({rows}{more})"


def _indexed_texts(db: Db, table: Table) -> set[tuple[str, ...]]:
    """The text columns of a SQLite ledger that share an index."""
    indexes = defaultdict(list)
    for index, column in db.execute(
        "SELECT i.name, c.name FROM pragma_index_list(?) AS i JOIN pragma_index_info(i.name) AS c",
        (table.name,),
    ):
        if column in table.texts:
            indexes[index].append(column)
    return set(map(tuple, indexes.values()))
