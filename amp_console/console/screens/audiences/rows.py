"""The rows of home: one for each audience, and the title."""

from collections.abc import Sequence

from rich.cells import cell_len
from textual.content import Content

from amp_console.console.badges import badges, states_now
from amp_console.console.context import Services
from amp_console.console.screens.audiences.segment import (
    is_odd_in_segment,
    segment_badge,
    segment_size,
)
from amp_console.console.texts import BAD, GOOD, Part, safe_text
from amp_console.console.widgets.grid import Cell, CellPart, Column, Row, parts_cell
from amp_console.console.words import aged, changes, number
from amp_console.sync.queries.status import AudienceSummary, Overview, State, Status, overview
from amp_console.text import blank_if_zero, listed, plural

DEFAULT = (
    Column("Audience", 18, flex=3),
    Column("Cohort", 14, flex=3, rank=5),
    Column("ID type", 12, rank=7),
    Column("Members", 8, right=True, rank=1),
    Column("Pending", 9, right=True),
    Column("Rejected", 8, right=True, rank=3),
    Column("Status", 14, narrows=2),
    Column("Last sync", 10, rank=6),
)
"""The columns shown until an operator chooses others.

The status, which also says how many users are rejected, keeps its words longest.
"""
COLUMNS = (*DEFAULT, Column("Segment", 9, right=True, rank=4))
STATUS = 6
"""The initial sort column: what needs attention comes first."""


def audience_row(services: Services, known: AudienceSummary) -> Row:
    """One audience in the list."""
    audience, glyphs, now = known.audience, services.glyphs, services.clock.age_now
    members, states = known.members, states_now(services, known)
    is_linked = audience.cohort_id is not None
    pending = changes(known.left.add, known.left.remove, glyphs)
    rejected = blank_if_zero(known.left.rejected)
    sizes = services.segment.sizes_of(audience.id)
    is_odd = sizes is not None and sizes.row.differs_in_segment
    in_segment = segment_size(services, sizes)
    return Row(
        audience.id,
        (
            Cell(audience.name),
            Cell(known.cohort_name if is_linked else glyphs.dash, "" if is_linked else "dim"),
            Cell(audience.id_type.label),
            Cell(number(members, glyphs)),
            Cell(pending),
            Cell(rejected, "bad"),
            parts_cell(_status(services, known, states)),
            aged(audience.last_sync_at, now, glyphs),
            Cell(f"{glyphs.unequal} {in_segment}", "warn") if is_odd else Cell(in_segment),
        ),
        (
            audience.name,
            known.cohort_name if is_linked else None,
            audience.id_type.label,
            members,
            known.left.pending,
            known.left.rejected,
            states[0].severity,
            audience.last_sync_at,
            None if sizes is None or sizes.row.segment is None else sizes.row.segment.size,
        ),
    )


def _status(services: Services, known: AudienceSummary, states: Sequence[State]) -> list[CellPart]:
    """The states of an audience, the most important first: the last is left out first.

    Pending comes last, because a separate column says how much.
    """
    first, *others = states
    last = [state for state in others if state.status is Status.PENDING]
    others = [state for state in others if state.status is not Status.PENDING]

    def shown(some: Sequence[State]) -> list[CellPart]:
        return badges(services.glyphs, known.audience.id, some, is_brief=True)

    marks = segment_badge(services, known.audience, is_brief=True)
    found = shown([first, *others, *last])
    at = len(found) - len(last)
    return [*found[:at], *marks, *found[at:]]


def _disabled(shown: Sequence[AudienceSummary]) -> list[str]:
    """Pending and failed users of disabled audiences, which do not need attention."""
    off = [item.left for item in shown if not item.audience.enabled]
    parts = (
        (sum(left.pending for left in off), "pending"),
        (sum(left.rejected for left in off), "rejected"),
        (sum(left.unidentified for left in off), "without an identifier"),
    )
    found = [f"{count:,} {what}" for count, what in parts if count]
    return [f"{listed(found)} in disabled audiences"] if found else []


def title(
    services: Services, shown: Sequence[AudienceSummary], room: int, known: int
) -> tuple[Content, list[str]]:
    """Say whether everything is in order, and otherwise how many audiences are not, and why.

    Return the title, in `room` columns, and the counts that do not fit into it, in fewer words.
    They count the audiences `shown` after filtering the `known` ones.
    """
    now, dot = overview([states_now(services, item) for item in shown]), services.glyphs.dot
    total = plural(known, "audience")
    unchecked = sum(item.is_never_compared for item in shown)
    odd = sum(is_odd_in_segment(services, item.audience) for item in shown)
    audiences = total if now.audiences == known else f"{now.audiences:,} of {total}"
    if not shown:
        return safe_text(audiences), []
    pending = sum(item.left.pending for item in shown if item.audience.enabled)
    begin = f"{audiences} {dot} "
    if now.attention:
        words, unsaid = _attention(now, room - cell_len(begin))
        verdict: Part = (words, BAD)
    elif now.pending or now.without_cohort or unchecked or odd:
        verdict, unsaid = ("nothing needs attention", GOOD), []
    else:
        verdict, unsaid = ("everything is right", GOOD), []
    line = safe_text(begin, verdict)
    to_check = [f"{odd:,} to check in Segment"] if odd else []
    lacking = [f"{now.without_cohort:,} with no cohort"] if now.without_cohort else []
    others = [*_disabled(shown), *lacking]
    counts = [f"{plural(pending, 'change')} pending"] if pending else []
    brief = [f"{pending:,} pending"] if pending else []
    short = list(others)
    if unchecked:
        others.append(f"{plural(unchecked, 'cohort')} never compared (r)")
        short.append(f"{unchecked:,} never compared (r)")
    together = ", ".join(unsaid)  # they belong to the same number
    unsaid = [together] if unsaid and cell_len(together) <= room else unsaid
    first = [*unsaid, *to_check]
    counts, brief = [*first, *counts, *others], [*first, *brief, *short]
    for at, count in enumerate(counts):
        more = safe_text((f" {dot} {count}", "not bold"))
        if line.cell_length + more.cell_length > room:
            return line, brief[at:]
        line += more
    return line, []


def _attention(now: Overview, room: int) -> tuple[str, list[str]]:
    """How many audiences need attention and why, in `room` columns, and the remaining reasons."""
    what = f"{plural(now.attention, 'needs', 'need')} attention"
    reasons = now.reasons
    if cell_len(words := f"{what}: {', '.join(reasons)}") <= room:
        return words, []
    for many in range(len(reasons) - 1, 0, -1):
        words = f"{what}: {', '.join(reasons[:many])}, {len(reasons) - many:,} more below"
        if cell_len(words) <= room:
            return words, list(reasons[many:])
    return what, list(reasons)


def joined(services: Services, texts: Sequence[str], room: int) -> str:
    """Join as many texts as fit into `room` columns; a sign indicates that there are others."""
    glyphs = services.glyphs
    dot = glyphs.separator
    for many in range(len(texts), 0, -1):
        rest = [glyphs.more] if many < len(texts) else []
        line = dot.join([*texts[:many], *rest])
        if cell_len(line) <= room:
            return line
    return dot.join(texts)
