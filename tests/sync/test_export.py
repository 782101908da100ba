"""Exporting what could not be delivered or read: safe for a spreadsheet, or exact."""

import csv
import io
import os
import stat
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amp_console.engage.spreadsheets import defuse
from amp_console.ledger.deliveries import Reason
from amp_console.ledger.rejected import RejectedUser
from amp_console.ledger.sources import InvalidEvent
from amp_console.sync.export import ExportError
from amp_console.sync.queries.errors_export import HEADER, write_errors_csv
from amp_console.values import IdType, Operation

ODD = [
    "=1+1",
    "007",
    "a,b",
    'a"b',
    "a\nb",
    "a\rb",
    "é😀",
    "\u202eevil",
    "[red]",
    "\ud800",
    "x" * 300,
]
AT = 1_777_837_371_000_000  # 2026-05-03T19:42:51Z


def rejected(id_: str) -> RejectedUser:
    return RejectedUser(
        audience_id=1,
        audience="shoppers",
        computation_id="aud_shoppers",
        audience_name="High value shoppers",
        id_type=IdType.USER_ID,
        id=id_,
        operation=Operation.ADD,
        reason="Amplitude did not know this User ID",
        code=Reason.UNKNOWN,
        at=AT,
        tries=1,
        request_id=7,
        since=AT,
    )


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8", errors="surrogatepass") as file:
        return list(csv.reader(file))


def test_each_has_a_row(tmp_path: Path) -> None:
    path = tmp_path / "errors.csv"
    invalid = InvalidEvent("/data/e.ndjson", 12, "not JSON")
    why, lacks = "Amplitude did not know this User ID", "No User ID in the event"
    never_sent = msgspec.structs.replace(rejected("4"), reason=lacks, code=Reason.NO_IDENTIFIER)
    assert write_errors_csv(path, [rejected("u1"), never_sent], [invalid]) == 3
    at = "2026-05-03T19:42:51Z"
    assert rows(path) == [
        list(HEADER),
        ["rejected", "shoppers", "u1", "add", why, Reason.UNKNOWN, at, "", ""],
        ["missing ID", "shoppers", "4", "add", lacks, Reason.NO_IDENTIFIER, at, "", ""],
        ["invalid", "", "", "", "not JSON", "", "", "/data/e.ndjson", "12"],
    ]


def test_identifiers_stand_in_it_exactly_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "errors.csv"
    write_errors_csv(path, map(rejected, ODD), [], exact=True)
    assert [row[2] for row in rows(path)[1:]] == ODD


RISKY = ["=1+1", "+4915112345", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1+1", "'=1"]


@pytest.mark.parametrize("cell", [*RISKY, "a;=1+1", "a\t@x", "a\n+1", 'a,"-1', "''+49", "a\r\n=1"])
def test_no_spreadsheet_runs_a_cell(tmp_path: Path, cell: str) -> None:
    """Not even a spreadsheet that splits the row elsewhere, as in other countries."""
    path = tmp_path / "errors.csv"
    hostile = InvalidEvent(cell, 12, cell)
    write_errors_csv(path, [msgspec.structs.replace(rejected(cell), audience=cell)], [hostile])
    text = path.read_bytes().decode()
    for delimiter in ",;\t":
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            for found in row:
                assert not found.lstrip('"').startswith(STARTS), (delimiter, row)


STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


@given(st.text(alphabet="'=+-@\t\r\n;,ab1\uff1d"), st.text(alphabet="'=+-@\t\r\n;,ab1\uff1d"))
def test_different_texts_stay_different(one: str, other: str) -> None:
    assert (defuse(one) == defuse(other)) == (one == other)


@pytest.mark.parametrize("id_", ["u1", "a-b", "a+b@c.de", "1=1", "", "O'Neil", "a, -1", "'a"])
def test_what_no_spreadsheet_runs_is_as_it_is(id_: str) -> None:
    assert defuse(id_) == id_


def test_a_file_that_was_there_is_replaced_and_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "errors.csv"
    path.write_text("before " * 1000)
    path.chmod(0o644)
    write_errors_csv(path, [], [])
    assert rows(path) == [list(HEADER)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_no_file_keeps_its_mode(tmp_path: Path) -> None:
    """Writing to /dev/stdout or a pipe must not close it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    pipe.chmod(0o644)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert write_errors_csv(pipe, [rejected("u1")], []) == 1
    assert os.read(reader, 1000).startswith(b"kind,")
    assert stat.S_IMODE(pipe.stat().st_mode) == 0o644
    os.close(reader)


@pytest.mark.parametrize("name", ["missing/errors.csv", "."])
def test_a_place_where_no_file_can_be_is_reported(tmp_path: Path, name: str) -> None:
    with pytest.raises(ExportError, match=r"can't be written .* Choose another file"):
        write_errors_csv(tmp_path / name, [], [])
