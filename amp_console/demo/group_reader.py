"""Reading changes that the demo generated, without parsing the events it wrote for them."""

from collections.abc import Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import Self

from amp_console.demo.dataset import SECOND, SPACE, AudienceDefinition, ChangeGroup
from amp_console.engage import EventBatch, SourceKind
from amp_console.values import AudienceRef, Change, IdType

BATCH = 4_000  # changes; an import can be stopped after each batch


class GroupReader:
    """A `BatchReader` for a file written with `event_lines`.

    Importing the file itself would find the same changes on the same lines, but parsing tens of
    thousands of events would take a third of the time in which the demo opens.
    """

    kind = SourceKind.NDJSON
    taken_at = 0
    id_types: tuple[IdType, ...] = ()
    size: int | None = None
    trouble: str | None = None
    version: str | None = None

    def __init__(
        self, file: Path, definition: AudienceDefinition, change_groups: Sequence[ChangeGroup]
    ) -> None:
        self.name: str = str(file)
        self.key: str | None = self.name
        self._audience = AudienceRef(SPACE, definition.computation_id, definition.key)
        self._change_groups = change_groups

    def position(self) -> int:
        """Always 0: no bytes are read."""
        return 0

    def __iter__(self) -> Iterator[EventBatch]:
        changes: list[Change] = []
        line = 1
        for group in self._change_groups:
            changes += self._changes(group, line)
            line += len(group.user_ids)
            if len(changes) >= BATCH:
                yield EventBatch(changes, lines=len(changes))
                changes = []
        yield EventBatch(changes, lines=len(changes))

    def _changes(self, group: ChangeGroup, first_line: int) -> Iterator[Change]:
        return map(
            Change,
            repeat(self._audience),
            group.user_ids,
            group.amplitude_ids or repeat(None),
            repeat(group.is_member),
            repeat(group.at // SECOND * SECOND),  # events have whole seconds
            range(first_line, first_line + len(group.user_ids)),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """There is nothing to close."""
