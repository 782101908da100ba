"""How the detail of an audience and home's list show its size in Segment."""

from textual.content import Content

from amp_console.console.context import Services
from amp_console.console.segment_figures import Sizes
from amp_console.console.texts import BAD, MUTED, WARN, Part, safe_text
from amp_console.console.widgets.grid import CellPart
from amp_console.console.words import changes
from amp_console.ledger.audiences import Audience
from amp_console.ledger.comparisons import Comparison
from amp_console.sync.queries.segment import (
    Presence,
    SizesSideBySide,
    active_destinations,
    has_failed,
    moved_words,
    size_words,
)
from amp_console.sync.queries.status import more_or_fewer
from amp_console.text import plural

_ABSENT = {
    Presence.NOT_LISTED: "not listed",
    Presence.OTHER_SPACE: "the audience belongs to another space",
    Presence.NO_SPACE: "no audience with this key",
}
FRESH = 10 * 60_000_000  # microseconds; asking Segment again so soon gives the same answer
_IF_MORE = "Press i to import the missing events, or Segment's CSV download of the audience."
_IF_FEWER = (
    "Some may have left in Segment: press i to import later events, or a list of its members."
)
_OF_QUERY = "Press 7 to refresh the query that lists the members."
_IF_FAILED = "Open it in Segment to see why: new events may not arrive."
_SAME_KEY = "The members come from a query. Segment's audience with the same key is not used."


def segment_size(services: Services, sizes: Sizes | None) -> str:
    """The size of an audience in Segment: a number, "unknown", or a dash if it is not there."""
    if sizes is None:
        return services.glyphs.dash
    if sizes.row.segment is not None:
        return size_words(sizes.row.segment.size, sizes.row.segment.unit)
    return "unknown" if sizes.row.presence is Presence.UNKNOWN else services.glyphs.dash


def is_odd_in_segment(services: Services, known: Audience) -> bool:
    """Whether Segment fails to compute an audience, or its count differs from the ledger's."""
    return bool(odd_in_segment(services, known))


def odd_in_segment(services: Services, known: Audience) -> str:
    """What to check in Segment, as the end of a sentence; "" if there is nothing.

    That is a failure or a different count. An old count is not worth acting on: Segment is asked
    again first.
    """
    sizes = services.segment.sizes_of(known.id)
    if sizes is None or sizes.row.segment is None:
        return ""
    if has_failed(sizes.row.segment):
        return "Segment can't compute the audience: see below."
    if not (difference := sizes.row.difference):
        return ""
    counted = plural(abs(difference), f"{'fewer' if difference < 0 else 'more'} member")
    if _is_fresh(services, sizes):
        return f"Segment counted {counted}: see below."
    when = services.age_of(sizes.reading.read_at)
    return f"Segment counted {counted} {when}: press u to ask again."


def is_outdated_in_segment(services: Services, known: Audience) -> bool:
    """Whether Segment counted a different number, but too long ago to act on it."""
    sizes = services.segment.sizes_of(known.id)
    return sizes is not None and bool(sizes.row.difference) and not _is_fresh(services, sizes)


def _is_fresh(services: Services, sizes: Sizes) -> bool:
    """Whether Segment was asked so recently that it would give the same answer again."""
    read_at = sizes.reading.read_at
    return read_at is not None and services.clock.now - read_at < FRESH


def segment_badge(services: Services, known: Audience, *, is_brief: bool = False) -> list[CellPart]:
    """The badge of an audience to check in Segment, like that of a state; empty if there is none.

    If members have entered or left since, it says when the sizes differed, but not by how many,
    which is no longer true. In a list (`is_brief`), it does not say when.
    """
    if not is_odd_in_segment(services, known):
        return []
    sizes = services.segment.sizes_of(known.id)
    assert sizes is not None  # because it is odd
    listed, more = sizes.row.segment, sizes.row.difference
    is_failed = listed is not None and has_failed(listed)
    words = [(listed.status or "").lower()] if listed is not None and is_failed else []
    if more and sizes.row.moved and sizes.reading.read_at is not None:
        when = "" if is_brief else f" {services.age_of(sizes.reading.read_at)}"
        words.append(f"differed{when}")
    elif more:
        words.append(changes(max(more, 0), max(-more, 0), services.glyphs))
    sign = services.glyphs.cross if is_failed else services.glyphs.unequal
    short = f"{sign} Segment"
    return [CellPart(f"{short} {', '.join(words)}", "warn", sign=short)]


def last_size(
    services: Services, known: Audience, comparison: Comparison | None
) -> tuple[int, int] | None:
    """The last known size of a cohort, and when it was read, in microseconds since 1970.

    Requests may have changed it since. None if the console never read it.
    """
    figures, found = services.figures, list[tuple[int, int]]()
    if (size := figures.sizes.get(known.cohort_id or "")) is not None:
        found.append((figures.sizes_at, size))
    if comparison is not None and comparison.cohort_id == known.cohort_id:
        found.append((comparison.at, comparison.in_cohort))
    if not found:
        return None
    at, size = max(found)
    return size, at


def size_rows(
    services: Services,
    audience_id: int,
    *,
    has_query: bool,
    last: tuple[int, int] | None = None,
) -> list[tuple[str, Content | str]]:
    """The three sizes of an audience side by side, what differs, and its status in Segment.

    Members are those in the ledger; `has_query`: a query lists them, not Segment. `last` is the
    result of `last_size`, shown with its age if the current size is unknown. Empty if no space is
    connected.
    """
    sizes = services.segment.sizes_of(audience_id)
    if sizes is None:
        return []
    dot, row = services.glyphs.separator, sizes.row
    cohort = "cohort size unknown" if row.cohort_size is None else f"cohort {row.cohort_size:,}"
    if row.cohort_size is None and last is not None:
        size, at = last
        cohort = f"cohort {size:,} ({services.age_of(at)}, changed since)"
    if row.summary.audience.broken:
        cohort = "cohort gone"
    if row.summary.audience.cohort_id is None:
        cohort = "no cohort"
    members = "unknown" if row.summary.members is None else f"{row.summary.members:,}"
    read_at = sizes.reading.read_at if row.moved else None
    in_segment = f"Segment {segment_size(services, sizes)}"
    if read_at is not None and row.summary.members is not None:
        then = f"members {row.summary.members - row.moved:,}"  # the two that are compared
        in_segment = f"{in_segment}, {then} ({services.age_of(read_at)})"
        members += " now"
    return [
        ("sizes", safe_text(dot.join((in_segment, f"members {members}", cohort)))),
        *_differences(services, sizes, has_query),
        ("in Segment", _in_segment(services, sizes)),
        *_about_status(row, has_query),
        *_destinations(row),
    ]


def _destinations(row: SizesSideBySide) -> list[tuple[str, Content]]:
    """Say that Segment itself delivers the audience, and what to do about it."""
    names = active_destinations(row.segment) if row.segment is not None else ()
    if not names:
        return []
    words = (
        f"Segment delivers it to Amplitude, too ({', '.join(names)}). Two programs that fill one "
        "cohort undo each other's changes: turn one of them off."
    )
    return [("", safe_text((words, WARN), max_length=300))]


def _differences(
    services: Services, sizes: Sizes, has_query: bool
) -> list[tuple[str, Content | str]]:
    """Which sizes differ, and what to do about Segment's.

    If none differ in error, why Segment's size is not the number of members.
    """
    row = sizes.row
    odd, counted = list(row.sizes_odd), row.difference
    if counted:
        then = f" {services.age_of(sizes.reading.read_at)}" if row.moved else ""
        odd.append(f"{more_or_fewer(abs(counted), 'Segment', is_fewer=counted < 0)}{then}")
    if not odd:
        moved = f"The ledger has {moved_words(row.moved)} since Segment was asked."
        return [("", safe_text((moved, MUTED)))] if row.moved else []
    found: list[tuple[str, Content | str]] = [
        ("differs", safe_text(("; ".join(odd), WARN), max_length=200))
    ]
    if counted and _is_fresh(services, sizes):  # else events may have been imported since
        step = _OF_QUERY if has_query else _IF_FEWER if counted < 0 else _IF_MORE
        found.append(("what to do", safe_text(step)))
    return found


def _in_segment(services: Services, sizes: Sizes) -> Content:
    """The status of an audience in Segment, and the age of the reading."""
    reading, listed = sizes.reading, sizes.row.segment
    if reading.read_at is None:
        return safe_text(("never read: press u to ask Segment", MUTED))
    age: Part = (f" (read {services.age_of(reading.read_at)})", MUTED)
    if listed is None:
        return safe_text((_ABSENT[sizes.row.presence], MUTED), age)
    name = "" if listed.name == sizes.row.summary.audience.name else f", named “{listed.name}”"
    tone = BAD if has_failed(listed) else ""
    status = listed.status or "unknown status"
    shown: Part = (status, tone) if tone else status
    return safe_text(shown, (name, MUTED), age, max_length=120)


def _about_status(row: SizesSideBySide, has_query: bool) -> list[tuple[str, Content | str]]:
    """What to do about an audience that Segment can't compute.

    If a query lists the members, Segment only has an audience with the same key.
    """
    if row.segment is None:
        return []
    if has_query:
        return [("", safe_text((_SAME_KEY, MUTED)))]
    return [("what to do", safe_text(_IF_FAILED))] if has_failed(row.segment) else []
