"""What `amp-console reconcile` prints: tables and sentences for people, documents for scripts."""

from collections.abc import Mapping

import msgspec

from amp_console.cli.tables import table
from amp_console.ledger.audiences import Audience
from amp_console.ledger.comparisons import Comparison, Difference, DifferenceKind, Resolved
from amp_console.sync.reconcile.compare import CompareReport
from amp_console.sync.reconcile.descriptions import (
    comparison_outcome,
    describe_comparison,
    describe_due,
    describe_result,
)
from amp_console.sync.reconcile.plan import RepairPlan
from amp_console.sync.reconcile.quota import Quota
from amp_console.sync.reconcile.repair import RepairReport, RepairResult
from amp_console.text import clean, plural


class QuotaDocument(msgspec.Struct, frozen=True):
    """The month's downloads in `reconcile --json`."""

    used: int
    limit: int
    resets_at: str | None


class RepairDocument(msgspec.Struct, frozen=True):
    """The result of a repair in `reconcile --json`."""

    added: int
    removed: int
    rejected: int
    pending: int


class ReconcileDocument(msgspec.Struct, frozen=True):
    """One audience in `reconcile --json`; the counts are null if the comparison failed.

    `pending` counts the missing and extra users that the next sync sends without a repair;
    `rejected` counts the missing users that Amplitude rejected.
    """

    audience: str
    computation_id: str
    cohort_id: str | None
    id_type: str
    in_audience: int | None
    in_cohort: int | None
    in_both: int | None
    missing_from_cohort: int | None
    extra_in_cohort: int | None
    not_comparable: int | None
    pending: int | None
    rejected: int | None
    applied: RepairDocument | None
    verified: bool | None
    quota: QuotaDocument | None


def reconcile_document(
    audience: Audience,
    found: Comparison | None,
    now: Resolved | None,
    done: RepairResult | None,
    quota: Quota,
) -> ReconcileDocument:
    """Describe the comparison and the repair of one audience; `now` is before the repair."""
    applied = None
    if done is not None:
        counts = done.counts
        applied = RepairDocument(counts.added, counts.removed, counts.rejected, done.pending)
    return ReconcileDocument(
        audience=audience.key,
        computation_id=audience.computation_id,
        cohort_id=audience.cohort_id,
        id_type=audience.id_type,
        in_audience=found.members if found else None,
        in_cohort=found.in_cohort if found else None,
        in_both=found.in_both if found else None,
        missing_from_cohort=found.missing if found else None,
        extra_in_cohort=found.extra if found else None,
        not_comparable=found.not_comparable if found else None,
        pending=found.pending + now.due if found and now else None,
        rejected=found.missing_rejected if found else None,
        applied=applied,
        verified=done.verified if done else None,
        quota=QuotaDocument(quota.used, quota.limit, quota.resets_at),
    )


def compare_lines(report: CompareReport, now: Mapping[int, Resolved]) -> list[str]:
    """The results of a comparison, as a table and sentences; `now` is keyed by audience ID."""
    audiences = {audience.audience.id: audience.audience for audience in report.run.audiences}
    rows = [
        (
            audiences[audience_id].name,
            f"{comparison.members:,}",
            f"{comparison.in_cohort:,}",
            f"{comparison.in_both:,}",
            f"{comparison.missing:,}",
            f"{comparison.extra:,}",
            comparison_outcome(comparison),
        )
        for audience_id, comparison in report.comparisons.items()
    ]
    header = ("AUDIENCE", "IN-AUDIENCE", "IN-COHORT", "IN-BOTH", "MISSING", "EXTRA", "")
    lines = table(header, rows, " ".join(header[1:-1])) if rows else []
    for audience_id, comparison in report.comparisons.items():
        name = f"{clean(audiences[audience_id].name)}: " if len(rows) > 1 else ""
        sentences = describe_comparison(comparison) + describe_due(comparison, now[audience_id])
        lines += [f"{name}{sentence}" for sentence in sentences]
    if any(comparison.missing_rejected for comparison in report.comparisons.values()):
        lines.append("To see who was rejected and why: amp-console errors")
    for audience in report.run.audiences:
        if audience.note:
            lines.append(f"{clean(audience.audience.name)}: {clean(audience.note, 1000)}")
    return lines


def plan_lines(plan: RepairPlan) -> list[str]:
    """What a repair would send for one audience."""
    how = "replaces the entire cohort in" if plan.replace else "takes"
    what = f"adds {plan.add:,} to the cohort “{clean(plan.cohort_name)}”"
    what += f" and removes {plan.remove:,}; this {how} {plural(plan.requests, 'request')}"
    lines = [f"{clean(plan.name)}: {what}."]
    for kinds, word in (
        ((DifferenceKind.MISSING,), "adds"),
        ((DifferenceKind.LEFT, DifferenceKind.STRANGER), "removes"),
    ):
        some = [sample for sample in plan.samples if sample.kind in kinds]
        if some:
            lines.append(f"  {word}, for example: {', '.join(_sample(item) for item in some)}")
    if plan.can_replace and not plan.replace:
        lines.append("  (--replace uploads the whole cohort in one request instead.)")
    return lines


def _sample(difference: Difference) -> str:
    alike = f" (similar to {clean(difference.resembles, 40)})" if difference.resembles else ""
    return clean(difference.id, 40) + alike


def applied_lines(report: RepairReport) -> list[str]:
    """The results of a repair: what was sent, and what still differs."""
    rows = []
    for audience in report.run.audiences:
        done = report.results.get(audience.audience.id)
        rows.append(
            (
                audience.audience.name,
                f"{audience.counts.added:,}",
                f"{audience.counts.removed:,}",
                f"{audience.counts.rejected:,}",
                f"{done.pending:,}" if done else "?",
                describe_result(done) if done else "not repaired",
            )
        )
    header = ("AUDIENCE", "ADDED", "REMOVED", "REJECTED", "PENDING", "")
    lines = table(header, rows, "ADDED REMOVED REJECTED PENDING")
    for audience in report.run.audiences:
        if audience.note:
            lines.append(f"{clean(audience.audience.name)}: {clean(audience.note, 1000)}")
    if any(audience.counts.rejected for audience in report.run.audiences):
        lines.append("To see who was rejected and why: amp-console errors")
    return lines
