"""Identifiers, one per line: a list of the members a cohort should have, from any program."""

import csv
from collections.abc import Callable, Iterator

from amp_console.engage.batch import EventBatch, EventCounts
from amp_console.engage.byte_stream import ByteStream
from amp_console.engage.identifiers import usable
from amp_console.engage.lines import TOO_LONG, lines_of
from amp_console.engage.reader import NOT_UTF8, TOO_LONG_A_LINE
from amp_console.engage.spreadsheets import DEFUSED, is_defused
from amp_console.values import AudienceRef, Change, IdType

SEVERAL = "several cells in a row; the list must have one identifier per line"
_TITLES = frozenset({"id", "ids", "identifier", "userid", "user id", "amplitude id"})


def read_identifiers(
    stream: ByteStream, key: str, id_type: IdType, taken_at: int
) -> Iterator[EventBatch]:
    """Read every line as a member at `taken_at` (microseconds since 1970), exactly as it is.

    A quoted identifier is unquoted as in a CSV file, blank lines are skipped, and so is a title in
    the first line. If the first line begins with a tab, as in Amplitude's exports, a tab before the
    first identifier is not part of the list.
    """
    enter = _entry(AudienceRef("", "", key), id_type, taken_at)
    number, margin = 1, ""
    for lines in lines_of(stream):
        counts = EventCounts()
        for line in lines:
            try:
                id_ = _identifier(line)
                if number == 1 and id_.startswith("\t"):
                    margin = "\t"
                id_ = id_.removeprefix(margin)
                is_title = number == 1 and id_.strip().casefold() in _TITLES
                if id_ and not is_title:
                    counts.changes.append(enter(id_, number))
            except ValueError as error:
                counts.refuse(number, str(error))
            number += 1
        yield counts.batch()
    if stream.trouble is not None:
        closing = EventCounts()
        closing.refusals.append(stream.trouble.refusal(number))
        yield closing.batch()


def _entry(audience: AudienceRef, id_type: IdType, at: int) -> Callable[[str, int], Change]:
    if id_type is IdType.USER_ID:
        return lambda id_, line: Change(audience, id_, None, True, at, line)
    return lambda id_, line: Change(audience, None, id_, True, at, line)


def _identifier(line: bytes) -> str:
    """The identifier in a line; "" if there is none. Raises ValueError if it can't be read."""
    if line is TOO_LONG:
        raise ValueError(TOO_LONG_A_LINE)
    try:
        text = line.removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        raise ValueError(NOT_UTF8) from None
    if text.startswith('"'):
        try:
            text, *others = next(csv.reader([text]), [""])
        except csv.Error:  # a carriage return behind the quotes
            raise ValueError(SEVERAL) from None
        if others:
            raise ValueError(SEVERAL)
    if is_defused(text):
        raise ValueError(f"the identifier {DEFUSED}")
    return "" if text.isspace() else usable(text)
