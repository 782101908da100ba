"""How long Amplitude asked to wait (429 with Retry-After), for one audience or the connection.

The next run must know it, too, on whatever machine: times are those of `Ledger.clock`. A clock that
jumps, or a server that asks for years, must not block an audience: no limit counts for more than a
day, nor after the clock was set back. If it still holds then, Amplitude asks for it again.
"""

from collections.abc import Iterable

from amp_console.ledger.db import Db

DAY = 24 * 3_600_000_000  # microseconds
MINUTE = 60_000_000  # microseconds; a clock may be corrected by as much
CONNECTION = 0  # instead of an audience's id: the whole connection


def keep_limit(db: Db, audience_id: int, until: int, now: int) -> None:
    """Record that nothing may be sent before `until`; both are in microseconds since 1970."""
    db.execute(
        "INSERT INTO hold (audience_id, until, kept_at) VALUES (?, ?, ?) "
        "ON CONFLICT (audience_id) DO UPDATE "
        "SET until = excluded.until, kept_at = excluded.kept_at",
        (audience_id, until, now),
    )


def limited_until(db: Db, audience_id: int, now: int) -> int | None:
    """Return until when nothing may be sent for an audience; None if it may be sent now."""
    found = db.execute(
        "SELECT max(until) FROM hold WHERE audience_id IN (?, ?) AND until > ? AND until <= ? "
        "AND kept_at <= ?",
        (audience_id, CONNECTION, now, now + DAY, now + MINUTE),
    ).fetchone()[0]
    return None if found is None else int(found)


def forget_limits(db: Db, audience_ids: Iterable[int]) -> None:
    """Forget the limits of these audiences, and that of the whole connection."""
    for audience_id in (CONNECTION, *audience_ids):
        db.execute("DELETE FROM hold WHERE audience_id = ?", (audience_id,))
