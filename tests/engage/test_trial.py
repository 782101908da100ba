"""A mapping is tested on one event: what it would find, and the event's effect."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from amp_console.engage import FieldMapping, UnreadableSource, try_mapping
from amp_console.engage.trial import event_at
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


LINES = b'{"userId": "u1"}\n\n{"userId": 12345678901234567890}\n{"userId": "\xff\n'


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_the_event_at_a_line_is_shown_as_it_is(tmp_path: Path, pack: Any) -> None:
    file = tmp_path / "events"
    file.write_bytes(pack(LINES))
    assert event_at(str(file), 1) == '{\n  "userId": "u1"\n}'
    assert event_at(str(file), 3) == '{\n  "userId": 12345678901234567890\n}'
    assert event_at(str(file), 4) == '{"userId": "\ufffd'
    for line in (0, 5):
        with pytest.raises(UnreadableSource, match=f"no event at line {line}"):
            event_at(str(file), line)


def test_the_event_of_a_document_is_found_by_its_number(tmp_path: Path) -> None:
    file = tmp_path / "events.json"
    file.write_text('[{"userId": "u1"},\n {"userId": "u2"}, {"userId": "u3"')
    assert json.loads(event_at(str(file), 2)) == {"userId": "u2"}
    assert event_at(str(file), 3).strip() == '{"userId": "u3"'
