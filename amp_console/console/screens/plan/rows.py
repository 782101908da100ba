"""What a plan says: its rows, and the sentences around them."""

from collections.abc import Iterator

from textual.content import Content

from amp_console.connections import Limits
from amp_console.console.glyphs import Glyphs
from amp_console.console.texts import BAD, MUTED, STRONG, WARN, Part, said
from amp_console.console.widgets.grid import Cell, Column, Row
from amp_console.console.words import number
from amp_console.sync.delivery.plan import AudiencePlan, Plan, again_text
from amp_console.text import plural

COLUMNS = (
    Column("Audience", 14, flex=3),
    Column("Cohort", 14, flex=3, rank=1),
    Column("ID type", 12, rank=4),
    Column("Add", 9, right=True),
    Column("Remove", 9, right=True),
    Column("Requests", 8, right=True, rank=2),
    Column("Owner", 12, flex=1, rank=3),
    Column("What happens", 19),
)


def can_be_sent(of: AudiencePlan) -> bool:
    """Whether anything would be sent for this audience."""
    return not of.is_idle and of.obstacle is None


def row(of: AudiencePlan, glyphs: Glyphs) -> Row:
    """One audience of the plan."""
    is_sent = can_be_sent(of)
    cohort = of.cohort_name if of.cohort_id or of.creates else glyphs.dash
    what, tone = _what(of, glyphs)
    return Row(
        of.audience_id,
        (
            Cell(of.name),
            Cell(cohort, "" if of.cohort_id else "dim"),
            Cell(of.id_type.label),
            Cell(f"+{of.add:,}" if of.add else "", "" if is_sent else "dim"),
            Cell(f"{glyphs.minus}{of.remove:,}" if of.remove else "", "" if is_sent else "dim"),
            Cell(number(of.requests, glyphs) if is_sent else ""),
            Cell(of.owner_email if of.creates else "", "dim"),
            Cell(what, tone),
        ),
        (of.name, cohort, of.id_type.label, of.add, of.remove, of.requests, of.owner_email, what),
    )


def _what(of: AudiencePlan, glyphs: Glyphs) -> tuple[str, str]:
    if of.obstacle:
        return f"{glyphs.cross} can't be sent", "bad"
    if of.creates:
        return f"{glyphs.live} creates a cohort", "warn"
    if of.is_idle and of.uncertain:
        return f"{glyphs.other_half} {again_text(of)}", "warn"
    if of.is_idle:
        return f"{glyphs.circle} nothing to send", "good"
    if of.is_large_removal:
        return f"{glyphs.triangle} removes most", "bad"
    return f"{glyphs.half} {again_text(of) or 'changes'}", ""


def headline(plan: Plan) -> Content:
    """What would be sent, in a sentence."""
    sent = [audience for audience in plan.audiences if can_be_sent(audience)]
    if not sent:
        return said((nothing(plan), STRONG))
    add, remove = sum(item.add for item in sent), sum(item.remove for item in sent)
    creates = sum(item.creates for item in sent)
    parts = [
        f"creates {plural(creates, 'cohort')}" if creates else "",
        f"adds {plural(add, 'user')}" if add else "",
        f"removes {plural(remove, 'user')}" if remove else "",
    ]
    *first, last = [part for part in parts if part]
    what = f"{', '.join(first)} and {last}" if first else last
    requests = plural(sum(item.requests for item in sent), "request")
    return said((f"{what[:1].upper()}{what[1:]} ({requests} if nothing fails).", STRONG))


def nothing(plan: Plan) -> str:
    """Say that nothing would be sent, and why."""
    if not plan.audiences:
        return "There is nothing to send: no audience is chosen."
    if any(audience.obstacle and not audience.is_idle for audience in plan.audiences):
        return "Nothing can be sent: see the reasons above."
    if len(plan.audiences) == 1:
        return "There is nothing to send: the cohort is what the audience is."
    return "There is nothing to send: every cohort is what its audience is."


def detail(of: AudiencePlan) -> Content:
    """All about the audience under the cursor, in sentences."""
    parts: list[Part] = [(f"{of.name}: ", MUTED)]
    if of.obstacle:
        parts.append((of.obstacle, BAD))
    elif of.creates:
        parts += [f'makes the cohort "{of.cohort_name}"', ", owned by ", of.owner_email]
        parts.append(f", from users matched by {of.id_type.label}.")
    elif of.is_idle:
        parts.append("nothing to send.")
    else:
        parts += [f'changes the cohort "{of.cohort_name}"', f" ({of.cohort_id})"]
        parts.append(f", matched by {of.id_type.label}{_of_members(of)}.")
    if of.unidentified:
        who = plural(of.unidentified, "member")
        parts.append((f" {who} without {of.id_type.label} can't be sent: see Errors.", WARN))
    return said(*parts)


def _of_members(of: AudiencePlan) -> str:
    return f"; {of.remove:,} of {plural(of.in_cohort, 'member')} leave" if of.remove else ""


def concerns(plan: Plan, glyphs: Glyphs) -> Iterator[Content]:
    """What can't be undone, or looks wrong."""
    for concern in plan.concerns:
        yield said((f"{glyphs.triangle} This ", WARN), (f"{concern}.", WARN))


def limits(of: Limits, glyphs: Glyphs) -> Content:
    """Which limits hold, Amplitude's and our own."""
    size = f"up to {of.largest_batch:,} ids each"
    first = f" (the first {of.first_batch:,}; more while answers are clean)"
    return said(
        (f"{glyphs.dot} Amplitude takes one request at a time for each cohort, ", MUTED),
        (size, MUTED),
        (first if of.first_batch < of.largest_batch else "", MUTED),
        (f". This connection syncs {of.parallel_cohorts} cohorts side by side.", MUTED),
    )


def large_removals(plan: Plan) -> list[AudiencePlan]:
    """The cohorts that would lose more than half of their members."""
    return [
        audience
        for audience in plan.audiences
        if can_be_sent(audience) and audience.is_large_removal
    ]
