"""What Segment's API last returned about the audiences of a space, and why it last failed."""

from collections.abc import Sequence
from typing import Any

import msgspec

from amp_console.ledger.db import Db
from amp_console.values import SegmentAudience, SegmentDestination


class SpaceReading(msgspec.Struct, frozen=True):
    """The last reading of a space. Moments are in microseconds since 1970.

    `audiences`, sorted by name, were read at `read_at`; that is None if they were never read. If
    the last attempt, at `tried_at`, failed, `trouble` says why, and the audiences are the earlier
    ones. Segment asked for no more requests until `wait_until`; None: it did not.
    """

    space_id: str
    audiences: tuple[SegmentAudience, ...] = ()
    read_at: int | None = None
    tried_at: int | None = None
    trouble: str = ""
    wait_until: int | None = None


_DESTINATIONS = tuple[SegmentDestination, ...]
_COLUMNS = "id, key, name, is_enabled, status, size, unit, definition, destinations"


def space_reading(db: Db, space_id: str) -> SpaceReading:
    """Return what is known of a space."""
    row = db.execute(
        "SELECT read_at, tried_at, trouble, wait_until FROM segment_space WHERE id = ?", (space_id,)
    ).fetchone()
    if row is None:
        return SpaceReading(space_id)
    found = db.execute(
        f"SELECT {_COLUMNS} FROM segment_audience WHERE space_id = ? ORDER BY lower(name), id",
        (space_id,),
    )
    return SpaceReading(space_id, tuple(map(_audience, found)), *row)


def _audience(row: Sequence[Any]) -> SegmentAudience:
    id_, key, name, is_enabled, status, size, unit, definition, destinations = row
    return SegmentAudience(
        *(id_, key, name, bool(is_enabled), status, size, unit, definition),
        None if destinations is None else msgspec.json.decode(destinations, type=_DESTINATIONS),
    )


def keep_audiences(db: Db, space_id: str, audiences: tuple[SegmentAudience, ...], now: int) -> None:
    """Save a complete list of a space's audiences in place of the earlier one."""
    _keep(db, space_id, now, "", None)
    db.execute("UPDATE segment_space SET read_at = ? WHERE id = ?", (now, space_id))
    db.execute("DELETE FROM segment_audience WHERE space_id = ?", (space_id,))
    db.executemany(
        f"INSERT INTO segment_audience (space_id, {_COLUMNS}) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [(space_id, *item[:-1], _stored(item.destinations)) for item in audiences],
    )


def _stored(destinations: tuple[SegmentDestination, ...] | None) -> str | None:
    return None if destinations is None else msgspec.json.encode(destinations).decode()


def keep_trouble(
    db: Db, space_id: str, trouble: str, now: int, wait_until: int | None = None
) -> None:
    """Record why a space could not be read; what was read before stays."""
    _keep(db, space_id, now, trouble, wait_until)


def _keep(db: Db, space_id: str, now: int, trouble: str, wait_until: int | None) -> None:
    db.execute(
        "INSERT INTO segment_space (id, tried_at, trouble, wait_until) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (id) DO UPDATE SET tried_at = excluded.tried_at, "
        "trouble = excluded.trouble, wait_until = excluded.wait_until",
        (space_id, now, trouble, wait_until),
    )
