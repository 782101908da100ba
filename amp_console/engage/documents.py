"""JSON files that are one document: a webhook's array of events, or a pretty-printed event."""

import json
import re
from collections.abc import Iterator

from amp_console.engage.batch import Batch, Tally, batched
from amp_console.engage.intake import Intake
from amp_console.engage.json_text import ELEMENT_LIMIT, DocumentSplitter
from amp_console.engage.reader import EventReader

_BROKEN = (
    "The JSON document is broken from here on. The events before it were read."
    " Get the file again and import it again."
)
_SPACE = re.compile(r"[ \t\n\r]*")
# Faults inside an element (a raw newline in a text, say) are the reader's to find, one by one.
# Numbers are cut out as texts: int refuses those of more than 4,300 digits.
_decoder = json.JSONDecoder(strict=False, parse_int=str, parse_float=str)


def read_document(
    intake: Intake, reader: EventReader, limit: int = ELEMENT_LIMIT
) -> Iterator[Batch]:
    """Read the elements of the document as if each was on a line; lines are their numbers.

    No more than a block and one element is held, so a document may be of any size.
    """
    splitter = DocumentSplitter(unwraps=True, limit=limit)
    number = 1
    for block in intake:
        elements = splitter.push(block)
        for some in batched(elements):
            yield reader.read(some, number)
            number += len(some)
        if splitter.is_broken:
            break
    closing = Tally()
    if intake.trouble is not None:
        closing.refusals.append(intake.trouble.refusal(number))
    elif splitter.is_inside and not splitter.is_broken and intake.may_grow:
        intake.is_cut = True
    elif splitter.is_broken or splitter.is_inside:
        closing.refuse(number, _BROKEN)
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
