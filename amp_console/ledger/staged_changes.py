"""Changes that a query returned, staged in a temporary table until all of them were read.

Nothing changes until `apply_changes`, which is one transaction with the cursor of the query.
Changes have no line to order them: of those with the same time in one reading, leaving counts.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, count, islice

import msgspec

from amp_console.ledger import members
from amp_console.ledger.applied_lists import applied_lists
from amp_console.ledger.audience_queries import AudienceQuery, keep_cursor
from amp_console.ledger.audiences import audience
from amp_console.ledger.db import ID_TYPE_CODE, ID_TYPE_OF, Db, each_row
from amp_console.ledger.forgotten import forgotten_people
from amp_console.ledger.members import NewestChanges
from amp_console.ledger.snapshots import Application, Removal, by_identifier, people
from amp_console.ledger.uploads import BEFORE_ANY_EVENT
from amp_console.values import AudienceRef, Change, IdType

MERGED = 20_000  # changes that are merged at once
_NUMBERS = count(1)  # two refreshes of one audience may be under way in one process


class StagedChanges(msgspec.Struct, frozen=True):
    """The staged changes of one query; its source in the ledger is `source_id`.

    `staging` is their number from `begin_changes`, `count` how many changes were read, and `cursor`
    until when (microseconds since 1970).
    """

    query: AudienceQuery
    staging: int
    source_id: int
    count: int
    cursor: int | None


class Flips(msgspec.Struct, frozen=True):
    """What staged changes would do now: how many would enter, and how many would be removed."""

    entering: int
    removal: Removal


def begin_changes(db: Db) -> int:
    """Start staging changes; return the number that identifies them. They stay until dropped."""
    staging = next(_NUMBERS)
    db.execute(
        f"CREATE TEMP TABLE {_table(staging)} (id_type INTEGER NOT NULL, id TEXT NOT NULL, "
        "other TEXT, change INTEGER NOT NULL, PRIMARY KEY (id_type, id)) WITHOUT ROWID"
    )
    return staging


def drop_changes(db: Db, staging: int) -> None:
    """Drop what was staged, if it was not dropped before."""
    db.execute(f"DROP TABLE IF EXISTS temp.{_table(staging)}")


def add_changes(db: Db, staging: int, changes: Sequence[Change]) -> None:
    """Stage changes in any order: the newest of each identifier is kept."""
    counting = forgotten_people(db).without(list(changes))
    rows = [
        (id_type, id_, other, change.at << 1 | (not change.is_member))
        for id_type, id_, other, change in by_identifier(counting)
    ]
    db.executemany(
        f"INSERT INTO temp.{_table(staging)} AS staged VALUES (?, ?, ?, ?) "
        "ON CONFLICT (id_type, id) DO UPDATE SET other = CASE "
        "WHEN excluded.change > staged.change OR staged.other IS NULL THEN excluded.other "
        "ELSE max(staged.other, coalesce(excluded.other, staged.other)) END, "
        "change = excluded.change WHERE excluded.change >= staged.change",
        rows,
    )


def flips(db: Db, staged: StagedChanges) -> Flips:
    """Count who would enter and leave now; a person with identifiers of both types counts once."""
    target = audience(db, staged.query.audience_id)
    lists = applied_lists(db, target.id)
    values = {
        "audience": target.id,
        "used": ID_TYPE_CODE[target.id_type],
        "source": staged.source_id,
        **{
            f"list_{ID_TYPE_CODE[id_type]}": lists[id_type].at
            if id_type in lists
            else BEFORE_ANY_EVENT
            for id_type in IdType
        },
    }
    user = ID_TYPE_CODE[IdType.USER_ID]
    after_list = (
        f"change >> 1 > CASE staged.id_type WHEN {user} THEN :list_{user} "
        f"ELSE :list_{ID_TYPE_CODE[IdType.AMPLITUDE_ID]} END"
    )
    (entering, leaving) = db.execute(
        "SELECT count(*) FILTER (WHERE change & 1 = 0 AND coalesce(is_member, 0) = 0), "
        "count(*) FILTER (WHERE change & 1 = 1 AND is_member = 1) "
        f"FROM temp.{_table(staged.staging)} AS staged LEFT JOIN main.member "
        "ON member.audience_id = :audience AND member.id_type = staged.id_type "
        "AND member.id = staged.id "
        "WHERE (staged.id_type = :used OR staged.other IS NULL) "
        f"AND {after_list} AND (member.n IS NULL OR (change >> 1, :source, 0) "
        ">= (event_at, source_id, line))",
        values,
    ).fetchone()
    return Flips(int(entering), Removal(people(db, target), staged.count, int(leaving)))


def apply_changes(db: Db, staged: StagedChanges, agreed: int, now: int) -> Application:
    """Merge the changes, and keep until when they were read, if at most `agreed` people leave.

    If more would leave by now, nothing changes. `now` is in microseconds since 1970.
    """
    found = flips(db, staged).removal
    if found.leaving > agreed:
        return Application(found, is_applied=False)
    target = audience(db, staged.query.audience_id)
    for changes in _parts(db, staged.staging, target.ref):
        newest = NewestChanges()
        newest.add(changes)
        members.merge(db, staged.source_id, newest, {target.ref: target.id}, now)
    keep_cursor(db, staged.query, staged.cursor)
    drop_changes(db, staged.staging)
    return Application(found, is_applied=True)


def _parts(db: Db, staging: int, ref: AudienceRef) -> Iterator[list[Change]]:
    """The staged changes: first those of two identifiers, the newest last, for it says who is who.

    Of an identifier in several, the newest change comes last among those of its time.
    """
    columns = f"SELECT id_type, id, other, change FROM temp.{_table(staging)}"
    pairs = each_row(db, f"{columns} WHERE other IS NOT NULL ORDER BY change, id_type, id")
    single = each_row(db, f"{columns} WHERE other IS NULL")
    rows = chain(pairs, single)
    while part := list(islice(rows, MERGED)):
        changes = []
        for id_type, id_, other, change in part:
            has_left = bool(change & 1)
            is_user = ID_TYPE_OF[id_type] is IdType.USER_ID
            user_id, amplitude_id = (id_, other) if is_user else (None, id_)
            changes.append(Change(ref, user_id, amplitude_id, not has_left, change >> 1, 0))
        yield changes


def _table(staging: int) -> str:
    return f"changes_{int(staging)}"
