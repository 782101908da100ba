"""Webhook bodies: split only by brackets and strings, and signed as by Segment."""

import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amp_console.engage.webhook import (
    DEEPEST,
    LARGEST_EVENT,
    STEP,
    BrokenBody,
    EventTooLarge,
    cut_events,
    is_signed,
)

SECRET = "not-a-secret"  # obviously fake

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
spaces = st.text(" \t\r\n", max_size=3)


def events_in(body: bytes) -> list[bytes]:
    return [event for step in cut_events(body) for event in step]


def signature(text: bytes) -> str:
    return hmac.new(SECRET.encode(), text, hashlib.sha1).hexdigest()


@given(st.lists(values, max_size=6), spaces, st.booleans())
def test_events_are_cut_where_json_ends_them(
    events: list[object], space: str, is_ascii: bool
) -> None:
    texts = [json.dumps(event, ensure_ascii=is_ascii).encode("utf-8") for event in events]
    padded = space.encode()
    inner = (padded + b"," + padded).join(texts)
    body = padded + b"[" + padded + inner + padded + b"]" + padded
    assert events_in(body) == texts
    assert is_signed(body, signature(body), SECRET)
    assert bool(texts) is is_signed(body, signature(texts[0] if texts else b"?"), SECRET)


@given(st.lists(values, max_size=6), spaces)
def test_an_event_that_is_broken_spoils_no_other(events: list[object], space: str) -> None:
    texts = [json.dumps(event).encode() for event in events]
    broken = b'{"a":nope}'
    inner = (space.encode() + b"," + space.encode()).join([*texts, broken])
    assert events_in(b"[" + inner + b"]") == [*texts, broken]


@given(st.dictionaries(st.text(), values, max_size=4), spaces)
def test_one_event_is_the_body(event: dict[str, object], space: str) -> None:
    text = json.dumps(event).encode()
    body = space.encode() + text + space.encode()
    assert events_in(body) == [text]
    assert is_signed(body, signature(text), SECRET)


@given(st.binary(max_size=60) | st.text('[]{},:"\\ 1n', max_size=40).map(str.encode))
def test_any_other_body_is_refused_and_nothing_else_goes_wrong(body: bytes) -> None:
    is_signed(body, "x", SECRET)
    try:
        events_in(body)
    except (BrokenBody, EventTooLarge):
        return
    assert body.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n").startswith((b"{", b"["))


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"NaN",
        b"[NaN]",
        b'{"a":NaN}',
        b'{"a":"\\ud83d","n":NaN}',
        b'{"a":"\xff"}',
        b"[1,]",
        b"[,1]",
        b"[1 2]",
        b"[01]",
        b'["open]',
        b'["open\\"]',
        b'{"a":1}]',
        b"[" * (DEEPEST + 2) + b"?" + b"]" * (DEEPEST + 2),
        b"[" * 100_000 + b"]" * 100_000,
        b"[" * 1_000_000,
        b'"\\' * 500_000,
    ],
)
def test_a_broken_body_is_refused(body: bytes) -> None:
    with pytest.raises(BrokenBody):
        events_in(body)


@pytest.mark.parametrize("body", [b"[1] [2]", b'{"a":1}{"a":2}', b"[]\n[]", b"[1]x"])
def test_several_documents_are_refused(body: bytes) -> None:
    with pytest.raises(BrokenBody, match="several JSON documents"):
        events_in(body)


def test_a_byte_order_mark_is_no_part_of_the_first_event() -> None:
    body = b"\xef\xbb\xbf" + b'[{"a":1}]'
    assert events_in(body) == [b'{"a":1}']
    assert is_signed(body, signature(b'{"a":1}'), SECRET)


def test_half_a_surrogate_pair_is_for_the_reader_to_judge() -> None:
    for number in (b"1", b"1" * 5_000):
        event = b'{"a":"\\ud83d","n":' + number + b"}"
        assert events_in(event) == [event]


def test_many_events_come_in_steps_and_one_that_is_too_large_ends_them() -> None:
    assert [len(step) for step in cut_events(json.dumps([1] * (STEP + 1)).encode())] == [STEP, 1]
    large = b'{"a":"' + b"x" * LARGEST_EVENT + b'"}'
    for body in (large, b"[" + large + b"]"):
        with pytest.raises(EventTooLarge):
            events_in(body)
    assert is_signed(large, signature(large), SECRET)
