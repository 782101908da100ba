"""Segment's CSV download of one audience: its members at one moment, and nothing about exits."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

from amp_console.engage.batch import EventBatch, EventCounts
from amp_console.engage.identifiers import BROKEN_IDENTIFIER, identifier
from amp_console.engage.json_text import is_text
from amp_console.engage.spreadsheets import DEFUSED, is_defused
from amp_console.engage.tables import BrokenCell, TableRow, batches, json_in
from amp_console.values import AudienceRef, Change, Refusal

EXTERNAL_IDS = "external_ids"
USER_ID = "user_id"
AMPLITUDE_ID = "amplitude_id"

_TYPOGRAPHIC = str.maketrans("“”", '""')  # older downloads hold them in external_ids


class MemberColumns:
    """The columns of a member's identifiers: a column and its numbered ones, or external_ids."""

    def __init__(self, columns: Sequence[str], name: str) -> None:
        further = re.compile(re.escape(name) + r"(_[0-9]+)?")
        self.name = name
        self._columns = [column for column in columns if further.fullmatch(column)]
        self.exist = bool(self._columns) or EXTERNAL_IDS in columns

    def values_in(self, cells: Mapping[str, str]) -> list[str]:
        """Return every identifier of this kind in the row, once.

        Raises BrokenCell or UnusableIdentifier.
        """
        values: list[object] = [cells[column] for column in self._columns]
        if not self._columns:
            values = self._external(cells[EXTERNAL_IDS])
        ids = list(dict.fromkeys(text for value in values if (text := identifier(value))))
        if not all(map(is_text, ids)):
            raise BrokenCell(BROKEN_IDENTIFIER)
        if any(map(is_defused, ids)):
            raise BrokenCell(f"{self.name} {DEFUSED}")
        return ids

    def _external(self, cell: str) -> list[object]:
        if not cell.strip():
            return []
        try:
            ids = json_in(EXTERNAL_IDS, cell)
        except BrokenCell:
            ids = json_in(EXTERNAL_IDS, cell.translate(_TYPOGRAPHIC))
        values = ids.get(self.name) if isinstance(ids, dict) else None
        return values if isinstance(values, list) else [values]


def read_members(
    rows: Iterator[TableRow | Refusal],
    kinds: Sequence[MemberColumns | None],
    key: str,
    taken_at: int,
) -> Iterator[EventBatch]:
    """Read every row as an entry into the audience at `taken_at` (microseconds since 1970).

    `kinds` are the columns of the User ID and of the Amplitude ID, in this order.
    """
    audience = AudienceRef("", "", key)
    missing = f"no {' or '.join(kind.name for kind in kinds if kind)} in this row"

    def enter(row: TableRow, counts: EventCounts) -> None:
        found = [kind.values_in(row.cells) if kind else [] for kind in kinds]
        for user_id, amplitude_id in zip_longest(*found):
            change = Change(audience, user_id, amplitude_id, True, taken_at, row.line)
            counts.changes.append(change)
        if not any(found):
            counts.refuse(row.line, missing)

    return batches(rows, enter)
