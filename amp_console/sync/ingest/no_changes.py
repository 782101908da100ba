"""What a file looks like whose events change no membership, so that it is not read in vain."""

from collections.abc import Mapping

from amp_console.engage.membership import FilterReason
from amp_console.text import plural

_LOOKS_LIKE = {
    FilterReason.NO_EVENT: (
        "They have no type, so they are not Segment events, nor in an envelope that amp-console "
        "knows (EventBridge, Kinesis, SQS, SNS, Pub/Sub, batch). Name a file of the events that "
        "Engage sends"
    ),
    FilterReason.NOT_AN_AUDIENCE: (
        "They look like ordinary Segment events: context.personas names no audience. Name a file "
        "of the events that Engage sends to its destinations"
    ),
    FilterReason.COMPUTED_TRAIT: (
        "They are computed traits. Name a file of the events of an audience"
    ),
    FilterReason.JOURNEY: (
        "They are steps of a Journey (V1, or event-triggered) that say neither true nor false, so "
        "they can't be read as memberships. Sync an audience of the same people instead"
    ),
    FilterReason.OTHER_AUDIENCE: (
        "They belong to other audiences than the one you named. Check its key"
    ),
    FilterReason.NO_KEY: "They name no audience: context.personas.computation_key is missing",
    FilterReason.NO_BOOLEAN: (
        "Their traits or properties hold neither true nor false under the audience's key. Check "
        "which fields the destination's mapping sends"
    ),
}


def nothing_taken(name: str, filtered: Mapping[str, int]) -> str:
    """Say that a source gave no change, and what most of its events look like."""
    reason, _ = max(filtered.items(), key=lambda item: item[1])
    events = plural(sum(filtered.values()), "event")
    return f"{name}: no change in {events}. {_LOOKS_LIKE[FilterReason(reason)]}."
