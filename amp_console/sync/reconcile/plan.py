"""The plan of a repair: what it would send, as plain data."""

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
from amp_console.ledger.repairs import RepairChoice, count_chosen
from amp_console.sync.delivery.backoff import requests_for
from amp_console.sync.delivery.plan import cohort_name, owner_email
from amp_console.text import part_of

LARGEST_UPLOAD = 100_000  # identifiers in one upload (Amplitude's Behavioral Cohorts API page)
SAMPLES = 5


class RepairPlan(msgspec.Struct, frozen=True):
    """How the chosen differences of one comparison would be repaired.

    `followed` counts the people who need no request: the repair only makes the ledger follow
    the list. `replace` uploads the whole content again in one request; `can_replace`: this is
    possible and takes fewer requests. `allowed_share` is the largest share of a cohort's members
    that may be removed without typing its name.
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
        """Whether the repair would send nothing and change nothing in the ledger."""
        return not (self.add or self.remove or self.followed)

    @property
    def sends_nothing(self) -> bool:
        """Whether the repair would change only the ledger, because the cohort matches the list."""
        return bool(self.followed and not (self.add or self.remove))

    @property
    def removals(self) -> int:
        """How many members leave the cohort. A replacement also removes those without an ID."""
        return self.remove + (self.comparison.cohort_no_id if self.replace else 0)

    @property
    def is_large_removal(self) -> bool:
        """Whether more than the allowed share would be removed, or more members than stay."""
        before = self.comparison.in_cohort
        return self.removals > self.allowed_share * before or self.removals > before / 2

    @property
    def foreign_list_warning(self) -> str | None:
        """What an operator must confirm if the list may belong to another audience; else None."""
        if not self.comparison.is_foreign_list:
            return None
        return (
            f"No identifier in {self.list_name} occurs in the cohort "
            f"“{self.cohort_name}” or in the audience: it may be the list of another audience, or "
            f"contain identifiers other than {self.comparison.id_type.label}s"
        )

    @property
    def list_name(self) -> str:
        """The file name of the list that the cohort was compared with."""
        return PurePath(self.comparison.against or "").name

    @property
    def removal_warning(self) -> str | None:
        """What an operator must confirm by typing the cohort's name; None if nothing."""
        if not self.is_large_removal:
            return None
        members = part_of(self.removals, self.comparison.in_cohort, "cohort member")
        return f"removes {members} from “{self.cohort_name}”"


def plan_repair(
    db: Db,
    connection: Connection,
    comparison: Comparison,
    choice: RepairChoice,
    *,
    replace: bool = False,
) -> RepairPlan:
    """Plan a repair, and change nothing. `replace` applies only if possible."""
    found, chosen = audience(db, comparison.audience_id), count_chosen(db, comparison, choice)
    limits = connection.limits
    first = chosen.remove_by_other_id
    one_by_one = requests_for((first, chosen.remove - first, chosen.add), limits)
    can_replace = (
        choice.add
        and choice.remove
        and choice.only is None
        and 0 < comparison.in_audience <= LARGEST_UPLOAD
        and comparison.in_cohort <= LARGEST_UPLOAD
        and one_by_one > 1
    )
    replace = replace and can_replace
    return RepairPlan(
        comparison=comparison,
        choice=choice,
        key=found.key,
        name=found.name,
        cohort_name=found.linked_name or cohort_name(found, connection),
        owner_email=owner_email(found, connection),
        add=chosen.add,
        remove=chosen.remove,
        followed=chosen.followed,
        requests=1 if replace else one_by_one,
        can_replace=can_replace,
        replace=replace,
        allowed_share=limits.largest_removal,
        samples=tuple(_samples(db, comparison, choice)),
    )


def _samples(db: Db, comparison: Comparison, choice: RepairChoice) -> list[Difference]:
    found = []
    for kinds in ((DifferenceKind.MISSING,), EXTRA):
        chosen = tuple(kind for kind in kinds if kind in choice.kinds)
        if chosen:
            criteria = DifferenceFilter(comparison.id, chosen, only_open=True)
            found += differences(db, criteria, 0, SAMPLES)
    return [item for item in found if choice.only is None or item.key in choice.only]
