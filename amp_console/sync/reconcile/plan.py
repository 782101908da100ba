"""What putting differences right would send, as plain data, before anything is sent."""

from pathlib import PurePath

import msgspec

from amp_console.connections import Connection
from amp_console.ledger import Db
from amp_console.ledger.audiences import audience
from amp_console.ledger.comparisons import (
    EXTRA,
    Comparison,
    Difference,
    DifferenceFilter,
    DifferenceKind,
    differences,
)
from amp_console.ledger.reconciling import RepairChoice, count_chosen
from amp_console.sync.delivery.backoff import requests_for
from amp_console.sync.delivery.plan import cohort_name, owner_email

REPLACED_AT_ONCE = 100_000  # ids in one upload (Amplitude's Behavioral Cohorts API page)
SAMPLES = 5


class ReconcilePlan(msgspec.Struct, frozen=True):
    """How the differences of one comparison would be put right.

    For the `followed` nothing is sent: from then on the ledger wants what the list says.
    `replace` uploads the whole content anew in one request; `can_replace` says that this would be
    fewer requests, and possible. `allowed_share` is the share of a cohort's members that may be
    taken out without its name being typed.
    """

    comparison: Comparison
    choice: RepairChoice
    key: str
    name: str
    cohort_name: str
    owner_email: str
    add: int
    remove: int
    followed: int
    requests: int
    can_replace: bool
    replace: bool
    allowed_share: float
    samples: tuple[Difference, ...]

    @property
    def is_idle(self) -> bool:
        """Nothing would be sent, and nothing be wanted otherwise."""
        return not (self.add or self.remove or self.followed)

    @property
    def taken_out(self) -> int:
        """How many would be taken out; with the content replaced, also who has no identifier."""
        return self.remove + (self.comparison.cohort_no_id if self.replace else 0)

    @property
    def is_large_removal(self) -> bool:
        """More than the allowed share of the cohort would be taken out, or more than would stay."""
        before = self.comparison.in_cohort
        return self.taken_out > self.allowed_share * before or self.taken_out > before / 2

    @property
    def foreign_list(self) -> str | None:
        """What an operator must agree to in so many words: the list may be of someone else."""
        if not self.comparison.is_foreign_list:
            return None
        return (
            f"No identifier in {self.list_name} occurs in the cohort "
            f'"{self.cohort_name}" or in the audience: it may be the list of another audience, or '
            f"hold other identifiers than {self.comparison.id_type.label}s"
        )

    @property
    def list_name(self) -> str:
        """What the list that the cohort was compared with is called, without its folder."""
        return PurePath(self.comparison.against or "").name

    @property
    def concern(self) -> str | None:
        """What an operator must agree to by typing the cohort's name, None where nothing is."""
        if not self.is_large_removal:
            return None
        return (
            f"removes {self.taken_out:,} of {self.comparison.in_cohort:,} members from "
            f'"{self.cohort_name}"'
        )


def plan_reconcile(
    db: Db,
    connection: Connection,
    of: Comparison,
    choice: RepairChoice,
    *,
    replace: bool = False,
) -> ReconcilePlan:
    """Say what would be sent; it marks whom the choice means. `replace` where it can be."""
    known, chosen = audience(db, of.audience_id), count_chosen(db, of, choice)
    limits = connection.limits
    first = chosen.remove_by_other_id
    one_by_one = requests_for((first, chosen.remove - first, chosen.add), limits)
    can_replace = (
        choice.add
        and choice.remove
        and choice.only is None
        and 0 < of.in_audience <= REPLACED_AT_ONCE
        and of.in_cohort <= REPLACED_AT_ONCE
        and one_by_one > 1
    )
    replace = replace and can_replace
    return ReconcilePlan(
        comparison=of,
        choice=choice,
        key=known.key,
        name=known.name,
        cohort_name=known.linked_name or cohort_name(known, connection),
        owner_email=owner_email(known, connection),
        add=chosen.add,
        remove=chosen.remove,
        followed=chosen.followed,
        requests=1 if replace else one_by_one,
        can_replace=can_replace,
        replace=replace,
        allowed_share=limits.largest_removal,
        samples=tuple(_samples(db, of, choice)),
    )


def _samples(db: Db, of: Comparison, choice: RepairChoice) -> list[Difference]:
    found = []
    for kinds in ((DifferenceKind.MISSING,), EXTRA):
        wish = DifferenceFilter(
            of.id, tuple(kind for kind in kinds if kind in choice.kinds), only_open=True
        )
        if wish.kinds:
            found += differences(db, wish, 0, SAMPLES)
    return [item for item in found if choice.only is None or item.key in choice.only]
