"""The rows of a plan, and the sentences around them."""

from collections.abc import Iterator, Mapping

import msgspec
from textual.content import Content

from amp_console.connections import Limits
from amp_console.console.glyphs import Glyphs
from amp_console.console.texts import BAD, MUTED, STRONG, WARN, Part, safe_text
from amp_console.console.widgets.grid import Cell, CellPart, Column, Row, parts_cell
from amp_console.console.words import number
from amp_console.sync.delivery.plan import AudiencePlan, Plan, again_text
from amp_console.text import blank_if_zero, capitalized, clean, listed, plural

COLUMNS = (
    Column("Audience", 15, flex=3),
    Column("Cohort", 15, flex=3, rank=1),
    Column("ID type", 12, rank=4),
    Column("Add", 8, right=True),
    Column("Remove", 8, right=True),
    Column("Requests", 8, right=True, rank=2),
    Column("Owner", 16, flex=1, rank=3),
    Column("What happens", 19, flex=1),
)

BROKEN_STEP = "Press l."


def can_be_sent(audience: AudiencePlan) -> bool:
    """Whether anything would be sent for this audience."""
    return not audience.is_idle and audience.obstacle is None


def most_important_first(plan: Plan) -> list[AudiencePlan]:
    """Sort what can't be sent, large removals and new cohorts first, idle audiences last.

    A small terminal shows three of them, which must be those that matter most.
    """
    return sorted(
        plan.audiences,
        key=lambda item: (
            not item.obstacle,
            not item.is_large_removal,
            not item.creates,
            item.is_idle,
        ),
    )


def row(audience: AudiencePlan, glyphs: Glyphs) -> Row:
    """One audience of the plan."""
    is_sent = can_be_sent(audience)
    cohort = audience.cohort_name if audience.cohort_id or audience.creates else glyphs.dash
    what, tone = _what(audience, glyphs)
    then = [_then_adds(audience)] if _adds_to_new(audience) else []
    return Row(
        audience.audience_id,
        (
            Cell(audience.name),
            Cell(cohort, "" if audience.cohort_id else "dim"),
            Cell(audience.id_type.label),
            Cell(blank_if_zero(audience.add, "+"), "" if is_sent else "dim"),
            Cell(
                blank_if_zero(audience.remove, glyphs.minus),
                "" if is_sent else "dim",
            ),
            Cell(number(audience.requests, glyphs) if is_sent else ""),
            Cell(audience.owner_email if audience.creates else "", "dim"),
            parts_cell([CellPart(what, tone), *then]),
        ),
        (
            audience.name,
            cohort,
            audience.id_type.label,
            audience.add,
            audience.remove,
            audience.requests,
            audience.owner_email,
            what,
        ),
    )


def _then_adds(audience: AudiencePlan) -> CellPart:
    """What follows the creation of a cohort; the column of additions says it, too."""
    return CellPart(f"then adds {audience.add:,}", "dim", is_optional=True)


def _adds_to_new(audience: AudiencePlan) -> bool:
    """Whether users are added to a cohort that is created first."""
    return audience.creates and audience.add > 0 and audience.obstacle is None


def _what(audience: AudiencePlan, glyphs: Glyphs) -> tuple[str, str]:
    if audience.obstacle:
        return f"{glyphs.cross} can't be sent", "bad"
    if audience.creates:
        return f"{glyphs.dotted} creates a cohort", "warn"
    if audience.is_idle and audience.uncertain:
        return f"{glyphs.other_half} {again_text(audience)}", "warn"
    if audience.is_idle:
        return f"{glyphs.circle} nothing to send", "good"
    if audience.is_large_removal:
        return f"{glyphs.triangle} removes {_most(audience)}", "bad"
    return f"{glyphs.half} {again_text(audience) or 'updates a cohort'}", ""


def _most(audience: AudiencePlan) -> str:
    return "all" if audience.remove >= audience.in_cohort else "most"


def title(plan: Plan, retried: Mapping[int, int]) -> str:
    """Name what is synced, and how many changes of those pending; `retried` counts by audience."""
    if not plan.audiences:
        return "Plan"
    only = plan.audiences[0].name if len(plan.audiences) == 1 else ""
    name = clean(only, 60) if only else plural(len(plan.audiences), "audience")
    if kept(plan) and sends_nothing(plan):
        return f"Sync {name}: can't run"
    pending = changes(plan)
    sent = pending - kept(plan)
    some = f"{sent:,} of " if sent < pending else ""
    words = f"Sync {name}: {some}{plural(pending, 'change')}"
    again = sum(retried.get(audience.audience_id, 0) for audience in plan.audiences)
    return f"{words}, {again:,} of them retried" if 0 < again <= sent else words


def changes(plan: Plan) -> int:
    """The number of a plan's users: all that are pending, including those that can't be sent.

    The lists, home and the run count the same.
    """
    return sum(item.users for item in plan.audiences)


def kept(plan: Plan) -> int:
    """How many users a plan can't add or remove."""
    return sum(item.users for item in plan.audiences if item.obstacle)


def is_same_offer(plan: Plan, now: Plan) -> bool:
    """Whether two plans do the same, except for the numbers of users."""
    return [_without_counts(item) for item in plan.audiences] == [
        _without_counts(item) for item in now.audiences
    ]


def _without_counts(audience: AudiencePlan) -> tuple[AudiencePlan, bool, bool, bool]:
    counts = dict.fromkeys(
        (
            "add",
            "remove",
            "in_cohort",
            "unidentified",
            "requests",
            "again",
            "uncertain",
            "remove_by_other_id",
        ),
        0,
    )
    plain = msgspec.structs.replace(audience, **counts, certain_at=None, mark=None)
    return plain, audience.creates, audience.is_large_removal, can_be_sent(audience)


def confirmed(plan: Plan, now: Plan) -> Plan:
    """The plan to send `now`, to be checked against the one that the operator has read."""
    pairs = zip(plan.audiences, now.audiences, strict=True)
    audiences = [msgspec.structs.replace(new, mark=old.mark) for old, new in pairs]
    return Plan(now.connection, tuple(audiences))


def since_then(plan: Plan, now: Plan) -> str:
    """Say what has changed since a plan was read; "" if nothing."""
    pairs = list(zip(plan.audiences, now.audiences, strict=True))
    more = [(new.add - old.add, new.remove - old.remove) for old, new in pairs]
    if not any(add or remove for add, remove in more):
        return ""
    if all(add >= 0 and remove >= 0 for add, remove in more):
        arrived = sum(add + remove for add, remove in more)
        have = plural(arrived, "more change has", "more changes have")
        return f"{have} arrived since; sending includes {'it' if arrived == 1 else 'them'}."
    pending = changes(now)
    return f"This has changed since: {plural(pending, 'change is', 'changes are')} pending now."


def headline(plan: Plan) -> Content:
    """Say what would be sent."""
    sent = [audience for audience in plan.audiences if can_be_sent(audience)]
    if not sent:
        return safe_text((nothing(plan), STRONG))
    add, remove = sum(item.add for item in sent), sum(item.remove for item in sent)
    creates = sum(item.creates for item in sent)
    parts = [
        f"creates {plural(creates, 'cohort')}" if creates else "",
        f"adds {plural(add, 'user')}" if add else "",
        f"removes {plural(remove, 'user')}" if remove else "",
    ]
    what = listed([part for part in parts if part])
    requests = plural(sum(item.requests for item in sent), "request")
    return safe_text(
        (f"{capitalized(what)} (at least {requests}).", STRONG),
        (f" {plural(kept(plan), 'user')} can't be sent." if kept(plan) else "", WARN),
    )


def sends_nothing(plan: Plan) -> bool:
    """Whether no change can be sent: none is pending, or none of the pending ones can be."""
    return not any(map(can_be_sent, plan.audiences))


def nothing(plan: Plan) -> str:
    """Say that nothing would be sent, and why."""
    if not plan.audiences:
        return "Nothing to send: no audience is chosen."
    if pending := kept(plan):
        return f"Nothing can be sent: {plural(pending, 'change stays', 'changes stay')} pending."
    left = sum(audience.unidentified for audience in plan.audiences)
    unsent = f", and {plural(left, 'member')} can't be sent" if left else ""
    return f"Nothing to send: no change is pending{unsent}."


def detail(audience: AudiencePlan) -> Content:
    """Sentences about the audience under the cursor."""
    parts: list[Part] = [(f"{audience.name}: ", MUTED)]
    if audience.obstacle:
        parts += [(f"{audience.obstacle} ", BAD), (BROKEN_STEP, STRONG)]
    elif audience.creates:
        parts += [
            f"creates the cohort “{audience.cohort_name}”",
            ", owned by ",
            audience.owner_email,
        ]
        who = f"adds {plural(audience.add, 'user')} matched by {audience.id_type.label}"
        seed = "from a seed user, who is removed again: it has no members yet"
        parts.append(f", {seed if audience.is_empty else f'then {who}'}.")
        if audience.same_key:
            parts.append((f" {audience.same_key}: press l to link a cohort instead.", WARN))
    elif audience.is_idle:
        parts.append("nothing to send.")
    else:
        parts += [f"changes the cohort “{audience.cohort_name}”", f" ({audience.cohort_id})"]
        parts.append(f", matched by {audience.id_type.label}{_of_members(audience)}.")
    if audience.unidentified:
        who = plural(audience.unidentified, "member")
        parts.append(
            (f" {who} without {audience.id_type.a_label} can't be sent: see Errors.", WARN)
        )
    return safe_text(*parts)


def _of_members(audience: AudiencePlan) -> str:
    """Who leaves the cohort; after a switch of the ID type, also who enters it."""
    if not audience.remove:
        return ""
    adds = f" and adds {audience.added_users}" if audience.is_switch and audience.add else ""
    return f"; removes {audience.removed_members}{adds}"


def concerns(plan: Plan, glyphs: Glyphs) -> Iterator[Content]:
    """Yield what can't be undone, or looks wrong."""
    for concern in plan.concerns:
        yield safe_text((f"{glyphs.triangle} This ", WARN), (f"{concern}.", WARN))


def limits(plan: Plan, limit_values: Limits, glyphs: Glyphs) -> Content:
    """Describe the limits, Amplitude's and our own."""
    first, most = limit_values.first_batch, limit_values.largest_batch
    size = f"The first request carries up to {first:,} IDs, those after it up to {most:,}."
    if first >= most:
        size = f"A request carries up to {most:,} IDs."
    at_once = limit_values.parallel_cohorts
    has_several = at_once > 1 and sum(map(can_be_sent, plan.audiences)) > 1
    cohorts = f" Up to {at_once:,} cohorts are synced at the same time." if has_several else ""
    takes = f"{glyphs.dot} Amplitude takes one request at a time for each cohort."
    return safe_text((f"{takes} {size}{cohorts}", MUTED))


def large_removals(plan: Plan) -> list[AudiencePlan]:
    """The cohorts that would lose more than half of their members."""
    return [
        audience
        for audience in plan.audiences
        if can_be_sent(audience) and audience.is_large_removal
    ]
