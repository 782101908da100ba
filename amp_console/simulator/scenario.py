"""What a generated stream of Engage events is like."""

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
    """One audience, by the key that its events carry and the id of its computation."""

    key: str
    computation_id: str

    @classmethod
    def named(cls, name: str) -> "Audience":
        """Build the audience that Segment would make of a name: its key is the snake_case."""
        key = "_".join(name.lower().split())
        return cls(key, f"aud_2fy{blake2b(key.encode(), digest_size=12).hexdigest()}")


def _default_audiences() -> tuple[Audience, ...]:
    return tuple(Audience.named(name) for name in NAMES[:3])


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A stream of events; the same scenario is the same stream, to the byte.

    All shares are between 0 and 1, and of the events unless they say otherwise.
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
    """Events that come a second time."""
    late: float = 0.02
    """Events that stand later in the file than their time."""
    broken: float = 0.001
    """Lines that say nothing: broken JSON, no identifier, a membership that is no boolean."""
    foreign: float = 0.001
    """Events of computed traits instead of audiences."""
    ghosts: float = 0.01
    """Of the users: those whose id starts with "ghost-", which the simulator never knows."""
    space_id: str = "spa_2fyExampleSpaceForTheDemo"
    start: int = 1_777_836_170_066
    """When the stream begins, in milliseconds since 1970."""


def demo_scenario(seed: int = 1, *, events: int = 20_000, users: int = 8_000) -> Scenario:
    """Return a scenario with six believable audiences."""
    audiences = tuple(Audience.named(name) for name in NAMES)
    return Scenario(seed=seed, events=events, users=users, audiences=audiences)
