"""People entering and leaving an audience over time."""

import msgspec

from amp_console.ledger.audiences import Audience
from amp_console.ledger.codes import ID_TYPE_CODE
from amp_console.ledger.db import Db


class Movement(msgspec.Struct, frozen=True):
    """How many entered and left in each of several stretches of time, the oldest first.

    `since` is where the first one begins, `bucket` how long each is, in microseconds.
    """

    since: int
    bucket: int
    entered: tuple[int, ...]
    left: tuple[int, ...]


def movement(db: Db, audience: Audience, until: int, bucket: int, buckets: int) -> Movement:
    """Count people by when their newest event was; it looks at each member of the audience.

    Who came and went in between counts once, as they are now.
    """
    since = until - bucket * buckets
    counts = {1: [0] * buckets, 0: [0] * buckets}
    rows = db.execute(
        "SELECT is_member, (event_at - :since) / :bucket, count(*) FROM member "
        "WHERE audience_id = :audience AND id_type = :id_type "
        "AND event_at >= :since AND event_at < :until GROUP BY 1, 2",
        {
            "audience": audience.id,
            "id_type": ID_TYPE_CODE[audience.id_type],
            "since": since,
            "until": until,
            "bucket": bucket,
        },
    )
    for is_member, place, count in rows:
        counts[is_member][place] = count
    return Movement(since, bucket, tuple(counts[1]), tuple(counts[0]))
