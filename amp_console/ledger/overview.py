"""What a ledger is and contains, and whether it is consistent, on either engine."""

import msgspec

from amp_console.ledger.db import Db, ServerDb
from amp_console.ledger.holders import Holders, holders
from amp_console.ledger.layout import quoted_name, tables_of
from amp_console.ledger.locks import Locks
from amp_console.text import plural

_FOUND = 5  # damages that SQLite lists


class LedgerOverview(msgspec.Struct, frozen=True):
    """A ledger's engine, in words; its version and size in bytes; what it contains."""

    engine: str
    version: int
    bytes: int
    audiences: int
    members: int
    runs: int
    holders: Holders


def overview(db: Db, locks: Locks) -> LedgerOverview:
    """Describe a ledger, and who is working on it."""
    if isinstance(db, ServerDb):
        engine, version, size = db.engine(), db.version(), db.stored_bytes()
    else:
        engine = f"SQLite {_one(db, 'SELECT sqlite_version()')}"
        version = int(_one(db, "PRAGMA user_version"))
        size = int(
            _one(db, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
        )
    audiences, members, runs = (_count(db, table) for table in ("audience", "member", "run"))
    return LedgerOverview(engine, version, size, audiences, members, runs, holders(db, locks))


_RULES = (
    ("member", "wanted = 1 AND is_member = 0", "wanted although the newest event says they left"),
    ("member", "audience_id NOT IN (SELECT id FROM audience)", "of no audience"),
    (
        "member",
        "rejection_id IS NOT NULL AND rejection_id NOT IN (SELECT id FROM rejection)",
        "rejected for no known reason",
    ),
    ("member", "wanted NOT IN (0, 1) OR delivered NOT IN (0, 1)", "neither in a cohort nor out"),
    ("request", "audience_id NOT IN (SELECT id FROM audience)", "of no audience"),
    ("request", "(state = 'open') <> (settled_at IS NULL)", "both open and settled, or neither"),
    ("run", "(status = 'running') <> (ended_at IS NULL)", "both under way and ended, or neither"),
    ("run_audience", "audience_id NOT IN (SELECT id FROM audience)", "of no audience"),
    (
        "erasure_identifier",
        "erasure_id IN (SELECT id FROM erasure WHERE erased_at IS NOT NULL)",
        "left of a person who was erased",
    ),
)
"""Of each table: rows that there must not be, and what is wrong with them."""


def problems(db: Db) -> list[str]:
    """Check the whole ledger; return sentences on what is wrong. This reads everything."""
    found = []
    if isinstance(db, ServerDb):
        found += [f"The next number of {name} is taken." for name in db.numbers_taken()]
    else:
        says = [str(row[0]) for row in db.execute(f"PRAGMA quick_check({_FOUND})")]
        if says != ["ok"]:
            return [f"The file is damaged: {what}." for what in says]
    for table in tables_of(db):
        for reference in table.references:
            column, parent = quoted_name(reference.column), quoted_name(reference.parent)
            lost = _count(
                db,
                table.name,
                f"{column} IS NOT NULL AND {column} NOT IN "
                f"(SELECT {quoted_name(reference.parent_column)} FROM {parent})",
            )
            if lost:
                rows = plural(lost, "row")
                found.append(f"{rows} of {table.name}: the {reference.parent} is missing.")
    for table_name, condition, what in _RULES:
        if count := _count(db, table_name, condition):
            found.append(f"{plural(count, 'row')} of {table_name}: {what}.")
    return found


def _count(db: Db, table: str, condition: str = "1 = 1") -> int:
    return int(_one(db, f"SELECT count(*) FROM {quoted_name(table)} WHERE {condition}"))


def _one(db: Db, query: str) -> str | int:
    value: str | int = db.execute(query).fetchone()[0]
    return value
