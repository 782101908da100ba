"""The parts of an Engage event that decide something, and nothing else of it.

Decoding into these Structs is most of the speed of an import: what is not named here is skipped
without becoming an object.
"""

from typing import Any

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
    """`context`, of which only the personas matter: as text, which repeats itself in long runs."""

    personas: msgspec.Raw = NO_PERSONAS


class Event(msgspec.Struct, gc=False, rename={"user_id": "userId"}):
    """One identify or track call. The fields are Any: whoever sent it may have sent anything."""

    type: Any = None
    user_id: Any = None
    timestamp: Any = None
    context: Context | None = None
    traits: Any = None
    properties: Any = None


def personas_in(text: msgspec.Raw) -> Personas | None:
    """Decode the personas of an event; None where they have no such shape."""
    try:
        return _decode_personas(text)
    except msgspec.ValidationError:
        return None


def regular(event: dict[str, Any]) -> bytes:
    """Write an event that was decoded without types as JSON that fits an Event.

    A context that is no object says nothing, so it can go.
    """
    context = event.get("context")
    return msgspec.json.encode(event if isinstance(context, dict) else {**event, "context": None})


_decode_personas = msgspec.json.Decoder(Personas).decode
