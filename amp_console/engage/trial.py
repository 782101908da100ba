"""Trying a field mapping on one sample event, to see what it would make of it."""

import json

import msgspec

from amp_console.engage.event import Event, personas_in, regular
from amp_console.engage.identifiers import identifier
from amp_console.engage.mapping import FieldMapping
from amp_console.engage.membership import Filtered, audience_of, membership
from amp_console.values import AudienceRef


class Trial(msgspec.Struct, frozen=True):
    """What a mapping finds in an event. `verdict` says in words what the event would do."""

    user_id: str | None
    amplitude_id: str | None
    audience: AudienceRef | None
    verdict: str


def try_mapping(mapping: FieldMapping, text: str) -> Trial:
    """Read one event as an import would. Raises ValueError for what is not one JSON object."""
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("This is not JSON.") from None
    if not isinstance(event, dict):
        raise ValueError("This is JSON, but not one event: it has to be an object.")
    user_id = identifier(mapping.user_id.value_in(event))
    other = mapping.amplitude_id
    amplitude_id = identifier(other.value_in(event)) if other else None
    found = _audience_and_verdict(event)
    audience, verdict = found
    if audience is not None and user_id is None and amplitude_id is None:
        verdict = f"invalid: no usable identifier at {mapping}"
    return Trial(user_id, amplitude_id, audience, verdict)


def _audience_and_verdict(event: dict[str, object]) -> tuple[AudienceRef | None, str]:
    try:
        known = msgspec.json.decode(regular(event), type=Event)
    except (msgspec.MsgspecError, RecursionError):
        return None, "invalid: this can't be read as an event"
    personas = personas_in(known.context.personas) if known.context else None
    audience = audience_of(personas)
    if isinstance(audience, Filtered):
        return None, f"filtered: {audience}"
    is_member = membership(known, audience.key)
    if isinstance(is_member, Filtered):
        return None, f"filtered: {is_member}"
    return audience, "enters the audience" if is_member else "leaves the audience"
