"""The rule that says whether an event puts a person into an audience or takes them out."""

import enum

from amp_console.engage.event import Event, Personas
from amp_console.values import AudienceRef

JOURNEY_STEP = "journey_step"
_JOURNEY_FIELDS = frozenset({"journey_context", "journey_metadata"})
_CLASSES = ("audience", JOURNEY_STEP)


class FilterReason(enum.StrEnum):
    """Why an event says nothing about a member: the counted reasons."""

    NOT_AN_AUDIENCE = "not an audience event"
    NO_EVENT = "not an audience event: it has no type, which every Segment event has"
    COMPUTED_TRAIT = "not an audience event: it is a computed trait"
    OTHER_AUDIENCE = "another audience"
    NO_KEY = "membership undetermined: the event names no audience"
    NO_BOOLEAN = "membership undetermined: neither true nor false under the audience's key"
    JOURNEY = "membership undetermined: a step of a Journey that says neither in nor out"
    FORGOTTEN = "about a person who was forgotten, and older than the deletion request"


def audience_of(personas: Personas | None) -> AudienceRef | FilterReason:
    """Return the audience that the personas of an event name, or why they name none."""
    if personas is None or personas.computation_class not in _CLASSES:
        return _reason(personas)
    key = personas.computation_key
    if not isinstance(key, str) or not key:
        return FilterReason.NO_KEY
    space_id, computation_id = personas.space_id, personas.computation_id
    return AudienceRef(
        space_id if isinstance(space_id, str) else "",
        computation_id if isinstance(computation_id, str) else "",
        key,
    )


def membership(event: Event, key: str) -> bool | FilterReason:
    """Return True for in, False for out, or the reason why the event says neither.

    The boolean is under the audience's key, in the traits of an identify and the properties
    of a track (Segment's Engage documentation). A track's name can be changed per audience, and
    other traits may be booleans too, so neither is looked at. A key with dots is a plain key.
    """
    if event.type == "identify":
        values = event.traits
    elif event.type == "track":
        values = event.properties
    else:
        return FilterReason.NOT_AN_AUDIENCE
    value = values.get(key) if isinstance(values, dict) else None
    return value if isinstance(value, bool) else FilterReason.NO_BOOLEAN


def undetermined(reason: FilterReason, event: Event, personas: Personas | None) -> FilterReason:
    """Return the reason more exactly, where the event is a Journey's.

    Journeys send the step that a person has reached. Only some of them say true or false under
    the step's key; event-triggered ones bring their context instead.
    """
    values = event.properties if isinstance(event.properties, dict) else {}
    is_step = personas is not None and personas.computation_class == JOURNEY_STEP
    is_journey = is_step or not _JOURNEY_FIELDS.isdisjoint(values)
    return FilterReason.JOURNEY if is_journey and reason is FilterReason.NO_BOOLEAN else reason


def _reason(personas: Personas | None) -> FilterReason:
    kind = personas.computation_class if personas else None
    if not isinstance(kind, str):
        return FilterReason.NOT_AN_AUDIENCE
    if kind.startswith("journey"):
        return FilterReason.JOURNEY
    return FilterReason.COMPUTED_TRAIT if kind.endswith("trait") else FilterReason.NOT_AN_AUDIENCE
