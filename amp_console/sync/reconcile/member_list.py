"""A list of members that a cohort is compared with, instead of what the ledger wants."""

import msgspec

from amp_console.engage import ReadOptions, Source, UnreadableSource, open_source
from amp_console.ledger import Ledger, export_staging
from amp_console.ledger.audiences import Audience
from amp_console.text import plural
from amp_console.values import Change, IdType, Refusal


class IncompleteList(UnreadableSource):
    """A list that broke off, or of which rows were refused: it may lack members."""


class MemberList(msgspec.Struct, frozen=True):
    """A list that was read: `at` is its time in microseconds since 1970.

    So many people are `listed`, after newer events outweighed it; `refused` rows were not used. Of
    the list's own identifiers, `known` ones occur in the audience.
    """

    name: str
    at: int
    listed: int
    refused: int
    known: int


def read_listing(
    ledger: Ledger, of: Audience, path: str, *, allow_incomplete: bool = False
) -> MemberList:
    """Read a list of an audience's members, from a file or the standard input ("-").

    It is Segment's CSV download of the audience, or identifiers of its ID type, one to a line. It
    may block. Raises `UnreadableSource`, `IncompleteList` unless that is allowed, and
    `LedgerError`; the ledger then wants what it wanted.
    """
    refusals: list[Refusal] = []
    refused = 0
    with open_source(path, _options(of)) as source:
        ledger.stage(export_staging.begin_listed, of.id)
        for batch in source:
            ids = [_identifier(change, of.id_type) for change in batch.changes]
            ledger.stage(export_staging.add_listed, of.id, [id_ for id_ in ids if id_ is not None])
            refused += len(batch.refusals)
            refusals += batch.refusals[: 1 - len(refusals)]
        if refused and not allow_incomplete:
            raise IncompleteList(_why_incomplete(source, refused, refusals[0]))
        listed = ledger.stage(export_staging.end_listed, of.id, of.id_type, source.taken_at)
        if not listed.members:
            raise UnreadableSource(f"{source.name} lists no one. Nothing was compared.")
        return MemberList(source.name, source.taken_at, listed.members, refused, listed.known)


def _why_incomplete(source: Source, refused: int, first: Refusal) -> str:
    """Say why a list can't be used: a missing member would be removed from the cohort."""
    if source.trouble:
        return f"{source.name} can't be compared with. {source.trouble}"
    rows = plural(refused, "row")
    were = "was" if refused == 1 else "were"
    return (
        f"{source.name} can't be compared with: {rows} {were} refused, first line {first.line} "
        f"({first.reason}). Nothing was compared. Correct the list, or use it as it is."
    )


def _options(of: Audience) -> ReadOptions:
    is_amplitude = of.id_type is IdType.AMPLITUDE_ID
    return ReadOptions(
        audience=of.key,
        lists=of.id_type,
        amplitude_id_column="amplitude_id" if is_amplitude else None,
    )


def _identifier(change: Change, id_type: IdType) -> str | None:
    return change.user_id if id_type is IdType.USER_ID else change.amplitude_id
