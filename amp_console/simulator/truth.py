"""Who is in which audience after a stream of events, by the simplest rule."""

import enum
from collections import Counter
from collections.abc import Iterable


class Kind(enum.Enum):
    """The kinds of lines in a stream."""

    CHANGE = "change"
    NOT_JSON = "not JSON"
    NO_ID = "no identifier"
    UNDETERMINED = "undetermined"
    FOREIGN = "foreign"


class Truth:
    """Tracks a stream line by line: the newest timestamp wins, or the later line if equal."""

    def __init__(self, audience_keys: Iterable[str]) -> None:
        self.members: dict[str, set[str]] = {key: set() for key in audience_keys}
        """The user IDs of each audience's members, by the audience's key."""
        self.counts: Counter[Kind] = Counter()
        """How many lines there were of each kind."""
        self._newest: dict[str, dict[str, int]] = {key: {} for key in self.members}

    @property
    def changes(self) -> int:
        """How many lines say that a person entered or left an audience, including repeats."""
        return self.counts[Kind.CHANGE]

    @property
    def filtered(self) -> int:
        """How many lines were not about an audience."""
        return self.counts[Kind.FOREIGN]

    @property
    def invalid(self) -> int:
        """How many lines were about an audience but invalid."""
        return self.counts.total() - self.changes - self.filtered

    def note(self, key: str, user_id: str, *, is_member: bool, at: int) -> None:
        """Record one change. `at` is in milliseconds since 1970."""
        self.counts[Kind.CHANGE] += 1
        newest = self._newest[key]
        if newest.get(user_id, at) > at:
            return
        newest[user_id] = at
        if is_member:
            self.members[key].add(user_id)
        else:
            self.members[key].discard(user_id)
