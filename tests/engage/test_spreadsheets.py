"""A defused cell of an export for spreadsheets is not taken for an identifier."""

import io

import pytest

from amp_console.engage import ReadOptions, read_stream
from amp_console.values import IdType

OPTIONS = {
    "a list": ReadOptions(audience="vips", lists=IdType.USER_ID),
    "a download": ReadOptions(audience="vips"),
}
HEADS = {"a list": b"", "a download": b"user_id,email\n"}


@pytest.mark.parametrize("kind", OPTIONS)
def test_it_is_refused_with_the_option_that_helps(kind: str) -> None:
    rows = b"u1\n'+4915112345\n'abc\n+4915112346\n'-1\n"
    if kind == "a download":
        rows = rows.replace(b"\n", b",x\n")
    text = HEADS[kind] + rows
    with read_stream(io.BytesIO(text), "stdin", OPTIONS[kind]) as source:
        batches = list(source)
    assert [change.user_id for batch in batches for change in batch.changes] == [
        "u1",
        "'abc",
        "+4915112346",
    ]
    refusals = [refusal for batch in batches for refusal in batch.refusals]
    assert len(refusals) == 2
    assert all("export it exactly instead" in refusal.reason for refusal in refusals)
