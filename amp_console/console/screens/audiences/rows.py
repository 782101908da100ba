"""The rows of home: one for each audience, and what is said of all of them."""

from collections import Counter
from typing import NamedTuple

from rich.cells import cell_len

from amp_console.console.context import Services
from amp_console.console.screens.audiences.detail import size_of
from amp_console.console.status_signs import STATUS_TONES, status_sign
from amp_console.console.widgets.grid import Cell, Column, Row
from amp_console.console.words import aged, changes, number
from amp_console.sync.queries.status import BY_SEVERITY, AudienceSummary, Status

COLUMNS = (
    Column("Audience", 18, flex=3),
    Column("Cohort", 14, flex=3, rank=2),
    Column("ID type", 12, rank=4),
    Column("Members", 9, right=True, rank=1),
    Column("Pending", 9, right=True),
    Column("Rejected", 8, right=True),
    Column("Status", 14),
    Column("Last run", 12, rank=3),
)
LIVE = "live"
LEFT_OUT_WHEN_LIVE = {Status.IN_SYNC, Status.PENDING}
"""States that a live session takes care of; what else there is to say is more urgent."""


class Badge(NamedTuple):
    """One state as it is shown: its text, its tone, and the word it is counted under."""

    text: str
    tone: str
    word: str


def audience_row(services: Services, known: AudienceSummary, status_room: int) -> Row:
    """One audience in the list; `status_room` is the width of its states in columns."""
    audience, glyphs, now = known.audience, services.glyphs, services.clock.age_now
    members = known.members
    is_linked = audience.cohort_id is not None
    pending = changes(known.left.add, known.left.remove, glyphs)
    rejected = f"{known.left.rejected:,}" if known.left.rejected else ""
    return Row(
        audience.id,
        (
            Cell(audience.name),
            Cell(known.cohort_name if is_linked else glyphs.dash, "" if is_linked else "dim"),
            Cell(audience.id_type.label),
            Cell(number(members, glyphs)),
            Cell(pending),
            Cell(rejected, "bad"),
            _status(services, known, status_room),
            aged(audience.last_run_at, now, glyphs),
        ),
        (
            audience.name,
            known.cohort_name if is_linked else None,
            audience.id_type.label,
            members,
            known.left.pending,
            known.left.rejected,
            min(
                BY_SEVERITY.index(state.status) for state in known.states(size_of(services, known))
            ),
            audience.last_run_at,
        ),
    )


def _badges(services: Services, known: AudienceSummary) -> list[Badge]:
    """What is true of an audience now, the most dangerous first."""
    glyphs, live = services.glyphs, services.jobs.live
    found = known.states(size_of(services, known))
    badges = [
        Badge(
            f"{status_sign(glyphs, item.status)} {item}",
            STATUS_TONES[item.status],
            str(item.status),
        )
        for item in found
    ]
    if live is not None and known.audience.id in live.followed:
        urgent = [badge for badge in badges if badge.word not in LEFT_OUT_WHEN_LIVE]
        badges = [*urgent, Badge(f"{glyphs.live} {LIVE}", "accent", LIVE)]
    return badges


def _status(services: Services, known: AudienceSummary, room: int) -> Cell:
    """The states of an audience as far as there is room; the detail says all."""
    worst, *others = _badges(services, known)
    text, left = worst.text, len(others)
    for other in others:
        more = f"{text}  {other.text}"
        if len(more) + (3 if left > 1 else 0) > room:
            return Cell(f"{text} +{left}", worst.tone)
        text, left = more, left - 1
    return Cell(text, worst.tone)


def fitted_columns(rows: list[Row]) -> list[Column]:
    """Give numbers and states the room that they need; text shares the rest."""
    return [
        column._replace(width=max([column.width, *(cell_len(row.cells[at].text) for row in rows)]))
        if column.right or column.label == "Status"
        else column
        for at, column in enumerate(COLUMNS)
    ]


def summary(services: Services, found: list[AudienceSummary]) -> str:
    """How many audiences there are, and in which states."""
    words = Counter(state.word for item in found for state in _badges(services, item))
    order = [*BY_SEVERITY[:-1], LIVE, Status.IN_SYNC]
    counts = sorted(words.items(), key=lambda item: order.index(item[0]))
    parts = [f"{count} {word}" for word, count in counts]
    return f" {services.glyphs.dot} ".join([str(len(found)), *parts]) if found else ""
