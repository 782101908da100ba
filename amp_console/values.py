"""The few plain values that all packages share.

The domain packages (`engage`, `amplitude`, `ledger`, `connections`) do not import each other.
`sync` passes these values between them.
"""

import enum
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise, repeat
from operator import attrgetter
from typing import Any, NamedTuple, NoReturn, overload

import msgspec


class IdType(enum.StrEnum):
    """Which identifier Amplitude matches people by; Segment's audience setting "ID Type"."""

    USER_ID = "user_id"
    AMPLITUDE_ID = "amplitude_id"

    @property
    def label(self) -> str:
        """Segment's and Amplitude's name for it."""
        return "User ID" if self is IdType.USER_ID else "Amplitude ID"

    @property
    def a_label(self) -> str:
        """Its name with the indefinite article."""
        return f"a {self.label}" if self is IdType.USER_ID else f"an {self.label}"

    @property
    def other(self) -> "IdType":
        """The ID type that an audience with this one does not use."""
        return IdType.AMPLITUDE_ID if self is IdType.USER_ID else IdType.USER_ID


class Region(enum.StrEnum):
    """The region of an Amplitude project. Only `amplitude` knows the hosts."""

    NORTH_AMERICA = "north-america"
    EUROPE = "europe"

    @property
    def label(self) -> str:
        """The name on Segment's settings page."""
        return "North America" if self is Region.NORTH_AMERICA else "Europe"

    @property
    def other(self) -> "Region":
        """The region a project is in when its keys are unknown to this one."""
        return Region.EUROPE if self is Region.NORTH_AMERICA else Region.NORTH_AMERICA


class SegmentRegion(enum.StrEnum):
    """The region of a Segment workspace. Only `segment` knows the hosts."""

    US = "us"
    EU = "eu"

    @property
    def label(self) -> str:
        """Its name in words."""
        return "United States" if self is SegmentRegion.US else "European Union"


class Operation(enum.StrEnum):
    """What a request does to the users in it."""

    ADD = "add"
    REMOVE = "remove"


class AudienceRef(NamedTuple):
    """The audience that an Engage event names.

    Space ID and computation ID identify it; keys can be reused. Both IDs are "" if only the key is
    known (the CSV download of an audience).
    """

    space_id: str
    computation_id: str
    key: str


class AudienceHints(msgspec.Struct, frozen=True):
    """What Segment's destination says about an audience: the defaults of a new audience.

    `cohort_id` is the event's `external_audience_id`; the others come from `audience_settings`.
    """

    cohort_id: str | None = None
    id_type: IdType | None = None
    cohort_name: str | None = None
    owner_email: str | None = None


class Change(NamedTuple):
    """One person entered or left one audience: what one Engage event says.

    At least one of the identifiers is there. `at` is the event's time in microseconds since
    1970 (UTC); `line` is the event's line in its source, counted from 1.
    """

    audience: AudienceRef
    user_id: str | None
    amplitude_id: str | None
    is_member: bool
    at: int
    line: int


class ChangeColumns(NamedTuple):
    """Changes of one audience, each with a User ID alone: the fields of `Change` as columns.

    All columns have the same length, which is not 0; the lines ascend.
    """

    audience: AudienceRef
    user_ids: Sequence[str]
    is_member: Sequence[bool]
    at: Sequence[int]
    lines: Sequence[int]

    @classmethod
    def joined(cls, parts: Sequence["ChangeColumns"]) -> "ChangeColumns":
        """The changes of several parts of one audience, in the order of their lines."""
        columns: tuple[list[Any], ...] = ([], [], [], [])
        for part in parts:
            for column, more in zip(columns, part[1:], strict=True):
                column.extend(more)
        if any(former.lines[-1] > later.lines[0] for former, later in pairwise(parts)):
            lines = columns[-1]
            order = sorted(range(len(lines)), key=lines.__getitem__)
            columns = tuple([column[row] for row in order] for column in columns)
        return cls(parts[0].audience, *columns)

    def since(self, line: int) -> "ChangeColumns | None":
        """Its changes from this line on; None if there are none."""
        first = bisect_left(self.lines, line)
        if first == len(self.lines):
            return None
        user_ids, is_member = self.user_ids[first:], self.is_member[first:]
        return ChangeColumns(
            self.audience, user_ids, is_member, self.at[first:], self.lines[first:]
        )

    def rows(self) -> Iterator[Change]:
        """Yield its changes."""
        no_other: Iterable[None] = repeat(None)
        columns = (self.user_ids, no_other, self.is_member, self.at, self.lines)
        return map(Change, repeat(self.audience), *columns)


class ChangeTable(Sequence[Change]):
    """Changes in the order of their lines, held as columns: work on those for many changes."""

    def __init__(self, columns: Sequence[ChangeColumns]) -> None:
        """The columns of each audience; there is at least one."""
        self.columns = columns

    def __len__(self) -> int:
        return sum(len(columns.lines) for columns in self.columns)

    def __iter__(self) -> Iterator[Change]:
        if len(self.columns) == 1:
            return self.columns[0].rows()
        rows = chain.from_iterable(columns.rows() for columns in self.columns)
        return iter(sorted(rows, key=attrgetter("line")))

    @overload
    def __getitem__(self, index: int) -> Change: ...

    @overload
    def __getitem__(self, index: slice) -> list[Change]: ...

    def __getitem__(self, index: int | slice) -> Change | list[Change]:
        return list(self)[index]


def times_of(changes: Sequence[Change]) -> Iterable[int]:
    """The times of changes, in microseconds since 1970 (UTC), in any order."""
    if isinstance(changes, ChangeTable):
        return chain.from_iterable(columns.at for columns in changes.columns)
    return map(attrgetter("at"), changes)


def latest_of(changes: Sequence[Change], count: int) -> Sequence[Change]:
    """The last changes, at most `count`, in their order."""
    if not isinstance(changes, ChangeTable) or len(changes) <= count:
        return changes[-count:]
    first = sorted(chain.from_iterable(columns.lines for columns in changes.columns))[-count]
    return ChangeTable([some for columns in changes.columns if (some := columns.since(first))])


def moves_of(changes: Sequence[Change]) -> Counter[tuple[AudienceRef, bool]]:
    """Count the changes by audience, and by whether someone enters."""
    if not isinstance(changes, ChangeTable):
        return Counter((change.audience, change.is_member) for change in changes)
    counts = Counter[tuple[AudienceRef, bool]]()
    for columns in changes.columns:
        entered = sum(columns.is_member)
        counts[columns.audience, True] += entered
        counts[columns.audience, False] += len(columns.is_member) - entered
    return +counts


class Refusal(NamedTuple):
    """One event that could not be read: where it is and why. `line` 0 is the whole source."""

    line: int
    reason: str


class SegmentDestination(NamedTuple):
    """A destination in Amplitude that Segment itself sends an audience to."""

    name: str
    is_enabled: bool


class SegmentAudience(NamedTuple):
    """An audience as Segment's Public API lists it; None is unknown.

    `id` is what events call its computation ID. `status` is Segment's own word, e.g. "Live". `size`
    counts `unit`, Segment's word for it, "" if it gives none; `definition` is its query.
    """

    id: str
    key: str
    name: str
    is_enabled: bool
    status: str | None
    size: int | None
    unit: str
    definition: str | None
    destinations: tuple[SegmentDestination, ...] | None = None


class Secret:
    """A text that is never shown: masked in repr, str and format, not picklable.

    `reveal` is called in five places only: where the request's auth header is built, in the
    keyring thread, where a webhook's signature is checked, and where a warehouse or
    a ledger on a server is opened.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the clear text."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("A secret can't be pickled.")


class Credentials(NamedTuple):
    """The key pair of one Amplitude project."""

    api_key: Secret
    secret_key: Secret


def now_in_microseconds() -> int:
    """The time of day in microseconds since 1970 (UTC), the unit of every moment."""
    return time.time_ns() // 1000


MAX_IDENTIFIER_BYTES = 1_024
"""Amplitude takes no longer User ID, and an index of PostgreSQL holds two such ones."""


def identifier_fault(text: str) -> str:
    """Say what is wrong with an identifier that a ledger can't keep; "" if it can.

    PostgreSQL stores no NUL character, and one ledger must be able to become another.
    """
    if "\0" in text:
        return "contains a NUL character"
    may_be_long = len(text) * 4 > MAX_IDENTIFIER_BYTES  # no character takes more than four
    if may_be_long and len(text.encode(errors="surrogatepass")) > MAX_IDENTIFIER_BYTES:
        return f"is longer than {MAX_IDENTIFIER_BYTES:,} bytes"
    return ""
