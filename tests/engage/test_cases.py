"""Files from practice, each of which reads like an ordinary one."""

from pathlib import Path

import pytest

from amp_console.engage import EventBatch, ReadOptions, SourceKind, open_file
from tests.engage.events import joined

CASES = Path(__file__).parent.parent / "data/cases"
EXCEL = ["1001", "00042", "Zoë-77", "u,comma", 'q"uote', "a@b.example", "12345678901234567"]


def read_case(name: str, audience: str | None = None) -> tuple[SourceKind, EventBatch]:
    with open_file(str(CASES / name), ReadOptions(audience=audience)) as source:
        return source.kind, joined(source)


def test_half_an_emoji_in_a_trait_costs_no_exit() -> None:
    _, batch = read_case("lone-surrogate-exits.ndjson")
    assert [change[1:4] for change in batch.changes] == [(f"m-{n}", None, False) for n in range(3)]
    assert batch.refusals == []


def test_a_table_of_events_is_recognized_by_its_content() -> None:
    kind, batch = read_case("s3-actions.txt")
    assert kind is SourceKind.ACTIONS_CSV
    assert len(batch.changes) == batch.read == 20
    assert sum(change.is_member for change in batch.changes) == 15


def test_objects_without_newlines_are_events() -> None:
    _, batch = read_case("concatenated-objects.ndjson")
    assert len({change.user_id for change in batch.changes}) == batch.read == 30


def test_amplitudes_export_gives_identifiers_without_tabs() -> None:
    _, batch = read_case("amplitude-export-tabs.csv", "vip")
    assert [change.user_id for change in batch.changes] == [f"m-{n}" for n in range(10)]


def test_actions_in_capitals_decide() -> None:
    _, batch = read_case("s3-actions-upper-case.csv")
    assert [change[1:4] for change in batch.changes] == [("o-1", None, True), ("o-2", None, False)]


@pytest.mark.parametrize("name", ["excel-sep-line.csv", "excel-header-case.csv"])
def test_a_spreadsheets_table_is_read(name: str) -> None:
    _, batch = read_case(name, "vip")
    assert [change.user_id for change in batch.changes] == EXCEL
    assert batch.refusals == []


def test_events_in_an_envelope_are_read() -> None:
    _, batch = read_case("eventbridge.ndjson")
    assert {change.user_id for change in batch.changes} == {"w-0", "w-1", "w-2"}
    assert (batch.filtered, batch.refusals) == ({}, [])
