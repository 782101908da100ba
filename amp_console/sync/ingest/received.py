"""Judged events on their way through the ledger's table of received, unmerged events.

An event is judged once, when it arrives. Its result is saved, a twentieth of the JSON's size, so
that any process can merge it, whatever the mapping is by then.
"""

import msgspec

from amp_console.engage import EventBatch
from amp_console.engage.packed_batch import PackedBatch
from amp_console.ledger import Db, Ledger, LedgerError
from amp_console.ledger.forgotten import NO_ONE_FORGOTTEN, Forgotten, forgotten_people
from amp_console.ledger.received import ReceivedBatch, append_received
from amp_console.sync.ingest.buffer import without_forgotten

_UNREADABLE = (
    "Some events that were received can't be read: the ledger is damaged, or a newer amp-console "
    "has kept them. They were left as they are. Update amp-console, or run amp-console ledger "
    "check."
)
_decode = msgspec.msgpack.Decoder(PackedBatch).decode


def packed(batch: EventBatch) -> bytes:
    """A batch as the ledger stores it."""
    return msgspec.msgpack.encode(PackedBatch.of_batch(batch))


def unpacked(content: bytes) -> EventBatch:
    """The batch that the ledger stores as `content`. Raises `LedgerError`."""
    try:
        return _decode(content).batch()
    except msgspec.DecodeError:
        raise LedgerError(_UNREADABLE) from None


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
