"""The file of a cohort's members, record by record.

It is CSV with every cell quoted. With properties or groups, header and cells begin with a tab
inside the quotes. A person without a user ID has an empty cell (from Amplitude's Behavioral Cohorts
API page, and from real files).
"""

import csv
import io
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import NamedTuple

import msgspec

from amp_console.amplitude.errors import NoConnection, ServerTrouble
from amp_console.http import Unreachable

_AMPLITUDE_ID, _USER_ID = "amplitude_id", "user_id"
_MAX_RECORD = 1024 * 1024  # bytes; a longer one means that this is not a members file
AT_ONCE = 1024 * 1024  # bytes that are parsed at once

_PLAIN = re.compile(r'(?:"[0-9]*+","[^"\\\x00-\x1f]*+"\n)*+')
"""Records in which no character needs escaping in JSON, and no cell contains a separator."""


class CohortMembers(NamedTuple):
    """Some members of a cohort: their number, and a JSON object of User IDs by Amplitude ID.

    A User ID is "" if there is none.
    """

    people: int
    users: str


async def members_in(
    pieces: AsyncIterator[bytes], at_once: int = AT_ONCE
) -> AsyncGenerator[CohortMembers, None]:
    """Yield the members as the pieces of the file arrive, for at least `at_once` bytes at a time.

    Raises `ServerTrouble` if it is not a members file, `NoConnection` if it ends within a record or
    before its header.
    """
    reader = _RecordReader()
    waiting = bytearray()
    async for piece in pieces:
        waiting += piece
        if len(waiting) >= at_once:
            if (found := reader.feed(bytes(waiting))).people:
                yield found
            waiting.clear()
    for found in (reader.feed(bytes(waiting)), reader.finish()):
        if found.people:
            yield found


class _RecordReader:
    def __init__(self) -> None:
        self._rest = b""
        self._columns: tuple[int, int] | None = None
        self._has_plain_columns = False
        self._has_tabs = False

    def feed(self, piece: bytes) -> CohortMembers:
        text = self._rest + piece
        end = _end_of_records(text)
        self._rest = text[end:]
        if len(self._rest) > _MAX_RECORD:
            raise ServerTrouble
        return self._members(text[:end])

    def finish(self) -> CohortMembers:
        if self._rest.count(b'"') % 2:
            raise NoConnection(Unreachable.LOST)
        members = self._members(self._rest)
        if self._columns is None:
            raise NoConnection(Unreachable.LOST)
        return members

    def _members(self, records: bytes) -> CohortMembers:
        try:
            text = records.decode("utf-8")
            if self._columns is None:
                text = self._without_header(text)
            if self._columns is None:
                return CohortMembers(0, "{}")
            if self._has_plain_columns and _PLAIN.fullmatch(text):
                return CohortMembers(text.count("\n"), _plain_object(text))
            return self._parsed(text, *self._columns)
        except (UnicodeDecodeError, csv.Error, IndexError):
            raise ServerTrouble from None

    def _without_header(self, text: str) -> str:
        lines = io.StringIO(text, newline="")
        if header := next(csv.reader(lines, strict=True), None):
            self._read_header(header)
        return lines.read()

    def _parsed(self, text: str, amplitude_id: int, user_id: int) -> CohortMembers:
        """Read records in any form of CSV, which takes ten times as long."""
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        members = [(row[amplitude_id], row[user_id]) for row in rows if row]
        if self._has_tabs:
            members = [(_without_tab(id_), _without_tab(user)) for id_, user in members]
        return CohortMembers(len(members), _object(members))

    def _read_header(self, header: list[str]) -> None:
        self._has_tabs = any(cell.startswith("\t") for cell in header)
        names = [_without_tab(cell).strip().casefold() for cell in header]
        if _AMPLITUDE_ID not in names or _USER_ID not in names:
            raise ServerTrouble
        self._columns = names.index(_AMPLITUDE_ID), names.index(_USER_ID)
        self._has_plain_columns = names == [_AMPLITUDE_ID, _USER_ID]


def _plain_object(text: str) -> str:
    """Turn `_PLAIN` records into a JSON object by replacing the separators of their cells."""
    cells = text[:-1].replace('","', '":"').replace('"\n"', '","')
    return f"{{{cells}}}"


def _object(members: Iterable[tuple[str, str]]) -> str:
    return f"{{{','.join(f'{_json(id_)}:{_json(user)}' for id_, user in members)}}}"


def _json(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _without_tab(cell: str) -> str:
    return cell.removeprefix("\t")


def _end_of_records(text: bytes) -> int:
    """Where the last complete record ends: at a newline with all quotes before it closed."""
    end = text.rfind(b"\n") + 1
    quotes = text.count(b'"', 0, end)
    while quotes % 2:
        before = text.rfind(b"\n", 0, end - 1) + 1
        quotes -= text.count(b'"', before, end)
        end = before
    return end
