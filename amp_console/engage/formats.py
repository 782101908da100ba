"""Which of the formats a source has, told from its beginning."""

import codecs
import enum
from typing import NamedTuple

from amp_console.engage.actions_csv import COLUMNS
from amp_console.engage.audience_csv import AMPLITUDE_ID, EXTERNAL_IDS, USER_ID
from amp_console.engage.intake import GZIP_MAGIC
from amp_console.engage.json_text import BOM, documents_in
from amp_console.engage.lines import is_whole_json
from amp_console.engage.tables import columns_in

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_MEMBERS = frozenset({"key", EXTERNAL_IDS, USER_ID, AMPLITUDE_ID})


class UnreadableSource(Exception):
    """A source of which nothing can be read; the text says why, and what to do."""


class SourceKind(enum.StrEnum):
    """What a source holds, and so how it is read."""

    NDJSON = "one JSON event per line"
    JSON_ARRAY = "a JSON array of events"
    ACTIONS_CSV = "a CSV of events"
    AUDIENCE_CSV = "a CSV of an audience's members"
    IDENTIFIERS = "a list of identifiers"


class Format(NamedTuple):
    """A kind of source; the CSV kinds have columns."""

    kind: SourceKind
    columns: tuple[str, ...] = ()
    delimiter: str = ","


def is_enough(head: bytes) -> bool:
    """Tell whether a beginning suffices: it takes one line, and whether another follows."""
    return bool(head.lstrip().partition(b"\n")[2].strip())


def format_of(
    head: bytes, chosen_columns: frozenset[str] = frozenset(), *, is_list: bool = False
) -> Format:
    """Tell the format. `chosen_columns` are those an audience CSV is to be read by.

    `is_list`: it lists an audience's members, as such a CSV or one to a line. Raises
    UnreadableSource for what is none of the formats.
    """
    if head.startswith(_UTF16):
        raise UnreadableSource("It is UTF-16 text. Nothing was read. Save it as UTF-8.")
    first, _, rest = head.strip().partition(b"\n")
    if b"\0" in (first if first.startswith((b"{", b"[")) else head):
        raise UnreadableSource(
            "It holds binary data, not text. Nothing was read."
            " Name a JSON or CSV file, plain or gzipped."
        )
    if is_list:
        return _list(first)
    if first.startswith(b"["):
        lines = rest and is_whole_json(first)
        return Format(SourceKind.NDJSON if lines else SourceKind.JSON_ARRAY)
    if first.rstrip() == b"{" and rest:  # pretty-printed
        return Format(SourceKind.JSON_ARRAY)
    if first.startswith(b"{") or not first:
        return Format(SourceKind.NDJSON)
    table = _table(first.decode("utf-8", "replace"), chosen_columns)
    if table is not None:
        return table
    if rest.lstrip().startswith((b"{", b"[")):  # one broken line never stops a file
        return Format(SourceKind.NDJSON)
    raise UnreadableSource(
        "Its format is unknown. Nothing was read. Name a file of JSON events, a CSV of the"
        " AWS S3 (Actions) destination, or Segment's CSV download of an audience."
    )


def grows(head: bytes, chosen_columns: frozenset[str] = frozenset()) -> bool | None:
    """Tell how a file is followed that may still be written to, by how it begins.

    True: events to a line, each of which is read as it comes. False: it is read once it is whole
    (gzip, a table, one JSON document). None: too little is there to tell. Raises UnreadableSource
    for what is none of the formats. The name of a file says nothing: destinations name their
    CSVs .txt.
    """
    head = head.removeprefix(BOM).lstrip()
    if head.startswith(GZIP_MAGIC):
        return False
    if b"\n" not in head and not documents_in(head)[0]:
        return None
    return format_of(head, chosen_columns).kind is SourceKind.NDJSON


def _list(first: bytes) -> Format:
    table = None if first.startswith((b"{", b"[")) else _table(first.decode("utf-8", "replace"))
    if table is None and not first.startswith((b"{", b"[")):
        if not first.startswith(b'"') and any(mark in first for mark in (b",", b"\t", b";")):
            raise UnreadableSource(
                "It has several columns, and none of them is user_id or amplitude_id. Nothing was"
                " read. Name one of them so, or leave the identifiers alone, one to a line."
            )
        return Format(SourceKind.IDENTIFIERS)
    if table is None or table.kind is not SourceKind.AUDIENCE_CSV:
        raise UnreadableSource(
            "It holds events, and no list of members. Nothing was read. Import it, and compare"
            " with what the ledger wants then."
        )
    return table


def _table(header: str, chosen_columns: frozenset[str] = frozenset()) -> Format | None:
    columns, delimiter = columns_in(header, COLUMNS | _MEMBERS | chosen_columns)
    if "event_type" in columns:
        return Format(SourceKind.ACTIONS_CSV, tuple(columns), delimiter)
    if not COLUMNS.difference({USER_ID, "email"}).isdisjoint(columns):
        raise UnreadableSource(
            "It is a CSV of events without a column event_type. Nothing was read."
            " Add that column to the AWS S3 (Actions) destination, and export again."
        )
    if not (_MEMBERS | chosen_columns).isdisjoint(columns):
        return Format(SourceKind.AUDIENCE_CSV, tuple(columns), delimiter)
    return None
