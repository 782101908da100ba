"""Downloads of cohorts: they are counted towards the quota here, and none is paid for twice."""

from collections.abc import Iterable

import msgspec

from amp_console.ledger.audiences import Audience
from amp_console.ledger.db import Db


class Download(msgspec.Struct, frozen=True):
    """A download that Amplitude was asked for, at `started_at` (microseconds since 1970)."""

    id: int
    request_id: str
    started_at: int


def begin_download(db: Db, audience_id: int, cohort_id: str, now: int) -> int:
    """Record a download before it is requested: it may count although its answer is lost."""
    row = db.execute(
        "INSERT INTO download (audience_id, cohort_id, started_at) VALUES (?, ?, ?) RETURNING id",
        (audience_id, cohort_id, now),
    ).fetchone()
    return int(row[0])


def note_request(db: Db, download_id: int, request_id: str) -> None:
    """Record the number that Amplitude gave a download."""
    db.execute("UPDATE download SET request_id = ? WHERE id = ?", (request_id, download_id))


def close_download(db: Db, download_id: int) -> None:
    """The download was read, or is useless; it still counts."""
    db.execute("UPDATE download SET is_over = 1 WHERE id = ?", (download_id,))


def uncount_download(db: Db, download_id: int) -> None:
    """Amplitude refused to start the download, so it cost nothing."""
    db.execute("DELETE FROM download WHERE id = ?", (download_id,))


REUSE_FOR = 3600 * 1_000_000  # microseconds after its start that an unread download is reused


def unread_download(db: Db, audience_id: int, cohort_id: str, now: int) -> Download | None:
    """The recent download that was paid for and never read, if it is still up to date.

    It is as long as nothing has been sent to the cohort since it was requested. One that is dated
    after `now`, before the clock was set back, may be of any age.
    """
    row = db.execute(
        "SELECT id, request_id, started_at FROM download WHERE audience_id = ?1 AND cohort_id = ?2 "
        "AND is_over = 0 AND request_id IS NOT NULL AND started_at BETWEEN ?3 AND ?4 "
        "AND NOT EXISTS (SELECT 1 FROM request "
        "WHERE audience_id = ?1 AND sent_at >= download.started_at) "
        "ORDER BY id DESC LIMIT 1",
        (audience_id, cohort_id, now - REUSE_FOR, now),
    ).fetchone()
    return None if row is None else Download(*row)


def downloads_needed(db: Db, audiences: Iterable[Audience], now: int) -> int:
    """How many downloads comparing these audiences takes, if none fails.

    Those already paid for are not counted. A cohort that Amplitude no longer has can't be
    downloaded.
    """
    return sum(
        audience.cohort_id is not None
        and not audience.broken
        and unread_download(db, audience.id, audience.cohort_id, now) is None
        for audience in audiences
    )


def starts_since(db: Db, since: int) -> list[int]:
    """When downloads were started since then, the oldest first; for all audiences together."""
    rows = db.execute(
        "SELECT started_at FROM download WHERE started_at >= ? ORDER BY started_at", (since,)
    )
    return [started_at for (started_at,) in rows]
