"""Sources of events: what was read from each, and which events could not be used."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

import msgspec

from amp_console.ledger.db import EVERY, Db, as_json
from amp_console.values import Refusal


class InvalidLimits(msgspec.Struct, frozen=True):
    """How many of a source's invalid events are listed; past that they are only counted.

    `of_reason` are listed of each reason in any case. Past `reasons` they count as `OTHER`.
    """

    of_source: int = 10_000
    of_reason: int = 10
    reasons: int = 500


OTHER = "other reasons"


class InvalidEvent(msgspec.Struct, frozen=True):
    """An event that could not be read: where it is and why."""

    source: str
    line: int
    reason: str


class InvalidGroup(msgspec.Struct, frozen=True):
    """Events that are invalid for the same reason, in so many sources, with some `samples`."""

    reason: str
    count: int
    sources: int
    samples: tuple[InvalidEvent, ...]


class ReadCounts(msgspec.Struct, frozen=True):
    """The outcome of the events that were read; `read` is the sum of the other three.

    A `valid` event says that someone is, or is not, a member; it may say nothing new.
    """

    read: int = 0
    valid: int = 0
    filtered: int = 0
    invalid: int = 0

    def __add__(self, other: "ReadCounts") -> "ReadCounts":
        return ReadCounts(
            self.read + other.read,
            self.valid + other.valid,
            self.filtered + other.filtered,
            self.invalid + other.invalid,
        )

    def __sub__(self, other: "ReadCounts") -> "ReadCounts":
        return ReadCounts(
            self.read - other.read,
            self.valid - other.valid,
            self.filtered - other.filtered,
            self.invalid - other.invalid,
        )


def begin_source(db: Db, name: str, path: str | None, now: int) -> int:
    """Start reading a source and return its id.

    A path that was read before keeps its id, so that its events keep their place in the order of
    all events. Its refusals are listed again. Bytes of a name that are not UTF-8 are escaped.
    """
    name = as_text(name)
    path = None if path is None else as_text(path)
    row = db.execute("SELECT id FROM source WHERE path = ?", (path,)).fetchone()
    if row is None:
        row = db.execute(
            "INSERT INTO source (name, path, read_at) VALUES (?, ?, ?) RETURNING id",
            (name, path, now),
        ).fetchone()
        return int(row[0])
    restart_source(db, row[0], now)
    return int(row[0])


def restart_source(db: Db, source_id: int, now: int) -> None:
    """Read a source again from its beginning: its counts and lists are deleted."""
    db.execute(
        "UPDATE source SET read_at = ?, read = 0, changes = 0, filtered = 0, invalid = 0 "
        "WHERE id = ?",
        (now, source_id),
    )
    for table in ("invalid_event", "invalid_reason", "filtered"):
        db.execute(f"DELETE FROM {table} WHERE source_id = ?", (source_id,))


def is_known_path(db: Db, path: str | None) -> bool:
    """Whether a source of this path was begun before."""
    path = None if path is None else as_text(path)
    return db.execute("SELECT 1 FROM source WHERE path = ?", (path,)).fetchone() is not None


def counts_of_source(db: Db, source_id: int) -> ReadCounts:
    """The outcome of the events when a source was last read."""
    row = db.execute(
        "SELECT read, changes, filtered, invalid FROM source WHERE id = ?", (source_id,)
    ).fetchone()
    return ReadCounts(*row)


def filtered_of_source(db: Db, source_id: int) -> Counter[str]:
    """How many events of a source were filtered, by reason, when it was read last."""
    query = "SELECT reason, count FROM filtered WHERE source_id = ?"
    return Counter(dict(db.execute(query, (source_id,)).fetchall()))


def note_unchanged(db: Db, source_id: int, now: int) -> None:
    """Note that a source was to be read again, and has not changed."""
    db.execute("UPDATE source SET read_at = ? WHERE id = ?", (now, source_id))


def as_text(name: str) -> str:
    """A name as ledgers keep it: bytes that are not UTF-8 are escaped."""
    return name.encode("utf-8", "backslashreplace").decode()


def account(
    db: Db,
    source_id: int,
    tally: ReadCounts,
    filtered: Mapping[str, int],
    refusals: Iterable[Refusal],
    unlisted: Mapping[str, int] | None = None,
    limits: InvalidLimits = InvalidLimits(),  # noqa: B008  # it is frozen
) -> None:
    """Add the outcome of some of a source's events; `unlisted` as in `engage.Batch`."""
    db.execute(
        "UPDATE source SET read = read + ?, changes = changes + ?, filtered = filtered + ?, "
        "invalid = invalid + ? WHERE id = ?",
        (tally.read, tally.valid, tally.filtered, tally.invalid, source_id),
    )
    if filtered:
        _account_filtered(db, source_id, filtered)
    _account_invalid(db, source_id, list(refusals), unlisted or {}, limits)


def _account_filtered(db: Db, source_id: int, filtered: Mapping[str, int]) -> None:
    db.executemany(
        "INSERT INTO filtered (source_id, reason, count) VALUES (?, ?, ?) "
        "ON CONFLICT (source_id, reason) DO UPDATE SET count = filtered.count + excluded.count",
        [(source_id, reason, count) for reason, count in filtered.items()],
    )


def _account_invalid(
    db: Db,
    source_id: int,
    refusals: list[Refusal],
    unlisted: Mapping[str, int],
    limits: InvalidLimits,
) -> None:
    if not refusals and not unlisted:
        return
    known = "SELECT reason, count FROM invalid_reason WHERE source_id = ?"
    counts = Counter(dict(db.execute(known, (source_id,)).fetchall()))
    query = "SELECT count(*) FROM invalid_event WHERE source_id = ?"
    listed = int(db.execute(query, (source_id,)).fetchone()[0])
    rows = []
    for line, reason in refusals:
        is_known = reason in counts or len(counts) < limits.reasons
        if listed < limits.of_source or (is_known and counts[reason] < limits.of_reason):
            rows.append((source_id, line, reason))
            listed += 1
        counts[reason if is_known else OTHER] += 1
    for reason, count in unlisted.items():
        counts[reason if reason in counts else OTHER] += count
    db.executemany("INSERT INTO invalid_event (source_id, line, reason) VALUES (?, ?, ?)", rows)
    db.executemany(
        "INSERT INTO invalid_reason (source_id, reason, count) VALUES (?, ?, ?) "
        "ON CONFLICT (source_id, reason) DO UPDATE SET count = excluded.count",
        [(source_id, reason, count) for reason, count in counts.items()],
    )


_INVALID = "FROM invalid_event JOIN source ON source.id = source_id "
_COUNTED = "FROM invalid_reason JOIN source ON source.id = source_id "
_MATCHES = "WHERE (:text = '' OR instr(lower(name || '\n' || reason), lower(:text)) > 0) "


def invalid_events(db: Db) -> list[InvalidEvent]:
    """Every listed event that the newest reading of its source refused, in their order there."""
    return invalid_page(db, 0, EVERY)


def invalid_page(db: Db, offset: int, limit: int, text: str = "") -> list[InvalidEvent]:
    """Some of the listed events; `text` is a part of the source's name or of the reason."""
    rows = db.execute(
        f"SELECT name, line, reason {_INVALID} {_MATCHES} "
        "ORDER BY source_id, invalid_event.id LIMIT :limit OFFSET :offset",
        {"text": text, "limit": limit, "offset": offset},
    )
    return [InvalidEvent(*row) for row in rows]


def invalid_groups(db: Db, text: str = "", samples: int = 3) -> list[InvalidGroup]:
    """The invalid events by reason, most first; `text` as in `invalid_page`."""
    rows = db.execute(
        f"SELECT reason, sum(count), count(*) {_COUNTED} {_MATCHES} "
        "GROUP BY reason ORDER BY 2 DESC, 1",
        {"text": text},
    ).fetchall()
    return [
        InvalidGroup(reason, count, listed, _samples(db, reason, text, samples))
        for reason, count, listed in rows
    ]


def _samples(db: Db, reason: str, text: str, limit: int) -> tuple[InvalidEvent, ...]:
    rows = db.execute(
        f"SELECT name, line, reason {_INVALID} {_MATCHES} AND reason = :reason "
        "ORDER BY invalid_event.id LIMIT :limit",
        {"text": text, "reason": reason, "limit": limit},
    )
    return tuple(InvalidEvent(*row) for row in rows)


def count_invalid(db: Db, text: str = "") -> int:
    """How many events are invalid, listed or not."""
    query = f"SELECT coalesce(sum(count), 0) {_COUNTED} {_MATCHES}"
    return int(db.execute(query, {"text": text}).fetchone()[0])


def read_before_sync(db: Db, dead: Collection[int] = ()) -> ReadCounts:
    """Sum up the sources whose reading began after the last sync, or after the last live session.

    A session counts what it reads itself, so what was read while it lasted is not counted again; a
    session under way lasts until now. Comparisons and repairs deliver nothing that was read. `dead`
    are the ids from `Ledger.dead_runs`: when such a session ended is not known yet.
    """
    row = db.execute(
        "SELECT coalesce(sum(read), 0), coalesce(sum(changes), 0), coalesce(sum(filtered), 0), "
        "coalesce(sum(invalid), 0) FROM source WHERE read_at > coalesce((SELECT max("
        "CASE WHEN kind = 'sync' OR id IN (SELECT CAST(value AS INTEGER) FROM json_each(?)) "
        "THEN started_at "
        "ELSE coalesce(ended_at, (SELECT max(read_at) FROM source)) END) "
        "FROM run WHERE kind IN ('sync', 'live')), -1)",
        (as_json(list(dead)),),
    ).fetchone()
    return ReadCounts(*row)
