"""Merging changes into what is wanted: the newest event of each identifier wins.

Newest is by (time, source, line), a total order over everything ever read, so merging takes a
maximum: reading again, out of order or twice changes nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from amp_console.ledger.applied_lists import AppliedList, applied_lists_of
from amp_console.ledger.audiences import Audience, Link, audiences_of
from amp_console.ledger.db import ID_TYPE_CODE, ID_TYPE_OF, Db, ServerDb
from amp_console.ledger.forgotten import (
    NO_ONE_FORGOTTEN,
    Forgotten,
    forgotten_people,
    pairs_to_drop,
)
from amp_console.ledger.membership_changes import (
    ADD_TO_DAYS,
    CLOCK_AHEAD,
    COUNT_NEW,
    KEPT_SHORT,
    RecentChange,
    count_few_recent,
    count_recent,
    counted_since,
    counting_new,
    last_member,
)
from amp_console.values import AudienceRef, Change, ChangeColumns, ChangeTable, IdType

# A change crosses into SQLite as one integer, (time << 21 | line << 1 | member), its time counted
# from the beginning of its epoch and its line from the first of its part, and a whole part as one
# flat JSON object of identifiers and integers: 1.5 times as fast as a row of values each. Of two
# such integers the larger is the newer change, their last bits aside.
_LINES = (1 << 20) - 1
_EPOCH_BITS = 42  # microseconds: 50 days
_TIMES = (1 << _EPOCH_BITS) - 1

# Identifiers whose changes are merged at once. People come back, so with 100,000 a file of 600,000
# events about 240,000 people takes 1.8 times as long in SQLite; with more, the memory shows.
FULL = 300_000

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
_MERGE = """
INSERT INTO member
    (audience_id, id_type, id, is_member, wanted, event_at, source_id, line, delivered)
SELECT :audience, :id_type, key, value & 1, value & :in_use, (value >> 21) + :first_at, :source,
       ((value >> 1) & 1048575) + :first_line, :delivered
  FROM {rows} WHERE true ORDER BY key {keep_newest}
"""
_MERGE_ALL = _MERGE.format(rows="json_each(:changes)", keep_newest=KEEP_NEWEST)
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
         WHERE key >= (:audience * 8 + :id_type * 2) << 24
           AND key < (:audience * 8 + :id_type * 2 + 2) << 24),
       (SELECT coalesce(sum(people), 0) FROM member_count
         WHERE audience_id = :audience AND id_type = :id_type)
"""
_MERGE_LOADED = _MERGE.format(rows="temp.newest_change", keep_newest=KEEP_NEWEST)
_FEW = 1_000


class _Group:
    """The newest change of each identifier, of one audience and one epoch, as integers."""

    def __init__(self) -> None:
        self.by_id: dict[IdType, dict[str, int]] = {id_type: {} for id_type in IdType}
        self.pairs: dict[str, str] = {}  # a User ID and the Amplitude ID of the same event


class NewestChanges:
    """The newest change of each identifier among those read since the last merge.

    Those of people who are `forgotten` were left out before.
    """

    def __init__(self, forgotten: Forgotten = NO_ONE_FORGOTTEN) -> None:
        self.first_line = 0
        self._forgotten = forgotten
        self._groups: dict[tuple[AudienceRef, int], _Group] = {}

    def __iter__(self) -> Iterator[tuple[AudienceRef, int, _Group]]:
        """Yield each audience, the first microsecond of an epoch, and its changes in it."""
        for (ref, epoch), group in self._groups.items():
            yield ref, epoch << _EPOCH_BITS, group

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

    @property
    def is_full(self) -> bool:
        """True when it should be merged."""
        return self.size >= FULL

    def accepts(self, changes: Sequence[Change]) -> bool:
        """Whether these lines are near enough to those held; else merge first."""
        near = self.first_line + _LINES
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
            if min(columns.at) >> _EPOCH_BITS == max(columns.at) >> _EPOCH_BITS:
                self._add_columns(columns)
            else:
                self._add_rows(columns.rows())

    def _add_columns(self, columns: ChangeColumns) -> None:
        """Add changes of one epoch."""
        epoch = columns.at[0] >> _EPOCH_BITS
        group = self._groups.setdefault((columns.audience, epoch), _Group())
        users = group.by_id[IdType.USER_ID]
        newest, first_at, first_line = users.get, epoch << _EPOCH_BITS, self.first_line
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
            if ref is not last_ref or at >> _EPOCH_BITS != last_epoch:
                last_ref, last_epoch = ref, at >> _EPOCH_BITS
                known = self._groups.get((ref, last_epoch))
                group = known or self._groups.setdefault((ref, last_epoch), _Group())
                users = group.by_id[IdType.USER_ID]
            packed = (at & _TIMES) << 21 | (line - first_line) << 1 | is_member
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

    Returns how many members were updated: those whose membership or identifier is other than
    before. What repeats what the ledger knew updates no one, also where it is the newest.
    `now` is in microseconds since 1970.
    """
    updated = 0
    newest.drop_forgotten(db)
    few = None
    if isinstance(db, ServerDb) and newest.size <= _FEW:
        few = _FewChanges(db, source_id, newest.first_line, now)
    ids = {audiences[ref] for ref in newest.audiences}
    targets, applied_to = audiences_of(db, ids), applied_lists_of(db, ids)
    last = last_member(db) if few is None else None
    merged = set()
    for ref, first_at, group in newest:
        target = targets[audiences[ref]]
        if few is not None and target.id in few.audiences:
            updated += few.merge()
        newer = group.by_id
        if target.id in applied_to:
            newer = _newer_than_lists(db, target, group, first_at, applied_to[target.id])
        rows = []
        for id_type, by_id in newer.items():
            in_use = target.id_type is id_type
            values = {
                "audience": target.id,
                "id_type": ID_TYPE_CODE[id_type],
                "in_use": int(in_use),
                "first_at": first_at,
                "source": source_id,
                "first_line": newest.first_line,
                "delivered": None if in_use and target.link is Link.EXISTING else 0,
            }
            if not by_id:
                continue
            code = ID_TYPE_CODE[id_type]
            recent = _recent(first_at, newest.first_line, by_id, now)
            if few is not None:
                few.add(values, by_id, recent, group.pairs)
                continue
            if recent:
                count_recent(db, target.id, code, source_id, recent, now)
            # Changes of two epochs come one after the other.
            before = last if (target.id, code) not in merged else None
            merged.add((target.id, code))
            with counting_new(db, target.id, code, now, before):
                rows.append(_merge_newest(db, values, by_id))
        if few is not None:
            few.audiences[target.id] = group.pairs
        else:
            rows.append(_remember_pairs(db, {target.id: group.pairs}))
            updated += max(rows)  # the same people, by their other identifier
    return updated if few is None else updated + few.merge()


class _FewChanges:
    """Few changes of several audiences, each of one epoch, that a server merges at once.

    `audiences` are the pairs of identifiers of each of them.
    """

    def __init__(self, db: ServerDb, source_id: int, first_line: int, now: int) -> None:
        self._db = db
        self._source_id = source_id
        self._first_line = first_line
        self._now = now
        self._recent: list[tuple[int, int, str, RecentChange]] = []
        self._rows: list[tuple[int | str | None, ...]] = []
        self.audiences: dict[int, dict[str, str]] = {}

    def add(
        self,
        values: dict[str, Any],
        by_id: dict[str, int],
        recent: dict[str, RecentChange],
        pairs: dict[str, str],
    ) -> None:
        """Add the changes of one audience and ID type; `values` as in `merge`."""
        if values["id_type"] == ID_TYPE_CODE[IdType.AMPLITUDE_ID]:
            pairs = {other: id_ for id_, other in pairs.items()}
        audience_id, id_type = values["audience"], values["id_type"]
        in_use, first_at, delivered = values["in_use"], values["first_at"], values["delivered"]
        for id_, change in sorted(by_id.items()):
            at, line = (change >> 21) + first_at, (change >> 1 & _LINES) + self._first_line
            wanted = change & in_use
            row = (audience_id, id_type, id_, change & 1, wanted, at, line, delivered)
            self._rows.append((*row, pairs.get(id_)))
        self._recent += [(audience_id, id_type, *item) for item in recent.items()]

    def merge(self) -> int:
        """Merge what was added; return how many members were updated."""
        updated: dict[int, int] = {}
        count_few_recent(self._db, self._source_id, self._recent, self._now)
        if self._rows:
            changes = msgspec.json.encode(self._rows).decode()
            since = counted_since(self._now)
            values = {"source": self._source_id, "changes": changes, "since": since}
            for audience_id, _, count in self._db.execute(_MERGE_FEW, values):
                updated[audience_id] = max(count, updated.get(audience_id, 0))
        paired = _remember_pairs(self._db, self.audiences)
        self._rows, self._recent, self.audiences = [], [], {}
        return max(paired, sum(updated.values()))


def _newer_than_lists(
    db: Db, target: Audience, group: _Group, first_at: int, lists: dict[IdType, AppliedList]
) -> dict[IdType, dict[str, int]]:
    """Leave out the changes that the newest list of an audience has made history.

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
    """Add the people of these identifiers that the ledger does not know: no member, by a list.

    A cohort that others have filled may hold them.
    """
    in_use = target.id_type is id_type
    delivered = None if in_use and target.link is Link.EXISTING else 0
    db.executemany(
        "INSERT INTO member (audience_id, id_type, id, is_member, wanted, event_at, source_id, "
        "line, delivered) VALUES (?, ?, ?, 0, 0, ?, ?, 0, ?) "
        "ON CONFLICT (audience_id, id_type, id) DO NOTHING",
        [(target.id, ID_TYPE_CODE[id_type], id_, *applied, delivered) for id_ in sorted(ids)],
    )


def _recent(
    first_at: int, first_line: int, by_id: dict[str, int], now: int
) -> dict[str, RecentChange]:
    """The changes of the last hours; most files hold none."""
    since = (now - KEPT_SHORT - first_at) << 21
    until = (now + CLOCK_AHEAD - first_at) << 21
    if max(by_id.values()) < since:
        return {}
    return {
        id_: ((value >> 21) + first_at, (value >> 1 & _LINES) + first_line, value & 1)
        for id_, value in by_id.items()
        if since <= value <= until
    }


def _merge_newest(db: Db, values: dict[str, int | None], by_id: dict[str, int]) -> int:
    """Merge changes of one audience and ID type; return how many are new members or flipped."""
    if isinstance(db, ServerDb):
        return _merge_on_server(db, values, by_id)
    changes = msgspec.json.encode(by_id).decode()
    rows, last = db.execute(_COUNTERS).fetchone()
    merged = db.execute(_MERGE_ALL, {**values, "changes": changes}).rowcount
    rows_after, last_after = db.execute(_COUNTERS).fetchone()
    return int(rows_after - rows - merged + last_after - last)


def _merge_on_server(db: ServerDb, values: dict[str, int | None], by_id: dict[str, int]) -> int:
    db.load("newest_change", "key TEXT NOT NULL, value INTEGER NOT NULL", by_id.items())
    counted = {name: values[name] for name in ("audience", "id_type")}
    before = db.execute(_COUNTERS_OF_SERVER, counted).fetchone()
    db.execute(_MERGE_LOADED, values)
    return int(sum(db.execute(_COUNTERS_OF_SERVER, counted).fetchone()) - sum(before))


def _remember_pairs(db: Db, pairs: Mapping[int, dict[str, str]]) -> int:
    """Keep the same person's identifier of the other type, where the newest event has both.

    `pairs` are the Amplitude IDs of the User IDs of each audience. Returns how many people have
    another one than before; a row of each of their two identifiers says so.
    """
    user_id, amplitude_id = (ID_TYPE_CODE[id_type] for id_type in IdType)
    rows = [
        (audience_id, user_id, id_, other)
        for audience_id, by_user in pairs.items()
        for id_, other in by_user.items()
    ]
    rows += [(audience_id, amplitude_id, other, id_) for audience_id, _, id_, other in rows]
    if not rows:
        return 0
    if isinstance(db, ServerDb):
        changed = db.execute(
            "UPDATE member SET counterpart = pair ->> 3 "
            "FROM json_array_elements(:pairs::json) AS pairs (pair) CROSS JOIN LATERAL ("
            "SELECT ctid AS place FROM member WHERE audience_id = (pair ->> 0)::bigint "
            "AND id_type = (pair ->> 1)::bigint AND id = pair ->> 2 "
            "AND counterpart IS NOT pair ->> 3 LIMIT 1) AS known WHERE member.ctid = place",
            # Of several User IDs of one Amplitude ID, the last one is kept.
            {"pairs": msgspec.json.encode([*{row[:3]: row for row in rows}.values()]).decode()},
        )
    else:
        changed = db.executemany(
            "UPDATE member SET counterpart = ?4 WHERE audience_id = ?1 AND id_type = ?2 "
            "AND id = ?3 AND counterpart IS NOT ?4",
            rows,
        )
    return (changed.rowcount + 1) // 2


class KnownMember(NamedTuple):
    """What the ledger knows of an identifier: whether it is in, and where that is from."""

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
    if isinstance(db, ServerDb):
        return _known_on_server(db, ids)
    found = {}
    for (audience_id, id_type), named in ids.items():
        rows = db.execute(
            "SELECT id, is_member, event_at, source_id, line FROM member "
            "WHERE audience_id = ? AND id_type = ? AND id IN (SELECT value FROM json_each(?))",
            (
                audience_id,
                ID_TYPE_CODE[id_type],
                msgspec.json.encode(sorted(named)).decode(),
            ),
        )
        for id_, is_member, *origin in rows:
            found[audience_id, id_type, id_] = KnownMember(bool(is_member), *origin)
    return found


def _known_on_server(
    db: ServerDb, ids: Mapping[tuple[int, IdType], Iterable[str]]
) -> dict[tuple[int, IdType, str], KnownMember]:
    """Ask for all at once: one query for each of 20 audiences takes twice as long as the merge."""
    named = [
        (audience_id, ID_TYPE_CODE[id_type], id_)
        for (audience_id, id_type), identifiers in ids.items()
        for id_ in identifiers
    ]
    rows = db.execute(
        "SELECT audience_id, id_type, id, is_member, event_at, source_id, line "
        "FROM json_array_elements(:named::json) AS named (item) CROSS JOIN LATERAL ("
        "SELECT * FROM member WHERE audience_id = (item ->> 0)::bigint "
        "AND id_type = (item ->> 1)::bigint AND id = item ->> 2 LIMIT 1) AS known",
        {"named": msgspec.json.encode(named).decode()},
    )
    return {
        (audience_id, ID_TYPE_OF[code], id_): KnownMember(bool(is_member), *origin)
        for audience_id, code, id_, is_member, *origin in rows
    }
