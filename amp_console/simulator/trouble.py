"""Turning the faults of a request into a response."""

from string import Template
from typing import Any

import msgspec
from starlette.responses import Response

from amp_console.simulator import wire
from amp_console.simulator.calls import ParsedRequest, Refused, Reply
from amp_console.simulator.connection import CutResponse, ResetResponse, SilentResponse
from amp_console.simulator.faults import (
    Answer,
    Body,
    Cut,
    Late,
    RefuseIds,
    RequestFaults,
    Reset,
    TooLarge,
)

PROXY_PAGE = "<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"


def instead(parsed: ParsedRequest[Any], found: RequestFaults) -> Reply | None:
    """Return the answer that replaces the work, or None if the work must be done.

    Raises Refused if the trouble is about the batch itself.
    """
    match found.trouble:
        case Answer() as answer:
            return _answered(answer)
        case Reset(applied=False):
            return Reply(b"")
        case Late(status=status):
            return wire.refusal(Refused(status, "Simulated trouble")) if status else Reply(b"")
        case Body(applied=False) as body:
            return reply_with(body, parsed)
        case TooLarge():
            raise Refused(413, "Request Entity Too Large")
        case RefuseIds(ids=ids, named=named):
            raise Refused(
                400, "Some ids are invalid", _refused_entries(parsed, ids) if named else None
            )
        case _:
            return None


def reply_with(body: Body, parsed: ParsedRequest[Any]) -> Reply:
    """Return the answer of a `Body` for a request."""
    text = Template(body.text).safe_substitute(
        cohort_id=parsed.cohort_id or "",
        operation=(parsed.operation or "").upper(),
        ids=msgspec.json.encode(parsed.ids).decode(),
    )
    return Reply(text.encode(), body.status, (("Content-Type", body.content_type),))


def is_silent(reply: Reply, found: RequestFaults) -> bool:
    """Whether the client gets no answer at all."""
    return isinstance(found.trouble, Reset) or (isinstance(found.trouble, Late) and not reply.body)


def response(reply: Reply, found: RequestFaults) -> Response:
    """Return the response that sends a reply whole, in half, or never."""
    if is_silent(reply, found):
        hangs = isinstance(found.trouble, Late) and found.trouble.status is None
        return SilentResponse() if hangs else ResetResponse()
    kind = CutResponse if isinstance(found.trouble, Cut) else Response
    return kind(reply.body, reply.status, dict(reply.headers))


def _answered(answer: Answer) -> Reply:
    reply = wire.refusal(Refused(answer.status, answer.words))
    body, headers = reply.body, reply.headers
    if answer.html:
        body = PROXY_PAGE.format(answer.status).encode()
        headers = (("Content-Type", "text/html"),)
    if answer.retry_after:
        headers = (*headers, ("Retry-After", answer.retry_after))
    return Reply(body, answer.status, headers)


def _refused_entries(
    parsed: ParsedRequest[Any], refused: frozenset[str]
) -> wire.InvalidSample | wire.RefusedEntries:
    if not isinstance(parsed.order, wire.Membership):
        return wire.InvalidSample([text for text in parsed.ids if text in refused])
    results = [
        wire.MembershipResult(
            [text for text in entry.ids if text in refused], entry.id_type, entry.operation
        )
        for entry in parsed.order.memberships
    ]
    return wire.RefusedEntries(results)
