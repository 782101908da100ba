"""The text skipper refuses no valid JSON, and finds where documents end."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amp_console.engage import FieldMapping, ReadOptions
from amp_console.engage.json_text import DEPTH, TOO_LONG, DocumentSplitter, decode
from tests.engage.events import PERSONAS, TIME, event, lines, members, read
from tests.examples import examples

DEEP = "[" * 5_000 + "]" * 5_000
JUNK = [
    '"\\ud83d"',
    '"\\ude00\\ud83d"',
    "1e400",
    "-1E+99999999999999999999",
    "7" * 5_000,
    DEEP,
    '{"a":' * 5_000 + "0" + "}" * 5_000,
    '["]}{[", "\\\\", "\\""]',
    '{"userId": "eve", "type": "track", "shoppers": false}',
]
LEAVES = (
    st.integers(0, len(JUNK) - 1).map(lambda number: f"@{number}")
    | st.integers().map(str)
    | st.decimals(allow_nan=False, allow_infinity=False).map(str)
    | st.text(st.characters(codec="utf-8", exclude_characters="@")).map(json.dumps)
    | st.sampled_from(["true", "false", "null"])
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda found: f"[{', '.join(found)}]")
        | st.lists(
            st.tuples(st.sampled_from(['"x"', '"\\udfff"', '"userId"']), inner), max_size=3
        ).map(lambda pairs: "{" + ",".join(f"{key}:{value}" for key, value in pairs) + "}")
    ),
    max_leaves=4,
)
OPTIONS = ReadOptions(mapping=FieldMapping.parse("$.userId", "$.traits.amplitude_id"))
NEEDED = [
    '"type": "identify"',
    '"userId": "ana"',
    f'"timestamp": "{TIME}"',
]


def written(top: list[str], context: list[str], personas: list[str], traits: list[str]) -> bytes:
    """An event as text, its fields in these orders."""
    known = ", ".join([json.dumps(PERSONAS)[1:-1], *personas])
    around = ", ".join([f'"personas": {{{known}}}', *context])
    inside = ", ".join(['"shoppers": true', '"amplitude_id": 12345678901234567890', *traits])
    nested = [f'"context": {{{around}}}', f'"traits": {{{inside}}}']
    return with_junk("{" + ", ".join([*top, *NEEDED, *nested]) + "}")


def with_junk(text: str) -> bytes:
    """Spell out what the strategies number; otherwise, a failure would be unreadable."""
    for number, junk in enumerate(JUNK):
        text = text.replace(f"@{number}", junk)
    return text.encode()


def fields(*names: str) -> st.SearchStrategy[list[str]]:
    pairs = st.tuples(st.sampled_from(names), VALUES)
    return st.lists(pairs.map(lambda pair: f"{pair[0]}: {pair[1]}"), max_size=2)


@given(
    fields('"properties"', '"x"', '"\\ud83d"', '"originalTimestamp"', '"userId"'),
    fields('"ip"', '"library"'),
    fields('"external_audience_id"', '"audience_settings"', '"namespace"'),
    fields('"bio"', '"email"'),
)
@examples(50)
def test_junk_in_fields_that_are_not_needed_changes_nothing(
    top: list[str], context: list[str], personas: list[str], traits: list[str]
) -> None:
    plain = read(lines(written([], [], [], [])), OPTIONS)
    line = written(top, context, personas, traits)
    for content in (line, b"[" + line + b"]", line + line.replace(b"ana", b"ben")):
        batch = read(content + b"\n", OPTIONS)
        assert batch.refusals == []
        assert batch.changes[:1] == plain.changes


@pytest.mark.parametrize("junk", JUNK)
def test_junk_on_a_line_an_array_and_a_document_is_read_alike(junk: str) -> None:
    line = written([f'"x": {junk}'], [], [], [f'"bio": {junk}'])
    for content in (line, b"[" + line + b"]", b"[\n" + line + b"\n]", b"{}" + line):
        assert members(read(content, OPTIONS)) == ["ana"]


@pytest.mark.parametrize("junk", JUNK)
def test_junk_in_a_single_field_is_passed_over_by_the_fast_decoder_too(junk: str) -> None:
    assert members(read(written([f'"x": {junk}'], [], [], []), OPTIONS)) == ["ana"]
    assert members(read(written([], [f'"ip": {junk}'], [], []), OPTIONS)) == ["ana"]
    settings = f'"audience_settings": {{"x": {junk}}}'
    assert members(read(written([], [], [settings], []), OPTIONS)) == ["ana"]
    assert members(read(written([], [], [], [f'"bio": {junk}']), OPTIONS)) == ["ana"]


@pytest.mark.parametrize("text", [b"\xff", b"\xed\xa0\x80", b"K\xf6ln"])
def test_bytes_that_are_not_utf_8_are_skipped_too(text: bytes) -> None:
    for field in ('"x": "?"', '"properties": {"?": "?"}'):
        line = written([field], [], [], ['"bio": "?"']).replace(b"?", text)
        assert members(read(line, OPTIONS)) == ["ana"]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (b'"ana"', b'"an\\ud83d"', "the identifier is not valid text"),
        (b'"ana"', b'"an\xff"', "the identifier is not valid text"),
        (b"12345678901234567890", b'"\\ud83d"', "the identifier is not valid text"),
        (b'"ana"', b"1e99999", "the identifier is a number of more than 1,024 digits"),
        (b'"ana"', b"7" * 5_000, "the identifier is a number of more than 1,024 digits"),
        (b"shoppers", b"shop\\ud83d", "the audience's key or ID is not valid text"),
        (b"aud_1", b"aud_\\ud83d", "the audience's key or ID is not valid text"),
        (b"spa_1", b"spa_\xff", "the audience's key or ID is not valid text"),
        (TIME.encode(), b"2026\\ud83d", "no readable timestamp"),
    ],
)
def test_what_is_needed_is_refused_in_words(before: bytes, after: bytes, words: str) -> None:
    batch = read(lines(written([], [], [], []).replace(before, after), event("ben")), OPTIONS)
    assert members(batch) == ["ben"]
    [(line, reason)] = batch.refusals
    assert (line, reason.partition(":")[0]) == (1, words)


def test_hints_that_are_not_text_are_passed_over() -> None:
    personas = ['"external_audience_id": "\\ud83d"', '"audience_settings": {"id_type": 1e400}']
    batch = read(lines(written([], [], personas, [])), OPTIONS)
    assert (members(batch), batch.hints) == (["ana"], [])


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("12345678901234567890", "12345678901234567890"),
        ("9007199254740993", "9007199254740993"),
        ("9007199254740993.0", "9007199254740993"),
        ("9007199254740993.5", "9007199254740993.5"),
        ("12345678901234567890123.50", "12345678901234567890123.5"),
        ("1e3", "1000"),
        ("1.0", "1"),
        ("1.5E1", "15"),
        ("123e-2", "1.23"),
        ("1e30", "1" + "0" * 30),
        ("-0.0", "0"),
        ("100", "100"),
    ],
)
def test_an_identifier_keeps_its_digits(number: str, text: str) -> None:
    for path in ("$.userId", "$.traits.n", "$.context.n"):
        line = written([], [f'"n": {number}'], [], [f'"n": {number}'])
        line = line.replace(b'"ana"', number.encode())
        batch = read(line + b"\n", ReadOptions(mapping=FieldMapping.parse(path)))
        assert members(batch) == [text]


def test_of_repeated_keys_the_last_one_counts() -> None:
    line = written(['"userId": "eve"', '"traits": {"shoppers": 1e400}'], [], [], [])
    assert members(read(line, OPTIONS)) == ["ana"]


def test_what_is_decoded_keeps_numbers_and_is_cut_below_a_depth() -> None:
    assert decode(b'{"a": 1.10, "b": "\\ud83d"}') == {"a": Decimal("1.10"), "b": "\ud83d"}
    found, depth = decode(DEEP.encode()), 0
    while found:
        [found] = found
        depth += 1
    assert (found, depth) == (None, DEPTH)


@pytest.mark.parametrize("text", [b"", b"{", b"[" * 5_000, b'{"a":NaN}', b"{} {}", b'{"a":"\n"}'])
def test_what_is_not_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # whichever decoder finds it
        decode(text)


DOCUMENTS = st.lists(VALUES.filter(lambda text: text[0] in "[{"), max_size=4)


def cut(splitter: DocumentSplitter, content: bytes, step: int) -> list[bytes]:
    blocks = [content[at : at + step] for at in range(0, len(content), step)]
    return [document for block in blocks for document in splitter.push(block)]


@given(DOCUMENTS, st.sampled_from(["", " ", "\n", "\r\n\t"]), st.integers(1, 300))
def test_documents_end_where_they_end(found: list[str], between: str, step: int) -> None:
    splitter = DocumentSplitter()
    assert cut(splitter, with_junk(between.join(found)), step) == list(map(with_junk, found))
    assert not splitter.is_inside


@given(st.lists(VALUES, max_size=4), st.integers(1, 300))
def test_elements_end_where_they_end(found: list[str], step: int) -> None:
    splitter = DocumentSplitter(unwraps=True)
    content = with_junk(f" [ {' ,'.join(found)} ]\n")
    assert cut(splitter, content, step) == list(map(with_junk, found))
    assert (splitter.is_inside, splitter.is_broken) == (False, False)


@pytest.mark.parametrize("step", range(1, 8))
def test_an_escaped_quote_ends_no_text_wherever_a_block_ends(step: int) -> None:
    found = [b'{"a": "%s\\"}%s\\\\"}' % (b"x" * size, b"y" * size) for size in range(2 * step)]
    assert cut(DocumentSplitter(), b" ".join(found), step) == found


def test_a_document_past_the_limit_is_not_held() -> None:
    splitter = DocumentSplitter(limit=10)
    content = b'{"a": [1, 2, "}"], "b": {}}{"c":1}'
    assert cut(splitter, content, 1) == [TOO_LONG, b'{"c":1}']


def test_an_event_of_kinds_that_are_written_one_after_another(tmp_path: object) -> None:
    text = b"".join(
        json.dumps(event(f"u{n}", traits={"shoppers": True})).encode() for n in range(30)
    )
    for content in (text, text + b"\n", text + b" oops\n", text + b'{"type":'):
        batch = read(content)
        assert members(batch) == [f"u{n}" for n in range(30)]
        assert len(batch.refusals) == (content not in (text, text + b"\n"))
