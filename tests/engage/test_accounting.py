"""Every event is exactly one of three: a change, filtered or invalid."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amp_console.engage import EventBatch, FieldMapping, ReadOptions
from amp_console.engage.batch import LISTED
from amp_console.engage.reader import BROKEN_LINE, EventReader
from tests.engage.events import PERSONAS, event, lines, members, read
from tests.examples import examples

FAULTS = [
    (b"oops", "not JSON: invalid character"),
    (b'{"type":"identify"', "not JSON: the line ends in the middle of an event"),
    (b'{"type":"identify"}}', "not JSON: other text follows the first value of the line"),
    (b'{"userId":"a\x01b"}', "not JSON: invalid character"),
    (b'{"userId":"a\x00b"}', "not JSON: invalid character"),
    (b'{"userId":NaN}', "not JSON: invalid character"),
    (b'{"userId":1e999x}', "not JSON: Expecting ',' delimiter"),
    (b'{"userId":"\\ud8"}', "not JSON: invalid character in unicode escape"),
    (b'"text"', "not a JSON object"),
    (b"7", "not a JSON object"),
    (b"null", "not a JSON object"),
    (b"[1]", "not a JSON object"),
    (b"[[{}]]", "not a JSON object"),
    (b'{"userId":\xff}', "not JSON: invalid character"),
    (b"[" * 100_000, "not JSON: the line ends in the middle of an event"),
]


@pytest.mark.parametrize(("line", "reason"), FAULTS, ids=[str(fault[0][:24]) for fault in FAULTS])
def test_a_broken_line_is_invalid_and_stops_nothing(line: bytes, reason: str) -> None:
    batch = read(lines(event("before"), line, event("after")))
    assert batch.refusals == [(2, reason)]
    assert members(batch) == ["before", "after"]


def test_a_broken_first_line_stops_nothing() -> None:
    batch = read(lines(b"oops", event("ana")))
    assert [refusal.line for refusal in batch.refusals] == [1]
    assert members(batch) == ["ana"]


def test_blank_lines_are_no_events_but_count_as_lines() -> None:
    batch = read(lines(b"", b"  \t", event("ana"), b"\r", event("ben")))
    assert [(change.user_id, change.line) for change in batch.changes] == [("ana", 3), ("ben", 5)]
    assert batch.read == 2


def test_carriage_returns_and_a_byte_order_mark_are_no_part_of_an_event() -> None:
    content = b"\xef\xbb\xbf" + lines(event("ana"), event("ben")).replace(b"\n", b"\r\n")
    assert members(read(content)) == ["ana", "ben"]


def test_a_last_line_needs_no_newline() -> None:
    assert members(read(lines(event("ana"), event("ben")).rstrip())) == ["ana", "ben"]


def test_an_array_on_a_line_is_as_many_events() -> None:
    odd = event("eve", context={"personas": PERSONAS, "externalIds": []})
    batch = read(lines([event("ana"), 7, {"type": "page"}, odd], [], event("ben")))
    assert [(change.user_id, change.line) for change in batch.changes] == [
        ("ana", 1),
        ("eve", 1),
        ("ben", 3),
    ]
    assert batch.refusals == [(1, "not a JSON object")]
    assert batch.filtered == {"not an audience event": 1}
    assert batch.read == 5


def test_other_audiences_are_filtered_on_request() -> None:
    other = event("ben", context={"personas": {**PERSONAS, "computation_key": "vips"}})
    content = lines(event("ana"), other, event("cem"))
    batch = read(content, ReadOptions(audience="shoppers"))
    assert members(batch) == ["ana", "cem"]
    assert batch.filtered == {"another audience": 1}
    assert batch.read == 3


def test_runs_of_audiences_do_not_mix() -> None:
    second = {**PERSONAS, "computation_id": "aud_2"}
    mixed = [event(str(n), context={"personas": second if n % 2 else PERSONAS}) for n in range(6)]
    changes = read(lines(*mixed)).changes
    assert [change.audience.computation_id for change in changes] == ["aud_1", "aud_2"] * 3


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["personas", "shoppers", "userId", "x"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
FIELDS = ["type", "userId", "timestamp", "context", "traits", "properties", "receivedAt"]


@st.composite
def corrupted(draw: st.DrawFn) -> dict[str, Any]:
    """An event with arbitrary values in some fields."""
    return event() | draw(st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=3))


def written(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


NOT_ARRAYS = ANYTHING.filter(lambda value: not isinstance(value, list))
LINES = st.lists(
    corrupted().map(written)
    | NOT_ARRAYS.map(written)
    | st.binary(max_size=20).filter(lambda line: b"\n" not in line and not line.startswith(b"[")),
    max_size=12,
)


@given(LINES)
@examples(75)
def test_every_event_is_accounted_for_exactly_once(mess: list[bytes]) -> None:
    mess = [written(event("first")), *mess]
    batch = read(lines(*mess))
    told = [change.line for change in batch.changes] + [bad.line for bad in batch.refusals]
    events = [number for number, line in enumerate(mess, 1) if line.strip()]
    assert len(told) == len(set(told))
    assert set(told) <= set(events)
    assert batch.read == len(events)


@given(corrupted())
@examples(75)
def test_an_event_is_judged_alike_on_a_line_and_in_an_array(odd: dict[str, Any]) -> None:
    # In the array it is decoded without types first, and put into shape.
    options = ReadOptions(mapping=FieldMapping.parse("$.userId", "$.context.personas.x"))
    assert read(lines(odd, event()), options) == read(lines([odd], event()), options)


@given(LINES, st.integers(2, 40))
def test_where_blocks_end_does_not_matter(mess: list[bytes], block_bytes: int) -> None:
    content = lines(event("first"), event("second"), *mess).removesuffix(b"\n")
    assert read(content, block_bytes=block_bytes) == read(content)


def in_batches(*texts: bytes) -> Sequence[EventBatch]:
    return list(EventReader(FieldMapping.parse()).batches(texts, 7))


@pytest.mark.parametrize("between", [b"", b"\r", b" , "], ids=["joined", "returns", "an array"])
def test_a_long_line_is_judged_in_pieces_and_the_later_of_its_events_is_the_later_change(
    between: bytes,
) -> None:
    events = [json.dumps(event(f"u{n % 7}")).encode() for n in range(25_000)]
    text = between.join(events)
    found = in_batches(b"[" + text + b"]" if between == b" , " else text)
    assert len(found) > 2
    assert max(batch.read for batch in found) <= LISTED
    changes = [change for batch in found for change in batch.changes]
    assert [change.user_id for change in changes] == [f"u{n % 7}" for n in range(25_000)]
    assert {change.line for change in changes} == {7}


def test_a_long_line_of_noise_is_counted_whole_and_listed_up_to_the_limit() -> None:
    found = in_batches(b"[" + b"1," * 40_000 + b"1]", b"{}")
    assert sum(batch.invalid for batch in found) == 40_001
    assert sum(len(batch.refusals) for batch in found) <= LISTED + len(found)
    assert sum(sum(batch.filtered.values()) for batch in found) == 1


def test_of_a_long_line_that_breaks_off_the_events_before_that_are_read() -> None:
    events = b",".join(json.dumps(event(f"u{n}")).encode() for n in range(500))
    found = in_batches(b"[" + events + b', {"userId": "cut')
    assert sum(len(batch.changes) for batch in found) == 500
    assert [refusal for batch in found for refusal in batch.refusals] == [(7, BROKEN_LINE)]
