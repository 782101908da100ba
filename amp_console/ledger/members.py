"""Folding changes into what is wanted: the newest event of each identifier wins.

Newest is by (time, source, line), a total order over everything ever read, so folding is taking a
maximum: reading again, out of order or twice changes nothing.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from amp_console.ledger.audiences import Audience, Link, audience
from amp_console.ledger.codes import ID_TYPE_CODE
from amp_console.values import AudienceRef, Change, IdType

# A change crosses into SQLite as one integer, (time << 21 | line << 1 | member), both counted from
# the first of its part, and a whole part as one flat JSON object of identifiers and integers: 1.5
# times as fast as a row of values each.
_LINES = (1 << 20) - 1
_TIMES = (1 << 42) - 1  # microseconds: 50 days

_FOLD = """
INSERT INTO member
    (audience_id, id_type, id, is_member, wanted, event_at, source_id, line, delivered)
SELECT :audience, :id_type, key, value & 1, value & :in_use, (value >> 21) + :first_at, :source,
       ((value >> 1) & 1048575) + :first_line, :delivered
  FROM {rows} WHERE true ORDER BY key
    ON CONFLICT (audience_id, id_type, id) DO UPDATE SET
       is_member = excluded.is_member, wanted = excluded.wanted, event_at = excluded.event_at,
       source_id = excluded.source_id, line = excluded.line,
       rejection_id = CASE WHEN wanted = excluded.wanted THEN rejection_id END,
       refusals = CASE WHEN wanted = excluded.wanted THEN refusals ELSE 0 END
 WHERE (excluded.event_at, excluded.source_id, excluded.line) >= (event_at, source_id, line)
"""
_FOLD_ALL = _FOLD.format(rows="json_each(:changes)")
_FOLD_ONE = _FOLD.format(rows="(SELECT :id AS key, :change AS value)")

Newest = dict[str, Change]


class Gathered:
    """The newest change of each identifier among those read since the last fold."""

    def __init__(self) -> None:
        self.first_line = 0
        self.newest: dict[IdType, dict[AudienceRef, Newest]] = {t: {} for t in IdType}

    @property
    def is_full(self) -> bool:
        """True when it should be folded: changes of 100,000 identifiers."""
        return sum(len(of) for by in self.newest.values() for of in by.values()) >= 100_000

    def takes(self, changes: Sequence[Change]) -> bool:
        """Whether these lines are near enough to those gathered; else fold first."""
        near = self.first_line + _LINES
        return not (changes and self.first_line) or changes[-1].line <= near

    def add(self, changes: Sequence[Change]) -> None:
        """Gather changes of one source, in its order; `takes` says whether they can be."""
        if not changes:
            return
        self.first_line = self.first_line or changes[0].line
        last_ref: AudienceRef | None = None
        users: Newest = {}
        for change in changes:  # a million times in four seconds, hence the local names
            ref, user_id, amplitude_id, _, at, _ = change
            if ref is not last_ref:
                users = self.newest[IdType.USER_ID].setdefault(ref, {})
                last_ref = ref
            if user_id is not None:
                known = users.get(user_id)
                if known is None or at >= known.at:
                    users[user_id] = change
            if amplitude_id is not None:
                newest = self.newest[IdType.AMPLITUDE_ID].setdefault(ref, {})
                if at >= newest.setdefault(amplitude_id, change).at:
                    newest[amplitude_id] = change


class _Group(NamedTuple):
    """Changes that are near enough in time to be integers, counted from these two."""

    first_at: int
    first_line: int
    changes: dict[str, int]


def fold(
    db: sqlite3.Connection,
    source_id: int,
    gathered: Gathered,
    audiences: dict[AudienceRef, int],
) -> None:
    """Fold what was gathered from one source into the ledger; `audiences` names them by id."""
    for id_type, by_audience in gathered.newest.items():
        for ref, newest in by_audience.items():
            known = audience(db, audiences[ref])
            for group in _groups(newest, gathered.first_line):
                _fold_group(db, known, id_type, source_id, group)
            _remember_counterparts(db, known.id, id_type, newest)


def _groups(newest: Newest, first_line: int) -> Iterator[_Group]:
    """Make integers of changes: one group, unless they lie more than 50 days apart."""
    rest = newest
    while rest:
        first_at = min(change.at for change in rest.values())
        last_at = first_at + _TIMES
        group = {
            id_: (at - first_at) << 21 | (line - first_line) << 1 | is_member
            for id_, (_, _, _, is_member, at, line) in rest.items()
            if at <= last_at
        }
        yield _Group(first_at, first_line, group)
        if len(group) == len(rest):
            return
        rest = {id_: change for id_, change in rest.items() if id_ not in group}


def _fold_group(
    db: sqlite3.Connection,
    known: Audience,
    id_type: IdType,
    source_id: int,
    group: _Group,
) -> None:
    in_use = known.id_type is id_type
    values = {
        "audience": known.id,
        "id_type": ID_TYPE_CODE[id_type],
        "in_use": int(in_use),
        "first_at": group.first_at,
        "source": source_id,
        "first_line": group.first_line,
        "delivered": None if in_use and known.link is Link.EXISTING else 0,
    }
    changes = group.changes
    # SQLite ends a JSON text at an escaped NUL, so the few that hold one are bound one by one.
    with_nul = [id_ for id_ in changes if "\0" in id_]
    for id_ in with_nul:
        db.execute(_FOLD_ONE, {**values, "id": id_, "change": changes[id_]})
    if with_nul:
        changes = {id_: packed for id_, packed in changes.items() if "\0" not in id_}
    db.execute(_FOLD_ALL, {**values, "changes": msgspec.json.encode(changes).decode()})


def _remember_counterparts(
    db: sqlite3.Connection, audience_id: int, id_type: IdType, newest: Newest
) -> None:
    """Keep the same person's identifier of the other type, where the newest event has both."""
    is_user = id_type is IdType.USER_ID
    pairs = [(c.amplitude_id if is_user else c.user_id, id_) for id_, c in newest.items()]
    db.executemany(
        "UPDATE member SET counterpart = ?1 WHERE audience_id = ?3 AND id_type = ?4 AND id = ?2 "
        "AND counterpart IS NOT ?1",
        [(*pair, audience_id, ID_TYPE_CODE[id_type]) for pair in pairs if pair[0] is not None],
    )


def fold_snapshot(
    db: sqlite3.Connection,
    audience_id: int,
    source_id: int,
    at: int,
    id_types: Iterable[IdType],
) -> int:
    """Let everybody leave whom a snapshot taken at `at` (microseconds) does not hold.

    To be called when the snapshot's members have been folded from `source_id`, for the ID types it
    lists. Those with a newer event stay as that event says. Returns how many left.
    """
    left = 0
    for id_type in id_types:
        left += db.execute(
            "UPDATE member SET is_member = 0, wanted = 0, event_at = :at, source_id = :source, "
            "line = 0, rejection_id = CASE WHEN wanted = 0 THEN rejection_id END, "
            "refusals = CASE WHEN wanted = 0 THEN refusals ELSE 0 END "
            "WHERE audience_id = :audience AND id_type = :id_type AND is_member = 1 "
            "AND event_at <= :at AND NOT (source_id = :source AND event_at = :at)",
            {
                "at": at,
                "source": source_id,
                "audience": audience_id,
                "id_type": ID_TYPE_CODE[id_type],
            },
        ).rowcount
    return left
