"""A mapping is tried on one event: what it would find, and what the event would do."""

import json
from typing import Any

import pytest

from amp_console.engage import FieldMapping, try_mapping
from amp_console.values import AudienceRef
from tests.sync.workspace import event

MAPPING = FieldMapping.parse("$.userId", "$.traits.amplitude_id")
SHOPPERS = AudienceRef("spa_1", "aud_shoppers", "shoppers")


def test_finds_both_identifiers_and_says_what_happens() -> None:
    text = json.dumps(event("u1", True, traits={"amplitude_id": 412}))
    found = try_mapping(MAPPING, text)
    assert (found.user_id, found.amplitude_id) == ("u1", "412")
    assert (found.audience, found.verdict) == (SHOPPERS, "enters the audience")


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"traits": {"shoppers": False}}, "leaves the audience"),
        ({"traits": {"shoppers": "true"}}, "filtered: membership undetermined: neither"),
        ({"context": None}, "filtered: not an audience event"),
        ({"type": "page"}, "filtered: not an audience event"),
        ({"userId": "  "}, "invalid: no usable identifier at $.userId or $.traits.amplitude_id"),
    ],
)
def test_says_why_an_event_does_nothing(change: dict[str, Any], verdict: str) -> None:
    found = try_mapping(MAPPING, json.dumps({**event("u1", True), **change}))
    assert found.verdict.startswith(verdict)


@pytest.mark.parametrize("text", ["", "{", "[1]", '"x"', "[" * 5_000])
def test_refuses_what_is_no_event(text: str) -> None:
    with pytest.raises(ValueError, match="This is"):
        try_mapping(MAPPING, text)
