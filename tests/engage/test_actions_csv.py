"""The CSV files of Segment's "AWS S3 (Actions)" destination."""

import csv
import gzip
import io
import json
import random

import pytest

from amp_console.engage import FieldMapping, ReadOptions, SourceKind
from amp_console.engage.actions_csv import event_of
from amp_console.engage.identifiers import BROKEN_IDENTIFIER
from tests.engage.events import AT, PERSONAS, TIME, members, opened, read

ROW = {
    "event_name": "",
    "event_type": "identify",
    "user_id": "ana",
    "anonymous_id": "anon",
    "email": "ana@acme.example",
    "properties": "",
    "traits": json.dumps({"shoppers": True, "note": "a,b|c;d\te:f\ng"}),
    "context": json.dumps({"personas": PERSONAS, "externalIds": [{"id": "ext"}]}),
    "timestamp": TIME,
    "message_id": "m1",
    "integrations": "{}",
    "audience_name": "shoppers",
    "audience_id": "aud_1",
    "audience_space_id": "spa_1",
    "audience_action": "true",
}


def table(*rows: dict[str, str], without: tuple[str, ...] = (), delimiter: str = ",") -> bytes:
    columns = [column for column in ROW if column not in without]
    text = io.StringIO()
    writer = csv.DictWriter(
        text, columns, quoting=csv.QUOTE_ALL, delimiter=delimiter, extrasaction="ignore"
    )
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "surrogateescape")


NEITHER = "the audience_action cell is neither true nor false"
TIMES = f",{TIME},m,{{}},shoppers,aud_1,spa_1,true".encode()


@pytest.mark.parametrize("delimiter", [",", "|", "\t", ";", ":"])
@pytest.mark.parametrize("block_bytes", [2, 1 << 20])
def test_rows_are_events_under_any_delimiter(delimiter: str, block_bytes: int) -> None:
    content = table(ROW, {**ROW, "user_id": "ben"}, delimiter=delimiter)
    with opened(content, block_bytes=block_bytes) as source:
        assert source.kind is SourceKind.ACTIONS_CSV
    batch = read(content, block_bytes=block_bytes)
    assert batch.refusals == []
    assert [change[1:] for change in batch.changes] == [
        ("ana", None, True, AT, 2),
        ("ben", None, True, AT, 3),
    ]
    assert batch.changes[0].audience == ("spa_1", "aud_1", "shoppers")


def test_a_row_is_reported_by_the_line_it_starts_on() -> None:
    broken_over_lines = {**ROW, "message_id": "one\ntwo\nthree"}
    content = table(broken_over_lines, {**ROW, "user_id": "ben"})
    assert [change.line for change in read(content).changes] == [2, 5]


def test_a_line_break_inside_an_identifier_is_kept() -> None:
    assert members(read(table({**ROW, "user_id": "a\r\nb"}))) == ["a\r\nb"]


TRACK = {
    **ROW,
    "event_type": "track",
    "traits": "",
    "properties": '{"shoppers": false}',
    "audience_action": "false",
}


@pytest.mark.parametrize(
    ("row", "without", "is_member"),
    [
        (ROW, (), True),
        (TRACK, (), False),
        (ROW, ("context",), True),
        (TRACK, ("context",), False),
        (ROW, ("traits",), True),
        (TRACK, ("properties",), False),
        ({**ROW, "audience_action": "false"}, ("traits", "context"), False),
        ({**ROW, "context": "{}"}, (), True),
    ],
)
def test_the_audience_columns_stand_in_for_what_is_not_in_the_file(
    row: dict[str, str], without: tuple[str, ...], is_member: bool
) -> None:
    [change] = read(table(row, without=without)).changes
    assert (change.audience, change.is_member) == (("spa_1", "aud_1", "shoppers"), is_member)


@pytest.mark.parametrize(
    ("row", "without", "reason"),
    [
        ({**ROW, "traits": ""}, ("audience_action",), "membership undetermined"),
        ({**ROW, "traits": "[]", "audience_action": ""}, (), "membership undetermined"),
        ({**ROW, "audience_action": " "}, ("traits",), "membership undetermined"),
        ({**ROW, "audience_name": ""}, ("context",), "not an audience event"),
        ({**ROW, "context": '{"personas": null}'}, (), "not an audience event"),
        ({**ROW, "context": '"odd"'}, (), "not an audience event"),
        ({**ROW, "context": '"odd"'}, ("traits",), "not an audience event"),
        ({**ROW, "event_type": ""}, (), "not an audience event"),
    ],
)
def test_nothing_is_guessed(row: dict[str, str], without: tuple[str, ...], reason: str) -> None:
    batch = read(table(row, without=without))
    assert [told.partition(":")[0] for told in batch.filtered] == [reason]
    assert batch.read == 1


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({**ROW, "traits": "{"}, "the traits cell is not JSON"),
        ({**ROW, "context": "[" * 5000, "audience_name": ""}, "the context cell is not JSON"),
        ({**TRACK, "properties": "oops"}, "the properties cell is not JSON"),
        ({**ROW, "traits": "", "audience_action": "1"}, NEITHER),
        ({**ROW, "traits": "{}", "audience_action": "enter"}, NEITHER),
        ({**ROW, "user_id": ""}, "no usable identifier at $.userId"),
        ({**ROW, "user_id": " "}, "no usable identifier at $.userId"),
        ({**ROW, "timestamp": "yesterday"}, "no readable timestamp"),
    ],
)
def test_a_broken_row_is_invalid_and_stops_nothing(row: dict[str, str], reason: str) -> None:
    batch = read(table(row, ROW))
    assert batch.refusals == [(2, reason)]
    assert members(batch) == ["ana"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"a,b", "cells in the row: 2, in the header: 15"),
        (b"," * 15 + b"x", "cells in the row: 16, in the header: 15"),
        (b'"a"b,', "not a CSV row: ',' expected after '\"'"),
        (b',identify,"an\xff"' + b"," * 5 + TIMES, BROKEN_IDENTIFIER),
    ],
)
def test_what_is_no_row_is_invalid_and_stops_nothing(line: bytes, reason: str) -> None:
    header, _, rows = table(ROW).partition(b"\n")
    batch = read(b"\n".join([header, line, b"", rows]))
    assert batch.refusals == [(2, reason)]
    assert [change.line for change in batch.changes] == [4]


def test_a_quote_that_never_closes_is_reported() -> None:
    batch = read(table(ROW) + b'"identify')
    assert members(batch) == ["ana"]
    assert batch.refusals == [(3, "a quote opens in this row and never closes")]


@pytest.mark.parametrize(
    ("after", "words"),
    [("a\n", "the line after it was not read"), ("a\nb\nc", "the 3 lines after it were not read")],
)
def test_lines_that_a_quote_has_swallowed_are_counted(after: str, words: str) -> None:
    batch = read(table(ROW) + b'"identify\n' + after.encode())
    assert members(batch) == ["ana"]
    assert batch.refusals == [(3, f"a quote opens in this row and never closes: {words}")]


@pytest.mark.parametrize(
    ("action", "is_member"),
    [("true", True), ("TRUE", True), (" True ", True), ("false", False), ("FALSE", False)],
)
@pytest.mark.parametrize("traits", ["", "{}", "[]", '{"email":"x"}', '{"shoppers":null}'])
def test_the_action_decides_where_the_traits_do_not(
    action: str, is_member: bool, traits: str
) -> None:
    row = {**ROW, "traits": traits, "audience_action": action}
    [change] = read(table(row)).changes
    assert (change.user_id, change.is_member) == ("ana", is_member)


@pytest.mark.parametrize("action", ["false", "FALSE", "", "0", "oops"])
def test_the_traits_decide_where_they_can(action: str) -> None:
    [change] = read(table({**ROW, "audience_action": action})).changes
    assert change.is_member is True


def test_an_action_under_another_spelling_of_the_header_is_read() -> None:
    content = b"Event Type,userId,timestamp,Audience Name,audience_id,AUDIENCE_ACTION\n"
    content += f"identify,o-1,{TIME},vip,aud_1,TRUE\nidentify,o-2,{TIME},vip,aud_1,FALSE".encode()
    assert [change[1:4] for change in read(content).changes] == [
        ("o-1", None, True),
        ("o-2", None, False),
    ]


@pytest.mark.parametrize(
    "cells",
    [
        {"properties": "oops"},
        {"email": "K\udcf6ln"},
        {"traits": '{"shoppers": true, "city": "K\udcf6ln"}'},
        {"traits": '{"shoppers": true, "bio": "\\ud83d", "sum": 1e400}'},
        {"context": "oops"},
        {"message_id": "a\x00b"},
    ],
)
def test_a_cell_that_is_not_needed_refuses_nothing(cells: dict[str, str]) -> None:
    batch = read(table({**ROW, **cells}))
    assert (members(batch), batch.refusals) == (["ana"], [])


def test_a_cell_with_an_identifier_is_needed() -> None:
    mapping = FieldMapping.parse("$.userId", "$.properties.amplitude_id")
    batch = read(table({**ROW, "properties": "oops"}), ReadOptions(mapping=mapping))
    assert batch.refusals == [(2, "the properties cell is not JSON")]


def test_a_row_that_the_file_breaks_off_in_is_reported_once() -> None:
    noise = random.Random(1).randbytes(300).hex()
    content = table(ROW, {**ROW, "message_id": f"one\ntwo\n{noise}"})
    batch = read(gzip.compress(content, mtime=0)[:-40])
    assert members(batch) == ["ana"]
    [refusal] = batch.refusals
    assert refusal.reason.startswith("The gzip file is incomplete")


def test_a_cell_may_be_large() -> None:
    large = json.dumps({"shoppers": True, "note": "x" * 1_000_000})
    assert members(read(table({**ROW, "traits": large}))) == ["ana"]


def test_mapping_paths_work_on_the_event_of_a_row() -> None:
    mapping = FieldMapping.parse("$.anonymousId", "$.context.externalIds[0].id")
    [change] = read(table(ROW), ReadOptions(mapping=mapping)).changes
    assert (change.user_id, change.amplitude_id) == ("anon", "ext")


def test_blank_cells_are_absent_from_the_event() -> None:
    assert "userId" not in event_of({**ROW, "user_id": ""})


def test_other_audiences_are_filtered_on_request() -> None:
    batch = read(table(ROW), ReadOptions(audience="vips"))
    assert batch.filtered == {"another audience": 1}


def test_many_rows_come_in_several_batches() -> None:
    with opened(table(*[ROW] * 4_500)) as source:
        assert [batch.read for batch in source] == [2_000, 2_000, 500]
