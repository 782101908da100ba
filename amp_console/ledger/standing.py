"""How many of an audience's people are where."""

import sqlite3

import msgspec

from amp_console.ledger.audiences import Audience
from amp_console.ledger.codes import ID_TYPE_CODE


class Outstanding(msgspec.Struct, frozen=True):
    """What is left to do for an audience, counted from indexes alone: cheap at any size.

    `rejected` includes the `unidentified`: members whom no event ever gave an identifier of the
    audience's ID type.
    """

    add: int
    remove: int
    rejected: int
    unidentified: int

    @property
    def pending(self) -> int:
        """Users still to be added or removed."""
        return self.add + self.remove


def outstanding(db: sqlite3.Connection, known: Audience) -> Outstanding:
    """Count what is left; requests without an answer yet count as pending."""
    pending: dict[int, int] = dict(
        db.execute(
            "SELECT wanted, count(*) FROM member WHERE audience_id = ? "
            "AND wanted IS NOT delivered AND rejection_id IS NULL GROUP BY wanted",
            (known.id,),
        )
    )
    in_flight: dict[str, int] = dict(
        db.execute(
            "SELECT operation, sum(size) FROM request WHERE audience_id = ? AND state = 'open' "
            "AND kind = 'membership' GROUP BY operation",
            (known.id,),
        )
    )
    # Spelt as the index says it, or SQLite looks at every member.
    unidentified = _count(
        db,
        "id_type = ? AND is_member = 1 AND counterpart IS NULL",
        known.id,
        ID_TYPE_CODE[known.id_type.other],
    )
    return Outstanding(
        add=pending.get(1, 0) + in_flight.get("add", 0),
        remove=pending.get(0, 0) + in_flight.get("remove", 0),
        rejected=_count(db, "rejection_id IS NOT NULL", known.id) + unidentified,
        unidentified=unidentified,
    )


def members(db: sqlite3.Connection, known: Audience) -> int:
    """How many people are wanted in the cohort; it looks at each (2,000,000 a second)."""
    return _count(db, "id_type = ? AND wanted = 1", known.id, ID_TYPE_CODE[known.id_type])


def in_cohort(db: sqlite3.Connection, known: Audience) -> int:
    """How many people are, or may be, in the cohort, by either identifier."""
    return _count(db, "delivered IS NOT 0", known.id)


def _count(db: sqlite3.Connection, where: str, audience_id: int, *values: object) -> int:
    row = db.execute(
        f"SELECT count(*) FROM member WHERE audience_id = ? AND {where}", (audience_id, *values)
    ).fetchone()
    return int(row[0])
