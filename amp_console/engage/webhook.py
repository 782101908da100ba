"""Segment's Webhooks (Actions) destination: one event or an array of them, signed.

`X-Signature` is the hex HMAC-SHA1 of the JSON text as it was sent; of an array only the first
event is signed (Segment's page on the destination).
"""

import hashlib
import hmac

from amp_console.engage.documents import elements_of

SIGNATURE = "x-signature"


class BrokenBody(ValueError):
    """The body is no JSON object, nor an array of them."""


def events_in(body: bytes) -> list[bytes]:
    """Cut the events out of a body, as their bytes stand in it. Raises `BrokenBody`."""
    try:
        text = body.decode()
        found = list(elements_of(text))
    except (ValueError, RecursionError):
        raise BrokenBody from None
    if not text.strip() or (not found and not text.lstrip().startswith("[")):
        raise BrokenBody
    return found


def is_signed(events: list[bytes], signature: str | None, secret: str) -> bool:
    """Whether the signature is the first event's, in constant time."""
    if signature is None or not events:
        return False
    expected = hmac.new(secret.encode(), events[0], hashlib.sha1).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.strip().lower().encode())
