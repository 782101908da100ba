"""Until when Amplitude has asked for no more requests, for one audience or for all of them.

It is kept here so that the next run knows it, too. A clock that jumps, or a server that asks for
years, must not lock an audience: no hold lasts longer than a day from any moment.
"""

from collections.abc import Iterable

from amp_console.ledger.db import Db

DAY = 24 * 3_600_000_000  # microseconds
ALL = 0  # instead of an audience's id: the whole connection


def hold(db: Db, audience_id: int, until: int) -> None:
    """Note that nothing may be sent before `until`, in microseconds since 1970."""
    db.execute(
        "INSERT INTO hold (audience_id, until) VALUES (?, ?) "
        "ON CONFLICT (audience_id) DO UPDATE SET until = excluded.until",
        (audience_id, until),
    )


def held_until(db: Db, audience_id: int, now: int) -> int | None:
    """Return until when nothing may be sent for an audience; None where it may."""
    found = db.execute(
        "SELECT max(until) FROM hold WHERE audience_id IN (?, ?) AND until > ? AND until <= ?",
        (audience_id, ALL, now, now + DAY),
    ).fetchone()[0]
    return None if found is None else int(found)


def release(db: Db, audience_ids: Iterable[int]) -> None:
    """Forget what was asked for these audiences, and for the whole connection."""
    for audience_id in (ALL, *audience_ids):
        db.execute("DELETE FROM hold WHERE audience_id = ?", (audience_id,))
