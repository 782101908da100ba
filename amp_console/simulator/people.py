"""The users that a simulated project knows, by user ID and by Amplitude ID."""

import enum
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from amp_console.values import IdType

FIRST_AMPLITUDE_ID = 300_000_000_000
"""Well above 2³¹, like Amplitude's own."""


class Known(enum.Enum):
    """Which ids the simulated project knows."""

    REGISTERED = "registered"
    """Only the users that were added."""
    EVERYONE = "everyone"
    """Every id as soon as it appears, except those for which `unknown` is true."""


class User(NamedTuple):
    """One user; `user_id` is None for someone who never logged in."""

    user_id: str | None
    amplitude_id: int


class Resolved(NamedTuple):
    """The result for a list of ids: the users found, and the unknown ids, in order."""

    found: set[int]
    skipped: list[str]


class Match(enum.StrEnum):
    """How a search found its users, in the terms of Amplitude's user search."""

    ID = "match_user_or_device_id"
    AMPLITUDE_ID = "match_amplitude_id"
    PREFIX = "match_user_prefix"
    NO_ONE = "nomatch"


def is_ghost(text: str) -> bool:
    """Return whether the simulated project never knows an id: one that starts with "ghost-"."""
    return text.startswith("ghost-")


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None


class People:
    """The users of one project. User IDs are case-sensitive. Not thread-safe."""

    def __init__(
        self,
        known: Known,
        unknown: Callable[[str], bool],
        is_found: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """Among ids not in any request yet, a search finds those for which `is_found` is true."""
        self._known = known
        self._unknown = unknown
        self._is_found = is_found
        self._numbers: dict[str, int] = {}
        self._names: dict[int, str | None] = {}
        numbers = itertools.count(FIRST_AMPLITUDE_ID)
        self._free = (number for number in numbers if number not in self._names)

    def add(self, user_id: str | None, amplitude_id: int | None = None) -> int:
        """Add a user, numbered in order of arrival if no Amplitude ID is given; return that ID.

        Raises ValueError if either ID is in use.
        """
        if amplitude_id in self._names or user_id in self._numbers:
            raise ValueError(f"The user {user_id or amplitude_id} is there already.")
        number = next(self._free) if amplitude_id is None else amplitude_id
        self._names[number] = user_id
        if user_id is not None:
            self._numbers[user_id] = number
        return number

    def has(self, user_id: str) -> bool:
        """Whether a user has this user ID."""
        return user_id in self._numbers

    def name(self, amplitude_id: int) -> str | None:
        """Return the user ID of a user, or None for a user without one."""
        return self._names[amplitude_id]

    def names(self, amplitude_ids: Iterable[int]) -> Iterable[str | None]:
        """Yield what `name` returns for each of many users."""
        return map(self._names.__getitem__, amplitude_ids)

    def resolve(self, ids: Sequence[str], id_type: IdType) -> Resolved:
        """Find the users behind many ids of one type."""
        found = self._by_user_id(ids) if id_type is IdType.USER_ID else self._by_amplitude_id(ids)
        return Resolved(
            {number for number in found if number is not None},
            [text for text, number in zip(ids, found, strict=True) if number is None],
        )

    def search(self, text: str, limit: int) -> tuple[Match, list[User]]:
        """Find users the way Amplitude's user search does: whole ids first, then prefixes."""
        number = _number(text)
        if text in self._numbers:
            return Match.ID, [User(text, self._numbers[text])]
        if number in self._names:
            return Match.AMPLITUDE_ID, [User(self._names[number], number)]
        begun = ((name, number) for name, number in self._numbers.items() if name.startswith(text))
        if users := [User(*pair) for pair in itertools.islice(begun, limit)]:
            return Match.PREFIX, users
        if self._is_found(text) and (met := self._by_user_id([text])[0]) is not None:
            return Match.ID, [User(text, met)]
        return Match.NO_ONE, []

    def _by_user_id(self, ids: Sequence[str]) -> list[int | None]:
        # In bulk, because one request may contain a hundred thousand new users, and with as few
        # accesses to the large tables as possible: with a million users, they take most of the
        # time.
        found = list(map(self._numbers.get, ids))
        missing = [text for text, number in zip(ids, found, strict=True) if number is None]
        met = dict(zip(self._met(dict.fromkeys(missing)), self._free, strict=False))
        self._numbers |= met
        self._names |= zip(met.values(), met, strict=True)
        return [
            met.get(text) if number is None else number
            for text, number in zip(ids, found, strict=True)
        ]

    def _by_amplitude_id(self, ids: Sequence[str]) -> list[int | None]:
        for text in self._met(ids):
            if (number := _number(text)) is not None:
                self._names.setdefault(number, None)
        return [n if (n := _number(text)) in self._names else None for text in ids]

    def _met(self, texts: Iterable[str]) -> list[str]:
        """Return those that become known by appearing here, without having been added."""
        if self._known is Known.REGISTERED:
            return []
        return [text for text in texts if text and not self._unknown(text)]
