"""Segment's Webhooks (Actions) destination: one event or an array of them, signed.

`X-Signature` is the hex HMAC-SHA1 of the JSON text as it was sent; of an array only the first
event is signed (Segment's page on the destination). Senders that sign the whole body are believed
as well.

An array of sound JSON is cut into its events at once by msgspec. Any other body is cut by its
brackets and texts alone, some events at a time, so that one broken event is refused alone. Neither
builds what the events hold.
"""

import hmac
import json
import re
from collections.abc import Generator, Iterator

import msgspec

from amp_console.engage.lines import BOM

SIGNATURE = "x-signature"
LARGEST_EVENT = 1024 * 1024  # bytes; Segment's own limit is 32 KB
DEEPEST = 500  # brackets within brackets
STEP = 500  # events cut in one step

NOT_JSON = "The body is not JSON. Send one event, or one array of events."
SEVERAL = "The body contains several JSON documents. Send one event, or one array of events."
TOO_DEEP = f"The body is nested more than {DEEPEST} levels deep."
TOO_LARGE = f"One event is larger than {LARGEST_EVENT // 1024} KiB."

_SPACE = re.compile(rb"[ \t\n\r]*+")
# Possessive, so that no text makes the expression go back; an open text is matched to its end.
_MARK = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+("?)|[\[{]|[\]}]', re.DOTALL)
_PLAIN = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null")


class BrokenBody(ValueError):
    """The body is neither one JSON object nor one array; the text says what is wrong."""


class EventTooLarge(ValueError):
    """One of the events is larger than `LARGEST_EVENT`."""


def is_array(body: bytes) -> bool:
    """Whether the body is an array of events."""
    return body.startswith(b"[", _beginning(body))


def is_signed(body: bytes, signature: str, secret: str) -> bool:
    """Whether the signature is that of the first event, or of the whole body.

    It reads one event of the body at most, and hashes the body once at most.
    """
    key, given = secret.encode(), signature.strip().lower().encode()
    return any(
        hmac.compare_digest(hmac.digest(key, text, "sha1").hex().encode(), given)
        for text in (_first_event(body), body)
        if text is not None
    )


def cut_events(body: bytes) -> Iterator[list[bytes]]:
    """Cut the events out of a body, as their bytes were sent, some at a time.

    What an event of an array holds between its brackets is not checked here: one that is broken
    is refused alone, as on a line of a file. Raises `BrokenBody` and `EventTooLarge`.
    """
    at = _beginning(body)
    if (events := _sound_events(body, at)) is not None:
        for start in range(0, len(events), STEP):
            yield [bytes(event) for event in events[start : start + STEP]]
        return
    if is_array(body):
        at = yield from _cut_array(body, at)
    else:
        if not body.startswith(b"{", at):
            raise BrokenBody(NOT_JSON)
        end = _end_of(body, at)
        event = body[at:end]
        if not _is_json(event):
            raise BrokenBody(NOT_JSON)
        yield [event]
        at = end
    if _past_space(body, at) < len(body):
        raise BrokenBody(SEVERAL)


_sound_array = msgspec.json.Decoder(list[msgspec.Raw])


def _sound_events(body: bytes, at: int) -> list[msgspec.Raw] | None:
    """The events of an array; None where the body is anything else, or one event is too large."""
    try:
        events = _sound_array.decode(memoryview(body)[at:])
    except (msgspec.DecodeError, RecursionError):
        return None
    may_be_too_large = len(body) > LARGEST_EVENT
    if may_be_too_large and any(len(memoryview(event)) > LARGEST_EVENT for event in events):
        return None
    return events


def _cut_array(body: bytes, at: int) -> Generator[list[bytes], None, int]:
    """Yield the array's events; return where it ends."""
    events: list[bytes] = []
    at = _past_space(body, at + 1)
    is_over = body.startswith(b"]", at)
    while not is_over:
        end = _end_of(body, at)
        events.append(body[at:end])
        at = _past_space(body, end)
        is_over = body.startswith(b"]", at)
        if not is_over:
            if not body.startswith(b",", at):
                raise BrokenBody(NOT_JSON)
            at = _past_space(body, at + 1)
        if len(events) == STEP:
            yield events
            events = []
    if events:
        yield events
    return at + 1


def _first_event(body: bytes) -> bytes | None:
    """The event of the body, or the first one of its array; None where that is unclear."""
    at = _beginning(body)
    if is_array(body):
        at = _past_space(body, at + 1)
    try:
        return body[at : _end_of(body, at)]
    except (BrokenBody, EventTooLarge):
        return None


def _end_of(body: bytes, at: int) -> int:
    """Where the value ends that begins at `at`."""
    if not body.startswith((b"{", b"[", b'"'), at):
        plain = _PLAIN.match(body, at)
        if plain is None:
            raise BrokenBody(NOT_JSON)
        return plain.end()
    depth = 0
    limit = min(len(body), at + LARGEST_EVENT)
    for mark in _MARK.finditer(body, at, limit):
        first = body[mark.start()]
        if first in b"[{":
            depth += 1
            if depth > DEEPEST:
                raise BrokenBody(TOO_DEEP)
        elif first in b"]}":
            depth -= 1
        elif not mark[1]:  # a text without an end
            break
        if depth <= 0:
            return mark.end()
    if limit < len(body):
        raise EventTooLarge(TOO_LARGE)
    raise BrokenBody(NOT_JSON)


def _refuse_constant(name: str) -> None:
    """NaN and infinities are no JSON."""
    raise ValueError(name)


# Numbers stay texts: int refuses those of more than 4,300 digits.
_decoder = json.JSONDecoder(
    strict=False, parse_int=str, parse_float=str, parse_constant=_refuse_constant
)


def _is_json(event: bytes) -> bool:
    try:
        text = event.decode()
    except UnicodeDecodeError:
        return False
    try:
        msgspec.json.decode(event, type=msgspec.Raw)
    except (ValueError, RecursionError):
        try:  # half a surrogate pair, or a raw newline in a text: the reader judges those
            _decoder.decode(text)
        except (ValueError, RecursionError):
            return False
    return True


def _beginning(body: bytes) -> int:
    return _past_space(body, len(BOM) if body.startswith(BOM) else 0)


def _past_space(body: bytes, at: int) -> int:
    space = _SPACE.match(body, at)
    return space.end() if space else at
