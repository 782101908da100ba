"""What an import has read: its progress, its report, and the sentences about it."""

from collections.abc import Iterator, Mapping

import msgspec

from amp_console.engage.membership import FilterReason
from amp_console.ledger.sources import ReadCounts
from amp_console.sync.ingest.snapshot import SnapshotReport
from amp_console.text import clean, named, plural

MAX_AUDIENCES = 5  # that a sentence names
MAX_NAME_LENGTH = 100
MAX_UNREADABLE = 20  # sources
MAX_UNCHANGED = 5  # files

_LOOKS_LIKE = {
    FilterReason.NO_EVENT: (
        "They have no type, so they are neither Segment events nor in an envelope that amp-console "
        "knows (EventBridge, Kinesis, SQS, SNS, Pub/Sub, batch). Choose a file of the events that "
        "Engage sends"
    ),
    FilterReason.NOT_AN_AUDIENCE: (
        "They look like ordinary Segment events: context.personas names no audience. Choose a "
        "file of the events that Engage sends to its destinations"
    ),
    FilterReason.COMPUTED_TRAIT: ("They are computed traits. Choose a file of audience events"),
    FilterReason.JOURNEY: (
        "They are steps of a Journey (V1, or event-triggered) that say neither true nor false, so "
        "they can't be read as memberships. Sync an audience of the same people instead"
    ),
    FilterReason.OTHER_AUDIENCE: (
        "They belong to other audiences than the one you named. Check its key"
    ),
    FilterReason.FORGOTTEN: (
        "They are about people who were forgotten, and older than the deletion requests"
    ),
    FilterReason.NO_KEY: "They name no audience: context.personas.computation_key is missing",
    FilterReason.NO_BOOLEAN: (
        "Their traits or properties contain neither true nor false under the audience's key. Check "
        "which fields the destination's mapping sends"
    ),
}


class ImportProgress(msgspec.Struct, frozen=True):
    """How far reading has got: `position` of `size` bytes of one source (None: not known).

    If an address means many objects, `objects` is how many were begun; together they are one
    source.
    """

    source: str
    position: int
    size: int | None
    tally: ReadCounts
    objects: int = 0


class SetCounts(msgspec.Struct, frozen=True):
    """The result for an address of many objects: how many were `read`, and how many not again."""

    name: str
    read: int
    known: int


class ImportReport(msgspec.Struct, frozen=True):
    """What was read: from all sources together, for which audiences, and what could not be opened.

    `missing` names the fields of `ReadOptions` with which some `unreadable` source may be readable.
    `snapshot` is the outcome of a snapshot, if the sources are its parts; `event_files` names those
    of them that hold events, which say themselves who leaves. `updated` counts the members whose
    membership or identifier has changed, except those of a snapshot. `without_changes` has a
    sentence on each source that holds events, but no valid one. `dated_ahead` counts events that
    are dated more than a day in the future. `audiences` names those in the sources that the ledger
    knew before, `new_audiences` the others. `sets` counts the objects of each address that means
    many. `unchanged` names the files that were not read again: what an earlier import found in them
    counts.
    """

    tally: ReadCounts
    filtered: dict[str, int]
    audience_ids: tuple[int, ...]
    unreadable: tuple[str, ...]
    missing: frozenset[str]
    was_stopped: bool
    snapshot: SnapshotReport | None = None
    event_files: tuple[str, ...] = ()
    updated: int = 0
    without_changes: tuple[str, ...] = ()
    dated_ahead: int = 0
    audiences: tuple[str, ...] = ()
    new_audiences: tuple[str, ...] = ()
    sets: tuple[SetCounts, ...] = ()
    unchanged: tuple[str, ...] = ()


def audience_sentences(report: ImportReport) -> Iterator[str]:
    """Sentences on the audiences in the sources, and on those that are new to the ledger."""
    if report.audiences:
        noun = "Audience" if len(report.audiences) == 1 else "Audiences"
        yield f"{noun}: {named(report.audiences, MAX_AUDIENCES, MAX_NAME_LENGTH)}."
    if not report.new_audiences:
        return
    is_one = len(report.new_audiences) == 1
    noun, cohorts, them = (
        ("New audience", "a cohort for it", "it")
        if is_one
        else ("New audiences", "cohorts for them", "them")
    )
    names = named(report.new_audiences, MAX_AUDIENCES, MAX_NAME_LENGTH)
    yield (
        f"{noun}: {names}. The next sync creates {cohorts}, unless you disable or link {them} "
        "first."
    )


def unreadable_sentences(report: ImportReport) -> Iterator[str]:
    """Sentences on the sources that could not be read, and why; a bucket may have thousands."""
    yield from report.unreadable[:MAX_UNREADABLE]
    if (more := len(report.unreadable) - MAX_UNREADABLE) > 0:
        yield f"{plural(more, 'more source', 'more sources')} could not be read."


def set_sentences(report: ImportReport) -> Iterator[str]:
    """Sentences on what an earlier import had read: files, and how many objects."""
    for name in report.unchanged[:MAX_UNCHANGED]:
        yield f"{clean(name, 300)} has not changed since it was imported: it was not read again."
    if (more := len(report.unchanged) - MAX_UNCHANGED) > 0:
        yield f"The same is true of {plural(more, 'more file', 'more files')}."
    for counts in report.sets:
        if not (counts.read or counts.known):
            continue
        text = f"{clean(counts.name, 300)}: {plural(counts.read, 'object')} read"
        if counts.known:
            text += f", {counts.known:,} read before and unchanged"
        yield f"{text}."


def counts_of(tally: ReadCounts, updated: int | None) -> str:
    """The outcome of events in words: "3 valid (1 member updated), 0 filtered, 1 invalid".

    `updated` is None where that was not counted, as for a snapshot.
    """
    valid = f"{tally.valid:,} valid"
    if updated is not None and tally.valid:
        valid += f" ({news_of(updated)})"
    return f"{valid}, {tally.filtered:,} filtered, {tally.invalid:,} invalid"


def news_of(updated: int) -> str:
    """How many members valid events updated, in words: "3 members updated", or "nothing new"."""
    return f"{plural(updated, 'member')} updated" if updated else "nothing new"


def no_valid_event(name: str, filtered: Mapping[str, int]) -> str:
    """A sentence on a source without a valid event, and what most of its events look like."""
    reason, _ = max(filtered.items(), key=lambda item: item[1])
    events = plural(sum(filtered.values()), "event was", "events were")
    return f"{name}: no valid event, {events} filtered. {_LOOKS_LIKE[FilterReason(reason)]}."
