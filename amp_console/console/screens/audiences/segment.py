"""What the detail of an audience and home's list say of its size in Segment."""

from textual.content import Content

from amp_console.console.context import Services
from amp_console.console.segment_figures import Sizes
from amp_console.console.texts import BAD, MUTED, WARN, Part, safe_text
from amp_console.console.widgets.grid import CellPart
from amp_console.ledger.audiences import Audience
from amp_console.sync.queries.segment import (
    Presence,
    SizesSideBySide,
    active_destinations,
    has_failed,
    size_words,
)

_ABSENT = {
    Presence.NOT_LISTED: "not listed",
    Presence.OTHER_SPACE: "the audience belongs to another space",
    Presence.NO_SPACE: "no audience with this key",
}
_STEP_IF_MORE = ": press u to ask again, and i to import events that are missing"
_STEP_OF_QUERY = ": press u to ask again, or 7 to refresh the query that lists the members"
_STEP_IF_FEWER = (
    ": press u to ask again. Some may have left in Segment: press i to import later events, or a "
    "list of its members"
)


def segment_size(services: Services, sizes: Sizes | None) -> str:
    """The size of an audience in Segment: a number, "unknown", or a dash where it has none."""
    if sizes is None:
        return services.glyphs.dash
    if sizes.row.segment is not None:
        return size_words(sizes.row.segment.size, sizes.row.segment.unit)
    return "unknown" if sizes.row.presence is Presence.UNKNOWN else services.glyphs.dash


def is_odd_in_segment(services: Services, known: Audience) -> bool:
    """Whether Segment fails to compute an audience, or counts other members than the ledger."""
    sizes = services.segment.sizes_of(known.id)
    if sizes is None or sizes.row.segment is None:
        return False
    return sizes.row.differs_in_segment or has_failed(sizes.row.segment)


def segment_badge(services: Services, known: Audience) -> list[CellPart]:
    """The mark of an audience that is to be checked in Segment, as a state shows it; or none."""
    if not is_odd_in_segment(services, known):
        return []
    return [CellPart(f"{services.glyphs.triangle} Segment", "warn")]


def size_rows(
    services: Services, audience_id: int, *, has_query: bool
) -> list[tuple[str, Content | str]]:
    """The three sizes of an audience side by side, what does not fit, and its status in Segment.

    The members are those in the ledger; `has_query` says that a query lists them, and not Segment.
    Nothing where no space is connected.
    """
    sizes = services.segment.sizes_of(audience_id)
    if sizes is None:
        return []
    dot, row = f" {services.glyphs.dot} ", sizes.row
    cohort = "unknown" if row.cohort_size is None else f"{row.cohort_size:,}"
    if row.summary.audience.cohort_id is None:
        cohort = services.glyphs.dash
    members = "unknown" if row.summary.members is None else f"{row.summary.members:,}"
    side_by_side: list[Part] = [
        ("Segment ", MUTED),
        segment_size(services, sizes),
        (f"{dot}members ", MUTED),
        members,
        (f"{dot}cohort ", MUTED),
        cohort,
    ]
    return [
        ("sizes", safe_text(*side_by_side)),
        *([("", safe_text((_odd_sizes(row, has_query), WARN)))] if row.sizes_odd else []),
        ("in Segment", _in_segment(services, sizes, has_query)),
        *_destinations(row),
    ]


def _destinations(row: SizesSideBySide) -> list[tuple[str, Content]]:
    """Say that Segment itself delivers the audience, and what to see to."""
    names = active_destinations(row.segment) if row.segment is not None else ()
    if not names:
        return []
    words = (
        f"Segment delivers it to Amplitude, too ({', '.join(names)}). Two programs that fill one "
        "cohort undo each other's changes: turn one of them off."
    )
    return [("", safe_text((words, WARN), max_length=300))]


def _odd_sizes(row: SizesSideBySide, has_query: bool) -> str:
    """What does not fit, and what to do about a size in Segment."""
    step = ""
    if row.differs_in_segment and has_query:
        step = _STEP_OF_QUERY
    elif row.differs_in_segment:
        step = _STEP_IF_FEWER if row.difference < 0 else _STEP_IF_MORE
    return "; ".join(row.sizes_odd) + step


def _in_segment(services: Services, sizes: Sizes, has_query: bool) -> Content:
    """The status of an audience in Segment, and the age of that reading.

    Where a query lists the members, Segment only has an audience with the same key.
    """
    reading, listed = sizes.reading, sizes.row.segment
    if reading.read_at is None:
        return safe_text(("never read: press u to ask Segment", MUTED))
    age: Part = (f", read {services.age_of(reading.read_at)}", MUTED)
    if listed is None:
        return safe_text((_ABSENT[sizes.row.presence], MUTED), age)
    status = listed.status or "unknown status"
    if has_query:
        text = f"the audience with this key: {status}"
        return safe_text(text, age, ("; a query lists the members here", MUTED))
    name = "" if listed.name == sizes.row.summary.audience.name else f"  {listed.name}"
    tone = BAD if has_failed(listed) else ""
    step = "; open it in Segment to see why: no new events may come" if has_failed(listed) else ""
    shown: Part = (status, tone) if tone else status
    return safe_text(shown, age, (name, MUTED), (step, WARN), max_length=120)
