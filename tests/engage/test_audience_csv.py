"""Segment's CSV download of one audience's members."""

import gzip

import pytest

from amp_console.engage import ReadOptions, SourceKind, UnreadableSource
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
def test_a_column_that_is_not_there_is_told_with_those_that_are(chosen: str) -> None:
    options = ReadOptions(audience="shoppers", **{chosen: "nothing"})  # type: ignore[arg-type]
    with pytest.raises(UnreadableSource, match=r"no column nothing\. .* key, user_id\."):
        opened(b"key,user_id\nseg_1,ana\n", options)
