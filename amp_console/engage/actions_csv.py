"""The CSV files of Segment's "AWS S3 (Actions)" destination: one event per row, in columns.

The operator chooses the columns there; these are the default ones.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from amp_console.engage.batch import EventBatch, EventCounts
from amp_console.engage.reader import EventReader
from amp_console.engage.tables import BrokenCell, TableRow, batches, json_in
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
_ACTIONS = {"true": True, "false": False, "": None}  # spreadsheets write TRUE

COLUMNS = frozenset(_TEXT_FIELDS).union(
    _JSON_FIELDS,
    ("email", "integrations", "audience_name", "audience_id", "audience_space_id"),
    ("audience_action",),
)


def read_actions(rows: Iterator[TableRow | Refusal], reader: EventReader) -> Iterator[EventBatch]:
    """Judge the rows as the events that they were made from."""

    def enter(row: TableRow, counts: EventCounts) -> None:
        reader.judge(row.line, [event_of(row.cells, reader.fields)], counts)

    return batches(rows, enter)


def event_of(cells: Mapping[str, str], fields: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Assemble the event that a row was made from; `fields` may contain identifiers.

    Raises BrokenCell, but not for a cell that decides nothing. If the personas are not in the file,
    the audience columns have the same information.
    """
    event: dict[str, Any] = {
        field: cells[column] for column, field in _TEXT_FIELDS.items() if cells.get(column)
    }
    container = "properties" if event.get("type") == "track" else "traits"
    needed = {*fields, container, *({"context"} if not cells.get("audience_name") else ())}
    for column in _JSON_FIELDS:
        if cells.get(column, "").strip():
            try:
                event[column] = json_in(column, cells[column])
            except BrokenCell:
                if column in needed:
                    raise
    context = event.setdefault("context", {})
    if isinstance(context, dict) and "personas" not in context and cells.get("audience_name"):
        context["personas"] = {
            "computation_class": "audience",
            "computation_key": cells["audience_name"],
            "computation_id": cells.get("audience_id"),
            "space_id": cells.get("audience_space_id"),
        }
    _decide(event, container, cells.get("audience_action", ""))
    return event


def _decide(event: dict[str, Any], container: str, action: str) -> None:
    """Let the action decide who is in, if the event does not. Raises BrokenCell.

    Segment's rule reads the event's own traits or properties, and the destination fills the column
    from them. So the event counts if the two differ.
    """
    context = event["context"]
    personas = context.get("personas") if isinstance(context, dict) else None
    key = personas.get("computation_key") if isinstance(personas, dict) else None
    values = event.get(container)
    values = values if isinstance(values, dict) else {}
    if not isinstance(key, str) or isinstance(values.get(key), bool):
        return
    try:
        is_member = _ACTIONS[action.strip().casefold()]
    except KeyError:
        raise BrokenCell("the audience_action cell is neither true nor false") from None
    if is_member is not None:
        event[container] = {**values, key: is_member}
