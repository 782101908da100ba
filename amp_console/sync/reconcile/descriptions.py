"""Comparisons and repairs in words."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from amp_console.ledger.comparisons import (
    EXTRA,
    Comparison,
    Difference,
    DifferenceKind,
    Explanation,
    PriorState,
    Resolved,
    SizeCheck,
)
from amp_console.text import plural

if TYPE_CHECKING:
    from amp_console.sync.reconcile.repair import RepairResult

WHAT_COMPARING_DOES = (
    "Comparing sends nothing, but it corrects what amp-console believes the cohort contains: "
    "users who differ and appear in the events become pending, and the next sync or live session "
    "sends them."
)
_NEVER_IN_AUDIENCE = "never in the audience"
GROUP_NAMES: dict[DifferenceKind | Explanation, str] = {
    DifferenceKind.MISSING: "Missing from the cohort",
    DifferenceKind.LEFT: "Extra: left the audience",
    DifferenceKind.STRANGER: "Extra: never in the audience",
    DifferenceKind.NO_ID_IN_COHORT: "Not comparable (cohort)",
    DifferenceKind.NO_ID_IN_AUDIENCE: "Not comparable (audience)",
    DifferenceKind.LISTED: "Listed and in the cohort, not wanted by the ledger",
    DifferenceKind.UNLISTED: "Neither listed nor in the cohort, wanted by the ledger",
    Explanation.PENDING: "Pending: not yet sent",
    Explanation.REJECTED: "Rejected by Amplitude",
}
"""What the people of one kind or with one explanation are called, on screen and in files."""
_PRIOR_STATES = {
    PriorState.PENDING: "pending",
    PriorState.REJECTED: "rejected by Amplitude",
    PriorState.NOTHING: "nothing",
}


def prior_state_text(kind: DifferenceKind, state: PriorState) -> str:
    """What the ledger recorded about a member who differs, before the comparison."""
    if state is PriorState.DELIVERED:
        return "added earlier" if kind is DifferenceKind.MISSING else "removed earlier"
    return _PRIOR_STATES[state]


def group_of(difference: Difference) -> DifferenceKind | Explanation:
    """The group that a difference is listed under: its explanation, if there is one."""
    is_explained = difference.explanation is not Explanation.NONE
    return difference.explanation if is_explained else difference.kind


def state_now(difference: Difference) -> str:
    """What a difference is now, in a word or two."""
    if difference.is_repaired:
        return "sent" if difference.explanation is Explanation.PENDING else "repaired"
    if difference.is_due:
        return "pending"
    if difference.explanation is Explanation.REJECTED:
        return "rejected"
    if difference.kind is DifferenceKind.MISSING:
        return "missing"
    return "extra" if difference.kind in EXTRA else "not touched"


def comparison_outcome(comparison: Comparison, pending: str = "pending") -> str:
    """The result of a comparison in a few words: "same", "as expected, 12 pending" or "different".

    It is as expected where cohort and audience differ only by users who are pending or rejected.
    `pending` is the word for those who were pending when it was made.
    """
    if comparison.differing:
        return "different"
    is_same = not comparison.pending and not comparison.missing_rejected
    counts = [
        (comparison.pending, pending),
        (comparison.missing_rejected, "rejected"),
        (comparison.not_comparable, "not comparable"),
    ]
    return ", ".join(
        [
            "same" if is_same else "as expected",
            *(f"{count:,} {word}" for count, word in counts if count),
        ]
    )


def comparison_summary(comparison: Comparison) -> str:
    """The result of a comparison with its numbers: "different: 212 missing, 37 extra"."""
    outcome = comparison_outcome(comparison)
    if not comparison.differing:
        return outcome
    counts = [
        (unexplained_missing(comparison), "missing"),
        (comparison.extra - pending_parts(comparison)[1], "extra"),
        (comparison.pending, "pending"),
        (comparison.missing_rejected, "rejected"),
    ]
    return f"{outcome}: {', '.join(f'{count:,} {word}' for count, word in counts if count)}"


def describe_due(comparison: Comparison, now: Resolved, key: str = "") -> list[str]:
    """A sentence on the differences that are pending because of the comparison; or none.

    `key` names what disables the audience, in brackets.
    """
    if not now.due:
        return []
    are = "is" if now.due == 1 else "are"
    differences = plural(comparison.differing, "difference")
    sentence = (
        f"{now.due:,} of {differences} {are} pending now: the next sync "
        f"or live session sends them. To prevent that, disable the audience{key and f' ({key})'}."
    )
    return [sentence]


def describe_comparison(comparison: Comparison) -> list[str]:
    """One sentence for each number of a comparison that is not 0, with its breakdown."""
    label = comparison.id_type.a_label
    lines = []
    pending_missing, pending_extra = pending_parts(comparison)
    if missing := unexplained_missing(comparison):
        lines.append(f"{missing:,} missing from the cohort: {_breakdown(_missing(comparison))}.")
    if extra := comparison.extra - pending_extra:
        text = _breakdown(_extra(comparison, pending_extra))
        lines.append(f"{extra:,} extra in the cohort: {text}.")
    if comparison.pending:
        does = [(pending_missing, "adds"), (pending_extra, "removes")]
        verbs = " and ".join(f"{verb} {count:,}" for count, verb in does if count)
        lines.append(
            f"{comparison.pending:,} pending: not yet sent. The next sync, or a repair, {verbs}."
        )
    if comparison.missing_rejected:
        lines.append(
            f"{comparison.missing_rejected:,} rejected by Amplitude, so not in the cohort."
        )
    if comparison.cohort_no_id:
        people = plural(comparison.cohort_no_id, "person", "people")
        lines.append(
            f"{people} in the cohort without {label}: they can't be compared and stay as they are."
        )
    if comparison.audience_no_id:
        people = plural(comparison.audience_no_id, "person", "people")
        lines.append(
            f"{people} in the audience without {label}: no event contains one, so they can't be "
            "added."
        )
    if comparison.disagreeing:
        more = "" if comparison.is_equal else "more "
        people = plural(comparison.disagreeing, f"{more}person", f"{more}people")
        lines.append(
            f"The ledger and the list disagree about {people}: "
            "a sync may change them. A repair makes the ledger follow the list."
        )
    return lines


def pending_parts(comparison: Comparison) -> tuple[int, int]:
    """How many of the missing, and of the extra, are pending."""
    others = comparison.missing_drifted + comparison.missing_rejected
    missing = min(comparison.pending, comparison.missing - others)
    return missing, comparison.pending - missing


def unexplained_missing(comparison: Comparison) -> int:
    """How many are missing and neither pending nor rejected."""
    return comparison.missing - comparison.missing_rejected - pending_parts(comparison)[0]


def _missing(comparison: Comparison) -> list[tuple[int, str]]:
    rest = unexplained_missing(comparison) - comparison.missing_drifted
    return [
        (comparison.missing_drifted, "delivered earlier"),
        (rest, "not wanted by the ledger so far" if comparison.against else "not delivered yet"),
    ]


def _extra(comparison: Comparison, pending: int) -> list[tuple[int, str]]:
    if comparison.against:
        texts = "not in the list", _NEVER_IN_AUDIENCE
    else:
        texts = "left the audience", _NEVER_IN_AUDIENCE
    return list(zip((comparison.has_left - pending, comparison.strangers), texts, strict=True))


def _breakdown(parts: Sequence[tuple[int, str]]) -> str:
    """The parts of a number that was just given; a single part has no count of its own."""
    texts = [text for count, text in parts if count]
    return texts[0] if len(texts) == 1 else _join(parts)


def _join(parts: Sequence[tuple[int, str]]) -> str:
    return ", ".join(f"{count:,} {text}" for count, text in parts if count)


def describe_size(size: SizeCheck) -> str:
    """What a cohort's size in Amplitude's list says of its repair, without capital and full stop.

    "" if the list had no size that was computed after the repair began.
    """
    if size.agrees is None:
        return ""
    if size.agrees:
        return "same size; compare again to be sure"
    return f"the sizes differ: {size.expected:,} expected, Amplitude says {size.found:,}"


def describe_result(result: "RepairResult") -> str:
    """How cohort and audience compare after a repair: a sentence without capital and full stop."""
    after, size = result.after, result.size
    if after is not None:
        rest = _join([(after.missing, "still missing"), (after.extra, "still extra")])
        return rest or f"compared again: {comparison_outcome(after)}"
    if size is not None and size.agrees is False:
        return describe_size(size)
    if not result.is_equal:
        return "some differences remain"
    if result.plan.sends_nothing:
        return "the ledger follows the list now"
    if size is not None and size.agrees:
        return describe_size(size)
    return "sent; compare again to be sure"
