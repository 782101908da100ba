"""Temporary tables of the users found in a cohort, and of a list to compare it with.

SQLite keeps them on disk, and removes them when its process ends. A comparison holds the audience's
lease, so each audience has at most one of each.
"""

from collections.abc import Sequence

import msgspec

from amp_console.ledger.applied_lists import applied_lists
from amp_console.ledger.db import ID_TYPE_CODE, Db, ServerDb, each_row
from amp_console.ledger.forgotten import forgotten_people
from amp_console.values import MAX_IDENTIFIER_BYTES, IdType, identifier_fault

_MAX_CHARACTER = 4  # bytes of UTF-8


def export_table(audience_id: int) -> str:
    """The name of the table of users found in the cohort."""
    return f"found_{int(audience_id)}"


def drift_table(audience_id: int) -> str:
    """Temporary table of members whose membership in the export differs from `delivered`."""
    return f"drift_{int(audience_id)}"


def absent_table(audience_id: int) -> str:
    """Temporary table of members who are not in the export."""
    return f"absent_{int(audience_id)}"


def list_table(audience_id: int) -> str:
    """The name of the table of a list that the cohort is compared with."""
    return f"listed_{int(audience_id)}"


def drop_export(db: Db, audience_id: int) -> None:
    """Drop the users found in the cohort, and the differences found."""
    db.execute(f"DROP TABLE IF EXISTS temp.{export_table(audience_id)}")
    db.execute(f"DROP TABLE IF EXISTS temp.{drift_table(audience_id)}")


def begin_export(db: Db, audience_id: int) -> None:
    """Start a new export of a cohort."""
    drop_export(db, audience_id)
    db.execute(
        f"CREATE TEMP TABLE {export_table(audience_id)} (id TEXT NOT NULL, other TEXT NOT NULL)"
    )


def add_exported(
    db: Db,
    audience_id: int,
    id_type: IdType,
    users: str,
) -> None:
    """Add people who are in the cohort: a JSON object of User IDs ("": none) by Amplitude ID.

    A User ID that no ledger can store counts as none.
    """
    table = f"temp.{export_table(audience_id)}"
    longest = max(map(len, users.split('","')))  # of a person, so that of a User ID is no more
    may_be_too_much = _may_be_too_much("\\" in users, longest)
    if isinstance(db, ServerDb):
        columns = "other, id" if id_type is IdType.USER_ID else "id, other"
        lines = None if may_be_too_much else _as_lines(users)
        if lines is not None:
            db.copy_text(table, columns, lines)
        else:
            db.copy(table, columns, _known(users).items())
        return
    if may_be_too_much:
        users = msgspec.json.encode(_known(users)).decode()
    columns = "value, key" if id_type is IdType.USER_ID else "key, value"
    db.execute(f"INSERT INTO {table} SELECT {columns} FROM json_each(?)", (users,))


def _as_lines(users: str) -> str | None:
    """A JSON object without escapes as lines of cells; None if a cell looks like a separator.

    What separates the cells is replaced: decoding them would take longer than the server's COPY.
    """
    lines = users[2:-2].replace('":"', "\t").replace('","', "\n")
    return f"{lines}\n" if lines and '"' not in lines else None


def _known(users: str) -> dict[str, str]:
    """Leave out User IDs that no ledger can store; few texts have to be checked for that."""
    known = msgspec.json.decode(users, type=dict[str, str])
    if _may_be_too_much("\\" in users, max(map(len, known.values()), default=0)):
        return {id_: "" if identifier_fault(user) else user for id_, user in known.items()}
    return known


def _may_be_too_much(has_escapes: bool, longest: int) -> bool:
    return has_escapes or longest * _MAX_CHARACTER > MAX_IDENTIFIER_BYTES


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
