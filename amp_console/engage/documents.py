"""JSON files that are one document: a webhook's array of events, or a pretty-printed event."""

from collections.abc import Iterator

from amp_console.engage.batch import EventBatch, EventCounts
from amp_console.engage.byte_stream import ByteStream
from amp_console.engage.json_text import ELEMENT_LIMIT, DocumentSplitter
from amp_console.engage.reader import EventReader

_BROKEN = (
    "The JSON document is broken from this point on. The events before it were read."
    " Get the file again and import it again."
)


def elements_of(stream: ByteStream) -> Iterator[list[bytes]]:
    """Yield the elements that each block completes; what follows a broken one is left out."""
    splitter = DocumentSplitter(unwraps=True, limit=ELEMENT_LIMIT)
    for block in stream:
        yield splitter.push(block)
    yield [splitter.rest] if splitter.is_inside else []


def read_document(
    stream: ByteStream, reader: EventReader, limit: int = ELEMENT_LIMIT
) -> Iterator[EventBatch]:
    """Read the elements of the document as if each was on a line; lines are their numbers.

    No more than a block and one element is in memory, so a document may be of any size.
    """
    splitter = DocumentSplitter(unwraps=True, limit=limit)
    number = 1
    for block in stream:
        elements = splitter.push(block)
        yield from reader.batches(elements, number)
        number += len(elements)
        if splitter.is_broken:
            break
    closing = EventCounts()
    if stream.trouble is not None:
        closing.refusals.append(stream.trouble.refusal(number))
    elif splitter.is_inside and not splitter.is_broken and stream.may_grow:
        stream.is_cut = True
    elif splitter.is_broken or splitter.is_inside:
        closing.refuse(number, _BROKEN)
    yield closing.batch()
