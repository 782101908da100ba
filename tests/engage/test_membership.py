"""The rule, case by case, on both ways an event can take through the decoder."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.engage.events import PERSONAS, event, lines, read

CASES = json.loads((Path(__file__).parent.parent / "data/membership_rule.json").read_text())


def whole(case: dict[str, Any]) -> dict[str, Any]:
    """The event of a case, with the other fields of every audience event."""
    personas = {**PERSONAS, **case.get("personas", {})}
    context = {} if case.get("context") == "missing" else {"context": {"personas": personas}}
    return {"userId": "ana", "timestamp": "2026-05-03T19:42:50.066Z", **context, **case["event"]}


def outcome(content: bytes) -> str:
    batch = read(content)
    assert (batch.read, batch.refusals) == (1, [])
    if batch.changes:
        return "in" if batch.changes[0].is_member else "out"
    reason = next(iter(batch.filtered))
    return "undetermined" if reason.startswith("membership undetermined: ") else reason[:15]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_the_rule(case: dict[str, Any]) -> None:
    assert outcome(lines(whole(case))) == case["expected"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_an_event_in_an_array_is_judged_by_the_same_rule(case: dict[str, Any]) -> None:
    # The second line keeps the file from being one document.
    assert outcome(lines([whole(case)], [])) == case["expected"]


def test_the_audience_is_known_by_space_and_computation_and_key() -> None:
    [change] = read(lines(event())).changes
    assert change.audience == ("spa_1", "aud_1", "shoppers")


def test_ids_of_an_odd_type_are_no_ids() -> None:
    odd = {**PERSONAS, "space_id": 5, "computation_id": None}
    [change] = read(lines(event(context={"personas": odd}))).changes
    assert change.audience == ("", "", "shoppers")
