"""Comparing a cohort with a list of members instead of with the ledger."""

from collections.abc import Iterator, Sequence

import msgspec

from amp_console.engage import ReadOptions, UnreadableSource
from amp_console.ledger import Ledger, export_staging
from amp_console.ledger.audiences import Audience
from amp_console.sync.ingest.batch_reader import BatchReader, OpenReader
from amp_console.text import plural
from amp_console.values import Change, IdType, Refusal


class IncompleteList(UnreadableSource):
    """The list is cut off or has refused rows, so it may lack members."""


class MemberList(msgspec.Struct, frozen=True):
    """The facts of a list that was read and staged in the ledger.

    `at` is the time of the list, in microseconds since 1970. `members` counts its members, after
    events newer than `at` were applied to it. `refused` counts the rows that were not used, and
    `known` the list's own identifiers that occur in the audience.
    """

    name: str
    at: int
    members: int
    refused: int
    known: int


def read_member_list(
    ledger: Ledger,
    open_reader: OpenReader,
    audience: Audience,
    address: str,
    *,
    allow_incomplete: bool = False,
) -> MemberList:
    """Read a list of an audience's members; it may block.

    The list is Segment's CSV download of the audience, or one identifier of its ID type per line.
    Raises `UnreadableSource`, `IncompleteList` unless `allow_incomplete`, and `LedgerError`; after
    an error, what the ledger wants is unchanged.
    """
    refusals: list[Refusal] = []
    refused = 0
    with open_reader(address, _options(audience)) as source:
        ledger.stage(export_staging.begin_list, audience.id)
        for batch in source:
            ids = [_identifier(change, audience.id_type) for change in batch.changes]
            ledger.stage(
                export_staging.add_to_list, audience.id, [id_ for id_ in ids if id_ is not None]
            )
            found = [*batch.refusals, *_without(batch.changes, ids, audience.id_type)]
            refused += len(found)
            refusals += found[: 1 - len(refusals)]
        if refused and not allow_incomplete:
            raise IncompleteList(_why_incomplete(source, refused, refusals[0]))
        listed = ledger.stage(
            export_staging.end_list, audience.id, audience.id_type, source.taken_at
        )
        if not listed.members:
            raise UnreadableSource(f"{source.name} contains no identifiers. Nothing was compared.")
        return MemberList(source.name, source.taken_at, listed.members, refused, listed.known)


def _why_incomplete(source: BatchReader, refused: int, first: Refusal) -> str:
    """Why a list can't be used: members missing from it would be removed from the cohort."""
    if source.trouble:
        return f"Can't compare with {source.name}. {source.trouble}"
    rows = plural(refused, "row")
    were = "was" if refused == 1 else "were"
    return (
        f"Can't compare with {source.name}: {rows} {were} refused, first line {first.line} "
        f"({first.reason}). Nothing was compared. Correct the list, or use it anyway."
    )


def _options(audience: Audience) -> ReadOptions:
    is_amplitude = audience.id_type is IdType.AMPLITUDE_ID
    return ReadOptions(
        audience=audience.key,
        lists=audience.id_type,
        amplitude_id_column="amplitude_id" if is_amplitude else None,
    )


def _without(
    changes: Sequence[Change], ids: Sequence[str | None], id_type: IdType
) -> Iterator[Refusal]:
    """Refuse the rows that identify a person by the other ID type alone, so can't be compared."""
    if None not in ids:
        return
    named = {change.line for change, id_ in zip(changes, ids, strict=True) if id_ is not None}
    for line in sorted({change.line for change in changes} - named):
        yield Refusal(line, f"no {id_type} in this row")


def _identifier(change: Change, id_type: IdType) -> str | None:
    return change.user_id if id_type is IdType.USER_ID else change.amplitude_id
