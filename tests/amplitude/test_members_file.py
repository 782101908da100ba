"""The file of a cohort's members: read the same wherever its pieces are cut, or refused."""

import csv
import io
import itertools
import json
from collections.abc import AsyncIterator, Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from amp_console.amplitude import NoConnection, ServerTrouble
from amp_console.amplitude.members_file import AT_ONCE, members_in

pytestmark = pytest.mark.anyio

HOSTILE = '",\n\r\t\\:{}[]0a \x00\x1f\x7f\u2028'
HEADER = b'"amplitude_id","user_id"\n'


async def pieces_of(parts: Iterable[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def read(*parts: bytes, at_once: int = AT_ONCE) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    async for members in members_in(pieces_of(parts), at_once):
        people = json.loads(members.users, object_pairs_hook=lambda pairs: pairs)
        assert len(people) == members.people
        found += people
    return found


@pytest.mark.parametrize(
    ("rows", "members"),
    [
        (b"", []),
        (b'"1","ana"\n"2",""\n', [("1", "ana"), ("2", "")]),
        (b'"1","ana"\r\n"2","ben"', [("1", "ana"), ("2", "ben")]),
        (b'"1","a""b"\n', [("1", 'a"b')]),
        (b'"1","a\nb"\n"2","c"\n', [("1", "a\nb"), ("2", "c")]),
        (b'"1"," spaces "\n', [("1", " spaces ")]),
        (b'"1","0042"\n', [("1", "0042")]),
        ('"1","عربي😀"\n'.encode(), [("1", "عربي😀")]),
        (b'"1","a\x00b"\n', [("1", "a\x00b")]),
    ],
)
async def test_each_record_is_a_member(rows: bytes, members: list[tuple[str, str]]) -> None:
    assert await read(HEADER + rows) == members


async def test_a_quote_that_never_closes_is_found_in_linear_time() -> None:
    """Otherwise, 800 KB block the event loop for 40 s."""
    records = b"".join(b'"%d","user-%d"\n' % (n, n) for n in range(60_000))
    with pytest.raises(ServerTrouble):
        await read(HEADER + b'"1","a"b"\n', records)


async def test_tabs_in_the_cells_are_taken_off_once() -> None:
    file = b'"\tamplitude_id","\tuser_id"\n"\t1","\tana"\n"\t2","\t\tben"\n"\t3","\t"\n'
    assert await read(file) == [("1", "ana"), ("2", "\tben"), ("3", "")]


async def test_a_tab_of_the_identifier_s_own_stays() -> None:
    assert await read(HEADER + b'"1","\tana"\n') == [("1", "\tana")]


async def test_columns_are_found_by_their_names() -> None:
    assert await read(b'"User_ID","plan","amplitude_id"\n"ana","free","1"\n') == [("1", "ana")]


@pytest.mark.parametrize("file", [b"", HEADER + b'"1","an', b'"amplitude_id","user'])
async def test_a_file_that_breaks_off_is_not_taken_for_whole(file: bytes) -> None:
    with pytest.raises(NoConnection):
        await read(file)


@pytest.mark.parametrize(
    "file",
    [
        b'"amplitude_id","name"\n"1","ana"\n',
        b"<html><body>Sign in</body></html>\n",
        b'{"error": "no"}\n',
        HEADER + b'"1"\n',
        HEADER + b'"1","\xff"\n',
        HEADER + b'"1","ana"x\n',
        HEADER + b"1" * (2 * 1024 * 1024),
    ],
)
async def test_what_is_no_such_file_is_refused(file: bytes) -> None:
    with pytest.raises(ServerTrouble):
        await read(file)


AMPLITUDE_IDS = st.one_of(st.integers(1, 10**15).map(str), st.text(HOSTILE, max_size=3))
USER_IDS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(HOSTILE, max_size=6),
    st.text("abc-1é😀,", max_size=6),
)


@given(
    members=st.lists(st.tuples(AMPLITUDE_IDS, USER_IDS)),
    cuts=st.lists(st.integers(0, 2000)),
    at_once=st.integers(1, 60),
    line_end=st.sampled_from(("\n", "\r\n")),
)
@example(members=[(",", "b"), ("1", "c")], cuts=[], at_once=1, line_end="\n")
@example(members=[("1", ","), ("", ""), ("2", ",a,")], cuts=[], at_once=1, line_end="\n")
async def test_it_is_read_the_same_wherever_it_is_cut(
    members: list[tuple[str, str]], cuts: list[int], at_once: int, line_end: str
) -> None:
    """Records that need no parser are read without one, which must make no difference."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator=line_end)
    writer.writerow(("amplitude_id", "user_id"))
    writer.writerows(members)
    file = text.getvalue().encode()
    edges = [0, *sorted(cut for cut in cuts if cut < len(file)), len(file)]
    parts = [file[begin:end] for begin, end in itertools.pairwise(edges)]
    assert await read(*parts, at_once=at_once) == members
