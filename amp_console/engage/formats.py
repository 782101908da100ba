"""The format of a source, detected from its beginning."""

import enum
from typing import NamedTuple

from amp_console.engage.actions_csv import COLUMNS
from amp_console.engage.audience_csv import AMPLITUDE_ID, EXTERNAL_IDS, USER_ID
from amp_console.engage.byte_stream import GZIP_MAGIC, UTF16
from amp_console.engage.json_text import BOM, documents_in
from amp_console.engage.lines import is_whole_json
from amp_console.engage.tables import Header, cells_of, header_in

_BINARY = (
    "It contains binary data, not text. Nothing was read. Choose a JSON or CSV file, plain or "
    "gzipped."
)
_SEPARATOR = (b"sep=", b'"sep=')
MEMBERS = frozenset({"key", EXTERNAL_IDS, USER_ID, AMPLITUDE_ID})


class UnreadableSource(Exception):
    """A source that can't be read at all; the text says why, and what to do.

    `missing` names the fields of `ReadOptions` with which it may be readable.
    """

    def __init__(self, reason: str, missing: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.missing = missing

    def with_name(self, name: str) -> "UnreadableSource":
        """The same trouble, with the name of the source in the text."""
        return UnreadableSource(f"{name} can't be read. {self}", self.missing)


class SourceKind(enum.StrEnum):
    """What a source contains, and therefore how it is read."""

    NDJSON = "one JSON event per line"
    JSON_ARRAY = "a JSON array of events"
    ACTIONS_CSV = "a CSV of events"
    AUDIENCE_CSV = "a CSV of an audience's members"
    IDENTIFIERS = "a list of identifiers"

    @property
    def lists_members(self) -> bool:
        """Whether it holds members of one audience, and not events."""
        match self:
            case SourceKind.AUDIENCE_CSV | SourceKind.IDENTIFIERS:
                return True
            case SourceKind.NDJSON | SourceKind.JSON_ARRAY | SourceKind.ACTIONS_CSV:
                return False


class Format(NamedTuple):
    """A kind of source; the CSV kinds have a header."""

    kind: SourceKind
    header: Header = Header(())


def is_enough(head: bytes) -> bool:
    """Whether a beginning suffices: one line, and whether another follows."""
    first, _, rest = head.lstrip().replace(b"\r", b"\n").partition(b"\n")
    if first.lower().startswith(_SEPARATOR):
        rest = rest.strip().partition(b"\n")[2]
    return bool(rest.strip())


def has_lone_returns(head: bytes) -> bool:
    """Whether the lines end in carriage returns alone, as old spreadsheets write them."""
    return b"\r" in head.strip() and b"\n" not in head and head.lstrip()[:1] not in b"{["


def format_of(
    head: bytes, chosen_columns: frozenset[str] = frozenset(), *, is_list: bool = False
) -> Format:
    """Detect the format. `chosen_columns` are those an audience CSV is to be read by.

    `is_list`: it lists an audience's members, as such a CSV or one to a line. Raises
    UnreadableSource for what is none of the formats.
    """
    first, _, rest = head.strip().partition(b"\n")
    if b"\0" in first:
        raise UnreadableSource(_BINARY)
    text = head.decode("utf-8", "replace").strip()
    if is_list:
        return _list(text)
    if first.startswith(b"["):
        lines = rest and is_whole_json(first)
        return Format(SourceKind.NDJSON if lines else SourceKind.JSON_ARRAY)
    if first.rstrip() == b"{" and rest:  # pretty-printed
        return Format(SourceKind.JSON_ARRAY)
    if first.startswith(b"{") or not first:
        return Format(SourceKind.NDJSON)
    table = _table(text, chosen_columns)
    if table is not None:
        return table
    if rest.lstrip().startswith((b"{", b"[")):  # one broken line never stops a file
        return Format(SourceKind.NDJSON)
    if b"\0" in head:
        raise UnreadableSource(_BINARY)
    raise UnreadableSource(
        "Its format is unknown. Nothing was read. Choose a file of JSON events, a CSV of the"
        " AWS S3 (Actions) destination, or Segment's CSV download of an audience. If it lists "
        "members in a column with another name, choose it as the column of User IDs.",
        missing=("user_id_column",),
    )


def grows(head: bytes, chosen_columns: frozenset[str] = frozenset()) -> bool | None:
    """Return how to follow a file that may still be written to, from its beginning.

    True: one event per line, each of which is read as it arrives. False: the file is read once it
    is complete (gzip, a table, one JSON document). None: there is too little to decide. Raises
    UnreadableSource for any other format. The name of a file does not matter: destinations name
    their CSVs .txt.
    """
    if head.startswith((GZIP_MAGIC, *UTF16)):
        return False
    head = head.removeprefix(BOM).lstrip()
    if has_lone_returns(head):
        head = head.replace(b"\r", b"\n")
    if b"\n" not in head and not documents_in(head)[0]:
        return None
    return format_of(head, chosen_columns).kind is SourceKind.NDJSON


def _list(text: str) -> Format:
    first, is_json = text.partition("\n")[0], text.startswith(("{", "["))
    table = None if is_json else _table(text)
    if table is None and not is_json:
        if "\0" in text:
            raise UnreadableSource(_BINARY)
        if any(len(cells_of(first, mark)) > 1 for mark in ",\t;"):
            raise UnreadableSource(
                "It has several columns, but none called user_id or amplitude_id. Nothing was "
                "read. Rename one of them, or keep only the identifiers, one per line."
            )
        return Format(SourceKind.IDENTIFIERS)
    if table is None or not table.kind.lists_members:
        raise UnreadableSource(
            "It contains events, not a list of members. Nothing was read. Import it, then compare "
            "without a list."
        )
    return table


def _table(text: str, chosen_columns: frozenset[str] = frozenset()) -> Format | None:
    header = header_in(text, COLUMNS | MEMBERS | chosen_columns)
    events = header.renamed(COLUMNS)
    if "event_type" in events.columns:
        return Format(SourceKind.ACTIONS_CSV, events)
    if not COLUMNS.difference({USER_ID, "email"}).isdisjoint(header.columns):
        raise UnreadableSource(
            "It is a CSV of events without an event_type column. Nothing was read."
            " Add that column to the AWS S3 (Actions) destination, and export again."
        )
    members = header.renamed(MEMBERS, chosen_columns)
    if not (MEMBERS | chosen_columns).isdisjoint(members.columns):
        return Format(SourceKind.AUDIENCE_CSV, members)
    return None
