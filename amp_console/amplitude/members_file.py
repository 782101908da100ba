"""The file of a cohort's members, record by record.

CSV with every cell quoted; with properties or groups, header and cells begin with a tab inside the
quotes. A person without a user ID has an empty cell (Amplitude's Behavioral Cohorts API page, and
files seen).
"""

import csv
import io
from collections.abc import AsyncGenerator, AsyncIterator
from typing import NamedTuple

from amp_console.amplitude.errors import NoConnection, ServerTrouble
from amp_console.http import Unreachable

_AMPLITUDE_ID, _USER_ID = "amplitude_id", "user_id"
_MAX_RECORD = 1024 * 1024  # bytes; a longer one means that this is no such file


class CohortMember(NamedTuple):
    """One person in a cohort; `user_id` is "" if there is none."""

    amplitude_id: str
    user_id: str


async def members_in(pieces: AsyncIterator[bytes]) -> AsyncGenerator[list[CohortMember], None]:
    """Yield the members that each piece completes.

    Raises `ServerTrouble` for what is no such file, `NoConnection` where it breaks off within a
    record or before its header.
    """
    reader = _RecordReader()
    async for piece in pieces:
        if members := reader.feed(piece):
            yield members
    if members := reader.finish():
        yield members


class _RecordReader:
    def __init__(self) -> None:
        self._rest = b""
        self._columns: tuple[int, int] | None = None
        self._has_tabs = False

    def feed(self, piece: bytes) -> list[CohortMember]:
        text = self._rest + piece
        end = _end_of_records(text)
        self._rest = text[end:]
        if len(self._rest) > _MAX_RECORD:
            raise ServerTrouble
        return self._members(text[:end])

    def finish(self) -> list[CohortMember]:
        if self._rest.count(b'"') % 2:
            raise NoConnection(Unreachable.LOST)
        members = self._members(self._rest)
        if self._columns is None:
            raise NoConnection(Unreachable.LOST)
        return members

    def _members(self, records: bytes) -> list[CohortMember]:
        try:
            rows = csv.reader(io.StringIO(records.decode("utf-8"), newline=""), strict=True)
            if self._columns is None and (header := next(rows, None)):
                self._read_header(header)
            if self._columns is None:
                return []
            amplitude_id, user_id = self._columns
            members = [CohortMember(row[amplitude_id], row[user_id]) for row in rows if row]
        except (UnicodeDecodeError, csv.Error, IndexError):
            raise ServerTrouble from None
        if self._has_tabs:
            return [
                CohortMember(_without_tab(member[0]), _without_tab(member[1])) for member in members
            ]
        return members

    def _read_header(self, header: list[str]) -> None:
        self._has_tabs = any(cell.startswith("\t") for cell in header)
        names = [_without_tab(cell).strip().casefold() for cell in header]
        if _AMPLITUDE_ID not in names or _USER_ID not in names:
            raise ServerTrouble
        self._columns = names.index(_AMPLITUDE_ID), names.index(_USER_ID)


def _without_tab(cell: str) -> str:
    return cell.removeprefix("\t")


def _end_of_records(text: bytes) -> int:
    """Where the last whole record ends: a newline with all quotes before it closed."""
    end = text.rfind(b"\n") + 1
    while end and text.count(b'"', 0, end) % 2:
        end = text.rfind(b"\n", 0, end - 1) + 1
    return end
