"""The newest list of members that was applied to an audience, by the ID type that it covers.

A list says of everyone whether they were a member at its time, also of people the ledger does not
know. So events that are not newer than it say nothing more, in whatever order they are read,
and a list only has to write who enters and who leaves.
"""

from collections.abc import Iterable

from amp_console.ledger.db import ID_TYPE_CODE, ID_TYPE_OF, Db
from amp_console.values import IdType


def listed_at(db: Db, audience_id: int) -> dict[IdType, int]:
    """The time of the newest list by ID type, in microseconds since 1970; only of those listed."""
    rows = db.execute("SELECT id_type, at FROM applied_list WHERE audience_id = ?", (audience_id,))
    return {ID_TYPE_OF[id_type]: at for id_type, at in rows}


def keep_listed_at(db: Db, audience_id: int, id_types: Iterable[IdType], at: int) -> None:
    """Keep that a list was applied that covers these ID types; an older one changes nothing."""
    db.executemany(
        "INSERT INTO applied_list (audience_id, id_type, at) VALUES (?, ?, ?) "
        "ON CONFLICT (audience_id, id_type) DO UPDATE SET at = max(at, excluded.at)",
        [(audience_id, ID_TYPE_CODE[id_type], at) for id_type in id_types],
    )
