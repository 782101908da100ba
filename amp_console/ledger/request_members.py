"""Whom a request carried, as far as that is still known."""

from amp_console.ledger.db import Db
from amp_console.ledger.requests import RequestRecord


def carried(db: Db, of: RequestRecord, limit: int) -> list[str]:
    """Up to `limit` identifiers of a request, in its order.

    A member remembers the last request only, so whom a later one carried is missing here.
    """
    rows = db.execute(
        "SELECT member.id FROM member JOIN request ON request.id = member.request_id "
        "WHERE request.id = ? AND member.audience_id = request.audience_id "
        "AND n BETWEEN first_n AND last_n ORDER BY n LIMIT ?",
        (of.id, limit),
    )
    return [id_ for (id_,) in rows]
