"""A list of members that a cohort is compared with, instead of what the ledger wants."""

import msgspec

from amp_console.engage import ReadOptions, UnreadableSource, open_source
from amp_console.ledger import Ledger, found
from amp_console.ledger.audiences import Audience
from amp_console.values import Change, IdType


class Listing(msgspec.Struct, frozen=True):
    """A list that was read: `at` is its time in microseconds since 1970.

    So many people are `listed`, after newer events outweighed it; `refused` lines had nobody.
    """

    name: str
    at: int
    listed: int
    refused: int


def read_listing(ledger: Ledger, of: Audience, path: str) -> Listing:
    """Read a list of an audience's members, from a file or the standard input ("-").

    It is Segment's CSV download of the audience, or identifiers of its ID type, one to a line. It
    may block. Raises `UnreadableSource` and `LedgerError`; the ledger then wants what it wanted.
    """
    refused = 0
    with open_source(path, _options(of)) as source:
        ledger.read(found.begin_listed, of.id)
        for batch in source:
            ids = [_identifier(change, of.id_type) for change in batch.changes]
            ledger.read(found.add_listed, of.id, [id_ for id_ in ids if id_ is not None])
            refused += len(batch.refusals)
        if source.trouble:  # half a list would take the other half out
            raise UnreadableSource(f"{source.name} can't be compared with. {source.trouble}")
        listed = ledger.read(found.end_listed, of.id, of.id_type, source.taken_at)
        if not listed:
            raise UnreadableSource(f"{source.name} lists nobody. Nothing was compared.")
        return Listing(source.name, source.taken_at, listed, refused)


def _options(of: Audience) -> ReadOptions:
    is_amplitude = of.id_type is IdType.AMPLITUDE_ID
    return ReadOptions(
        audience=of.key,
        lists=of.id_type,
        amplitude_id_column="amplitude_id" if is_amplitude else None,
    )


def _identifier(change: Change, id_type: IdType) -> str | None:
    return change.user_id if id_type is IdType.USER_ID else change.amplitude_id
