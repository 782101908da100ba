"""Judged events on their way through the ledger's table of received, unmerged events.

An event is judged once, when it arrives. Its result is saved, a twentieth of the JSON's size, so
that any process can merge it, whatever the mapping is by then.
"""

from collections.abc import Mapping, Sequence

import msgspec

from amp_console.engage import EventBatch
from amp_console.ledger import Db, Ledger, LedgerError
from amp_console.ledger.forgotten import NO_ONE_FORGOTTEN, Forgotten, forgotten_people
from amp_console.ledger.received import ReceivedBatch, append_received
from amp_console.sync.ingest.buffer import without_forgotten
from amp_console.values import (
    AudienceHints,
    AudienceRef,
    Change,
    ChangeColumns,
    ChangeTable,
    Refusal,
)


class _Content(msgspec.Struct, array_like=True, frozen=True):
    """An `EventBatch` as the ledger stores it: columns, or changes in the order of their lines.

    Later versions read what this one has written, so fields are only ever appended.
    """

    columns: Sequence[ChangeColumns] = ()
    changes: Sequence[Change] = ()
    refusals: list[Refusal] = []
    filtered: Mapping[str, int] = {}
    hints: Sequence[tuple[AudienceRef, AudienceHints]] = ()
    unlisted: Mapping[str, int] = {}
    lines: int = 0


_UNREADABLE = (
    "Some events that were received can't be read: the ledger is damaged, or a newer amp-console "
    "has kept them. They were left as they are. Update amp-console, or run amp-console ledger "
    "check."
)
_encode = msgspec.msgpack.Encoder(enc_hook=list).encode  # the lines may be a range
_decode = msgspec.msgpack.Decoder(_Content).decode


def packed(batch: EventBatch) -> bytes:
    """A batch as the ledger stores it."""
    changes = batch.changes
    rest = batch.refusals, batch.filtered, batch.hints, batch.unlisted, batch.lines
    if isinstance(changes, ChangeTable):
        return _encode(_Content(changes.columns, (), *rest))
    return _encode(_Content((), changes, *rest))


def unpacked(content: bytes) -> EventBatch:
    """The batch that the ledger stores as `content`. Raises `LedgerError`."""
    try:
        found = _decode(content)
    except msgspec.DecodeError:
        raise LedgerError(_UNREADABLE) from None
    changes = ChangeTable(found.columns) if found.columns else found.changes
    return EventBatch(
        changes, found.refusals, found.filtered, found.hints, found.unlisted, found.lines
    )


class Inbox:
    """Keeps judged events of one source in the ledger, to be merged later."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._forgotten = NO_ONE_FORGOTTEN

    async def keep(self, source_id: int, line: int, batch: EventBatch) -> ReceivedBatch:
        """Commit a batch of a source from a line on. Raises `LedgerError`."""
        kept, self._forgotten = await self._ledger.writes_of().awrite(
            _keep, source_id, line, batch, self._forgotten
        )
        return kept


def _keep(
    db: Db, source_id: int, line: int, batch: EventBatch, forgotten: Forgotten
) -> tuple[ReceivedBatch, Forgotten]:
    """Save a batch without forgotten people: not a byte of theirs may reach the ledger's files."""
    forgotten = forgotten_people(db, forgotten)
    kept = ReceivedBatch(source_id, line, packed(without_forgotten(batch, forgotten)))
    append_received(db, kept)
    return kept, forgotten
