"""A request as it was sent, for display: without keys, and with long lists shortened."""

from collections.abc import Sequence

import msgspec

from amp_console.amplitude.wire import membership_body
from amp_console.ledger import Db
from amp_console.ledger.audiences import audience
from amp_console.ledger.deliveries import RequestKind
from amp_console.ledger.requests import RequestRecord, request, request_members

SHOWN = 50  # identifiers


class RequestText(msgspec.Struct, frozen=True):
    """A request and its body, as far as the body is still known.

    `cohort` is the ID of the cohort that the audience is linked to now, or None.
    """

    record: RequestRecord
    cohort: str | None
    body: str


def request_text(db: Db, request_id: int) -> RequestText | None:
    """Return a request with its body, or None if no request has this ID."""
    record = request(db, request_id)
    if record is None:
        return None
    cohort = audience(db, record.audience_id).cohort_id
    ids = request_members(db, record.id, SHOWN)
    return RequestText(record, cohort, _body(record, cohort, ids))


def _body(record: RequestRecord, cohort: str | None, ids: Sequence[str]) -> str:
    if record.kind is not RequestKind.MEMBERSHIP:
        return ""
    left = record.size - len(ids)
    listed = [*ids, f"... and {left:,} more"] if left else list(ids)
    body = membership_body(cohort or "(unlinked)", record.id_type, record.operation, listed)
    return msgspec.json.format(body, indent=2).decode()
