"""Webhook batches and pretty-printed events: files that are one JSON document."""

import gzip
import io
import json
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amp_console.engage import FieldMapping, SourceKind, UnreadableSource
from amp_console.engage.batch import LISTED
from amp_console.engage.byte_stream import ByteStream
from amp_console.engage.documents import read_document
from amp_console.engage.reader import EventReader
from amp_console.engage.source import BLOCK_BYTES
from tests.engage.events import event, members, opened, read

USERS = ["ana", "ben", "çem"]
EVENTS = [event(user) for user in USERS]
BROKEN = "The JSON document is broken from this point on. The events before it were read."


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(EVENTS),
        json.dumps(EVENTS) + "\n\n",
        json.dumps(EVENTS, indent=2),
        json.dumps(EVENTS, indent=2).replace("\n", "\r\n"),
        "\ufeff\n " + json.dumps(EVENTS, ensure_ascii=False, indent="\t"),
        "[" + ",\n".join(map(json.dumps, EVENTS)) + "]",
        "\n".join(json.dumps(one, indent=2) for one in EVENTS),
    ],
    ids=["a line", "a line and more", "pretty", "crlf", "bom", "an event per line", "concatenated"],
)
@pytest.mark.parametrize("block_bytes", [2, 1 << 20])
def test_elements_are_events_numbered_from_one(text: str, block_bytes: int) -> None:
    with opened(text.encode(), block_bytes=block_bytes) as source:
        assert source.kind is SourceKind.JSON_ARRAY
    batch = read(text.encode(), block_bytes=block_bytes)
    assert [(change.user_id, change.line) for change in batch.changes] == [
        ("ana", 1),
        ("ben", 2),
        ("çem", 3),
    ]
    assert batch.read == 3


def test_a_pretty_printed_event_is_one_event() -> None:
    assert members(read(json.dumps(event("ana"), indent=2).encode())) == ["ana"]


def test_lines_of_arrays_are_no_document() -> None:
    content = "\n".join([json.dumps(EVENTS[:2]), json.dumps(EVENTS[2:])]).encode()
    with opened(content) as source:
        assert source.kind is SourceKind.NDJSON
    assert [change.line for change in read(content).changes] == [1, 1, 2]


@pytest.mark.parametrize("text", ["[]", "[\n]", "[ ]\n"])
def test_an_empty_array_holds_no_events(text: str) -> None:
    assert read(text.encode()).read == 0


def test_an_element_that_is_no_event_stops_nothing() -> None:
    odd = b'[\n{"userId":oops}, 7, {"a":"\x01"}, {"a":NaN}, ' + json.dumps(EVENTS[0]).encode()
    batch = read(odd + b"]")
    assert [refusal.line for refusal in batch.refusals] == [1, 2, 3, 4]
    assert [(change.user_id, change.line) for change in batch.changes] == [("ana", 5)]


@pytest.mark.parametrize(
    "tail",
    ["", ",", ",{", ',{"type":', ",oops]", " {}]", "} ,", "," + "[" * 100_000],
    ids=lambda tail: tail[:9],
)
def test_elements_before_the_damage_are_read_and_the_damage_is_reported_once(tail: str) -> None:
    text = json.dumps(EVENTS, indent=1).rstrip("]\n") + tail
    batch = read(text.encode())
    assert members(batch) == USERS
    [refusal] = batch.refusals
    assert refusal.line == 4
    assert refusal.reason.startswith(BROKEN)


def test_something_after_the_array_is_reported() -> None:
    batch = read(json.dumps(EVENTS, indent=1).encode() + b" oops")
    assert members(batch) == USERS
    assert [refusal.line for refusal in batch.refusals] == [4]


def test_an_element_past_the_limit_is_refused_alone() -> None:
    elements = [EVENTS[0], {"x": ["y" * 400]}, EVENTS[1]]
    intake = ByteStream(io.BytesIO(json.dumps(elements).encode()), 64)
    batches = list(read_document(intake, EventReader(FieldMapping.parse()), limit=350))
    refusals = [refusal for batch in batches for refusal in batch.refusals]
    assert refusals == [(2, "longer than 32 MiB")]
    assert [change.user_id for batch in batches for change in batch.changes] == ["ana", "ben"]


@pytest.mark.parametrize(
    ("begin", "repeated", "size", "most"),
    [
        (b"[", b'"' + b"x" * 5_000 + b'",\n', 12, 8),
        (b"[", b'{"x":[[[[[[[],[],"' + b"x" * 9_000 + b'"]]]]]]},', 20, 16),
        (b'[{"x":"', b"x" * 1_000, 40, 80),  # an element may have 32 MiB
        (b"[[", b'"' + b"x" * 9_000 + b'",', 40, 80),
        (b"", b"x" * 1_000, 40, 48),
    ],
    ids=["many texts", "many events", "one long text", "one long array", "one long line"],
)
def test_what_a_file_unpacks_to_takes_little_memory(
    begin: bytes, repeated: bytes, size: int, most: int
) -> None:
    """A few kilobytes that decompress to so many MiB."""
    packed = gzip.compress(begin + repeated * ((size << 20) // len(repeated)) + b"1", 1)
    tracemalloc.start()
    try:
        with suppress(UnreadableSource), opened(packed) as source:
            assert sum(batch.read for batch in source) > 0
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most << 20


def test_past_the_limit_refusals_are_counted_and_each_reason_is_listed() -> None:
    document = read(b"[" + b"1," * (3 * LISTED) + b"{}]")
    assert (document.read, document.invalid) == (3 * LISTED + 1, 3 * LISTED)
    line = b"[" + b"1," * (LISTED + 50) + json.dumps(event(None)).encode() + b"]\n"
    batch = read(line + b"{}\n")
    assert (batch.read, batch.invalid) == (LISTED + 52, LISTED + 51)
    assert len(batch.refusals) == LISTED + 2
    assert sorted(batch.unlisted.values()) == [0, 49]


def test_a_large_document_comes_in_several_batches() -> None:
    events = [event(str(n), traits={"shoppers": True, "x": "x" * 1000}) for n in range(3_000)]
    with opened(json.dumps(events).encode()) as source:
        batches = list(source)
    assert len(batches) > 2
    assert max(len(batch.changes) for batch in batches) * 1000 < BLOCK_BYTES
    changes = [change for batch in batches for change in batch.changes]
    assert [change.line for change in changes] == list(range(1, 3_001))


TEXTS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")


@given(st.lists(st.text(TEXTS, min_size=1).filter(str.strip)))
def test_whatever_the_identifiers_hold_the_elements_are_reported_apart(users: list[str]) -> None:
    text = json.dumps([event(user) for user in users], ensure_ascii=False, indent=1)
    assert members(read(text.encode())) == users
