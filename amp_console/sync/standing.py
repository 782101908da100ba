"""How audiences stand: in one word, and in the few numbers an operator looks at."""

import enum
from collections.abc import Callable

import msgspec

from amp_console.connections import Connection
from amp_console.ledger import Db
from amp_console.ledger.audiences import Audience, all_audiences, audience
from amp_console.ledger.standing import (
    Headcount,
    Outstanding,
    headcount,
    outstanding,
    outstanding_of_all,
)
from amp_console.sync.dated_ahead import dated_ahead, latest_credible
from amp_console.sync.plan import cohort_name, owner_email
from amp_console.sync.timing import now_in_microseconds


class Status(enum.StrEnum):
    """How an audience stands, in the words of the screen."""

    IN_SYNC = "in sync"
    PENDING = "pending"
    REJECTED = "rejected"
    NOT_LINKED = "not linked"
    BROKEN = "broken link"
    OFF = "off"


class Standing(msgspec.Struct, frozen=True):
    """One audience with what will be used for it, and what is left to do.

    `count` is None where the members were not counted.
    """

    audience: Audience
    cohort_name: str
    owner_email: str
    left: Outstanding
    count: Headcount | None
    status: Status

    @property
    def members(self) -> int | None:
        """How many people belong in the cohort; None where they were not counted."""
        return self.count.members if self.count else None

    @property
    def notice(self) -> str | None:
        """What is wrong with the times of its events; None for nothing."""
        if self.count is None or not self.count.ahead:
            return None
        return dated_ahead(self.count.ahead, self.count.ahead_until)

    @property
    def delivered(self) -> int | None:
        """How many people the cohort holds by our books; None where they were not counted."""
        return self.count.delivered if self.count else None


def status_of(audience: Audience, left: Outstanding) -> Status:
    """Tell how an audience stands; the first that holds counts."""
    if not audience.enabled:
        return Status.OFF
    if audience.broken:
        return Status.BROKEN
    if audience.cohort_id is None:
        return Status.NOT_LINKED
    if left.pending:
        return Status.PENDING
    return Status.REJECTED if left.rejected else Status.IN_SYNC


def standings(
    db: Db,
    connection: Connection,
    *,
    count_members: bool = True,
    now: Callable[[], int] = now_in_microseconds,
) -> list[Standing]:
    """How every audience stands, by name. Counting members looks at each of them."""
    left = outstanding_of_all(db)
    limit = latest_credible(now()) if count_members else None
    return [
        _standing(db, connection, each, left.get(each.id, NOTHING_LEFT), limit)
        for each in all_audiences(db)
    ]


def standing(
    db: Db,
    connection: Connection,
    audience_id: int,
    now: Callable[[], int] = now_in_microseconds,
) -> Standing:
    """How one audience stands, its members counted."""
    known = audience(db, audience_id)
    return _standing(db, connection, known, outstanding(db, known), latest_credible(now()))


def _standing(
    db: Db, connection: Connection, known: Audience, left: Outstanding, limit: int | None
) -> Standing:
    return Standing(
        audience=known,
        cohort_name=known.linked_name or cohort_name(known, connection),
        owner_email=owner_email(known, connection),
        left=left,
        count=None if limit is None else headcount(db, known, limit),
        status=status_of(known, left),
    )


NOTHING_LEFT = Outstanding(add=0, remove=0, rejected=0, unidentified=0)
