"""Segment's CSV download of one audience's members."""

import gzip

import pytest

from amp_console.engage import ReadOptions, SourceKind, UnreadableSource
from amp_console.engage.identifiers import BROKEN_IDENTIFIER
from amp_console.values import AudienceRef
from tests.engage.events import AT, opened, read

OPTIONS = ReadOptions(audience="shoppers")


def found(text: str, **options: str) -> list[tuple[str | None, str | None, int]]:
    batch = read(text.encode(), ReadOptions(audience="shoppers", **options))  # type: ignore[arg-type]
    assert batch.refusals == []
    return [(change.user_id, change.amplitude_id, change.line) for change in batch.changes]


@pytest.mark.parametrize(
    "text",
    [
        'key,external_ids\nseg_1,"{""user_id"":[""ana"",""ben""],""email"":[""x""]}"\n',
        'key,external_ids\nseg_1,"{“user_id”:[“ana”,“ben”],“email”:[“x”]}"\n',
        "\ufeffkey,user_id,user_id_1,email\r\nseg_1,ana,ben,x\r\n",
        "key;user_id;user_id_1;email\nseg_1;ana;ben;x",
        "key\tuser_id\tuser_id_1\tuser_id_2\nseg_1\tana\tben\tana\n",
        'external_ids|key\n"{""user_id"":[""ana"",null,""ben"",""ana"",true]}"|seg_1\n',
    ],
    ids=["external_ids", "typographic", "columns", "semicolons", "tabs", "pipes"],
)
def test_every_value_of_the_identifier_is_a_member(text: str) -> None:
    assert found(text) == [("ana", None, 2), ("ben", None, 2)]


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("user_id\nana\n", {}, ("ana", None, 2)),
        ("member\nana\n", {"user_id_column": "member"}, ("ana", None, 2)),
        ("email,email_1\n,x\n", {"user_id_column": "email"}, ("x", None, 2)),
        (
            'external_ids\n"{""email"":""x""}"\n',
            {"user_id_column": "email"},
            ("x", None, 2),
        ),
        (
            'external_ids\n"{""user_id"":[7],""amplitude_id"":[8]}"\n',
            {"amplitude_id_column": "amplitude_id"},
            ("7", "8", 2),
        ),
        ("key,amp\nseg,8\n", {"amplitude_id_column": "amp"}, (None, "8", 2)),
        ("user_id,amp\n,8\n", {"amplitude_id_column": "amp"}, (None, "8", 2)),
    ],
)
def test_the_columns_can_be_chosen(
    text: str, options: dict[str, str], expected: tuple[str | None, str | None, int]
) -> None:
    assert found(text, **options) == [expected]


def test_members_are_in_at_the_time_of_the_download() -> None:
    content = b"key,user_id\nseg_1,ana\n"
    with opened(content, OPTIONS) as source:
        assert (source.kind, source.taken_at) == (SourceKind.AUDIENCE_CSV, AT)
    [change] = read(content, ReadOptions(audience="shoppers", taken_at=5)).changes
    assert change == (AudienceRef("", "", "shoppers"), "ana", None, True, 5, 2)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("key,user_id\nseg_1,\n", "no user_id in this row"),
        ("key,user_id\nseg_1, \n", "no user_id in this row"),
        ("key,external_ids\nseg_1,\n", "no user_id in this row"),
        ('key,external_ids\nseg_1,"{""email"":[""x""]}"\n', "no user_id in this row"),
        ("key,external_ids\nseg_1,[]\n", "no user_id in this row"),
        ("key,external_ids\nseg_1,{\n", "the external_ids cell is not JSON"),
        ("key,user_id\nseg_1\n", "cells in the row: 1, in the header: 2"),
    ],
)
def test_a_row_without_the_identifier_is_invalid(text: str, reason: str) -> None:
    assert read(text.encode(), OPTIONS).refusals == [(2, reason)]


def test_both_identifiers_are_missed_together() -> None:
    options = ReadOptions(audience="shoppers", amplitude_id_column="amp")
    batch = read(b"user_id,amp\n,\n", options)
    assert batch.refusals == [(2, "no user_id or amp in this row")]


def test_an_identifier_that_may_have_been_cut_is_not_taken() -> None:
    packed = gzip.compress(b"user_id\nana\nuser-123")
    batch = read(packed[:-10], OPTIONS)
    assert [change.user_id for change in batch.changes] == ["ana"]
    assert [refusal.line for refusal in batch.refusals] == [3]


def test_a_line_without_end_is_no_member() -> None:
    batch = read(b"user_id\nana\n" + b"x" * (33 << 20) + b"\nben\n", OPTIONS)
    assert [change.user_id for change in batch.changes] == ["ana", "ben"]
    assert [refusal.line for refusal in batch.refusals] == [3]


def test_the_audience_must_be_named() -> None:
    with pytest.raises(UnreadableSource, match="with the key of its audience"):
        opened(b"key,user_id\nseg_1,ana\n")


@pytest.mark.parametrize("chosen", ["user_id_column", "amplitude_id_column"])
def test_a_column_that_is_not_there_is_reported_with_those_that_are(chosen: str) -> None:
    options = ReadOptions(audience="shoppers", **{chosen: "nothing"})  # type: ignore[arg-type]
    with pytest.raises(UnreadableSource, match=r"no column nothing\. .* key, user_id\."):
        opened(b"key,user_id\nseg_1,ana\n", options)


TABBED = '"\tamplitude_id","\tuser_id","\tcity"\n"\t900","\t\tana","\tBonn"\n"\t901","\t",""\n'


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (TABBED.replace('"\t",""', '"\tben",""'), ["\tana", "ben"]),
        ("\ufeffsep=;\r\nuser_id;city\r\n00042;Bonn\r\nu,comma;Köln\r\n", ["00042", "u,comma"]),
        ('"sep=\t"\ncity\tuser_id\nBonn\tana\n', ["ana"]),
        ("SEP=|\nuser_id|city\nana|Bonn\n", ["ana"]),
        ('User ID,email\r\n"q""uote",x\r\n 7 ,y\r\n', ['q"uote', " 7 "]),
        ("amplitudeID,userID\n900,ana\n", ["ana"]),
        ("Amplitude ID;User Id;user_name\n900;ana;x\n", ["ana"]),
        ("userId\nana\n", ["ana"]),
        ("USER-ID,userId_1\nana,ben\n", ["ana"]),
        ("User ID,user_id\nben,ana\n", ["ana"]),
        ("user_id,city\rana,Bonn\rben,Ulm\r", ["ana", "ben"]),
        ("user_id;city;\nana;Bonn;\nben;Ulm\n", ["ana", "ben"]),
        ("user_id,city\nana,Bonn,\nben,Ulm, ,\n", ["ana", "ben"]),
        ('External IDs\n"{""user_id"":[""ana""]}"\n', ["ana"]),
        (
            'external_ids\n"{""user_id"":[12345678901234567890, 1e3]}"\n',
            ["12345678901234567890", "1000"],
        ),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_tables_of_other_programs_are_read(text: str, ids: list[str], encoding: str) -> None:
    batch = read(text.encode(encoding), OPTIONS)
    assert [change.user_id for change in batch.changes] == ids
    assert batch.refusals == []


def test_a_tab_before_a_blank_cell_is_no_identifier() -> None:
    batch = read(TABBED.encode(), OPTIONS)
    assert batch.refusals == [(3, "no user_id in this row")]


def test_a_tab_is_part_of_an_identifier_where_the_header_has_none() -> None:
    assert found('user_id,city\n"\tana","\tBonn"\n') == [("\tana", None, 2)]


def test_a_column_that_was_chosen_keeps_its_name() -> None:
    options = ReadOptions(audience="shoppers", user_id_column="User ID")
    assert [change.user_id for change in read(b"User ID,city\nana,Bonn\n", options).changes] == [
        "ana"
    ]


def test_a_table_without_a_known_column_is_reported_with_advice() -> None:
    with pytest.raises(UnreadableSource, match="choose it as the column of User IDs"):
        opened(b"Member,City\nana,Bonn\n", OPTIONS)


def test_a_column_that_is_not_needed_refuses_no_row() -> None:
    content = "user_id,city\nana,Köln\nbeñ,Ulm\ncem,Bonn\n".encode("cp1252")
    batch = read(content, OPTIONS)
    assert [change.user_id for change in batch.changes] == ["ana", "cem"]
    assert batch.refusals == [(3, BROKEN_IDENTIFIER)]


def test_what_is_wrong_with_a_row_refuses_that_row() -> None:
    rows = [
        b"ana,Bonn",
        b'ben,"Bo"nn',
        b"cem,Bonn,Ulm",
        b"dea",
        b"eva,a\0b",
        b'fay,"Bonn',
        b"gus,Ulm",
    ]
    batch = read(b"user_id,city\n" + b"\n".join(rows), OPTIONS)
    assert [change.user_id for change in batch.changes] == ["ana", "eva"]
    assert [refusal.line for refusal in batch.refusals] == [3, 4, 5, 7]
    assert batch.refusals[-1].reason.endswith("never closes: the line after it was not read")
