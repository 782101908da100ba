"""Judging many events at once, column by column: most of the speed of an import.

Nearly all lines of a file are regular: events of a few audiences, each with a boolean under the key
of its audience, a User ID, and a time. They are decoded into a Struct with only that key, and each
of its columns is checked as a whole, which takes half the time of a loop over the events. Irregular
lines are left to `EventReader`, which would give the same results for the other lines, too.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import compress
from operator import attrgetter, not_
from typing import Any, NamedTuple

import msgspec

from amp_console.engage.event import Context
from amp_console.engage.identifiers import identifiers
from amp_console.engage.membership import FilterReason, membership
from amp_console.engage.timestamps import all_microseconds
from amp_console.values import AudienceRef, ChangeColumns

MANY = 64  # from this many lines on, judging by column pays off
MAX_KEYS = 8  # decoded without other traits; the decoder compares each key with each trait

AudienceOf = Callable[[msgspec.Raw], AudienceRef | FilterReason]
"""Returns the audience that the personas of an event name. Raises ValueError."""

_NEITHER = msgspec.UNSET
"""The value of an event without a boolean under the key of its audience, so not a regular one."""


class Judged(NamedTuple):
    """The results for lines: changes, counts of filtered events by reason, and what is left.

    `left` are the numbers of the irregular lines, in order.
    """

    columns: list[ChangeColumns]
    filtered: Counter[str]
    left: list[int]


class _EventGroup(NamedTuple):
    """The events with the same personas, and the numbers of their lines."""

    personas: msgspec.Raw
    events: Sequence[Any]
    lines: Sequence[int]


class ColumnReader:
    """Judges lines of events whose User ID is at `$.userId` and is the only identifier needed."""

    def __init__(self) -> None:
        self._keys: tuple[str, ...] | None = ()
        """The audience keys that are decoded without other traits; None if there are too many."""
        self._decode, self._no_values = _decoder_of(self._keys)

    @property
    def audiences(self) -> int:
        """How many audiences it has seen; it stops counting after `MAX_KEYS`."""
        return len(self._keys) if self._keys is not None else MAX_KEYS + 1

    def judge(self, lines: Sequence[bytes], first: int, audience_of: AudienceOf) -> Judged:
        """Judge the lines, which are numbered from `first`."""
        events, numbers, left = self._decoded(lines, first)
        judged = Judged([], Counter(), left)
        of_audiences: list[tuple[AudienceRef, _EventGroup]] = []
        for group in _grouped(events, numbers):
            try:
                audience = audience_of(group.personas)
            except (ValueError, RecursionError):
                left += group.lines
                continue
            if isinstance(audience, AudienceRef):
                of_audiences.append((audience, group))
            else:
                judged.filtered.update(_filtered(audience, group))
        if self._learn({audience.key for audience, _ in of_audiences}):
            return self.judge(lines, first, audience_of)
        for audience, group in of_audiences:
            columns = self._columns_of(audience, group, left)
            if columns is not None:
                judged.columns.append(columns)
        left.sort()
        return judged

    def _decoded(
        self, lines: Sequence[bytes], first: int
    ) -> tuple[list[Any], Sequence[int], list[int]]:
        """Decode lines; return the events, the numbers of their lines, and those of other lines."""
        events: list[Any] = []
        left: list[int] = []
        decoding = map(self._decode, lines)
        while len(events) + len(left) < len(lines):
            try:
                events.extend(decoding)  # keeps what was decoded before an error
            except (ValueError, RecursionError):
                left.append(first + len(events) + len(left))
        numbers = range(first, first + len(lines))
        if not left:
            return events, numbers, left
        broken = frozenset(left)
        return events, [number for number in numbers if number not in broken], left

    def _learn(self, keys: set[str]) -> bool:
        """Make the decoder decode these keys from now on; return whether any key is new."""
        if self._keys is None or keys.issubset(self._keys):
            return False
        known = tuple(keys.union(self._keys))
        self._keys = known if len(known) <= MAX_KEYS and all(map(_can_be_field, known)) else None
        self._decode, self._no_values = _decoder_of(self._keys)
        return True

    def _columns_of(
        self, audience: AudienceRef, group: _EventGroup, left: list[int]
    ) -> ChangeColumns | None:
        """The changes of an audience; numbers of irregular lines are added to `left`."""
        user_ids = identifiers([event.user_id for event in group.events])
        is_member = self._membership(group.events, audience.key)
        at = all_microseconds([event.timestamp for event in group.events])
        columns: tuple[Sequence[Any], ...] = (user_ids, is_member, at, group.lines)
        if not (all(user_ids) and all(at) and _NEITHER not in is_member):
            is_regular = [
                user_id is not None and value is not _NEITHER and moment is not None
                for user_id, value, moment in zip(user_ids, is_member, at, strict=True)
            ]
            left += compress(group.lines, map(not_, is_regular))
            columns = tuple(list(compress(column, is_regular)) for column in columns)
        return ChangeColumns(audience, *columns) if columns[0] else None

    def _membership(self, events: Sequence[Any], key: str) -> list[bool | msgspec.UnsetType]:
        """The `membership` of each event; `_NEITHER` if it is neither in nor out."""
        if self._keys is None:
            found = (membership(event, key) for event in events)
            return [value if isinstance(value, bool) else _NEITHER for value in found]
        values = [
            event.traits
            if event.type == "identify"
            else event.properties
            if event.type == "track"
            else self._no_values
            for event in events
        ]
        return list(map(attrgetter(f"key_{self._keys.index(key)}"), values))


def _decoder_of(keys: Sequence[str] | None) -> tuple[Callable[[bytes], Any], Any]:
    """Return a decoder of events with only the values under these keys; None: with all traits.

    The second result is the values of an event without traits.
    """
    values: Any = dict[str, Any]
    default: Any = msgspec.field(default_factory=dict)
    no_values: Any = {}
    if keys is not None:
        names = [f"key_{number}" for number in range(len(keys))]
        values = msgspec.defstruct(
            "Values",
            [(name, bool | msgspec.UnsetType, msgspec.UNSET) for name in names],
            rename=dict(zip(names, keys, strict=True)),
            frozen=True,
            gc=False,
        )
        default = no_values = values()
    event = msgspec.defstruct(
        "RegularEvent",
        [
            ("type", str),
            ("user_id", Any, None),
            ("timestamp", Any, None),
            ("context", Context),
            ("traits", values, default),
            ("properties", values, default),
        ],
        rename={"user_id": "userId"},
        kw_only=True,
        gc=False,
    )
    return msgspec.json.Decoder(event).decode, no_values


def _can_be_field(key: str) -> bool:
    """Whether a Struct can have a field of this name: one that needs no escaping in JSON."""
    return msgspec.json.encode(key) == f'"{key}"'.encode()


def _grouped(events: Sequence[Any], lines: Sequence[int]) -> list[_EventGroup]:
    """Group events with byte-identical personas."""
    if not events:
        return []
    personas = [event.context.personas for event in events]
    first = personas[0]
    if personas.count(first) == len(personas):
        return [_EventGroup(first, events, lines)]
    is_same = list(map(first.__eq__, personas))
    groups = [_EventGroup(first, list(compress(events, is_same)), list(compress(lines, is_same)))]
    rows_of: dict[bytes, list[int]] = {}
    for row in compress(range(len(events)), map(not_, is_same)):
        rows_of.setdefault(bytes(personas[row]), []).append(row)
    groups += [
        _EventGroup(personas[rows[0]], [events[row] for row in rows], [lines[row] for row in rows])
        for rows in rows_of.values()
    ]
    return groups


def _filtered(reason: FilterReason, group: _EventGroup) -> dict[str, int]:
    """Count events that belong to no audience."""
    typeless = [event.type for event in group.events].count("")
    found = {reason: len(group.events) - typeless, FilterReason.NO_EVENT: typeless}
    return {reason: count for reason, count in found.items() if count}
