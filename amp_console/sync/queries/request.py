"""A request as it was sent, for display: without keys, and with long lists shortened."""

from collections.abc import Sequence

import msgspec

from amp_console.amplitude.refusals import named_ids
from amp_console.amplitude.wire import membership_body
from amp_console.ledger import Db
from amp_console.ledger.audiences import audience
from amp_console.ledger.deliveries import RequestKind
from amp_console.ledger.requests import RequestIds, RequestRecord, request, request_ids
from amp_console.text import plural

SHOWN = 50  # identifiers


class RequestText(msgspec.Struct, frozen=True):
    """A request and its body, as far as the body is still known.

    `cohort` is the ID of the cohort that the audience is linked to now, or None. `gaps` says which
    of the identifiers that were sent the body leaves out; "" if it has them all.
    """

    record: RequestRecord
    cohort: str | None
    body: str
    gaps: str


def request_text(db: Db, request_id: int) -> RequestText | None:
    """Return a request with its body, or None if no request has this ID."""
    record = request(db, request_id)
    if record is None:
        return None
    cohort = audience(db, record.audience_id).cohort_id
    if record.kind is not RequestKind.MEMBERSHIP:
        return RequestText(record, cohort, "", "")
    ids = request_ids(db, record, SHOWN, named_ids(record.response))
    body = _body(record, cohort, ids.first) if ids.first else ""
    return RequestText(record, cohort, body, _gaps(record, ids))


def _body(record: RequestRecord, cohort: str | None, ids: Sequence[str]) -> str:
    body = membership_body(cohort or "(unlinked)", record.id_type, record.operation, ids)
    return msgspec.json.format(body, indent=2).decode()


def _gaps(record: RequestRecord, ids: RequestIds) -> str:
    """Say how many identifiers are missing in the body, and why."""
    listed, elsewhere = len(ids.first), record.size - ids.known
    if listed == record.size:
        return ""
    sent = plural(record.size, record.id_type.label)
    first = "the first " if listed < ids.known else ""
    gaps = f"This lists {first}{listed} of the {sent} sent." if listed else f"It sent {sent}."
    if elsewhere > 0:
        again = f"{elsewhere:,}" if listed else "all"
        gaps += f" Later requests sent {again} of them again: only those requests list them."
    return gaps
