"""What the demo imports without parsing is what its files say."""

from pathlib import Path

import pytest

from amp_console.demo.dataset import CHURN, SHOPPERS, AudienceDefinition, ChangeGroup, event_lines
from amp_console.demo.group_reader import BATCH, GroupReader
from amp_console.engage import FieldMapping, ReadOptions, open_file
from amp_console.values import Change

AT = 1_777_900_000_123_456  # microseconds since 1970; events have whole seconds
BOTH_IDS = ReadOptions(mapping=FieldMapping.parse("$.userId", "$.traits.amplitude_id"))
MANY = [f"usr_{number}" for number in range(BATCH + 1)]


@pytest.mark.parametrize(
    ("definition", "groups"),
    [
        (SHOPPERS, [ChangeGroup(AT, True, MANY), ChangeGroup(AT + 9, False, ["usr_2"])]),
        (CHURN, [ChangeGroup(AT, True, ["a", "b"], ["11", "12"]), ChangeGroup(AT, True, ["c"])]),
        (SHOPPERS, []),
    ],
)
def test_reading_the_file_gives_the_same_changes(
    tmp_path: Path, definition: AudienceDefinition, groups: list[ChangeGroup]
) -> None:
    file = tmp_path / "events.ndjson"
    file.write_text("".join(event_lines(definition, group) for group in groups))
    known, parsed = list[Change](), list[Change]()
    with GroupReader(file, definition, groups) as reader:
        for batch in reader:
            known += batch.changes
    with open_file(str(file), BOTH_IDS) as source:
        for batch in source:
            parsed += batch.changes
            assert batch.invalid == 0
        assert (reader.name, reader.key, reader.kind) == (source.name, source.key, source.kind)
    assert known == parsed
