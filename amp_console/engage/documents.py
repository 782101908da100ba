"""JSON files that are one document: a webhook's array of events, or a pretty-printed event."""

import json
import re
from collections.abc import Iterator

from amp_console.engage.batch import Batch, Tally
from amp_console.engage.intake import Intake
from amp_console.engage.reader import EventReader
from amp_console.values import Refusal

DOCUMENT_LIMIT = 256 * 1024 * 1024
BATCH_BYTES = 1024 * 1024

_TOO_LARGE = (
    "The file is one JSON document larger than 256 MiB. Nothing of it was read."
    " Write one event per line instead, and import that."
)
_BROKEN = (
    "The JSON document is broken from here on. The events before it were read."
    " Get the file again and import it again."
)
_SPACE = re.compile(r"[ \t\n\r]*")
# Faults inside an element (a raw newline in a text, say) are the reader's to find, one by one.
_decoder = json.JSONDecoder(strict=False)


def read_document(
    intake: Intake, reader: EventReader, limit: int = DOCUMENT_LIMIT
) -> Iterator[Batch]:
    """Read the elements of the document as if each stood on a line; lines are their numbers."""
    content = bytearray()
    for block in intake:
        content += block
        if len(content) > limit:
            yield Batch(refusals=[Refusal(0, _TOO_LARGE)])
            return
    text = content.decode("utf-8", "surrogateescape")
    del content

    number, size = 1, 0
    elements: list[bytes] = []
    closing = Tally()
    try:
        for element in elements_of(text):
            elements.append(element)
            size += len(element)
            if size >= BATCH_BYTES:
                yield reader.read(elements, number)
                number, size, elements = number + len(elements), 0, []
    except (ValueError, RecursionError):
        closing.refuse(number + len(elements), _BROKEN)
    yield reader.read(elements, number)
    if intake.trouble is not None:
        closing.refusals[:] = [intake.trouble.refusal(number + len(elements))]
    yield closing.batch()


def elements_of(text: str) -> Iterator[bytes]:
    """Cut out the elements of the arrays, and the objects, that the text consists of.

    Raises ValueError or RecursionError where the text is broken, after what stands before it.
    """
    at = _past_space(text, 0)
    while at < len(text):
        in_array = text[at] == "["
        if in_array:
            at = _past_space(text, at + 1)
        while not (in_array and text.startswith("]", at)):
            _, end = _decoder.raw_decode(text, at)
            yield text[at:end].encode("utf-8", "surrogateescape")
            at = _past_space(text, end)
            if not in_array:
                break
            if text.startswith(",", at):
                at = _past_space(text, at + 1)
            elif not text.startswith("]", at):
                raise ValueError
        at = _past_space(text, at + 1) if in_array else at


def _past_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at
