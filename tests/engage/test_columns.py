"""Judged column by column, many lines give the same result as each line alone."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amp_console.engage import EventBatch, FieldMapping
from amp_console.engage.batch import larger_batches
from amp_console.engage.columns import MANY, MAX_KEYS
from amp_console.engage.reader import EventReader
from amp_console.values import ChangeTable, latest_of, moves_of
from tests.engage.events import PERSONAS, TIME, event
from tests.engage.test_accounting import LINES, corrupted, written
from tests.examples import examples

OTHER = {**PERSONAS, "computation_id": "aud_2", "computation_key": 'quoted "vips"'}
HINTED = {**PERSONAS, "external_audience_id": "cohort1"}
HINTED_OTHERWISE = {**PERSONAS, "external_audience_id": "cohort2"}
REGULAR = [written(event(f"u{number}")) for number in range(MANY)]

_flags = {"shoppers": True, OTHER["computation_key"]: False}
_events = st.builds(
    event,
    st.sampled_from(["ana", "ben", "", " ", "a\0b", "é😀", "x" * 257, "x" * 1025])
    | st.sampled_from([None, 7, -3, 7.0, True])
    | st.integers(0, 10**25),
    st.sampled_from([True, False, True, False, None, 1, "true"]),
    timestamp=st.sampled_from(
        [TIME, "2026-05-03T19:42:50Z", "2026-05-03t19:42:50.0661+01:00", "2026-05-03", None, 7, []]
    ),
    context=st.sampled_from(
        [
            *[{"personas": personas} for personas in (PERSONAS, OTHER, HINTED, HINTED_OTHERWISE)],
            {"personas": {"computation_class": "computed_trait"}},
            {"personas": None},
            {},
            None,
        ]
    ),
)  # fmt: skip
_tracks = _events.map(lambda item: {**item, "type": "track", "properties": item["traits"]})
_both = _events.map(lambda item: {**item, "traits": _flags, "properties": {"shoppers": False}})
_typeless = _events.map(lambda item: {**item, "type": ""})
EVENTS = st.one_of(_events, _events, _tracks, _both, _typeless, corrupted()).map(written)


def alone(lines: Sequence[bytes], reader: EventReader) -> EventBatch:
    """The result for the lines, each read alone, as one batch."""
    batches = [reader.read([line], number) for number, line in enumerate(lines, 1)]
    return EventBatch(
        [change for batch in batches for change in batch.changes],
        [refusal for batch in batches for refusal in batch.refusals],
        sum((Counter(batch.filtered) for batch in batches), Counter()),
        [hint for batch in batches for hint in batch.hints],
        lines=sum(batch.lines for batch in batches),
    )


def together(lines: Sequence[bytes], reader: EventReader) -> EventBatch:
    """The result for the lines, read at once, with the changes as a list."""
    batch = reader.read(lines, 1)
    return EventBatch(
        list(batch.changes), batch.refusals, batch.filtered, [*batch.hints], lines=batch.lines
    )


def reader(**options: Any) -> EventReader:
    return EventReader(FieldMapping.parse(), **options)


@examples(100)
@given(st.lists(EVENTS, max_size=20), LINES, st.randoms())
def test_lines_give_together_what_each_gives_alone(
    events: list[bytes], mess: list[bytes], random: Any
) -> None:
    lines = [*REGULAR, *events, *mess]
    random.shuffle(lines)
    assert together(lines, reader()) == alone(lines, reader())
    only = {"audience": "shoppers"}
    assert together(lines, reader(**only)) == alone(lines, reader(**only))


@pytest.mark.parametrize("audiences", [1, 3, MAX_KEYS, MAX_KEYS + 1, 50])
def test_events_of_several_audiences_are_distinguished(audiences: int) -> None:
    def line(number: int) -> bytes:
        key = f"audience_{number * 7 % audiences}"
        personas = {**PERSONAS, "computation_id": key, "computation_key": key}
        traits = {f"audience_{n}": (n + number) % 3 == 0 for n in range(audiences)}
        return written(event(f"u{number}", context={"personas": personas}, traits=traits))

    lines, one, many = [line(number) for number in range(300)], reader(), reader()
    assert together(lines, many) == alone(lines, one)
    assert together(lines[::-1], many) == alone(lines[::-1], one)
    assert isinstance(many.read(lines, 1).changes, ChangeTable)


def test_columns_have_the_same_latest_changes_and_moves_as_rows() -> None:
    ana, others = event("ana", False), event("bo", context={"personas": OTHER})
    others["traits"] = {OTHER["computation_key"]: False}
    lines = [written(ana), *REGULAR, *[written(others)] * 3, *REGULAR[:5]]
    table = reader().read(lines, 1).changes
    assert isinstance(table, ChangeTable)
    rows = list(table)
    assert moves_of(table) == moves_of(rows)
    for count in (1, 4, 6, len(rows) - 1, len(rows), len(rows) + 1):
        assert list(latest_of(table, count)) == list(latest_of(rows, count)) == rows[-count:]


def test_a_change_that_is_read_by_itself_keeps_its_place_among_the_others() -> None:
    odd = json.dumps([event("late"), event("later")]).encode()
    lines = [*REGULAR[:50], odd, *REGULAR[50:]]
    users = [change.user_id for change in reader().read(lines, 1).changes]
    assert users[49:53] == ["u49", "late", "later", "u50"]


def test_events_of_an_audience_that_are_distinguished_by_a_hint_stay_in_their_order() -> None:
    hinted = written(event("hinted", context={"personas": HINTED}))
    lines = [*REGULAR[:40], hinted, *REGULAR[40:], hinted]
    [batch] = larger_batches([reader().read(lines, 1), reader().read(REGULAR, 67)])
    assert [change.line for change in batch.changes] == [*range(1, 131)]


def test_hints_are_reported_in_the_order_of_the_lines_whichever_way_they_are_read() -> None:
    numeric = written(event(7.0, context={"personas": HINTED}))  # read alone
    regular = written(event("ana", context={"personas": HINTED}))
    other = written(event("ana", context={"personas": HINTED_OTHERWISE}))
    another = written(event("ana", context={"personas": {**OTHER, "external_audience_id": "c3"}}))
    for hinted, cohorts in (
        ([numeric, other], ["cohort1", "cohort2"]),
        ([other, numeric], ["cohort2", "cohort1"]),
        ([regular, other, regular], ["cohort1", "cohort2"]),
        ([other, regular, other], ["cohort2", "cohort1"]),
        ([numeric, another], ["cohort1", "c3"]),
    ):
        reported = reader().read([*REGULAR, *hinted], 1).hints
        assert [hints.cohort_id for _, hints in reported] == cohorts
