"""A snapshot lists everyone who is in an audience at one moment, so the others have left.

Its rows are staged in a temporary table first: nothing changes until `apply_snapshot`, which is
one transaction. A crash before it, or while the operator is asked, changes nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import count

import msgspec

from amp_console.ledger.applied_lists import AppliedList, applied_lists, keep_applied_list
from amp_console.ledger.audiences import Audience, Link, audience
from amp_console.ledger.db import ID_TYPE_CODE, ID_TYPE_OF, Db, ServerDb, each_row
from amp_console.ledger.forgotten import forgotten_people
from amp_console.ledger.members import KEEP_NEWEST
from amp_console.ledger.membership_changes import counting_new
from amp_console.values import Change, IdType

LARGE_SHARE = 0.2  # of an audience's members; a snapshot that removes more is never routine
_NUMBERS = count(1)  # two snapshots of one audience may be under way in one process


class Snapshot(msgspec.Struct, frozen=True):
    """What a snapshot covers: taken at `at` (microseconds since 1970), listing these ID types.

    `source_id` is the last source it was read from, `staging` the number of its staged rows.
    """

    audience_id: int
    source_id: int
    at: int
    id_types: tuple[IdType, ...]
    staging: int


class Removal(msgspec.Struct, frozen=True):
    """How many of an audience's `members` a snapshot of `listed` people removes."""

    members: int
    listed: int
    leaving: int

    @property
    def needs_consent(self) -> bool:
        """Whether it removes more than a fifth of the members, or lists no one."""
        if not self.leaving:
            return False
        return not self.listed or self.leaving > LARGE_SHARE * self.members


class Application(msgspec.Struct, frozen=True):
    """The result of applying: if more would leave than agreed, `removal` is what to confirm."""

    removal: Removal
    is_applied: bool


def begin_staging(db: Db) -> int:
    """Start a snapshot; return the number that identifies its staged rows, kept until dropped."""
    staging = next(_NUMBERS)
    columns = (
        "id_type INTEGER NOT NULL, id TEXT NOT NULL, other TEXT, at INTEGER NOT NULL, "
        "source_id INTEGER NOT NULL, line INTEGER NOT NULL"
    )
    db.execute(f"CREATE TEMP TABLE {_unsorted(staging)} ({columns})")
    db.execute(
        f"CREATE TEMP TABLE {_sorted_rows(staging)} ({columns}, PRIMARY KEY (id_type, id)) "
        "WITHOUT ROWID"
    )
    db.execute(f"CREATE TEMP TABLE {_leavers(staging)} (n INTEGER PRIMARY KEY)")
    return staging


def drop_staged(db: Db, staging: int) -> None:
    """Drop what was staged, if it was not dropped before."""
    for table in (_sorted_rows(staging), _unsorted(staging), _leavers(staging)):
        db.execute(f"DROP TABLE IF EXISTS temp.{table}")


def stage_changes(db: Db, staging: int, source_id: int, changes: Sequence[Change]) -> None:
    """Stage members that the snapshot lists; the newest row of each identifier counts.

    They are sorted all at once, when they are needed: inserting millions of unsorted identifiers
    into a sorted table takes four times as long.
    """
    counting = forgotten_people(db).without(list(changes))
    rows = [
        (id_type, id_, other, change.at, source_id, change.line)
        for id_type, id_, other, change in by_identifier(counting)
    ]
    if isinstance(db, ServerDb):
        db.copy(f"temp.{_unsorted(staging)}", _COLUMNS, rows)
        return
    db.executemany(f"INSERT INTO temp.{_unsorted(staging)} VALUES (?, ?, ?, ?, ?, ?)", rows)


def by_identifier(changes: Iterable[Change]) -> Iterator[tuple[int, str, str | None, Change]]:
    """Each identifier of each change: its type's code, itself, the person's other one, if known."""
    user_id, amplitude_id = ID_TYPE_CODE[IdType.USER_ID], ID_TYPE_CODE[IdType.AMPLITUDE_ID]
    for change in changes:
        if change.user_id is not None:
            yield user_id, change.user_id, change.amplitude_id, change
        if change.amplitude_id is not None:
            yield amplitude_id, change.amplitude_id, change.user_id, change


_COLUMNS = "id_type, id, other, at, source_id, line"
# PostgreSQL lets one statement update no row twice: this has one for each identifier, the newest.
_NEWEST_ROWS = """
SELECT DISTINCT ON (id_type, id) id_type, id, first_value(other) OVER (
        PARTITION BY id_type, id ORDER BY other IS NULL, at DESC, source_id DESC, line DESC),
    at, source_id, line
FROM {unsorted} ORDER BY id_type, id, at DESC, source_id DESC, line DESC
"""


def _sort_staged(db: Db, staging: int) -> None:
    """Sort what was staged since the last time into the table that everything reads."""
    table, unsorted = _sorted_rows(staging), f"temp.{_unsorted(staging)}"
    if db.execute(f"SELECT 1 FROM {unsorted} LIMIT 1").fetchone() is None:
        return
    rows = f"SELECT * FROM {unsorted} WHERE true ORDER BY id_type, id, at, source_id, line"
    if isinstance(db, ServerDb):
        rows = _NEWEST_ROWS.format(unsorted=unsorted)
    db.execute(
        f"INSERT INTO temp.{table} {rows} "
        f"ON CONFLICT (id_type, id) DO UPDATE SET other = coalesce(excluded.other, {table}.other), "
        "at = excluded.at, source_id = excluded.source_id, line = excluded.line "
        "WHERE (excluded.at, excluded.source_id, excluded.line) "
        f">= ({table}.at, {table}.source_id, {table}.line)"
    )
    db.execute(f"DELETE FROM {unsorted}")


def _drop_forgotten(db: Db, staging: int) -> None:
    """Leave out the people who were forgotten since they were staged."""
    forgotten, table = forgotten_people(db), f"temp.{_sorted_rows(staging)}"
    if not forgotten:
        return
    rows = each_row(
        db, f"SELECT id_type, id, other, at FROM {table} WHERE at <= ?", (forgotten.newest,)
    )
    dropped = [
        (id_type, id_)
        for id_type, id_, other, at in rows
        if forgotten.covers(ID_TYPE_OF[id_type], id_, at)
        or forgotten.covers(ID_TYPE_OF[id_type].other, other, at)
    ]
    db.executemany(f"DELETE FROM {table} WHERE id_type = ? AND id = ?", dropped)


def removal(db: Db, snapshot: Snapshot) -> Removal:
    """Count the members that the snapshot would remove now."""
    _sort_staged(db, snapshot.staging)
    values = _values(db, snapshot)
    _find_leavers(db, snapshot, values)
    (leaving,) = db.execute(
        f"SELECT count(*) FROM temp.{_leavers(snapshot.staging)} JOIN main.member USING (n) "
        f"WHERE {_PERSON}",
        values,
    ).fetchone()
    target = audience(db, snapshot.audience_id)
    return Removal(people(db, target), listed(db, snapshot.staging, target.id_type), int(leaving))


# A person with identifiers of both types counts once, by the one in use.
_PERSON = "(id_type = :used OR counterpart IS NULL)"


def people(db: Db, target: Audience) -> int:
    """Count the people who are members; one with both identifiers counts once."""
    (count,) = db.execute(
        "SELECT count(*) FROM main.member WHERE audience_id = :audience AND is_member = 1 "
        f"AND {_PERSON}",
        {"audience": target.id, "used": ID_TYPE_CODE[target.id_type]},
    ).fetchone()
    return int(count)


def listed(db: Db, staging: int, id_type: IdType) -> int:
    """Count the people that were staged; one with both identifiers counts once, by `id_type`."""
    _sort_staged(db, staging)
    row = db.execute(
        f"SELECT count(*) FROM temp.{_sorted_rows(staging)} WHERE id_type = ? OR other IS NULL",
        (ID_TYPE_CODE[id_type],),
    ).fetchone()
    return int(row[0])


def entering(db: Db, snapshot: Snapshot) -> int:
    """Count the people who would become members; one with both identifiers counts once."""
    _sort_staged(db, snapshot.staging)
    current = _current(db, snapshot.audience_id, snapshot.at)
    row = db.execute(
        f"SELECT count(*) FROM temp.{_sorted_rows(snapshot.staging)} AS staged "
        "LEFT JOIN main.member ON member.audience_id = :audience "
        "AND member.id_type = staged.id_type AND member.id = staged.id "
        "WHERE (staged.id_type = :used OR staged.other IS NULL) AND (member.n IS NULL "
        "OR (is_member = 0 AND staged.at >= event_at)) AND staged.id_type IN "
        f"({', '.join(str(ID_TYPE_CODE[id_type]) for id_type in current) or 'NULL'})",
        _values(db, snapshot),
    ).fetchone()
    return int(row[0])


def apply_snapshot(db: Db, snapshot: Snapshot, agreed: int, now: int) -> Application:
    """Make the listed people members, and remove the others if they are at most `agreed`.

    If more would leave by now, nothing changes. For members with a newer event, or a newer list,
    that one decides. Only people who enter or leave are written. From now on, events older than the
    list no longer count. Those still to come do, even if the list is dated after `now`
    (microseconds since 1970).
    """
    _sort_staged(db, snapshot.staging)
    _drop_forgotten(db, snapshot.staging)
    found = removal(db, snapshot)
    if found.leaving > agreed:
        return Application(found, is_applied=False)
    _merge_staged(db, snapshot, _ENTERS, _LIST_WINS)
    db.execute(
        "UPDATE main.member SET is_member = 0, wanted = 0, event_at = :at, "
        "source_id = :source, line = 0, "
        "rejection_id = CASE WHEN wanted = 0 THEN rejection_id END, "
        "refusals = CASE WHEN wanted = 0 THEN refusals ELSE 0 END "
        f"WHERE n IN (SELECT n FROM temp.{_leavers(snapshot.staging)})",
        {"at": snapshot.at, "source": snapshot.source_id},
    )
    current = _current(db, snapshot.audience_id, snapshot.at) & {*snapshot.id_types}
    applied = AppliedList(min(snapshot.at, now), snapshot.source_id)
    keep_applied_list(db, snapshot.audience_id, current, applied)
    drop_staged(db, snapshot.staging)
    return Application(found, is_applied=True)


def merge_staged(db: Db, snapshot: Snapshot) -> None:
    """Merge the listed members into the audience; no one leaves."""
    _sort_staged(db, snapshot.staging)
    _drop_forgotten(db, snapshot.staging)
    _merge_staged(db, snapshot, "true", KEEP_NEWEST)


_ENTERS = (
    "(at > :at OR NOT EXISTS (SELECT 1 FROM member AS known WHERE known.audience_id = :audience "
    "AND known.id_type = staged.id_type AND known.id = staged.id "
    "AND (known.is_member = 1 OR known.event_at > staged.at)))"
)
_LIST_WINS = """
    ON CONFLICT (audience_id, id_type, id) DO UPDATE SET
       is_member = excluded.is_member, wanted = excluded.wanted, event_at = excluded.event_at,
       source_id = excluded.source_id, line = excluded.line,
       rejection_id = CASE WHEN member.wanted = excluded.wanted THEN member.rejection_id END,
       refusals = CASE WHEN member.wanted = excluded.wanted THEN member.refusals ELSE 0 END
 WHERE excluded.event_at >= member.event_at
"""


def _current(db: Db, audience_id: int, at: int) -> set[IdType]:
    """The ID types by which no list newer than `at` was applied."""
    newest = applied_lists(db, audience_id)
    return {id_type for id_type in IdType if id_type not in newest or newest[id_type].at <= at}


def _merge_staged(db: Db, snapshot: Snapshot, condition: str, on_conflict: str) -> None:
    audience_id, at = snapshot.audience_id, snapshot.at
    known, table = audience(db, audience_id), f"temp.{_sorted_rows(snapshot.staging)}"
    used = ID_TYPE_CODE[known.id_type]
    for id_type in _sorted(_current(db, audience_id, at)):
        code = ID_TYPE_CODE[id_type]
        with counting_new(db, audience_id, code, at):
            db.execute(
                "INSERT INTO member (audience_id, id_type, id, is_member, wanted, event_at, "
                "source_id, line, delivered) SELECT :audience, id_type, id, 1, "
                "CASE WHEN id_type = :used THEN 1 ELSE 0 END, "
                "at, source_id, line, "
                "CASE WHEN id_type = :used AND :is_existing = 1 THEN NULL ELSE 0 END "
                f"FROM {table} AS staged WHERE id_type = :id_type AND {condition} "
                f"ORDER BY id {on_conflict}",
                {
                    "at": at,
                    "audience": audience_id,
                    "id_type": code,
                    "used": used,
                    "is_existing": known.link is Link.EXISTING,
                },
            )
    db.execute(
        "UPDATE main.member SET counterpart = staged.other "
        f"FROM {table} AS staged WHERE member.audience_id = ? "
        "AND member.id_type = staged.id_type AND member.id = staged.id "
        "AND staged.other IS NOT NULL AND counterpart IS NOT staged.other",
        (audience_id,),
    )


def _sorted_rows(staging: int) -> str:
    return f"snapshot_{int(staging)}"


def _unsorted(staging: int) -> str:
    return f"snapshot_{int(staging)}_unsorted"


def _leavers(staging: int) -> str:
    return f"leaver_{int(staging)}"


def _values(db: Db, snapshot: Snapshot) -> dict[str, object]:
    used = audience(db, snapshot.audience_id).id_type
    return {"audience": snapshot.audience_id, "at": snapshot.at, "used": ID_TYPE_CODE[used]}


def _find_leavers(db: Db, snapshot: Snapshot, values: dict[str, object]) -> None:
    """Find the members who are not listed by either identifier, and have no newer event.

    If the snapshot lists only one ID type, a person known by both leaves by both.
    """
    leavers, table = (
        f"temp.{_leavers(snapshot.staging)}",
        f"temp.{_sorted_rows(snapshot.staging)}",
    )
    db.execute(f"DELETE FROM {leavers}")
    present = (
        f"INSERT INTO {leavers} SELECT n FROM main.member WHERE audience_id = :audience "
        "AND id_type = :id_type AND is_member = 1 AND event_at <= :at AND NOT EXISTS "
        f"(SELECT 1 FROM {table} AS staged WHERE staged.id_type = :id_type "
        "AND staged.id = member.id) AND NOT EXISTS "
        f"(SELECT 1 FROM {table} AS staged WHERE staged.id_type = :other_type "
        "AND staged.id = member.counterpart)"
    )
    current = _current(db, snapshot.audience_id, snapshot.at)
    for id_type in _sorted(current & {*snapshot.id_types}):
        db.execute(present, {**values, **_types(id_type)})
    for id_type in _sorted(current - {*snapshot.id_types}):
        db.execute(
            f"{present} AND counterpart IN (SELECT id FROM {leavers} JOIN main.member USING (n) "
            "WHERE id_type = :other_type)",
            {**values, **_types(id_type)},
        )


def _types(id_type: IdType) -> dict[str, int]:
    return {"id_type": ID_TYPE_CODE[id_type], "other_type": ID_TYPE_CODE[id_type.other]}


def _sorted(id_types: Iterable[IdType]) -> list[IdType]:
    return sorted(id_types, key=ID_TYPE_CODE.__getitem__)
