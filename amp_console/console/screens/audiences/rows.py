"""The rows of home: one for each audience, and the title."""

from collections.abc import Sequence
from typing import NamedTuple

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
        (sum(left.pending for left in off), "change pending", "changes pending"),
        (sum(left.rejected for left in off), "rejected user", "rejected users"),
        (sum(left.unidentified for left in off), "missing ID", "missing IDs"),
    )
    found = [plural(count, one, many) for count, one, many in parts if count]
    return [f"{listed(found)} in disabled audiences"] if found else []


class Title(NamedTuple):
    """The title of the list, and what does not fit into it, for the line below the list.

    The `reasons` for attention count audiences and stay together. Each of the `others` says what it
    counts.
    """

    line: Content
    reasons: Sequence[str] = ()
    others: Sequence[str] = ()


def title(
    services: Services,
    shown: Sequence[AudienceSummary],
    room: int,
    known: int,
    *,
    marked: str = "",
) -> Title:
    """Say in `room` columns whether everything is in order; if not, how many audiences are not.

    They are those `shown` after filtering the `known` ones. `marked` says how many are marked.
    """
    now, dot = overview([states_now(services, item) for item in shown]), services.glyphs.separator
    total = plural(known, "audience")
    audiences = total if now.audiences == known else f"{now.audiences:,} of {total}"
    begin = ", ".join(filter(None, (audiences, marked)))
    if not shown:
        return Title(safe_text(begin))
    others, reasons = _other_counts(services, shown, now), now.reasons
    verdict: Part = ("nothing needs attention" if others else "everything is right", GOOD)
    if now.attention:
        words = f"{plural(now.attention, 'needs', 'need')} attention"
        why = f"{words}: {', '.join(reasons)}"
        if cell_len(f"{begin}{dot}{why}") <= room:
            words, reasons = why, ()
        verdict = (words, BAD)
    line = safe_text(begin, dot, verdict)
    for at, count in enumerate(others):
        more = safe_text((f"{dot}{count}", "not bold"))
        if line.cell_length + more.cell_length > room:
            return Title(line, reasons, others[at:])
        line += more
    return Title(line, reasons)


def _other_counts(services: Services, shown: Sequence[AudienceSummary], now: Overview) -> list[str]:
    """What is open besides what needs attention, the most important first."""
    odd = sum(is_odd_in_segment(services, item.audience) for item in shown)
    pending = sum(item.left.pending for item in shown if item.audience.enabled)
    unknown = sum(_is_unchecked(services, item) for item in shown)
    counts = [
        f"{plural(odd, 'audience')} to check in Segment" if odd else "",
        f"{plural(pending, 'change')} pending" if pending else "",
        *_disabled(shown),
        f"{plural(now.without_cohort, 'audience')} with no cohort" if now.without_cohort else "",
        f"{plural(now.not_compared, 'cohort')} not compared" if now.not_compared else "",
        f"{plural(unknown, 'cohort size')} unknown (u)" if unknown else "",
    ]
    return [count for count in counts if count]


def _is_unchecked(services: Services, known: AudienceSummary) -> bool:
    """Whether nothing is known of its cohort in Amplitude: neither who is in it, nor how many."""
    return known.is_never_compared and services.figures.size_of(known.audience) is None


def line_below(services: Services, reasons: Sequence[str], others: Sequence[str], room: int) -> str:
    """Join what fits into `room` columns; a sign says that there is more.

    All reasons are more important than the sign.
    """
    glyphs, count = services.glyphs, len(reasons) + len(others)
    line = ""
    for many in range(1, count + 1):
        parts = [", ".join(reasons[:many]), *others[: max(0, many - len(reasons))]]
        shown = glyphs.separator.join(filter(None, parts))
        signed = shown if many == count else f"{shown}{glyphs.separator}{glyphs.more}"
        if cell_len(signed) <= room or (many == len(reasons) and cell_len(shown) <= room):
            line = signed if cell_len(signed) <= room else shown
    return line
