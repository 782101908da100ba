"""The question before a sync or a live session removes most members of a cohort."""

from collections.abc import Sequence

from amp_console.console.audience_changes import OTHERS_STAY
from amp_console.console.dialogs.base import Confirm, typeable
from amp_console.sync.delivery.plan import AudiencePlan


def large_removal_question(large: Sequence[AudiencePlan]) -> Confirm:
    """Ask for the name of the cohort, or for a word if there are several."""
    rows = [
        f"Removes {item.removed_members} from “{item.cohort_name}”"
        + (f" and adds {item.added_users}." if item.add else ".")
        for item in large
    ]
    only, is_all = large[0], all(item.remove >= item.in_cohort for item in large)
    yes = "Remove them"
    if len(large) == 1:
        yes = f"Remove {only.remove:,}" + (f" and add {only.add:,}" if only.add else "")
    has_others = any(item.may_hold_others for item in large)
    rows += [OTHERS_STAY] if has_others else []
    which = "all delivered" if has_others else "all"
    return Confirm(
        f"Remove {which if is_all else 'most'} members?",
        [*rows, "", _advice(large)],
        yes=yes,
        typed=typeable(only.cohort_name, "remove") if len(large) == 1 else "remove",
    )


def _advice(large: Sequence[AudiencePlan]) -> str:
    """What to know before removing so many members."""
    if not all(audience.is_switch for audience in large):
        return "If this is not what happened in Segment, check the events first."
    which = "the cohort is" if len(large) == 1 else "the cohorts are"
    return (
        "This is because the ID type was switched. Removals are sent first: until the additions "
        f"that follow are confirmed, {which} without these members."
    )
