"""Temporary tables of what a comparison finds in an export, and of a list to compare it with.

SQLite keeps them on disk, and removes them when its process ends. A comparison holds the audience's
lease, so each audience has at most one of each.
"""

from collections.abc import Iterable, Sequence

import msgspec

from amp_console.ledger.applied_lists import applied_lists
from amp_console.ledger.db import ID_TYPE_CODE, Db, ServerDb, each_row
from amp_console.ledger.forgotten import forgotten_people
from amp_console.values import IdType


def export_table(audience_id: int) -> str:
    """Temporary table of users in the export, with their identifiers of both ID types."""
    return f"found_{int(audience_id)}"


def changed_table(audience_id: int) -> str:
    """Temporary table of identifiers that are either delivered or in the export, but not both."""
    return f"changed_{int(audience_id)}"


def drift_table(audience_id: int) -> str:
    """Temporary table of members whose membership in the export differs from `delivered`."""
    return f"drift_{int(audience_id)}"


def list_table(audience_id: int) -> str:
    """The name of the table of a list that the cohort is compared with."""
    return f"listed_{int(audience_id)}"


def drop_export(db: Db, audience_id: int) -> None:
    """Drop what a comparison found in an export."""
    for table in (export_table, changed_table, drift_table):
        db.execute(f"DROP TABLE IF EXISTS temp.{table(audience_id)}")


def stage_users(db: Db, audience_id: int, users: Iterable[tuple[str, str]]) -> None:
    """Keep users of the export: the identifier of the audience's ID type, and the other one."""
    _stage(db, export_table(audience_id), ("id", "other"), users)


def stage_changed(db: Db, audience_id: int, ids: Iterable[str]) -> None:
    """Keep identifiers that are either delivered or in the export, but not both."""
    _stage(db, changed_table(audience_id), ("id",), ((id_,) for id_ in ids))


def _stage(db: Db, table: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    typed = ", ".join(f"{column} TEXT NOT NULL" for column in columns)
    if isinstance(db, ServerDb):
        db.load(table, typed, rows)
    else:
        db.execute(f"CREATE TEMP TABLE {table} ({typed})")
        db.executemany(f"INSERT INTO temp.{table} VALUES ({', '.join('?' * len(columns))})", rows)


def drop_list(db: Db, audience_id: int) -> None:
    """Drop the list that a cohort is compared with."""
    db.execute(f"DROP TABLE IF EXISTS temp.{list_table(audience_id)}")


def begin_list(db: Db, audience_id: int) -> None:
    """Start reading a list of members."""
    drop_list(db, audience_id)
    columns = "(id TEXT NOT NULL PRIMARY KEY, is_named INTEGER NOT NULL DEFAULT 1)"
    db.execute(f"CREATE TEMP TABLE {list_table(audience_id)} {columns} WITHOUT ROWID")


def add_to_list(db: Db, audience_id: int, ids: Sequence[str]) -> None:
    """Add identifiers from the list."""
    db.executemany(
        f"INSERT INTO temp.{list_table(audience_id)} (id) VALUES (?) ON CONFLICT (id) DO NOTHING",
        [(id_,) for id_ in ids],
    )


class ListCounts(msgspec.Struct, frozen=True):
    """How many people a list contains after newer events are applied.

    `known` counts the identifiers in the list itself that also occur in the audience.
    """

    members: int
    known: int


def end_list(db: Db, audience_id: int, id_type: IdType, at: int) -> ListCounts:
    """Apply the events that are newer than the list."""
    values = {"audience": audience_id, "id_type": ID_TYPE_CODE[id_type], "at": at}
    known = "FROM main.member WHERE audience_id = :audience AND id_type = :id_type"
    # A newer list decides about everyone, also those it did not have to write.
    newest = applied_lists(db, audience_id).get(id_type)
    is_outdated = newest is not None and newest.at > at
    newer = f"{known} AND {'true' if is_outdated else 'event_at > :at'} AND is_member ="
    table = f"temp.{list_table(audience_id)}"
    _drop_forgotten(db, table, id_type, at)
    in_both = f"SELECT count(*) FROM {table} WHERE id IN (SELECT id {known} AND source_id <> 0)"
    overlap = int(db.execute(in_both, values).fetchone()[0])
    db.execute(f"DELETE FROM {table} WHERE id IN (SELECT id {newer} 0)", values)
    db.execute(f"INSERT INTO {table} SELECT id, 0 {newer} 1 ON CONFLICT (id) DO NOTHING", values)
    members = int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    return ListCounts(members, overlap)


def _drop_forgotten(db: Db, table: str, id_type: IdType, at: int) -> None:
    """Leave out the people whose deletion request is newer than the list."""
    forgotten = forgotten_people(db)
    if at > forgotten.newest:
        return
    rows = each_row(db, f"SELECT id FROM {table}")
    dropped = [row for row in rows if forgotten.covers(id_type, row[0], at)]
    db.executemany(f"DELETE FROM {table} WHERE id = ?", dropped)
