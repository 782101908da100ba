"""A list of members to compare with: Segment's CSV, or identifiers, one to a line."""

import gzip
import io
from pathlib import Path

import pytest

from amp_console.engage import ReadOptions, SourceKind, UnreadableSource, open_file, read_stream
from amp_console.values import IdType


def listed(content: bytes, id_type: IdType = IdType.USER_ID) -> tuple[list[str], list[int]]:
    """The identifiers that are read, and the lines that are refused."""
    column = "amplitude_id" if id_type is IdType.AMPLITUDE_ID else None
    options = ReadOptions(audience="shoppers", lists=id_type, amplitude_id_column=column)
    with read_stream(io.BytesIO(content), "stdin", options) as source:
        batches = list(source)
    changes = [change for batch in batches for change in batch.changes]
    assert all(change.is_member and change.audience.key == "shoppers" for change in changes)
    ids = [
        change.user_id if id_type is IdType.USER_ID else change.amplitude_id for change in changes
    ]
    return [id_ for id_ in ids if id_], [r.line for batch in batches for r in batch.refusals]


@pytest.mark.parametrize(
    ("content", "ids"),
    [
        (b"ana\nben\n", ["ana", "ben"]),
        (b"ana\r\nben", ["ana", "ben"]),
        (b"\xef\xbb\xbfana\n", ["ana"]),
        (b"user_id\nana\n", ["ana"]),
        (b"User ID\nana\n", ["ana"]),
        (b"ana\nuser id\n", ["ana", "user id"]),
        (b"\nana\n\n  \nben\n", ["ana", "ben"]),
        (b" ana \n", [" ana "]),
        (b'"a,b"\n"c""d"\n', ["a,b", 'c"d']),
        (b"0042\n42\n", ["0042", "42"]),
        ("عربي\n[red]\n😀\n".encode(), ["عربي", "[red]", "😀"]),
        (b"x" * 1_024 + b"\n", ["x" * 1_024]),
        (b"user_id,email\nana,a@b.example\n", ["ana"]),
        (b"key,user_id\nshoppers,ana\n", ["ana"]),
        (gzip.compress(b"ana\nben\n", mtime=0), ["ana", "ben"]),
        (b'"\tamplitude_id","\tuser_id"\n"\t900","\tana"\n', ["ana"]),
        (b'"\tuser_id"\n"\tana"\n', ["ana"]),
        (b'"\tID"\n"\tana"\n"\tben"\n', ["ana", "ben"]),
        (b'"\tana"\n"\tben"\n', ["ana", "ben"]),
        (b"ana\n\tben\n", ["ana", "\tben"]),
        (b"amplitudeID,userID\n900,ana\n", ["ana"]),
        (b"sep=;\nUser ID;city\nana;Bonn\n", ["ana"]),
        (b"ana\rben\r", ["ana", "ben"]),
        ("ana\nben\n".encode("utf-16"), ["ana", "ben"]),
    ],
)
def test_identifiers_are_taken_as_they_stand(content: bytes, ids: list[str]) -> None:
    assert listed(content) == (ids, [])


def test_amplitude_ids_are_listed_too() -> None:
    assert listed(b"11\n12\n", IdType.AMPLITUDE_ID) == (["11", "12"], [])
    assert listed(b"amplitude_id\n11\n", IdType.AMPLITUDE_ID) == (["11"], [])


def test_a_line_that_is_no_text_is_refused_alone() -> None:
    assert listed(b"ana\n\xff\nben\n") == (["ana", "ben"], [2])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"type":"identify"}\n', "It contains events, not a list of members."),
        (b'[{"type":"identify"}]', "It contains events, not a list of members."),
        (b"uid,email\nana,a@b.example\n", "It has several columns"),
        (b"uid;email\nana;a@b.example\n", "It has several columns"),
        (b'"uid","email"\n"ana","x"\n', "It has several columns"),
        (b"\x00\x01\x02", "It contains binary data"),
    ],
)
def test_what_is_no_list_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(UnreadableSource, match=words):
        listed(content)


def test_a_list_is_only_read_where_one_is_wanted(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_bytes(b"ana\nben\n")
    with pytest.raises(UnreadableSource, match="Its format is unknown"):
        open_file(str(file), ReadOptions())


def test_a_list_that_broke_off_says_so() -> None:
    content = gzip.compress(b"ana\n" * 10_000)[:-9]
    options = ReadOptions(audience="shoppers", lists=IdType.USER_ID)
    with read_stream(io.BytesIO(content), "stdin", options) as source:
        assert source.kind is SourceKind.IDENTIFIERS
        assert source.trouble is None
        list(source)
        assert source.trouble is not None


def test_a_line_of_several_cells_is_refused_alone() -> None:
    assert listed(b'"ana"\n"ben","x"\n"c,em"\n') == (["ana", "c,em"], [2])
    assert listed(b'"ana"\n"ben"\r"x"\n"cem"\n') == (["ana", "cem"], [2])
