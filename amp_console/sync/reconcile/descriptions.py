"""What a comparison found, in words."""

from collections.abc import Sequence

from amp_console.ledger.comparisons import Comparison, DifferenceKind, PriorState
from amp_console.ledger.runs import RunKind, RunStatus
from amp_console.sync.reconcile.repair import Applied
from amp_console.text import plural

KIND_WORDS = {
    DifferenceKind.MISSING: "missing from the cohort",
    DifferenceKind.LEFT: "extra: left the audience",
    DifferenceKind.STRANGER: "extra: never seen in the audience",
    DifferenceKind.NO_ID_IN_COHORT: "not comparable: in the cohort without the identifier",
    DifferenceKind.NO_ID_IN_AUDIENCE: "not comparable: in the audience without the identifier",
    DifferenceKind.LISTED: "listed and in the cohort, not wanted by the ledger",
    DifferenceKind.UNLISTED: "neither listed nor in the cohort, wanted by the ledger",
}
_KNEW = {
    PriorState.PENDING: "pending",
    PriorState.REJECTED: "rejected by Amplitude",
    PriorState.NOTHING: "nothing",
}


def knew(kind: DifferenceKind, known: PriorState) -> str:
    """Say what the ledger knew of a person who differs."""
    if known is PriorState.DELIVERED:
        return "added before" if kind is DifferenceKind.MISSING else "removed before"
    return _KNEW[known]


_OUTCOMES = {
    (RunKind.COMPARE, RunStatus.DELIVERED): "equal",
    (RunKind.COMPARE, RunStatus.PARTIAL): "different",
    (RunKind.RECONCILE, RunStatus.DELIVERED): "put right",
    (RunKind.RECONCILE, RunStatus.PARTIAL): "differences left",
}


def outcome_of(kind: RunKind, status: RunStatus) -> str:
    """Say in a word or two how a run of any kind ended."""
    return _OUTCOMES.get((kind, status), str(status))


def verdict(of: Comparison) -> str:
    """Say in a word or two how the two compare."""
    if of.is_equal:
        return f"equal, {of.not_comparable:,} not comparable" if of.not_comparable else "equal"
    return "different"


def sentences(of: Comparison) -> list[str]:
    """Say what each number of a comparison consists of; nothing of those that are none."""
    label = of.id_type.label
    lines = []
    if of.missing:
        lines.append(f"{of.missing:,} missing from the cohort: {_join(_missing(of))}.")
    if of.extra:
        extra = [
            (of.has_left, "not in the list" if of.against else "left the audience"),
            (of.strangers, "never seen in the audience" if of.against else "never seen in it"),
        ]
        lines.append(f"{of.extra:,} extra in the cohort: {_join(extra)}.")
    if of.cohort_no_id:
        lines.append(
            f"{plural(of.cohort_no_id, 'person', 'people')} in the cohort without a {label}: "
            "they can't be compared, and are left alone."
        )
    if of.audience_no_id:
        lines.append(
            f"{plural(of.audience_no_id, 'person', 'people')} in the audience without a {label}: "
            "no event gave one, so they can't be put in."
        )
    if of.disagreeing:
        lines.append(
            f"About {plural(of.disagreeing, 'more person', 'more people')} the ledger disagrees "
            "with the list: the next sync would change them. Putting it right ends that."
        )
    return lines


def _missing(of: Comparison) -> list[tuple[int, str]]:
    pending = of.missing - of.missing_drifted - of.missing_rejected
    what = "not wanted by the ledger so far" if of.against else "pending (the next sync adds them)"
    return [
        (of.missing_drifted, "delivered before, and gone since"),
        (pending, what),
        (of.missing_rejected, "rejected (Amplitude does not take them)"),
    ]


def _join(parts: Sequence[tuple[int, str]]) -> str:
    return ", ".join(f"{count:,} {text}" for count, text in parts if count)


def outcome(done: Applied) -> str:
    """Say how the two stand after what was put right."""
    if done.after is not None:
        left = [
            f"{count:,} {what}"
            for count, what in ((done.after.missing, "missing"), (done.after.extra, "extra"))
            if count
        ]
        return f"left: {', '.join(left)}" if left else f"{verdict(done.after)}, as a download shows"
    if done.size is not None and done.size.agrees is False:
        return (
            f"the sizes differ: {done.size.expected:,} expected, Amplitude says {done.size.found:,}"
        )
    if not done.is_equal:
        return "differences are left"
    if done.size is not None and done.size.agrees:
        return "equal by size; comparing again proves it"
    return "sent; comparing again proves it"
