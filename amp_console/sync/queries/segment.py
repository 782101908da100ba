"""The audiences of a Segment space beside those of the ledger, and how large each one is."""

import enum
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from amp_console.ledger import Db
from amp_console.ledger.audiences import Audience, all_audiences
from amp_console.ledger.membership_changes import MovedSince, moved_since
from amp_console.ledger.segment_audiences import SpaceReading, space_reading
from amp_console.sync.queries.status import AudienceSummary, Status, more_or_fewer
from amp_console.text import plural
from amp_console.values import SegmentAudience

# Segment's words for what it is still counting, and for what it no longer computes by itself.
UNSETTLED = frozenset({"backfilling", "computing", "preparing"})
FAILED = frozenset({"error", "failed"})
DELIVERED_BY_BOTH = "Segment delivers it to Amplitude, too"
# Guesses: Segment does not document the words for units. These may be compared with users.
PEOPLE = frozenset({"", "user", "users", "profile", "profiles"})


UNMOVED = MovedSince()


class Presence(enum.StrEnum):
    """Where an audience of the ledger is, as seen from the connected space."""

    LISTED = "listed"
    NOT_LISTED = "not listed"
    OTHER_SPACE = "other space"
    NO_SPACE = "no space"  # a query's, or a CSV file's
    UNKNOWN = "unknown"  # the space was never read


class SizesSideBySide(msgspec.Struct, frozen=True):
    """One audience of the ledger: its size there, in Segment and in its cohort; None is unknown.

    `odd` lists what does not match, in words.
    """

    summary: AudienceSummary
    presence: Presence
    segment: SegmentAudience | None
    cohort_size: int | None
    odd: tuple[str, ...] = ()
    difference: int = 0
    """How many more Segment counted than the ledger, negative for fewer; see `size_difference`."""
    moved: int = 0
    """How many members more the ledger has now than when Segment was asked, negative for fewer."""

    @property
    def sizes_odd(self) -> list[str]:
        """What does not match, besides what Segment counts, fails to compute, and delivers."""
        status = _failure(self.segment) if self.segment is not None else ""
        others = {status, DELIVERED_BY_BOTH, _difference_words(self.difference, self.moved)}
        return [words for words in self.odd if words not in others]

    @property
    def differs_in_segment(self) -> bool:
        """Whether Segment counts more or fewer than the ledger."""
        return bool(self.difference)


class SpaceComparison(msgspec.Struct, frozen=True):
    """The audiences of the ledger, and those of the space that the ledger has never seen."""

    audiences: tuple[SizesSideBySide, ...]
    only_in_segment: tuple[SegmentAudience, ...]


def compare_space(
    reading: SpaceReading,
    summaries: Sequence[AudienceSummary],
    cohort_sizes: Mapping[str, int | None],
    moved: Mapping[int, MovedSince] | None = None,
) -> SpaceComparison:
    """Compare three sizes. `summaries` have their members counted.

    `cohort_sizes` are those of Amplitude by cohort ID. `moved` counts who entered and who left
    since the reading, by audience: they are no difference.
    """
    found = find_in_space(reading, [summary.audience for summary in summaries])
    rows = []
    for summary in summaries:
        listed = found.get(summary.audience.id)
        presence = _presence(reading, summary.audience, listed)
        size = cohort_sizes.get(summary.audience.cohort_id or "")
        since = (moved or {}).get(summary.audience.id, UNMOVED)
        differs = size_difference(listed, summary.members, since) if listed else 0
        in_all = size_difference(listed, summary.members) if listed else 0
        net = differs - in_all
        odd = tuple(_odd(summary, presence, listed, size, differs, net))
        rows.append(SizesSideBySide(summary, presence, listed, size, odd, differs, net))
    return SpaceComparison(tuple(rows), _only_in_segment(reading, found))


def only_in_segment(db: Db, space_id: str) -> tuple[SegmentAudience, ...]:
    """Return the audiences of a space that the ledger has never seen, by the last reading."""
    reading = space_reading(db, space_id)
    return _only_in_segment(reading, find_in_space(reading, all_audiences(db)))


def _only_in_segment(
    reading: SpaceReading, found: Mapping[int, SegmentAudience]
) -> tuple[SegmentAudience, ...]:
    known = {listed.id for listed in found.values()}
    return tuple(item for item in reading.audiences if item.id not in known)


def find_in_space(
    reading: SpaceReading, audiences: Sequence[Audience]
) -> dict[int, SegmentAudience]:
    """Return the audience in Segment of each audience in the ledger that has one, by its ID there.

    The computation ID decides. Among those left over, the key does where it is unique: a CSV file
    and a query give no other, and an audience that was made again has another ID.
    """
    mine = [item for item in audiences if item.space_id in {"", reading.space_id}]
    by_id = {listed.id: listed for listed in reading.audiences}
    found = {item.id: by_id[item.computation_id] for item in mine if item.computation_id in by_id}
    taken = {listed.id for listed in found.values()}
    mine_by_key, theirs_by_key = defaultdict(list), defaultdict(list)
    for item in mine:
        if item.id not in found:
            mine_by_key[item.key].append(item)
    for listed in reading.audiences:
        if listed.id not in taken:
            theirs_by_key[listed.key].append(listed)
    for key, alike in mine_by_key.items():
        if len(alike) == len(theirs_by_key[key]) == 1:
            found[alike[0].id] = theirs_by_key[key][0]
    return found


def _presence(
    reading: SpaceReading, audience: Audience, listed: SegmentAudience | None
) -> Presence:
    if listed is not None:
        return Presence.LISTED
    if audience.space_id not in {"", reading.space_id}:
        return Presence.OTHER_SPACE
    if reading.read_at is None:
        return Presence.UNKNOWN
    return Presence.NOT_LISTED if audience.computation_id else Presence.NO_SPACE


def _odd(
    summary: AudienceSummary,
    presence: Presence,
    listed: SegmentAudience | None,
    cohort_size: int | None,
    difference: int,
    moved: int,
) -> Iterator[str]:
    if presence is Presence.NOT_LISTED:
        yield "no longer in Segment"
    if listed is not None:
        computation_id = summary.audience.computation_id
        if computation_id and computation_id != listed.id:
            yield f"another ID in Segment ({listed.id})"
        if has_failed(listed):
            yield _failure(listed)
        if active_destinations(listed):
            yield DELIVERED_BY_BOTH
        if difference:
            yield _difference_words(difference, moved)
    differs = (s for s in summary.states(cohort_size) if s.status is Status.SIZE_DIFFERS)
    yield from map(str, differs)


def _difference_words(difference: int, moved: int) -> str:
    """How many more or fewer Segment counted, and how many moved since, whose sum is visible."""
    words = more_or_fewer(abs(difference), "Segment", is_fewer=difference < 0)
    since = f"and the ledger has {moved_words(moved)} since"
    return f"{words} when asked, {since}" if moved else words


def moved_words(moved: int) -> str:
    """How many members more or fewer there are than earlier: "31 more members"."""
    which = "fewer" if moved < 0 else "more"
    return plural(abs(moved), f"{which} member")


def active_destinations(listed: SegmentAudience) -> tuple[str, ...]:
    """Return the names of the enabled destinations in Amplitude that Segment sends it to."""
    found = listed.destinations or ()
    return tuple(destination.name for destination in found if destination.is_enabled)


def has_failed(listed: SegmentAudience) -> bool:
    """Whether Segment no longer computes an audience by itself."""
    return (listed.status or "").casefold() in FAILED


def _failure(listed: SegmentAudience) -> str:
    return f"{listed.status} in Segment"


def size_words(size: int | None, unit: str) -> str:
    """Return a size in Segment with its unit: "1,204", "12 accounts" or "unknown"."""
    if size is None:
        return "unknown"
    return f"{size:,}" if unit.casefold() in PEOPLE else f"{size:,} {unit.casefold()}"


def moved_since_reading(db: Db, reading: SpaceReading, now: int) -> dict[int, MovedSince]:
    """Count who entered and who left each audience since a space was read, by the audience's id."""
    if reading.read_at is None:
        return {}
    return {item.id: moved_since(db, item, reading.read_at, now) for item in all_audiences(db)}


def size_difference(
    listed: SegmentAudience, members: int | None, moved: MovedSince = UNMOVED
) -> int:
    """Return how many more Segment counted than the ledger wanted as members then, or fewer (< 0).

    Those who have `moved` since lead back from the `members` of now; of some it is not known
    whether they did before. It is 0 where the two can't be compared: Segment gives no size, still
    computes it, or counts something other than people.
    """
    is_settled = (listed.status or "").casefold() not in UNSETTLED
    if listed.size is None or members is None or not is_settled:
        return 0
    if listed.unit.casefold() not in PEOPLE:
        return 0
    before = members - moved.entered + moved.left
    least, most = before - moved.unsure_left, before + moved.unsure_entered
    return listed.size - min(max(listed.size, least), most)
