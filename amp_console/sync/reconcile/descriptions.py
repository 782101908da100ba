"""Comparisons and repairs in words."""

from collections.abc import Sequence

from amp_console.ledger.comparisons import Comparison, DifferenceKind, PriorState
from amp_console.sync.reconcile.repair import RepairResult
from amp_console.text import plural

DIFFERENCE_LABELS = {
    DifferenceKind.MISSING: "missing from the cohort",
    DifferenceKind.LEFT: "extra: left the audience",
    DifferenceKind.STRANGER: "extra: never seen in the audience",
    DifferenceKind.NO_ID_IN_COHORT: "not comparable: in the cohort without the identifier",
    DifferenceKind.NO_ID_IN_AUDIENCE: "not comparable: in the audience without the identifier",
    DifferenceKind.LISTED: "listed and in the cohort, not wanted by the ledger",
    DifferenceKind.UNLISTED: "neither listed nor in the cohort, wanted by the ledger",
}
_PRIOR_STATES = {
    PriorState.PENDING: "pending",
    PriorState.REJECTED: "rejected by Amplitude",
    PriorState.NOTHING: "nothing",
}


def prior_state_text(kind: DifferenceKind, state: PriorState) -> str:
    """What the ledger recorded about a member who differs, before the comparison."""
    if state is PriorState.DELIVERED:
        return "added before" if kind is DifferenceKind.MISSING else "removed before"
    return _PRIOR_STATES[state]


def comparison_outcome(comparison: Comparison) -> str:
    """The result of a comparison in a few words."""
    if comparison.differing:
        return "different"
    if comparison.pending:
        return f"{comparison.pending:,} pending"
    if comparison.not_comparable:
        return f"equal, {comparison.not_comparable:,} not comparable"
    return "equal"


def describe_comparison(comparison: Comparison) -> list[str]:
    """One sentence for each number of a comparison that is not 0, with its breakdown."""
    label = comparison.id_type.label
    lines = []
    pending_missing, pending_extra = pending_parts(comparison)
    if missing := comparison.missing - pending_missing:
        lines.append(f"{missing:,} missing from the cohort: {_join(_missing(comparison))}.")
    if extra := comparison.extra - pending_extra:
        text = _join(_extra(comparison, pending_extra))
        lines.append(f"{extra:,} extra in the cohort: {text}.")
    if comparison.pending:
        does = [(pending_missing, "adds"), (pending_extra, "removes")]
        verbs = " and ".join(f"{verb} {count:,}" for count, verb in does if count)
        lines.append(f"{comparison.pending:,} pending: not yet sent. The next sync {verbs}.")
    if comparison.cohort_no_id:
        people = plural(comparison.cohort_no_id, "person", "people")
        lines.append(
            f"{people} in the cohort without {label}: they can't be compared and stay as they are."
        )
    if comparison.audience_no_id:
        people = plural(comparison.audience_no_id, "person", "people")
        lines.append(
            f"{people} in the audience without {label}: no event gave one, so they can't be added."
        )
    if comparison.disagreeing:
        people = plural(comparison.disagreeing, "more person", "more people")
        lines.append(
            f"About {people} the ledger disagrees with the list: "
            "the next sync would change them. A repair prevents that."
        )
    return lines


def pending_parts(comparison: Comparison) -> tuple[int, int]:
    """How many of the missing, and of the extra, are pending."""
    others = comparison.missing_drifted + comparison.missing_rejected
    missing = min(comparison.pending, comparison.missing - others)
    return missing, comparison.pending - missing


def _missing(comparison: Comparison) -> list[tuple[int, str]]:
    others = comparison.missing_drifted + comparison.missing_rejected
    rest = comparison.missing - others - pending_parts(comparison)[0]
    return [
        (comparison.missing_drifted, "delivered earlier, now missing"),
        (rest, "not wanted by the ledger so far" if comparison.against else "not delivered yet"),
        (comparison.missing_rejected, "rejected by Amplitude"),
    ]


def _extra(comparison: Comparison, pending: int) -> list[tuple[int, str]]:
    if comparison.against:
        texts = "not in the list", "never seen in the audience"
    else:
        texts = "left the audience", "never seen in it"
    return list(zip((comparison.has_left - pending, comparison.strangers), texts, strict=True))


def _join(parts: Sequence[tuple[int, str]]) -> str:
    return ", ".join(f"{count:,} {text}" for count, text in parts if count)


def describe_result(result: RepairResult) -> str:
    """How cohort and audience compare after a repair: a sentence without capital and full stop."""
    after, size = result.after, result.size
    if after is not None:
        rest = _join([(after.missing, "still missing"), (after.extra, "still extra")])
        return rest or f"{comparison_outcome(after)}, confirmed by a download"
    if size is not None and size.agrees is False:
        return f"the sizes differ: {size.expected:,} expected, Amplitude says {size.found:,}"
    if not result.is_equal:
        return "differences are left"
    if size is not None and size.agrees:
        return "equal in size; compare again to be sure"
    return "sent; compare again to be sure"
