"""What Segment's own destination left in the events of an audience it created."""

from typing import Any

from amp_console.engage.event import Personas
from amp_console.engage.json_text import is_text
from amp_console.values import AudienceHints, IdType

_ID_TYPES = {"BY_USER_ID": IdType.USER_ID, "BY_AMP_ID": IdType.AMPLITUDE_ID}


def hints_in(personas: Personas) -> AudienceHints | None:
    """Return the hints in an event; None if there are none. Unexpected shapes are ignored.

    Settings are called as in the destination's source: the name is `audience_name` there.
    """
    settings = personas.audience_settings
    if not isinstance(settings, dict):
        settings = {}
    id_type = _text(settings.get("id_type"))
    hints = AudienceHints(
        cohort_id=_text(personas.external_audience_id),
        id_type=_ID_TYPES.get(id_type) if id_type else None,
        cohort_name=_text(settings.get("cohort_name")) or _text(settings.get("audience_name")),
        owner_email=_text(settings.get("owner_email")),
    )
    return hints if hints != AudienceHints() else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() and is_text(value) else None
