"""The parameters of a generated stream of Engage events."""

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

NAMES = (
    "High value shoppers",
    "Cart abandoners",
    "Newsletter",
    "Trial day 7",
    "Churn risk",
    "Recently lapsed",
)


class Audience(NamedTuple):
    """One audience: the key in its events, and the ID of its computation."""

    key: str
    computation_id: str

    @classmethod
    def named(cls, name: str) -> "Audience":
        """Build the audience that Segment would create for a name: its key is in snake_case."""
        key = "_".join(name.lower().split())
        return cls(key, f"aud_2fy{blake2b(key.encode(), digest_size=12).hexdigest()}")


def _default_audiences() -> tuple[Audience, ...]:
    return tuple(Audience.named(name) for name in NAMES[:3])


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A stream of events; the same scenario always gives the same bytes.

    All shares are between 0 and 1, and are shares of the events unless stated otherwise.
    """

    seed: int = 1
    events: int = 10_000
    audiences: tuple[Audience, ...] = field(default_factory=_default_audiences)
    users: int = 1_000
    tracks: float = 0.3
    """Track events; the others are identify events."""
    flips: float = 0.10
    """Events that a later event of the same user reverses within 20 events."""
    duplicates: float = 0.01
    """Events that occur twice."""
    late: float = 0.02
    """Events that come later in the file than their time."""
    broken: float = 0.001
    """Invalid lines: broken JSON, no identifier, or a membership that is not a boolean."""
    foreign: float = 0.001
    """Events of computed traits instead of audiences."""
    ghosts: float = 0.01
    """A share of the users: their id starts with "ghost-", and the simulator never knows them."""
    space_id: str = "spa_2fyExampleSpaceForTheDemo"
    start: int = 1_777_836_170_066
    """When the stream begins, in milliseconds since 1970."""


def demo_scenario(seed: int = 1, *, events: int = 20_000, users: int = 8_000) -> Scenario:
    """Return a scenario with six believable audiences."""
    audiences = tuple(Audience.named(name) for name in NAMES)
    return Scenario(seed=seed, events=events, users=users, audiences=audiences)
