"""Moving a ledger to another place, of either engine, and saving a copy as a file.

Until the move is done, the old ledger is the one in use, whatever fails; afterwards it is kept, and
marked. The marks make this safe. The copy is marked as moved to the old ledger in the transaction
that creates it. Then the old ledger is marked as moved to the copy, and the copy loses its mark. A
process that dies in between never leaves two ledgers that can be used.
"""

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import msgspec

from amp_console.ledger.backups import BackupOptions, copy_file, finish_copy
from amp_console.ledger.copying import (
    CopyProgress,
    Observe,
    TableSum,
    copied_tables,
    copy_ledger,
    delete_rows,
    used_tables,
)
from amp_console.ledger.database import Access, Database, Ledger
from amp_console.ledger.db import Db, ServerDb
from amp_console.ledger.errors import LedgerError, explained
from amp_console.ledger.files import make_empty
from amp_console.ledger.holders import Holders, holders
from amp_console.ledger.moved import mark_of, put_mark, refuse_writes, remove_mark
from amp_console.ledger.sqlite_files import delete_files
from amp_console.text import listed


class LedgerInUse(LedgerError):
    """A process holds a lease, a run or a source of a ledger that is to be moved."""


class LedgerNotEmpty(LedgerError):
    """There is already a ledger or a file at the target."""


class Move(msgspec.Struct, frozen=True):
    """What was moved: from one address to another, with the sums of each table."""

    old: str
    new: str
    tables: list[TableSum]

    @property
    def rows(self) -> int:
        """How many rows all tables have."""
        return sum(table.rows for table in self.tables)


def address_of(url: str) -> str:
    """The address that a mark names: a path is absolute."""
    return url if "://" in url else str(Path(url).resolve())


def move_ledger(
    source: Ledger, make_target: Callable[[], Database], now: int, observe: Observe
) -> Move:
    """Copy a ledger to an address that has none, and mark it; no other process can write meanwhile.

    `now` is in microseconds since 1970. An error, also one that `observe` raises, leaves the ledger
    as it was and the other place empty. Raises `LedgerInUse`, `LedgerNotEmpty`, `LedgerError`.
    """
    old, new = address_of(source.url), address_of(make_target().url)
    if old == new:
        raise LedgerError(f"The ledger is at {new} already. Nothing was moved.")

    def work(db: Db) -> list[TableSum]:
        if isinstance(db, ServerDb):
            db.lock(table.name for table in copied_tables(db))
        _require_idle(holders(db, source.locks), old)
        with _opened(make_target()) as target:
            sums = target.transaction(
                Access.WRITE, lambda copy: _fill(db, copy, target, old, now, observe)
            )
            try:
                refuse_writes(db, put_mark(db, new, now))
            except BaseException:
                with suppress(LedgerError, target.errors):  # then its mark makes it no ledger
                    target.transaction(Access.WRITE, _clear)
                raise
        return sums

    sums = source.write(work)
    finish_move(make_target(), old)
    return Move(old, new, sums)


def finish_move(target: Database, old: str) -> None:
    """Make the copy usable whose original, `old`, is already marked."""

    def work(db: Db) -> None:
        if (mark := mark_of(db)) is not None and mark.names(old):
            remove_mark(db)

    with _opened(target):
        target.transaction(Access.WRITE, work)


def save_copy(source: Ledger, file: Path, observe: Observe) -> None:
    """Copy a ledger into a new SQLite file, readable by its owner only, while others use it.

    A file is copied page by page, and `observe` is not called. Raises `LedgerError` and
    `BackupSkipped`.
    """
    with _new_file(file) as unfinished:
        if source.backups is not None:
            unknown = CopyProgress("pages", 0, 0)
            copy_file(Path(source.url), unfinished, BackupOptions(), lambda: observe(unknown))
            return

        def work(db: Db) -> None:
            make_empty(unfinished)
            with closing(sqlite3.connect(unfinished, isolation_level=None)) as copy:
                copy.execute("BEGIN")
                copy_ledger(db, copy, observe)
                copy.execute("COMMIT")

        source.read(work)
        finish_copy(source.url, unfinished)


@contextmanager
def _new_file(file: Path) -> Iterator[Path]:
    """Yield a temporary name beside a file; it is renamed unless the file exists by then."""
    exists = LedgerNotEmpty(f"{file} exists already. It was not changed. Choose another name.")
    if os.path.lexists(file):
        raise exists
    unfinished = file.with_name(f"{file.name}.{secrets.token_hex(4)}.unfinished")
    with explained(file):
        try:
            yield unfinished
            _rename(unfinished, file)
        except FileExistsError:
            raise exists from None
        finally:
            delete_files(unfinished)


def _rename(unfinished: Path, file: Path) -> None:
    """Rename a file unless there is one of the new name. Raises OSError."""
    try:
        os.link(unfinished, file)
    except FileExistsError:
        raise
    except OSError:  # a disk without links, such as a USB stick
        if file.exists():
            raise FileExistsError from None
        unfinished.rename(file)


@contextmanager
def _opened(database: Database) -> Iterator[Database]:
    """Open a database for a block; its errors become the operator's."""
    try:
        database.open()
        try:
            yield database
        finally:
            database.close()
    except database.errors as error:
        raise database.explain(error) from error


def _fill(
    db: Db, copy: Db, target: Database, old: str, now: int, observe: Observe
) -> list[TableSum]:
    """Copy a ledger into an empty one, or over an earlier copy, and mark the copy as not in use."""
    mark = mark_of(copy)
    if mark is None:
        _require_idle(holders(copy, target.locks), target.url)
        _require_empty(copy, target.url)
    elif not mark.names(old):
        raise LedgerNotEmpty(
            f"There is an earlier ledger at {target.url}, which {mark}, and not to {old}. Nothing "
            "was moved. Choose another database, schema or file."
        )
    if isinstance(copy, ServerDb):
        copy.lock(table.name for table in copied_tables(copy))
    remove_mark(copy)
    sums = copy_ledger(db, copy, observe)
    put_mark(copy, old, now)
    return sums


def _clear(copy: Db) -> None:
    delete_rows(copy)
    remove_mark(copy)


def _require_idle(found: Holders, address: str) -> None:
    if found:
        raise LedgerInUse(
            f"Others are at work on the ledger {address}: they hold {found}. Nothing was moved. "
            "Run amp-console ledger show to see who they are, end their work, then move again."
        )


def _require_empty(copy: Db, address: str) -> None:
    used = used_tables(copy)
    if used:
        raise LedgerNotEmpty(
            f"There is a ledger at {address} already, with rows in {listed(used[:4])}. Nothing was "
            "moved. Choose another database or schema, or connect to that one."
        )
