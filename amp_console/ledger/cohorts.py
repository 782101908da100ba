"""Links from audiences to cohorts, and the record of a cohort that is being created."""

from collections.abc import Collection

import msgspec

from amp_console.ledger.audiences import Link, set_link
from amp_console.ledger.db import Db, as_json

COHORT_GONE = "Amplitude has no cohort"
"""How the reason starts for which a run breaks a link, in the ledger and in the run's note."""


class Creation(msgspec.Struct, frozen=True):
    """The intent to create a cohort, recorded before the request is sent.

    `known_ids` are the cohorts that had the name before; another one with that name is ours.
    """

    audience_id: int
    name: str
    owner_email: str
    started_at: int
    known_ids: frozenset[str]


def link_created(db: Db, audience_id: int, cohort_id: str, name: str) -> None:
    """Link to the cohort we created: it contains no one who was not delivered."""
    set_link(db, audience_id, cohort_id, name, Link.CREATED)


def unlink(db: Db, audience_id: int) -> None:
    """Forget the cohort; the next delivery creates a new one."""
    set_link(db, audience_id, None, None, Link.UNLINKED)
    db.execute("UPDATE member SET delivered = 0 WHERE audience_id = ?", (audience_id,))


def break_link(db: Db, audience_id: int, why: str) -> None:
    """Mark the link as broken, with the reason."""
    db.execute("UPDATE audience SET broken = ? WHERE id = ?", (why, audience_id))


def creation(db: Db, audience_id: int) -> Creation | None:
    """The creation that is under way, if there is one."""
    row = db.execute(
        "SELECT audience_id, name, owner_email, started_at, known_ids FROM creation "
        "WHERE audience_id = ?",
        (audience_id,),
    ).fetchone()
    if row is None:
        return None
    return Creation(
        audience_id=row[0],
        name=row[1],
        owner_email=row[2],
        started_at=row[3],
        known_ids=msgspec.json.decode(row[4], type=frozenset[str]),
    )


def begin_creation(
    db: Db,
    audience_id: int,
    name: str,
    owner_email: str,
    known_ids: Collection[str],
    now: int,
) -> Creation:
    """Record that a cohort is about to be created; it replaces an older intent."""
    db.execute(
        "INSERT INTO creation (audience_id, name, owner_email, started_at, known_ids) "
        "VALUES (?, ?, ?, ?, ?) ON CONFLICT (audience_id) DO UPDATE SET name = excluded.name, "
        "owner_email = excluded.owner_email, started_at = excluded.started_at, "
        "known_ids = excluded.known_ids",
        (audience_id, name, owner_email, now, as_json(sorted(known_ids))),
    )
    return Creation(audience_id, name, owner_email, now, frozenset(known_ids))
