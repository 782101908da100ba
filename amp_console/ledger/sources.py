"""Sources of events: what was read from each, and what of it could not be used."""

import sqlite3
from collections.abc import Iterable, Mapping

import msgspec

from amp_console.values import Refusal


class InvalidEvent(msgspec.Struct, frozen=True):
    """An event that could not be read: where it stands and why."""

    source: str
    line: int
    reason: str


class Tally(msgspec.Struct, frozen=True):
    """What became of the events that were read; `read` is the sum of the other three."""

    read: int = 0
    changes: int = 0
    filtered: int = 0
    invalid: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.read + other.read,
            self.changes + other.changes,
            self.filtered + other.filtered,
            self.invalid + other.invalid,
        )

    def __sub__(self, other: "Tally") -> "Tally":
        return Tally(
            self.read - other.read,
            self.changes - other.changes,
            self.filtered - other.filtered,
            self.invalid - other.invalid,
        )


def begin_source(db: sqlite3.Connection, name: str, path: str | None, now: int) -> int:
    """Start reading a source and return its id.

    A path read before keeps its id, so that its events keep their place in the order of all
    events; what it was refused for is listed anew.
    """
    row = db.execute("SELECT id FROM source WHERE path = ?", (path,)).fetchone()
    if row is None:
        row = db.execute(
            "INSERT INTO source (name, path, read_at) VALUES (?, ?, ?) RETURNING id",
            (name, path, now),
        ).fetchone()
        return int(row[0])
    db.execute(
        "UPDATE source SET read_at = ?, read = 0, changes = 0, filtered = 0, invalid = 0 "
        "WHERE id = ?",
        (now, row[0]),
    )
    db.execute("DELETE FROM invalid_event WHERE source_id = ?", row)
    db.execute("DELETE FROM filtered WHERE source_id = ?", row)
    return int(row[0])


def account(
    db: sqlite3.Connection,
    source_id: int,
    tally: Tally,
    filtered: Mapping[str, int],
    refusals: Iterable[Refusal],
) -> None:
    """Add what became of a part of a source's events."""
    db.execute(
        "UPDATE source SET read = read + ?, changes = changes + ?, filtered = filtered + ?, "
        "invalid = invalid + ? WHERE id = ?",
        (tally.read, tally.changes, tally.filtered, tally.invalid, source_id),
    )
    db.executemany(
        "INSERT INTO filtered (source_id, reason, count) VALUES (?, ?, ?) "
        "ON CONFLICT DO UPDATE SET count = count + excluded.count",
        [(source_id, reason, count) for reason, count in filtered.items()],
    )
    db.executemany(
        "INSERT INTO invalid_event (source_id, line, reason) VALUES (?, ?, ?)",
        [(source_id, *refusal) for refusal in refusals],
    )


_INVALID = "FROM invalid_event JOIN source ON source.id = source_id "
_MATCHES = "WHERE (:text = '' OR instr(lower(name || char(10) || reason), lower(:text))) "


def invalid_events(db: sqlite3.Connection) -> list[InvalidEvent]:
    """Every event the newest reading of its source refused, in the order they stand there."""
    return invalid_page(db, 0, -1)


def invalid_page(
    db: sqlite3.Connection, offset: int, limit: int, text: str = ""
) -> list[InvalidEvent]:
    """Some of the invalid events; `text` is a part of the source's name or of the reason."""
    rows = db.execute(
        f"SELECT name, line, reason {_INVALID} {_MATCHES} "
        "ORDER BY source_id, invalid_event.id LIMIT :limit OFFSET :offset",
        {"text": text, "limit": limit, "offset": offset},
    )
    return [InvalidEvent(*row) for row in rows]


def count_invalid(db: sqlite3.Connection, text: str = "") -> int:
    """How many events are invalid."""
    row = db.execute(f"SELECT count(*) {_INVALID} {_MATCHES}", {"text": text}).fetchone()
    return int(row[0])
