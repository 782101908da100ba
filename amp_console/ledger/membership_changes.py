"""Who entered and left an audience, day by day and lately, counted when changes are merged.

It is counted in the transaction of the merge: members that flip by a trigger, new ones from the
rows that were added. Reading is bounded by the intervals, never by the members. As every change of
the last weeks is counted, they lead from the present number of members back to those of a day; in a
ledger that had members before they were counted, back to the day of that.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

from amp_console.ledger.audiences import Audience
from amp_console.ledger.db import ID_TYPE_CODE, Db, ServerDb

DAY = 86_400_000_000  # microseconds
KEPT_DAYS = 35  # whose new members are counted; those of long ago are history when they are read
SHORT = 120_000_000  # two minutes
KEPT_SHORT = 3 * 3_600_000_000  # how long short intervals are kept
CLOCK_AHEAD = 600_000_000  # how far the clock of an event may be ahead
COUNTED_AT_ONCE = 200_000  # new members; a list may add millions
_DAY_BITS = 24
# How a server counts new members by the day, in one statement of two halves.
COUNT_NEW = (
    "INSERT INTO membership_day AS known (key, people) "
    f"SELECT ((audience_id * 8 + id_type * 2 + 1) << {_DAY_BITS}) + event_at / {DAY}, count(*) "
    "FROM {members} WHERE is_member = 1 AND event_at >= :since"
)
ADD_TO_DAYS = "GROUP BY 1 ON CONFLICT (key) DO UPDATE SET people = known.people + excluded.people"


class Movement(msgspec.Struct, frozen=True):
    """How many people entered and left in consecutive intervals, the oldest first.

    `since` is when the first one begins, `span` how long each is, in microseconds.
    """

    since: int
    span: int
    entered: tuple[int, ...]
    left: tuple[int, ...]


class MovedSince(NamedTuple):
    """How many entered and left since a moment, and how many of them perhaps before it."""

    entered: int = 0
    left: int = 0
    unsure_entered: int = 0
    unsure_left: int = 0


def counted_since(now: int) -> int:
    """Since when new members are counted; both in microseconds since 1970."""
    return max(0, now - KEPT_DAYS * DAY)


@contextmanager
def counting_new(
    db: Db, audience_id: int, id_type: int, now: int, before: int | None = None
) -> Iterator[None]:
    """Count the members that this block adds to an audience under one ID type.

    `now` is in microseconds since 1970; `before` what `last_member` returned earlier, if no member
    of the two was added since.
    """
    before = last_member(db) if before is None else before
    yield
    if isinstance(db, ServerDb):
        db.execute(
            f"{COUNT_NEW.format(members='member')} AND n > :before AND audience_id = :audience "
            f"AND id_type = :id_type {ADD_TO_DAYS}",
            {
                "since": counted_since(now),
                "before": before,
                "audience": audience_id,
                "id_type": id_type,
            },
        )
        return
    counts = Counter[int]()
    for start in range(before, last_member(db), COUNTED_AT_ONCE):
        # As one JSON text, which is three times as fast as rows or a GROUP BY. The "+" keeps SQLite
        # from an index that leads through all members of the audience.
        (days,) = db.execute(
            f"SELECT json_group_array(event_at / {DAY}) FROM member WHERE n > ? AND n <= ? "
            "AND is_member = 1 AND +audience_id = ? AND +id_type = ? AND event_at >= ?",
            (
                *(start, start + COUNTED_AT_ONCE),
                *(audience_id, id_type, counted_since(now)),
            ),
        ).fetchone()
        counts.update(msgspec.json.decode(days, type=list[int]))
    if counts:
        first = _key(audience_id, id_type, 1, 0)
        db.executemany(
            "INSERT INTO membership_day VALUES (?, ?) "
            "ON CONFLICT (key) DO UPDATE SET people = membership_day.people + excluded.people",
            [(first + day, n) for day, n in counts.items()],
        )


def last_member(db: Db) -> int:
    """The number of the member that was added last; 0 where there is none."""
    return int(db.execute("SELECT coalesce(max(n), 0) FROM member").fetchone()[0])


RecentChange = tuple[int, int, int]
"""A change of the last hours: its time (microseconds since 1970) and line, and 1 if it enters.

It is dated from `KEPT_SHORT` ago to `CLOCK_AHEAD` from now. Lists of members have no such changes.
"""
_COUNT_RECENT = (
    'INSERT INTO membership_recent (audience_id, id_type, at, entered, "left") '
    f"SELECT of_audience, of_type, at - at % {SHORT}, sum(is_in), sum(1 - is_in) "
    "FROM ({changes}) AS change LEFT JOIN {member} "
    "WHERE coalesce(is_member, 0) <> is_in AND (member.n IS NULL "
    " OR (at, :source, of_line) >= (event_at, source_id, line)) "
    "GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 ON CONFLICT (audience_id, id_type, at) DO UPDATE SET "
    "entered = membership_recent.entered + excluded.entered, "
    '"left" = membership_recent."left" + excluded."left"'
)
_RECENT_OF_ONE = (
    "SELECT :audience AS of_audience, :id_type AS of_type, key AS of_id, "
    "CAST(value ->> 0 AS INTEGER) AS at, CAST(value ->> 1 AS INTEGER) AS of_line, "
    "CAST(value ->> 2 AS INTEGER) AS is_in FROM json_each(:changes)"
)
_RECENT_OF_SEVERAL = (
    "SELECT (value ->> 0)::bigint AS of_audience, (value ->> 1)::bigint AS of_type, "
    "value ->> 2 AS of_id, (value ->> 3)::bigint AS at, (value ->> 4)::bigint AS of_line, "
    "(value ->> 5)::bigint AS is_in FROM json_array_elements(:changes::json)"
)


def count_recent(
    db: Db,
    audience_id: int,
    id_type: int,
    source_id: int,
    changes: Mapping[str, RecentChange],
    now: int,
) -> None:
    """Count who will enter or leave by the recent change of each identifier, before the merge."""
    values = {"audience": audience_id, "id_type": id_type, "oldest": now - KEPT_SHORT}
    db.execute(
        "DELETE FROM membership_recent WHERE audience_id = :audience AND id_type = :id_type "
        "AND at < :oldest",
        values,
    )
    db.execute(
        _COUNT_RECENT.format(changes=_RECENT_OF_ONE, member=_known_of_change(db)),
        {**values, "source": source_id, "changes": msgspec.json.encode(changes).decode()},
    )


def count_few_recent(
    db: ServerDb, source_id: int, changes: Sequence[tuple[int, int, str, RecentChange]], now: int
) -> None:
    """Do the same for several audiences and ID types at once, on a server."""
    if not changes:
        return
    rows = [(audience_id, id_type, id_, *change) for audience_id, id_type, id_, change in changes]
    audiences = sorted({audience_id for audience_id, *_ in changes})
    db.execute(
        "DELETE FROM membership_recent WHERE at < ? "
        "AND audience_id IN (SELECT CAST(value AS INTEGER) FROM json_each(?))",
        (now - KEPT_SHORT, msgspec.json.encode(audiences).decode()),
    )
    db.execute(
        _COUNT_RECENT.format(changes=_RECENT_OF_SEVERAL, member=_known_of_change(db)),
        {"source": source_id, "changes": msgspec.json.encode(rows).decode()},
    )


def _known_of_change(db: Db) -> str:
    """The member of each change. A server looks up each: a plan for few members would read all."""
    same = "audience_id = of_audience AND id_type = of_type AND id = of_id"
    if isinstance(db, ServerDb):
        return f"LATERAL (SELECT * FROM member WHERE {same} LIMIT 1) AS member ON true"
    return f"member ON {same}"


def daily_movement(db: Db, known: Audience, now: int, days: int) -> Movement:
    """Read who entered and left on the last days (UTC), of which `now` is in the last one.

    What is dated later counts to the last one. Someone who left and came back counts twice. There
    are fewer days where counting began later than `days` ago.
    """
    (counted_since,) = db.execute(
        "SELECT coalesce(max(since), 0) FROM membership_counted"
    ).fetchone()
    today = now // DAY
    first = min(today, max(today - days + 1, counted_since // DAY))
    days = today - first + 1
    counts = {1: [0] * days, 0: [0] * days}
    for is_member, numbers in counts.items():
        begin = _key(known.id, ID_TYPE_CODE[known.id_type], is_member, 0)
        for key, people in db.execute(
            "SELECT key, people FROM membership_day WHERE key BETWEEN ? AND ?",
            (begin + first, begin + (1 << _DAY_BITS) - 1),
        ):
            numbers[min(days - 1, key - begin - first)] += people
    return Movement(first * DAY, DAY, tuple(counts[1]), tuple(counts[0]))


def recent_movement(db: Db, known: Audience, now: int, count: int) -> Movement:
    """Read the last `count` short intervals, of which `now` is in the last one."""
    since = now - now % SHORT - (count - 1) * SHORT
    entered, left = [0] * count, [0] * count
    rows = db.execute(
        'SELECT at, entered, "left" FROM membership_recent '
        "WHERE audience_id = ? AND id_type = ? AND at >= ?",
        (known.id, ID_TYPE_CODE[known.id_type], since),
    )
    for at, some_entered, some_left in rows:
        index = min(count - 1, (at - since) // SHORT)
        entered[index] += some_entered
        left[index] += some_left
    return Movement(since, SHORT, tuple(entered), tuple(left))


def moved_since(db: Db, known: Audience, since: int, now: int) -> MovedSince:
    """Count who entered and who left since a moment; moments in microseconds since 1970.

    It counts from the start of the short interval that the moment is in, or of its day where short
    intervals are no longer kept.
    """
    read = recent_movement if since > now - KEPT_SHORT else daily_movement
    span = SHORT if since > now - KEPT_SHORT else DAY
    found = read(db, known, now, max(1, now // span - since // span + 1))
    return MovedSince(sum(found.entered), sum(found.left), found.entered[0], found.left[0])


def members_over_time(members: int, moves: Movement) -> tuple[int, ...]:
    """Return how many members there were at the end of each interval, of `members` now."""
    sizes = [members]
    for entered, left in zip(moves.entered[:0:-1], moves.left[:0:-1], strict=True):
        sizes.append(max(0, sizes[-1] - entered + left))
    return tuple(reversed(sizes))


class ChangeCounter(msgspec.Struct, frozen=True):
    """How many changes were counted for an audience so far, and the newest member then."""

    counted: int
    last_member: int


def change_counter(db: Db, known: Audience) -> ChangeCounter:
    """Read how many changes were counted under the audience's ID type."""
    return ChangeCounter(_counted(db, known), last_member(db))


def changes_since(db: Db, known: Audience, before: ChangeCounter, now: int) -> int:
    """Count who entered or left since then; `now` in microseconds since 1970.

    New members of long ago are not counted by the day, so they are counted from their rows.
    """
    (long_ago,) = db.execute(
        # With the sign, SQLite reads the rows behind the last one, not all of the audience.
        "SELECT count(*) FROM member WHERE n > ? AND is_member = 1 AND +audience_id = ? "
        "AND id_type = ? AND event_at < ?",
        (
            before.last_member,
            known.id,
            ID_TYPE_CODE[known.id_type],
            max(0, now - KEPT_DAYS * DAY),
        ),
    ).fetchone()
    return max(0, _counted(db, known) - before.counted) + int(long_ago)


def _counted(db: Db, known: Audience) -> int:
    return sum(
        int(
            db.execute(
                "SELECT coalesce(sum(people), 0) FROM membership_day WHERE key BETWEEN ? AND ?",
                (begin, begin + (1 << _DAY_BITS) - 1),
            ).fetchone()[0]
        )
        for begin in (_key(known.id, ID_TYPE_CODE[known.id_type], is_in, 0) for is_in in (0, 1))
    )


def _key(audience_id: int, id_type: int, is_member: int, day: int) -> int:
    """The key of a day in `membership_day`, as the trigger makes it."""
    return ((audience_id * 8 + id_type * 2 + is_member) << _DAY_BITS) + day
