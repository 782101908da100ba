"""The CSV files of Segment's "AWS S3 (Actions)" destination: one event per row, in columns.

Which columns there are is the operator's choice there; these are the default ones.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from amp_console.engage.batch import Batch, Tally
from amp_console.engage.reader import EventReader
from amp_console.engage.tables import Row, batches, json_in
from amp_console.values import Refusal

_TEXT_FIELDS = {
    "event_type": "type",
    "event_name": "event",
    "user_id": "userId",
    "anonymous_id": "anonymousId",
    "message_id": "messageId",
    "timestamp": "timestamp",
}
_JSON_FIELDS = ("traits", "properties", "context")
_BOOLEANS = {"true": True, "false": False}

COLUMNS = frozenset(_TEXT_FIELDS).union(
    _JSON_FIELDS,
    ("email", "integrations", "audience_name", "audience_id", "audience_space_id"),
    ("audience_action",),
)


def read_actions(rows: Iterator[Row | Refusal], reader: EventReader) -> Iterator[Batch]:
    """Judge the rows as the events that they were made from."""

    def enter(row: Row, tally: Tally) -> None:
        reader.judge(row.line, [event_of(row.cells)], tally)

    return batches(rows, enter)


def event_of(cells: Mapping[str, str]) -> dict[str, Any]:
    """Assemble the event that a row was made from. Raises BrokenCell.

    Where its personas are not in the file, the audience columns say the same; where its traits
    or properties are not, `audience_action` does ("" is neither in nor out).
    """
    event: dict[str, Any] = {
        field: cells[column] for column, field in _TEXT_FIELDS.items() if cells.get(column)
    }
    for column in _JSON_FIELDS:
        if cells.get(column, "").strip():
            event[column] = json_in(column, cells[column])
    context = event.setdefault("context", {})
    if isinstance(context, dict) and "personas" not in context and cells.get("audience_name"):
        context["personas"] = {
            "computation_class": "audience",
            "computation_key": cells["audience_name"],
            "computation_id": cells.get("audience_id"),
            "space_id": cells.get("audience_space_id"),
        }
    container = "properties" if event.get("type") == "track" else "traits"
    action = _BOOLEANS.get(cells.get("audience_action", ""))
    if container not in cells and action is not None:
        personas = context.get("personas") if isinstance(context, dict) else None
        key = personas.get("computation_key") if isinstance(personas, dict) else None
        event[container] = {key: action} if isinstance(key, str) else None
    return event
