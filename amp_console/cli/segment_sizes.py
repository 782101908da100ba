"""`amp-console audiences --segment`: each audience's size in Segment, the ledger and its cohort."""

import asyncio
from typing import NamedTuple

import msgspec

from amp_console.amplitude import AmplitudeError, NetworkMisconfigured
from amp_console.cli.documents import (
    AudienceDocument,
    SegmentDocument,
    audience_document,
    print_document,
    segment_document,
)
from amp_console.cli.exits import Exit
from amp_console.cli.output import say
from amp_console.cli.resources import keyring, keys_of
from amp_console.cli.segment import NO_SPACE, on_wait
from amp_console.cli.tables import clean, table
from amp_console.connections import Connection, KeysError, SegmentSpace, find_public_token
from amp_console.ledger import Ledger
from amp_console.ledger.audience_queries import audience_queries
from amp_console.ledger.audiences import all_audiences
from amp_console.ledger.segment_audiences import SpaceReading
from amp_console.sync.connection_options import client_for
from amp_console.sync.formatting import iso_time
from amp_console.sync.queries.segment import (
    Presence,
    SizesSideBySide,
    SpaceComparison,
    compare_space,
    moved_since_reading,
    size_words,
)
from amp_console.sync.queries.status import audience_summaries
from amp_console.sync.segment_space import ask_space
from amp_console.text import local_time
from amp_console.values import Secret, SegmentAudience

COUNTED = (
    "Segment counts a profile once, even if it has several identifiers; the ledger counts "
    "identifiers."
)
TO_ADD = (
    "To add one, import its events or a list of its members, or give it a query:",
    "  amp-console import FILE --audience KEY --snapshot",
    "  amp-console audience KEY --source NAME --query SQL",
    "Without that, an audience appears once its events are read.",
)


class SizesDocument(msgspec.Struct, frozen=True):
    """One audience of the ledger in `audiences --segment --json`; a size is null if unknown.

    `presence` says where it is: "listed" by Segment, "not listed" anymore, in an "other space",
    "no space" (from a query or a CSV file) or "unknown". `odd` says which sizes contradict each
    other.
    """

    audience: AudienceDocument
    presence: str
    segment_size: int | None
    ledger_size: int | None
    cohort_size: int | None
    odd: tuple[str, ...]


class SpaceDocument(msgspec.Struct, frozen=True):
    """What `audiences --segment --json` prints.

    `segment_trouble` and `amplitude_trouble` say why one of them could not be asked just now;
    Segment's earlier answer is then shown as of `read_at`.
    """

    space: str
    read_at: str | None
    segment_trouble: str | None
    amplitude_trouble: str | None
    audiences: list[SizesDocument]
    not_in_ledger: list[SegmentDocument]


class CohortSizes(NamedTuple):
    """The sizes of cohorts by cohort ID, and why there are none if they could not be read."""

    sizes: dict[str, int | None]
    trouble: str | None = None


def show_sizes(connection: Connection, ledger: Ledger, *, as_json: bool) -> int:
    """Ask Segment and Amplitude, save Segment's answer, and print the sizes.

    Raises `SegmentMisconfigured` and `NetworkMisconfigured`.
    """
    space = connection.segment
    if space is None:
        say(NO_SPACE, err=True)
        return Exit.MISUSE
    reading = _read(space, ledger)
    cohorts = _cohort_sizes(connection, ledger)
    summaries = ledger.read(audience_summaries, connection, dead=ledger.dead_runs())
    moved = ledger.read(moved_since_reading, reading, ledger.clock()())
    comparison = compare_space(reading, summaries, cohorts.sizes, moved)
    if as_json:
        print_document(_document(ledger, reading, comparison, cohorts))
    else:
        _print(reading, comparison, cohorts)
    return Exit.PARTIAL if reading.trouble or cohorts.trouble else Exit.DELIVERED


def _read(space: SegmentSpace, ledger: Ledger) -> SpaceReading:
    async def find() -> Secret | None:
        return find_public_token(space, keyring())

    return asyncio.run(ask_space(ledger, space, find, on_wait))


def _cohort_sizes(connection: Connection, ledger: Ledger) -> CohortSizes:
    """Ask Amplitude for its cohorts if any are linked: one call, and no download."""
    if not any(audience.cohort_id for audience in ledger.read(all_audiences)):
        return CohortSizes({})

    async def ask() -> CohortSizes:
        async with client_for(connection, keys_of(connection)) as client:
            return CohortSizes({cohort.id: cohort.size for cohort in await client.list_cohorts()})

    try:
        return asyncio.run(ask())
    except NetworkMisconfigured:
        raise
    except (AmplitudeError, KeysError) as error:
        return CohortSizes({}, str(error))


def _document(
    ledger: Ledger, reading: SpaceReading, comparison: SpaceComparison, cohorts: CohortSizes
) -> SpaceDocument:
    queries = ledger.read(audience_queries)

    def described(listed: SegmentAudience | None) -> SegmentDocument | None:
        return None if listed is None else segment_document(listed, reading.read_at)

    return SpaceDocument(
        reading.space_id,
        iso_time(reading.read_at),
        reading.trouble or None,
        cohorts.trouble,
        [
            SizesDocument(
                audience_document(
                    row.summary, queries.get(row.summary.audience.id), described(row.segment)
                ),
                row.presence,
                row.segment.size if row.segment else None,
                row.summary.members,
                row.cohort_size,
                row.odd,
            )
            for row in comparison.audiences
        ],
        [segment_document(item, reading.read_at) for item in comparison.only_in_segment],
    )


def _print(reading: SpaceReading, comparison: SpaceComparison, cohorts: CohortSizes) -> None:
    if reading.trouble:
        say(f"{reading.trouble} {_kept(reading)}", err=True)
    if cohorts.trouble:
        say(f"{cohorts.trouble} The sizes of cohorts are unknown.", err=True)
    if reading.read_at is not None:
        say(f"Segment space {clean(reading.space_id)}, read {local_time(reading.read_at)}")
    header = ("AUDIENCE", "IN-SEGMENT", "STATUS", "SEGMENT", "LEDGER", "COHORT", "ODD")
    if comparison.audiences:
        say(*table(header, map(_row, comparison.audiences), "SEGMENT LEDGER COHORT", "ODD"))
    else:
        say("No audiences in the ledger yet.")
    if any(row.differs_in_segment for row in comparison.audiences):
        say(COUNTED)
    if comparison.only_in_segment:
        say("", "In Segment, not in the ledger:")
        rows = [
            (item.name, item.key, item.status or "unknown", size_words(item.size, item.unit))
            for item in comparison.only_in_segment
        ]
        say(*table(("NAME", "KEY", "STATUS", "SIZE"), rows, "SIZE"))
        say(*TO_ADD)


def _kept(reading: SpaceReading) -> str:
    if reading.read_at is None:
        return "The sizes in Segment are unknown."
    return f"The sizes in Segment are those of {local_time(reading.read_at)}."


_ABSENT = {
    Presence.NOT_LISTED: "–",
    Presence.OTHER_SPACE: "other space",
    Presence.NO_SPACE: "–",
    Presence.UNKNOWN: "unknown",
}


def _row(row: SizesSideBySide) -> tuple[str, ...]:
    audience, listed = row.summary.audience, row.segment
    absent = "unknown" if row.presence is Presence.UNKNOWN else "–"
    return (
        audience.name,
        _ABSENT[row.presence] if listed is None else listed.name,
        absent if listed is None else listed.status or "unknown",
        absent if listed is None else size_words(listed.size, listed.unit),
        "unknown" if row.summary.members is None else f"{row.summary.members:,}",
        _cohort_size(row),
        "; ".join(row.odd),
    )


def _cohort_size(row: SizesSideBySide) -> str:
    if row.summary.audience.cohort_id is None:
        return "–"
    return "unknown" if row.cohort_size is None else f"{row.cohort_size:,}"
