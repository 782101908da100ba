"""Merging changes into what is wanted: the newest event of each identifier wins.

Newest is by (time, source, line), a total order over everything ever read, so merging takes a
maximum: reading again, out of order or twice changes nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from amp_console.ledger.applied_lists import AppliedList, applied_lists_of
from amp_console.ledger.audiences import Audience, Link, audiences_of
from amp_console.ledger.db import ID_TYPE_CODE, ID_TYPE_OF, Db, ServerDb, as_json
from amp_console.ledger.forgotten import (
    NO_ONE_FORGOTTEN,
    Forgotten,
    forgotten_people,
    pairs_to_drop,
)
from amp_console.ledger.membership_changes import (
    ADD_TO_DAYS,
    COUNT_NEW,
    count_added,
    count_recent,
    counted_since,
    counting_new,
)
from amp_console.ledger.packed_changes import EPOCH_BITS, LINES, TIMES, WITH_PARTS, Part
from amp_console.values import AudienceRef, Change, ChangeColumns, ChangeTable, IdType

# Identifiers whose changes are merged at once. People come back, so with 100,000 a file of 600,000
# events about 240,000 people takes 1.8 times as long in SQLite; with more, the memory shows.
LARGEST_MERGE = 300_000

KEEP_NEWEST = """
    ON CONFLICT (audience_id, id_type, id) DO UPDATE SET
       is_member = excluded.is_member, wanted = excluded.wanted, event_at = excluded.event_at,
       source_id = excluded.source_id, line = excluded.line,
       rejection_id = CASE WHEN member.wanted = excluded.wanted THEN member.rejection_id END,
       refusals = CASE WHEN member.wanted = excluded.wanted THEN member.refusals ELSE 0 END
 WHERE (excluded.event_at, excluded.source_id, excluded.line)
       >= (member.event_at, member.source_id, member.line)
   AND (excluded.is_member, excluded.wanted, excluded.event_at, excluded.source_id, excluded.line)
       <> (member.is_member, member.wanted, member.event_at, member.source_id, member.line)
"""


def _merge_of(rows: str, order: str = "key", prefix: str = ":", parts: str = "") -> str:
    """A statement that merges rows of packed changes; the prefix is that of a part's fields."""
    return f"""
INSERT INTO member
    (audience_id, id_type, id, is_member, wanted, event_at, source_id, line, delivered)
{parts} SELECT {prefix}audience_id, {prefix}id_type, key, value & 1, value & {prefix}in_use,
       (value >> 21) + {prefix}first_at, :source, ((value >> 1) & {LINES}) + :first_line,
       {prefix}delivered
  FROM {rows} WHERE true ORDER BY {order} {KEEP_NEWEST}
"""


_MERGE_ONE = _merge_of("json_each(:changes)")
_MERGE_LOADED = _merge_of("temp.newest_change")
# Small parts are merged together: the statements for each of 20 audiences would take longer than
# the changes of a live session themselves. Of a large one, SQLite would copy the JSON text.
_MERGE_PARTS = _merge_of("part CROSS JOIN json_each(changes)", "nth, key", "part.", WITH_PARTS)
# On a server, many changes are loaded into a table. Few, as those of a live session, are one JSON
# text for one statement, whatever audiences they are of: each statement takes a round trip.
_KEEP_NEWEST_WITH_PAIR = KEEP_NEWEST.replace(
    "DO UPDATE SET",
    "DO UPDATE SET counterpart = coalesce(excluded.counterpart, member.counterpart),",
)
_MERGE_FEW = f"""
WITH merged AS (
    INSERT INTO member
        (audience_id, id_type, id, is_member, wanted, event_at, source_id, line, delivered,
        counterpart)
    SELECT (change ->> 0)::bigint, (change ->> 1)::bigint, change ->> 2, (change ->> 3)::bigint,
        (change ->> 4)::bigint, (change ->> 5)::bigint, :source, (change ->> 6)::bigint,
        (change ->> 7)::bigint, change ->> 8
    FROM json_array_elements(:changes::json) WITH ORDINALITY AS changes (change, nth)
    ORDER BY nth {_KEEP_NEWEST_WITH_PAIR}
    RETURNING n, audience_id, id_type, is_member, event_at, counterpart),
counted AS (
    {COUNT_NEW.format(members="merged")} AND n > (SELECT coalesce(max(n), 0) FROM member)
    {ADD_TO_DAYS})
SELECT merged.audience_id, merged.id_type, count(*) FROM merged
  LEFT JOIN LATERAL (SELECT * FROM member WHERE member.n = merged.n LIMIT 1) AS former ON true
 WHERE former.n IS NULL OR former.is_member <> merged.is_member
    OR former.counterpart IS NOT merged.counterpart
 GROUP BY 1, 2
"""
# How many members an audience gained under one ID type and how many flipped, each since a moment
# of the same transaction: in a file by the numbers of rows, of which the merge changes one for each
# member, and the trigger one for each that flips; on a server by what triggers count.
_COUNTERS = "SELECT total_changes(), (SELECT coalesce(max(n), 0) FROM member)"
_COUNTERS_OF_SERVER = """
SELECT (SELECT coalesce(sum(people), 0) FROM membership_day
         WHERE key >= (:audience_id * 8 + :id_type * 2) << 24
           AND key < (:audience_id * 8 + :id_type * 2 + 2) << 24),
       (SELECT coalesce(sum(people), 0) FROM member_count
         WHERE audience_id = :audience_id AND id_type = :id_type)
"""
# Changes that a server merges by one statement: so many in all, or of each audience. Loading those
# of an audience into a table takes as long as merging 400 of them so.
_FEW = 1_000
_FEW_OF_EACH = 400
_SMALL = 500  # changes of an audience that are merged by one statement with those of others


class _Group:
    """The newest change of each identifier, of one audience and one epoch, as integers."""

    def __init__(self) -> None:
        self.by_id: dict[IdType, dict[str, int]] = {id_type: {} for id_type in IdType}
        self.pairs: dict[str, str] = {}  # a User ID and the Amplitude ID of the same event


class NewestChanges:
    """The newest change of each identifier among those read since the last merge.

    Changes of people who are `forgotten` are already left out.
    """

    def __init__(self, forgotten: Forgotten = NO_ONE_FORGOTTEN) -> None:
        self.first_line = 0
        self._forgotten = forgotten
        self._groups: dict[tuple[AudienceRef, int], _Group] = {}

    def __iter__(self) -> Iterator[tuple[AudienceRef, int, _Group]]:
        """Yield each audience, the first microsecond of an epoch, and its changes in it."""
        for (ref, epoch), group in self._groups.items():
            yield ref, epoch << EPOCH_BITS, group

    @property
    def audiences(self) -> set[AudienceRef]:
        """The audiences whose changes it holds."""
        return {ref for ref, _ in self._groups}

    def drop_forgotten(self, db: Db) -> None:
        """Leave out the people who were forgotten while these changes were read."""
        forgotten = forgotten_people(db, self._forgotten)
        if forgotten is self._forgotten:
            return
        for _, first_at, group in self:
            at_of = {
                id_type: {id_: (change >> 21) + first_at for id_, change in by_id.items()}
                for id_type, by_id in group.by_id.items()
            }
            for id_type, id_ in pairs_to_drop(forgotten, at_of, group.pairs):
                group.by_id[id_type].pop(id_, None)
                if id_type is IdType.USER_ID:
                    group.pairs.pop(id_, None)
            group.pairs = {
                user_id: other
                for user_id, other in group.pairs.items()
                if other in group.by_id[IdType.AMPLITUDE_ID]
            }

    def drop(self, ref: AudienceRef) -> None:
        """Forget the changes of an audience."""
        self._groups = {key: group for key, group in self._groups.items() if key[0] != ref}

    @property
    def size(self) -> int:
        """How many identifiers have a change."""
        return sum(len(by_id) for g in self._groups.values() for by_id in g.by_id.values())

    def accepts(self, changes: Sequence[Change]) -> bool:
        """Whether these lines are close enough to those already held; if not, merge first."""
        near = self.first_line + LINES
        return not (changes and self.first_line) or _last_line(changes) <= near

    def add(self, changes: Sequence[Change]) -> None:
        """Add changes of one source, in its order; `accepts` says whether they can be."""
        if not changes:
            return
        self.first_line = self.first_line or _first_line(changes)
        if not isinstance(changes, ChangeTable):
            self._add_rows(changes)
            return
        for columns in changes.columns:
            if min(columns.at) >> EPOCH_BITS == max(columns.at) >> EPOCH_BITS:
                self._add_columns(columns)
            else:
                self._add_rows(columns.rows())

    def _add_columns(self, columns: ChangeColumns) -> None:
        """Add changes of one epoch."""
        epoch = columns.at[0] >> EPOCH_BITS
        group = self._groups.setdefault((columns.audience, epoch), _Group())
        users = group.by_id[IdType.USER_ID]
        newest, first_at, first_line = users.get, epoch << EPOCH_BITS, self.first_line
        rows = zip(columns.user_ids, columns.at, columns.lines, columns.is_member, strict=True)
        for user_id, at, line, is_member in rows:
            packed = (at - first_at) << 21 | (line - first_line) << 1 | is_member
            if packed > newest(user_id, -1):  # no other change has this line
                users[user_id] = packed

    def _add_rows(self, changes: Iterable[Change]) -> None:
        first_line = self.first_line
        last_ref: AudienceRef | None = None
        last_epoch = 0
        group = _Group()
        users = group.by_id[IdType.USER_ID]
        for ref, user_id, amplitude_id, is_member, at, line in changes:  # each of millions
            if ref is not last_ref or at >> EPOCH_BITS != last_epoch:
                last_ref, last_epoch = ref, at >> EPOCH_BITS
                known = self._groups.get((ref, last_epoch))
                group = known or self._groups.setdefault((ref, last_epoch), _Group())
                users = group.by_id[IdType.USER_ID]
            packed = (at & TIMES) << 21 | (line - first_line) << 1 | is_member
            # The last bit is no age: of two changes in one line the later one is the newer.
            if user_id is not None and packed | 1 >= users.get(user_id, -1):
                users[user_id] = packed
            if amplitude_id is not None:
                others = group.by_id[IdType.AMPLITUDE_ID]
                if packed | 1 >= others.get(amplitude_id, -1):
                    others[amplitude_id] = packed
                if user_id is not None and users[user_id] == packed:
                    group.pairs[user_id] = amplitude_id


def _first_line(changes: Sequence[Change]) -> int:
    if isinstance(changes, ChangeTable):
        return min(columns.lines[0] for columns in changes.columns)
    return changes[0].line


def _last_line(changes: Sequence[Change]) -> int:
    if isinstance(changes, ChangeTable):
        return max(columns.lines[-1] for columns in changes.columns)
    return changes[-1].line


def merge(
    db: Db,
    source_id: int,
    newest: NewestChanges,
    audiences: dict[AudienceRef, int],
    now: int,
) -> int:
    """Merge the changes of one source into the ledger; `audiences` are the ids.

    Returns how many members were updated: those whose membership or identifier has changed. A
    change that repeats what the ledger knew updates no one, even if it is the newest. `now` is in
    microseconds since 1970.
    """
    newest.drop_forgotten(db)
    origin = _Origin(source_id, newest.first_line, now)
    ids = {audiences[ref] for ref in newest.audiences}
    targets, applied_to = audiences_of(db, ids), applied_lists_of(db, ids)
    is_few, updated = newest.size <= max(_FEW, _FEW_OF_EACH * len(ids)), 0
    for groups in _rounds(newest, audiences):
        found = []
        for audience_id, (first_at, group) in groups.items():
            target, newer = targets[audience_id], group.by_id
            if audience_id in applied_to:
                newer = _newer_than_lists(db, target, group, first_at, applied_to[audience_id])
            found.append(
                _AudienceChanges(audience_id, _parts(target, first_at, newer), group.pairs)
            )
        if isinstance(db, ServerDb):
            updated += (_merge_few if is_few else _merge_many)(db, origin, found)
        else:
            updated += _merge_in_file(db, origin, found)
    return updated


def _rounds(
    newest: NewestChanges, audiences: dict[AudienceRef, int]
) -> list[dict[int, tuple[int, _Group]]]:
    """The groups by audience; each audience's second epoch is merged after its first."""
    rounds: list[dict[int, tuple[int, _Group]]] = []
    for ref, first_at, group in newest:
        audience_id = audiences[ref]
        found = next((groups for groups in rounds if audience_id not in groups), None)
        if found is None:
            rounds.append(found := {})
        found[audience_id] = first_at, group
    return rounds


class _Origin(NamedTuple):
    """Where the changes of a merge come from, and when it is made (microseconds since 1970)."""

    source_id: int
    first_line: int
    now: int


class _AudienceChanges(NamedTuple):
    """The changes of one audience; `pairs` are a User ID and the same person's Amplitude ID."""

    audience_id: int
    parts: list[Part]
    pairs: dict[str, str]

    @property
    def is_small(self) -> bool:
        """Whether one statement merges it with others; someone in two parts must count once."""
        return len(self.parts) == 1 and not self.pairs and len(self.parts[0].changes) <= _SMALL


def _parts(target: Audience, first_at: int, by_id: dict[IdType, dict[str, int]]) -> list[Part]:
    parts = []
    for id_type, changes in by_id.items():
        in_use = target.id_type is id_type
        delivered = None if in_use and target.link is Link.EXISTING else 0
        if changes:
            code = ID_TYPE_CODE[id_type]
            parts.append(Part(target.id, code, int(in_use), first_at, delivered, changes))
    return parts


def _merge_in_file(db: Db, origin: _Origin, found: list[_AudienceChanges]) -> int:
    """Merge small parts by one statement, and others by one each; return how many were updated."""
    small = [item for item in found if item.is_small]
    large = [item for item in found if not item.is_small]
    updated = _merge_parts(db, origin, [part for item in small for part in item.parts])
    return updated + _one_by_one(db, large, lambda part: _merge_parts(db, origin, [part]))


def _merge_many(db: ServerDb, origin: _Origin, found: list[_AudienceChanges]) -> int:
    """Load and merge each part, on a server; return how many members were updated."""
    return _one_by_one(db, found, lambda part: _merge_loaded(db, origin, part))


def _one_by_one(db: Db, found: list[_AudienceChanges], merge_part: Callable[[Part], int]) -> int:
    """Merge part by part; someone in both parts of an audience counts once as updated."""
    updated = 0
    for item in found:
        counts = [merge_part(part) for part in item.parts]
        counts += _remember_pairs(db, {item.audience_id: item.pairs}).values()
        updated += max(counts, default=0)
    return updated


def _merge_parts(db: Db, origin: _Origin, parts: list[Part]) -> int:
    """Merge parts in a file; return how many of their members are new or flipped."""
    if not parts:
        return 0
    count_recent(db, parts, *origin)
    rows, last = db.execute(_COUNTERS).fetchone()
    values = {"source": origin.source_id, "first_line": origin.first_line}
    if len(parts) == 1:
        changes = as_json(parts[0].changes)
        merged = db.execute(_MERGE_ONE, {**values, **parts[0]._asdict(), "changes": changes})
    else:
        merged = db.execute(_MERGE_PARTS, {**values, "parts": as_json(parts)})
    rows_after, last_after = db.execute(_COUNTERS).fetchone()
    count_added(db, last, last_after, origin.now)
    return int(rows_after - rows - merged.rowcount + last_after - last)


def _merge_loaded(db: ServerDb, origin: _Origin, part: Part) -> int:
    """Load changes into a table, and merge them; return how many members are new or flipped."""
    count_recent(db, [part], *origin)
    values = {"source": origin.source_id, "first_line": origin.first_line, **part._asdict()}
    db.load("newest_change", "key TEXT NOT NULL, value INTEGER NOT NULL", part.changes.items())
    with counting_new(db, part.audience_id, part.id_type, origin.now):
        before = db.execute(_COUNTERS_OF_SERVER, values).fetchone()
        db.execute(_MERGE_LOADED, values)
        after = db.execute(_COUNTERS_OF_SERVER, values).fetchone()
    return int(sum(after) - sum(before))


def _merge_few(db: ServerDb, origin: _Origin, found: list[_AudienceChanges]) -> int:
    """Merge few changes at once, on a server; return how many members were updated."""
    count_recent(db, [part for item in found for part in item.parts], *origin)
    rows = [row for item in found for row in _rows(item, origin.first_line)]
    updated: dict[int, int] = {}
    if rows:
        values = {
            "source": origin.source_id,
            "changes": as_json(rows),
            "since": counted_since(origin.now),
        }
        for audience_id, _, count in db.execute(_MERGE_FEW, values):
            updated[audience_id] = max(count, updated.get(audience_id, 0))
    paired = _remember_pairs(db, {item.audience_id: item.pairs for item in found})
    return sum(max(updated.get(id_, 0), paired.get(id_, 0)) for id_ in updated.keys() | paired)


def _rows(item: _AudienceChanges, first_line: int) -> Iterator[tuple[int | str | None, ...]]:
    """The rows of `_MERGE_FEW`."""
    others = {other: id_ for id_, other in item.pairs.items()}
    for part in item.parts:
        other_of = item.pairs if part.id_type == ID_TYPE_CODE[IdType.USER_ID] else others
        known = part.audience_id, part.id_type
        for id_, change in sorted(part.changes.items()):
            at, line, is_member = part.unpacked(change, first_line)
            wanted = is_member & part.in_use
            yield *known, id_, is_member, wanted, at, line, part.delivered, other_of.get(id_)


def _newer_than_lists(
    db: Db, target: Audience, group: _Group, first_at: int, lists: dict[IdType, AppliedList]
) -> dict[IdType, dict[str, int]]:
    """Leave out the changes that the newest list of an audience overrides.

    Identifiers left out that the ledger does not know are added: no members, by the list.

    Of an identifier by which no list was applied, an older event that entered counts only if the
    same person is still a member by the other one. `lists` as `applied_lists` returns them.
    """
    newer = {}
    for id_type, by_id in group.by_id.items():
        # What is greater has a later time; the 21 bits below it are the line and the membership.
        limit = (lists[id_type].at - first_at) << 21 | (1 << 21) - 1 if id_type in lists else -1
        newer[id_type] = {id_: change for id_, change in by_id.items() if change > limit}

    def is_member(id_type: IdType, id_: str) -> bool:
        return bool(
            db.execute(
                "SELECT 1 FROM member WHERE audience_id = ? AND id_type = ? AND id = ? "
                "AND is_member = 1",
                (target.id, ID_TYPE_CODE[id_type], id_),
            ).fetchone()
        )

    for user_id, amplitude_id in group.pairs.items():
        change = group.by_id[IdType.USER_ID][user_id]
        person = {IdType.USER_ID: user_id, IdType.AMPLITUDE_ID: amplitude_id}
        for id_type, id_ in person.items():
            other_type, other = id_type.other, person[id_type.other]
            is_history = other not in newer[other_type] and change & 1
            if not is_history or group.by_id[id_type][id_] != change:
                continue
            if is_member(other_type, other):
                newer[id_type].setdefault(id_, change)
            elif id_type not in lists:
                newer[id_type].pop(id_, None)
    for id_type, by_id in group.by_id.items():
        applied = lists.get(id_type) or lists[id_type.other]
        _add_unlisted(db, target, id_type, by_id.keys() - newer[id_type].keys(), applied)
    return newer


def _add_unlisted(
    db: Db, target: Audience, id_type: IdType, ids: Iterable[str], applied: AppliedList
) -> None:
    """Add the identifiers that the ledger does not know, as non-members according to a list.

    A cohort that others have filled may contain them.
    """
    in_use = target.id_type is id_type
    delivered = None if in_use and target.link is Link.EXISTING else 0
    db.executemany(
        "INSERT INTO member (audience_id, id_type, id, is_member, wanted, event_at, source_id, "
        "line, delivered) VALUES (?, ?, ?, 0, 0, ?, ?, 0, ?) "
        "ON CONFLICT (audience_id, id_type, id) DO NOTHING",
        [(target.id, ID_TYPE_CODE[id_type], id_, *applied, delivered) for id_ in sorted(ids)],
    )


def _remember_pairs(db: Db, pairs: Mapping[int, dict[str, str]]) -> dict[int, int]:
    """Keep the same person's identifier of the other type, if the newest event has both.

    `pairs` are the Amplitude IDs of the User IDs of each audience. Returns how many people of each
    audience have a different one than before; the rows of both of their identifiers record it.
    """
    rows = {audience_id: _pair_rows(audience_id, by_user) for audience_id, by_user in pairs.items()}
    if not isinstance(db, ServerDb):
        changed = {
            audience_id: db.executemany(
                "UPDATE member SET counterpart = ?4 WHERE audience_id = ?1 AND id_type = ?2 "
                "AND id = ?3 AND counterpart IS NOT ?4",
                some,
            ).rowcount
            for audience_id, some in rows.items()
            if some
        }
    elif found := [row for some in rows.values() for row in some]:
        changed = Counter(
            audience_id
            for (audience_id,) in db.execute(
                "UPDATE member SET counterpart = pair ->> 3 "
                "FROM json_array_elements(:pairs::json) AS pairs (pair) CROSS JOIN LATERAL ("
                "SELECT ctid AS place FROM member WHERE audience_id = (pair ->> 0)::bigint "
                "AND id_type = (pair ->> 1)::bigint AND id = pair ->> 2 "
                "AND counterpart IS NOT pair ->> 3 LIMIT 1) AS known WHERE member.ctid = place "
                "RETURNING audience_id",
                # Of several User IDs of one Amplitude ID, the last one is kept.
                {"pairs": as_json([*{row[:3]: row for row in found}.values()])},
            )
        )
    else:
        return {}
    return {audience_id: (count + 1) // 2 for audience_id, count in changed.items()}


def _pair_rows(audience_id: int, by_user: dict[str, str]) -> list[tuple[int, int, str, str]]:
    """Each identifier of a pair with the other one."""
    user_id, amplitude_id = (ID_TYPE_CODE[id_type] for id_type in IdType)
    rows = [(audience_id, user_id, id_, other) for id_, other in by_user.items()]
    return rows + [(audience_id, amplitude_id, other, id_) for id_, other in by_user.items()]


class KnownMember(NamedTuple):
    """What the ledger knows of an identifier: whether it is a member, and from which event."""

    is_member: bool
    at: int
    source_id: int
    line: int


def known_members(
    db: Db, ids: Mapping[tuple[int, IdType], Iterable[str]]
) -> dict[tuple[int, IdType, str], KnownMember]:
    """Return what the ledger knows of some identifiers, by audience, ID type and identifier.

    `ids` are identifiers by audience and ID type.
    """
    named = [
        (audience_id, ID_TYPE_CODE[id_type], id_)
        for (audience_id, id_type), identifiers in ids.items()
        for id_ in identifiers
    ]
    query = _KNOWN_ON_SERVER if isinstance(db, ServerDb) else _KNOWN_IN_FILE
    rows = db.execute(query, {"named": as_json(named)})
    return {
        (audience_id, ID_TYPE_OF[code], id_): KnownMember(bool(is_member), *origin)
        for audience_id, code, id_, is_member, *origin in rows
    }


# All at once: one query for each of 20 audiences takes longer than the merge.
_KNOWN = "SELECT audience_id, id_type, known.id, is_member, event_at, source_id, line FROM"
_KNOWN_IN_FILE = (
    f"{_KNOWN} json_each(:named) AS named CROSS JOIN member AS known "
    "ON audience_id = json_extract(named.value, '$[0]') "
    "AND id_type = json_extract(named.value, '$[1]') "
    "AND known.id = json_extract(named.value, '$[2]')"
)
_KNOWN_ON_SERVER = (
    f"{_KNOWN} json_array_elements(:named::json) AS named (item) CROSS JOIN LATERAL ("
    "SELECT * FROM member WHERE audience_id = (item ->> 0)::bigint "
    "AND id_type = (item ->> 1)::bigint AND id = item ->> 2 LIMIT 1) AS known"
)
