"""What comparisons found about one person in a cohort, as far as their differences are kept."""

import msgspec

from amp_console.ledger.audiences import Audience
from amp_console.ledger.comparisons import KEPT, DifferenceKind, PriorState
from amp_console.ledger.db import ID_TYPE_CODE, Db
from amp_console.values import IdType

_KINDS = ", ".join(
    str(int(kind)) for kind in DifferenceKind if kind is not DifferenceKind.NO_ID_IN_AUDIENCE
)


class PersonComparison(msgspec.Struct, frozen=True):
    """A comparison that concerned a person: how they differed in it, None if they did not.

    `is_rejected`: they were missing because Amplitude had rejected them. `at` is the time of the
    export, in microseconds since 1970.
    """

    run_id: int
    at: int
    kind: DifferenceKind | None
    is_rejected: bool = False


class PersonFinding(msgspec.Struct, frozen=True):
    """How a person's membership differed in a comparison of run `run_id`.

    `at` is the time of the export, in microseconds since 1970. `is_newest`: no later comparison of
    the cohort exists. `is_repaired`: a repair delivered it since.
    """

    kind: DifferenceKind
    prior_state: PriorState
    at: int
    run_id: int
    is_newest: bool
    is_repaired: bool


def last_finding_of(db: Db, audience: Audience, id_type: IdType, id_: str) -> PersonFinding | None:
    """The newest difference of a person in the audience's present cohort."""
    row = db.execute(
        "SELECT kind, standing, at, run_id, state = 2, comparison.id = (SELECT max(id) "
        "FROM comparison WHERE audience_id = :audience AND cohort_id = :cohort) "
        "FROM comparison CROSS JOIN difference WHERE comparison_id = comparison.id "
        "AND audience_id = :audience AND cohort_id = :cohort "
        f"AND kind IN ({_KINDS}) AND difference.id_type = :id_type AND difference.id = :id "
        "ORDER BY comparison.id DESC, kind LIMIT 1",
        {
            "audience": audience.id,
            "cohort": audience.cohort_id,
            "id_type": ID_TYPE_CODE[id_type],
            "id": id_,
        },
    ).fetchone()
    if row is None:
        return None
    kind, prior_state, at, run_id, is_repaired, is_newest = row
    return PersonFinding(
        DifferenceKind(kind),
        PriorState(prior_state),
        at,
        run_id,
        is_newest=bool(is_newest),
        is_repaired=bool(is_repaired),
    )


def comparisons_of(
    db: Db, audience: Audience, id_type: IdType, id_: str, since: int
) -> tuple[PersonComparison, ...]:
    """The comparisons of the audience's present cohort that concerned a person, the newest first.

    These are the comparisons in which they differed and, for the ID type that the person is matched
    by, all later ones, as well as those after `since` (microseconds since 1970), when the ledger
    first knew them. Only the last `KEPT` comparisons of an audience still have the people who
    differed.
    """
    rows = db.execute(
        "SELECT comparison.id, run_id, at, kind, standing, comparison.id_type = :id_type FROM "
        "(SELECT * FROM comparison WHERE audience_id = :audience ORDER BY id DESC LIMIT :kept) "
        "AS comparison LEFT JOIN difference ON comparison_id = comparison.id "
        f"AND kind IN ({_KINDS}) AND difference.id_type = :id_type AND difference.id = :id "
        "WHERE cohort_id = :cohort ORDER BY comparison.id, kind",
        {
            "audience": audience.id,
            "cohort": audience.cohort_id,
            "id_type": ID_TYPE_CODE[id_type],
            "id": id_,
            "kept": KEPT,
        },
    )
    found: list[PersonComparison] = []
    last = None
    for comparison_id, run_id, at, kind, prior_state, is_matched in rows:
        if comparison_id == last:
            continue
        last = comparison_id
        if kind is not None:
            is_rejected = kind == DifferenceKind.MISSING and prior_state == PriorState.REJECTED
            found.append(PersonComparison(run_id, at, DifferenceKind(kind), is_rejected))
        elif is_matched and (found or at >= since):
            found.append(PersonComparison(run_id, at, None))
    return tuple(reversed(found))
