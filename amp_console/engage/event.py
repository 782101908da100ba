"""The parts of an Engage event that decide something, and nothing else.

Decoding into these Structs gives an import most of its speed: what is not listed here is skipped
without becoming an object.
"""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

NO_PERSONAS = msgspec.Raw(b"null")


class Personas(msgspec.Struct, gc=False):
    """`context.personas`: what Engage says about the audience behind the event."""

    computation_class: Any = None
    computation_id: Any = None
    computation_key: Any = None
    space_id: Any = None
    external_audience_id: Any = None
    audience_settings: Any = None


class Context(msgspec.Struct, gc=False):
    """`context`, of which only the personas matter: as text, because long runs repeat it."""

    personas: msgspec.Raw = NO_PERSONAS


class Event(msgspec.Struct, gc=False, rename={"user_id": "userId"}):
    """One identify or track call. The fields are Any: a sender may put anything there."""

    type: Any = None
    user_id: Any = None
    timestamp: Any = None
    context: Context | None = None
    traits: Any = None
    properties: Any = None


def event_in(content: Mapping[str, Any]) -> Event:
    """Return the event from what was decoded without types.

    A context that is not an object counts as none. The personas stay as they were decoded, which
    `personas_in` understands.
    """
    context = content.get("context")
    personas = context.get("personas") if isinstance(context, dict) else None
    return Event(
        content.get("type"),
        content.get("userId"),
        content.get("timestamp"),
        Context(cast("msgspec.Raw", personas)) if isinstance(context, dict) else None,
        content.get("traits"),
        content.get("properties"),
    )


def personas_in(found: msgspec.Raw | Mapping[str, Any] | None) -> Personas | None:
    """Decode the personas of an event; None if there are none.

    Raises ValueError for a text that has to be decoded with care, or has another shape.
    """
    if isinstance(found, msgspec.Raw):
        return None if found == NO_PERSONAS else _decode_personas(found)
    if not isinstance(found, Mapping):
        return None
    return Personas(*[found.get(field) for field in Personas.__struct_fields__])


_decode_personas = msgspec.json.Decoder(Personas).decode
