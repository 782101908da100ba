"""How many people entered and left an audience, by day and recently, counted as changes are merged.

They are counted in the transaction of the merge: flipped members by a trigger, new ones from the
added rows. Reading takes time in proportion to the intervals, never to the members. Every change of
the last weeks is counted, so the number of members on an earlier day can be calculated back from
the present one, as far as the day when counting began.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

from amp_console.ledger.audiences import Audience
from amp_console.ledger.db import ID_TYPE_CODE, Db, ServerDb, as_json
from amp_console.ledger.packed_changes import LINES, WITH_PARTS, Part

DAY = 86_400_000_000  # microseconds
KEPT_DAYS = 35  # whose new members are counted; those of long ago are history when they are read
SHORT = 120_000_000  # two minutes
KEPT_SHORT = 3 * 3_600_000_000  # how long short intervals are kept
CLOCK_AHEAD = 600_000_000  # how far the clock of an event may be ahead
COUNTED_AT_ONCE = 200_000  # new members; a list may add millions
_DAY_BITS = 24
# How a server counts new members by the day, in one statement of two halves.
_DAY_KEY = f"((audience_id * 8 + id_type * 2 + 1) << {_DAY_BITS}) + event_at / {DAY}"
COUNT_NEW = (
    f"INSERT INTO membership_day AS known (key, people) SELECT {_DAY_KEY}, count(*) "
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
    """How many entered and left since a moment, and how many of these perhaps before it."""

    entered: int = 0
    left: int = 0
    unsure_entered: int = 0
    unsure_left: int = 0


def counted_since(now: int) -> int:
    """Since when new members are counted; both in microseconds since 1970."""
    return max(0, now - KEPT_DAYS * DAY)


@contextmanager
def counting_new(db: Db, audience_id: int, id_type: int, now: int) -> Iterator[None]:
    """Count the members that this block adds to an audience under one ID type.

    `now` is in microseconds since 1970.
    """
    before = last_member(db)
    yield
    if not isinstance(db, ServerDb):
        count_added(db, before, last_member(db), now)
        return
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


def count_added(db: Db, before: int, last: int, now: int) -> None:
    """Count the members that were added to a file between two numbers of `last_member`.

    `now` is in microseconds since 1970.
    """
    counts = Counter[int]()
    for start in range(before, last, COUNTED_AT_ONCE):
        # As one JSON text, which is three times as fast as rows or a GROUP BY.
        (days,) = db.execute(
            f"SELECT json_group_array({_DAY_KEY}) FROM member WHERE n > ? AND n <= ? "
            "AND is_member = 1 AND event_at >= ?",
            (start, min(last, start + COUNTED_AT_ONCE), counted_since(now)),
        ).fetchone()
        counts.update(msgspec.json.decode(days, type=list[int]))
    if counts:
        db.execute(
            "INSERT INTO membership_day SELECT CAST(key AS INTEGER), value FROM json_each(?) "
            "WHERE true ON CONFLICT (key) DO UPDATE SET people = membership_day.people "
            "+ excluded.people",
            (as_json(counts),),
        )


def last_member(db: Db) -> int:
    """The number of the member that was added last; 0 where there is none."""
    return int(db.execute("SELECT coalesce(max(n), 0) FROM member").fetchone()[0])


_COUNT_RECENT = (
    'INSERT INTO membership_recent (audience_id, id_type, at, entered, "left") '
    f"{{parts}} SELECT of_audience, of_type, at - at % {SHORT}, sum(is_in), sum(1 - is_in) "
    "FROM ({changes}) AS change LEFT JOIN {member} "
    "WHERE coalesce(is_member, 0) <> is_in AND (member.n IS NULL "
    " OR (at, :source, of_line) >= (event_at, source_id, line)) "
    "GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 ON CONFLICT (audience_id, id_type, at) DO UPDATE SET "
    "entered = membership_recent.entered + excluded.entered, "
    '"left" = membership_recent."left" + excluded."left"'
)
_SAME = "audience_id = of_audience AND id_type = of_type AND id = of_id"
_COUNT_RECENT_IN_FILE = _COUNT_RECENT.format(
    parts=WITH_PARTS,
    changes="SELECT part.audience_id AS of_audience, part.id_type AS of_type, key AS of_id, "
    "(value >> 21) + first_at AS at, "
    f"((value >> 1) & {LINES}) + :first_line AS of_line, value & 1 AS is_in "
    "FROM part CROSS JOIN json_each(part.changes)",
    member=f"member ON {_SAME}",
)
# A server looks up each: a plan for few members would read all.
_COUNT_RECENT_ON_SERVER = _COUNT_RECENT.format(
    parts="",
    changes="SELECT (value ->> 0)::bigint AS of_audience, (value ->> 1)::bigint AS of_type, "
    "value ->> 2 AS of_id, (value ->> 3)::bigint AS at, (value ->> 4)::bigint AS of_line, "
    "(value ->> 5)::bigint AS is_in FROM json_array_elements(:changes::json)",
    member=f"LATERAL (SELECT * FROM member WHERE {_SAME} LIMIT 1) AS member ON true",
)


def count_recent(db: Db, parts: Sequence[Part], source_id: int, first_line: int, now: int) -> None:
    """Count who will enter or leave by the changes of the last hours, before they are merged.

    These are dated from `KEPT_SHORT` ago to `CLOCK_AHEAD` from now, and their lines are counted
    from `first_line`. Lists of members have no such changes.
    """
    between = (part.between(now - KEPT_SHORT, now + CLOCK_AHEAD) for part in parts)
    recent = [part for part in between if part is not None]
    if not recent:
        return
    audiences = sorted({part.audience_id for part in recent})
    db.execute(
        "DELETE FROM membership_recent WHERE at < ? "
        "AND audience_id IN (SELECT CAST(value AS INTEGER) FROM json_each(?))",
        (now - KEPT_SHORT, as_json(audiences)),
    )
    if not isinstance(db, ServerDb):
        values = {"source": source_id, "first_line": first_line, "parts": as_json(recent)}
        db.execute(_COUNT_RECENT_IN_FILE, values)
        return
    rows = [
        (part.audience_id, part.id_type, id_, *part.unpacked(value, first_line))
        for part in recent
        for id_, value in part.changes.items()
    ]
    db.execute(
        _COUNT_RECENT_ON_SERVER,
        {"source": source_id, "changes": as_json(rows)},
    )


def daily_movement(db: Db, known: Audience, now: int, days: int) -> Movement:
    """Read who entered and left on the last days (UTC), of which `now` is in the last one.

    Changes dated later count towards the last day. Someone who left and came back counts twice.
    There are fewer days if counting began less than `days` ago.
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

    It counts from the start of the short interval that contains the moment, or of its day if short
    intervals are no longer kept.
    """
    read = recent_movement if since > now - KEPT_SHORT else daily_movement
    span = SHORT if since > now - KEPT_SHORT else DAY
    found = read(db, known, now, max(1, now // span - since // span + 1))
    return MovedSince(sum(found.entered), sum(found.left), found.entered[0], found.left[0])


def members_over_time(members: int, moves: Movement) -> tuple[int, ...]:
    """Return how many members there were at the end of each interval, given the `members` now."""
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
