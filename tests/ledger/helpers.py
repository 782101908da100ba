"""Helpers of the tests of the ledger."""

from collections.abc import Iterable

from amp_console.ledger import Ledger, deliveries, members, sources
from amp_console.ledger.audiences import NO_HINTS, Audience, audience, discover
from amp_console.ledger.counts import Outstanding, outstanding
from amp_console.ledger.deliveries import DeliveryBatch, ResponseRecord
from amp_console.ledger.members import NewestChanges
from amp_console.values import AudienceHints, AudienceRef, Change, IdType, Operation

REF = AudienceRef("spa_1", "aud_1", "shoppers")


def enters(user: str, at: int, line: int = 1, ref: AudienceRef = REF) -> Change:
    return Change(ref, user, None, True, at, line)


def leaves(user: str, at: int, line: int = 1, ref: AudienceRef = REF) -> Change:
    return Change(ref, user, None, False, at, line)


def start(ledger: Ledger, hints: AudienceHints = NO_HINTS) -> Audience:
    return ledger.write(discover, REF, hints)


def read(ledger: Ledger, changes: Iterable[Change], path: str = "/events.ndjson") -> int:
    """Merge changes as from one reading of a file; return how many members were updated."""
    changes = list(changes)
    source = ledger.write(sources.begin_source, path, path, 1)
    refs = {change.audience for change in changes}
    ids = {ref: ledger.write(discover, ref).id for ref in refs}
    gathered = NewestChanges()
    gathered.add(changes)
    return ledger.write(members.merge, source, gathered, ids, 1)


def take(
    ledger: Ledger, operation: Operation, limit: int = 100, id_type: IdType = IdType.USER_ID
) -> DeliveryBatch | None:
    row_id = start(ledger).id
    return ledger.write(deliveries.open_batch, 1, row_id, id_type, operation, limit, 1)


def deliver(ledger: Ledger, skipped: Iterable[str] = (), at: int = 2) -> dict[Operation, list[str]]:
    """Deliver everything pending under both ID types; return who was sent, in order."""
    sent: dict[Operation, list[str]] = {Operation.REMOVE: [], Operation.ADD: []}
    for id_type in IdType:
        for operation in sent:
            while batch := take(ledger, operation, id_type=id_type):
                sent[operation] += batch.identifiers()
                gone = [id_ for id_ in skipped if id_ in batch.identifiers()]
                ledger.write(deliveries.confirm, batch, ResponseRecord(at, 200), gone, "unknown")
    return sent


def left(ledger: Ledger) -> Outstanding:
    return ledger.read(lambda db: outstanding(db, audience(db, 1)))


def wanted(ledger: Ledger) -> set[str]:
    return set(
        ledger.read(
            lambda db: [row[0] for row in db.execute("SELECT id FROM member WHERE wanted = 1")]
        )
    )
