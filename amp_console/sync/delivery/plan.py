"""The plan: what a sync would send, as plain data, before anything is sent."""

import math
from collections import Counter
from collections.abc import Iterable

import msgspec

from amp_console.connections import Connection
from amp_console.ledger import Db, late_effects
from amp_console.ledger.audiences import Audience, Link, same_key
from amp_console.ledger.counts import (
    Outstanding,
    ToSend,
    has_delivered,
    held_by_cohort,
    members,
    outstanding,
    pending_counts,
    to_send,
)
from amp_console.ledger.db import ledger_time
from amp_console.ledger.since_plan import PlanMark, plan_mark
from amp_console.sync.delivery.backoff import requests_for
from amp_console.text import local_time, part_of, plural
from amp_console.values import IdType, now_in_microseconds

PREFIX = "[Segment] "  # what Segment's own destination puts before cohort names
SEEDS = 1  # users that create the cohort of an empty audience, and are removed again
LARGE_SHARE = 0.5  # of a cohort's members; removing more is never routine


class AudiencePlan(msgspec.Struct, frozen=True):
    """What would be sent for one audience; `obstacle` says why nothing can be.

    Of the users it adds and removes, `again` are confirmed again. More are `uncertain`: they are
    not confirmed again before `certain_at`, in microseconds since 1970.

    `requests` is how many change the cohort or create it in a run without trouble. An audience that
    `is_empty` has neither a cohort nor members: a seed user creates its cohort and is removed
    again, which `remove` counts. `mark` is where the ledger was when the plan was made. Of those
    it removes, `remove_by_other_id` were delivered by the other ID type. `may_hold_others`: the
    cohort existed before the audience was linked to it. `same_key` says which other audience has
    its key (see `same_key_words`).
    """

    audience_id: int
    key: str
    computation_id: str
    name: str
    id_type: IdType
    cohort_id: str | None
    cohort_name: str
    owner_email: str
    add: int
    remove: int
    in_cohort: int
    unidentified: int
    is_empty: bool
    requests: int
    obstacle: str | None
    again: int = 0
    uncertain: int = 0
    certain_at: int | None = None
    mark: PlanMark | None = None
    remove_by_other_id: int = 0
    may_hold_others: bool = False
    same_key: str = ""

    @property
    def users(self) -> int:
        """How many users would be sent."""
        return self.add + self.remove

    @property
    def planned(self) -> int:
        """How many users the plan was for when it was read; `users` is how many it is for now."""
        return self.mark.users if self.mark is not None else self.users

    @property
    def creates(self) -> bool:
        """A cohort would be created; Amplitude's API can't delete it again."""
        return self.cohort_id is None and (self.add > 0 or self.is_empty)

    @property
    def is_large_removal(self) -> bool:
        """More than half of the users who are in the cohort by the ledger would leave it."""
        return not self.is_empty and self.remove > LARGE_SHARE * self.in_cohort

    @property
    def removed_members(self) -> str:
        """How many of those in the cohort leave it: "all 3 cohort members delivered by User ID"."""
        members = part_of(self.remove, self.in_cohort, "cohort member")
        if self.is_switch:
            return f"{members} delivered by {self.id_type.other.label}"
        return f"{members} known to the ledger" if self.may_hold_others else members

    @property
    def added_users(self) -> str:
        """How many users it adds, after a switch with the ID type: "4 users by Amplitude ID"."""
        if not self.add:
            return ""
        by = f" by {self.id_type.label}" if self.is_switch else ""
        return f"{plural(self.add, 'user')}{by}"

    @property
    def is_switch(self) -> bool:
        """Whether it removes users because the ID type was switched."""
        return 0 < self.remove == self.remove_by_other_id

    @property
    def is_idle(self) -> bool:
        """Nothing would be sent."""
        return not (self.add or self.remove or self.creates)


class Plan(msgspec.Struct, frozen=True):
    """What would be sent for a connection's audiences."""

    connection: str
    audiences: tuple[AudiencePlan, ...]

    @property
    def requests(self) -> int:
        """How many requests it takes without trouble."""
        return sum(audience.requests for audience in self.audiences)

    @property
    def concerns(self) -> tuple[str, ...]:
        """What an operator must agree to: things that can't be undone, or that look wrong."""
        found: list[str] = []
        for audience in self.audiences:
            if audience.obstacle:
                continue
            if audience.creates:
                although = f", although {audience.same_key}" if audience.same_key else ""
                found.append(
                    f"creates the cohort “{audience.cohort_name}” "
                    f"(cohorts can't be deleted through Amplitude's API){although}"
                )
            if audience.is_large_removal:
                adds = f" and adds {audience.added_users}" if audience.add else ""
                found.append(
                    f"removes {audience.removed_members} from “{audience.cohort_name}”{adds}"
                )
        return tuple(found)


def same_key_words(db: Db, known: Audience) -> str:
    """Say which audience has the same key as one without a cohort, and what differs.

    It is a clause, "" if there is none. Segment computes an audience that was created anew under
    another ID, so both may be meant for one cohort.
    """
    others = same_key(db, known) if known.cohort_id is None else []
    if not others:
        return ""
    of_others = {other.space_id != known.space_id for other in others}
    belongs = "belong" if len(others) > 1 else "belongs"
    differs = (
        f" but {belongs} to another space" if all(of_others) else " but another computation ID"
    )
    if len(of_others) > 1:
        differs = ""
    more = f" and {len(others) - 1:,} more have" if len(others) > 1 else " has"
    return f"“{others[0].name}”{more} the same key{differs}"


def again_text(plan: AudiencePlan) -> str:
    """How many users are confirmed again: a request without an answer may have undone them."""
    found = [f"{plural(plan.again, 'user')} to confirm again"] if plan.again else []
    if plan.uncertain:
        when = local_time(plan.certain_at)
        found.append(f"{plural(plan.uncertain, 'user')} to confirm again after {when}")
    return ", ".join(found)


def remarks(plan: AudiencePlan) -> str:
    """Remarks beside the numbers of a plan: why nothing is sent, or what else is."""
    seed = "a seed user creates the cohort and is removed again" if plan.is_empty else ""
    return plan.obstacle or ", ".join(filter(None, (seed, again_text(plan))))


def cohort_name(audience: Audience, connection: Connection) -> str:
    """The name of a new cohort: the override or else the audience's name, with a prefix if set."""
    prefix = PREFIX if connection.prefix else ""
    return prefix + (audience.cohort_name or audience.own_name)


def owner_email(audience: Audience, connection: Connection) -> str:
    """The email of a new cohort's owner: the override, else the connection's."""
    return audience.owner_email or connection.owner_email


def plan_sync(
    db: Db, connection: Connection, audiences: Iterable[Audience], now: int | None = None
) -> Plan:
    """Plan a sync: what would be sent where wanted and delivered differ.

    Users who are due to be confirmed again at `now` are included; in microseconds since 1970, None
    is the present.
    """
    now = ledger_time(db, now_in_microseconds()) if now is None else now
    return Plan(
        connection.name, tuple(_plan(db, connection, audience, now) for audience in audiences)
    )


def large_removal(
    db: Db, connection: Connection, audience: Audience, now: int
) -> AudiencePlan | None:
    """The plan of an audience if it is a large removal, which is never sent unconfirmed.

    It reads all members of the audience only if the answer is likely to be yes; otherwise it reads
    about twice as many as leave. `now` as in `plan_sync`.
    """
    if audience.broken or audience.cohort_id is None:
        return None
    remove = _leaving(outstanding(db, audience), late_effects.due(db, audience.id, now))
    if not remove or has_delivered(db, audience.id, math.ceil(remove / LARGE_SHARE)):
        return None
    plan = _plan(db, connection, audience, now)
    return plan if plan.is_large_removal else None


def large_removals(
    db: Db, connection: Connection, audiences: Iterable[Audience], now: int
) -> dict[int, AudiencePlan]:
    """The large removals among the plans of audiences, by the audience's id."""
    found = (large_removal(db, connection, audience, now) for audience in audiences)
    return {plan.audience_id: plan for plan in found if plan is not None}


def _leaving(left: Outstanding, again: Counter[tuple[int, int]]) -> int:
    """How many users leave, with those who are to be confirmed `again`."""
    return left.remove + sum(count for (_, wanted), count in again.items() if not wanted)


def _plan(db: Db, connection: Connection, audience: Audience, now: int) -> AudiencePlan:
    pending = pending_counts(db, audience.id)
    left, sent = outstanding(db, audience, pending), to_send(db, audience, now, pending)
    again = late_effects.due(db, audience.id, now)
    remove = _leaving(left, again)
    is_new = audience.cohort_id is None and left.add == 0 and left.unidentified == 0
    is_empty = is_new and members(db, audience) == 0
    plan = AudiencePlan(
        audience_id=audience.id,
        key=audience.key,
        computation_id=audience.computation_id,
        name=audience.name,
        id_type=audience.id_type,
        cohort_id=audience.cohort_id,
        cohort_name=audience.linked_name or cohort_name(audience, connection),
        owner_email=owner_email(audience, connection),
        add=sent.add,
        remove=max(remove, SEEDS) if is_empty and not audience.broken else remove,
        in_cohort=held_by_cohort(db, audience).at_most if remove else 0,
        unidentified=left.unidentified,
        is_empty=is_empty,
        requests=0,
        obstacle=audience.broken,
        again=again.total(),
        uncertain=left.uncertain - again.total(),
        certain_at=left.certain_at,
        remove_by_other_id=sent.remove_by_other_id,
        may_hold_others=audience.link is Link.EXISTING,
        same_key=same_key_words(db, audience),
    )
    plan = msgspec.structs.replace(plan, mark=plan_mark(db, audience, plan.users))
    return (
        plan
        if plan.obstacle
        else msgspec.structs.replace(plan, requests=_requests(plan, sent, connection))
    )


def _requests(plan: AudiencePlan, sent: ToSend, connection: Connection) -> int:
    """Count the requests as a delivery sends them: one upload, removals, then additions."""
    first, then = sent.remove_by_other_id, sent.remove
    if plan.creates and plan.is_empty:  # the seed user is a User ID, whatever the ID type
        is_other = plan.id_type is not IdType.USER_ID
        first, then = first + is_other, then + (not is_other)
    return plan.creates + requests_for((first, then, sent.add), connection.limits)
