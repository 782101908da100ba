"""Trying a field mapping on one sample event, to see what it finds."""

from contextlib import suppress

import msgspec

from amp_console.engage import json_text
from amp_console.engage.envelopes import contents_of
from amp_console.engage.event import event_in, personas_in
from amp_console.engage.formats import UnreadableSource
from amp_console.engage.identifiers import UnusableIdentifier, identifier
from amp_console.engage.mapping import FieldMapping
from amp_console.engage.membership import FilterReason, audience_of, membership
from amp_console.engage.source import ReadOptions, open_file
from amp_console.values import AudienceRef


class Trial(msgspec.Struct, frozen=True):
    """What a mapping finds in an event. `verdict` says in words what the event would do."""

    user_id: str | None
    amplitude_id: str | None
    audience: AudienceRef | None
    verdict: str


def event_at(path: str, line: int) -> str:
    """Return the text of the event at a line of a file, laid out if it is JSON.

    Raises `UnreadableSource` where there is none.
    """
    with open_file(path, ReadOptions()) as source:
        text = source.text_at(line) if line > 0 else None
    if text is None:
        raise UnreadableSource(f"{path} has no event at line {line:,} anymore.")
    with suppress(msgspec.DecodeError):  # what is no JSON is shown as it is
        text = msgspec.json.format(text, indent=2)
    return text.decode("utf-8", "replace")


def try_mapping(mapping: FieldMapping, text: str) -> Trial:
    """Read one event as an import would. Raises ValueError for what is not one JSON object."""
    try:
        event = json_text.decode(text.encode("utf-8", "surrogateescape"))
    except ValueError:
        raise ValueError("This is not JSON.") from None
    if not isinstance(event, dict):
        raise ValueError("This is JSON, but not one event: an event is an object.")
    if not event.get("context"):
        event = next((item for item in contents_of(event) or () if isinstance(item, dict)), event)
    other = mapping.amplitude_id
    audience, verdict = _audience_and_verdict(event)
    try:
        user_id = identifier(mapping.user_id.value_in(event))
        amplitude_id = identifier(other.value_in(event)) if other else None
    except UnusableIdentifier as error:
        return Trial(None, None, audience, f"invalid: {error}")
    if audience is not None and user_id is None and amplitude_id is None:
        verdict = f"invalid: no usable identifier at {mapping}"
    return Trial(user_id, amplitude_id, audience, verdict)


def _audience_and_verdict(event: dict[str, object]) -> tuple[AudienceRef | None, str]:
    known = event_in(event)
    personas = personas_in(known.context.personas) if known.context else None
    audience = audience_of(personas)
    if isinstance(audience, FilterReason):
        return None, f"filtered: {audience}"
    is_member = membership(known, audience.key)
    if isinstance(is_member, FilterReason):
        return None, f"filtered: {is_member}"
    return audience, "enters the audience" if is_member else "leaves the audience"
