"""What Segment Engage would send: a deterministic stream of audience events, and their truth."""

import heapq
import itertools
import random
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from amp_console.simulator.scenario import Audience, Scenario, demo_scenario
from amp_console.simulator.truth import Kind, Truth

__all__ = ["demo_scenario", "events", "user_id", "write_file"]

MIX = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1
FIRST_NAMES = ("Maya", "Jonas", "Aisha", "Tomás", "Wren", "Noor", "Felix", "Ines", "Kofi", "Yuki")
LAST_NAMES = ("Lindqvist", "Okafor", "Moreau", "Tanaka", "Silva", "Novak", "Haddad", "Byrne")
PLANS = ("free", "starter", "team", "business")
BROKEN = (Kind.NOT_JSON, Kind.NO_ID, Kind.UNDETERMINED)
UNDETERMINED = ('"true"', "1", "null", "{}")


class _Fact(NamedTuple):
    """The content of one line; `at` is in milliseconds since 1970."""

    kind: Kind
    audience: Audience
    user: int
    user_id: str
    is_member: bool
    at: int


class _Line(NamedTuple):
    text: bytes
    fact: _Fact


def events(scenario: Scenario, truth: Truth | None = None) -> Iterator[bytes]:
    """Yield the lines of a stream as NDJSON, including line ends; record their `truth`."""
    for text, fact in _Stream(scenario).lines():
        if truth is not None:
            if fact.kind is Kind.CHANGE:
                truth.note(fact.audience.key, fact.user_id, is_member=fact.is_member, at=fact.at)
            else:
                truth.counts[fact.kind] += 1
        yield text


def write_file(path: Path, scenario: Scenario) -> Truth:
    """Write a stream to a file and return its truth. Raises OSError."""
    truth = Truth(audience.key for audience in scenario.audiences)
    with path.open("wb") as file:
        file.writelines(events(scenario, truth))
    return truth


def user_id(scenario: Scenario, number: int) -> str:
    """Return the user ID of a scenario's user `number`, counted from 0."""
    mixed = (number + 1) * MIX & MASK
    if (mixed >> 20) % 10_000 < scenario.ghosts * 10_000:
        return f"ghost-{mixed:016x}"
    return f"usr_{mixed:016x}"


class _Stream:
    """Generates events, and holds some of them back: flips, duplicates and late ones."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._rng = random.Random(scenario.seed)
        self._clock = scenario.start
        self._inside: dict[str, set[int]] = {a.key: set() for a in scenario.audiences}
        self._held: list[tuple[int, int, _Line | _Fact]] = []
        self._order = itertools.count()
        self._broken = itertools.cycle(BROKEN)
        self._serial = itertools.count(scenario.seed * 1_000_003)

    def lines(self) -> Iterator[_Line]:
        """Yield exactly as many lines as the scenario has events."""
        scenario, chance = self._scenario, self._rng.random
        for position in range(scenario.events):
            due = self._due(position)
            if isinstance(due, _Line):
                yield due
                continue
            line = self._render(self._fresh() if due is None else self._reverse(due))
            if due is None and chance() < scenario.flips:
                self._hold(position + 1 + int(chance() * 10), line.fact)
            if chance() < scenario.duplicates:
                self._hold(position + 1 + int(chance() * 50), line)
            if chance() >= scenario.late:
                yield line
                continue
            self._hold(position + 1 + int(chance() * 200), line)
            yield self._render(self._fresh())

    def _due(self, position: int) -> _Line | _Fact | None:
        if self._held and self._held[0][0] <= position:
            return heapq.heappop(self._held)[2]
        return None

    def _hold(self, position: int, what: _Line | _Fact) -> None:
        heapq.heappush(self._held, (position, next(self._order), what))

    def _fresh(self) -> _Fact:
        """Generate an event: a person enters an audience, or leaves it if they are in it."""
        scenario, chance = self._scenario, self._rng.random
        self._clock += int(chance() * 40)
        # The square makes the first audiences larger than the last ones: real sizes differ.
        audience = scenario.audiences[int(chance() ** 2 * len(scenario.audiences))]
        user = int(chance() * scenario.users)
        luck, kind = chance(), Kind.CHANGE
        if luck < scenario.broken:
            kind = next(self._broken)
        elif luck < scenario.broken + scenario.foreign:
            kind = Kind.FOREIGN
        is_member = kind is not Kind.CHANGE or self._cross(audience, user)
        return _Fact(kind, audience, user, user_id(scenario, user), is_member, self._clock)

    def _reverse(self, fact: _Fact) -> _Fact:
        """Reverse an event; one in ten has the same time, so that the later line wins."""
        if self._rng.random() >= 0.1:
            self._clock += int(self._rng.random() * 40)
            fact = fact._replace(at=self._clock)
        is_member = self._cross(fact.audience, fact.user)
        return fact._replace(kind=Kind.CHANGE, is_member=is_member)

    def _cross(self, audience: Audience, user: int) -> bool:
        """Let a user enter or leave an audience; return whether they are a member now."""
        inside = self._inside[audience.key]
        if user in inside:
            inside.remove(user)
            return False
        inside.add(user)
        return True

    def _render(self, fact: _Fact) -> _Line:
        is_track = self._rng.random() < self._scenario.tracks
        text = _text(self._scenario, fact, next(self._serial), is_track=is_track)
        if fact.kind is Kind.NOT_JSON:
            text = text[: len(text) * 2 // 3]
        return _Line(f"{text}\n".encode(), fact)


@lru_cache(maxsize=4_096)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _stamp(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1_000)
    return f"{_second(seconds)}.{rest:03}"


def _text(scenario: Scenario, fact: _Fact, serial: int, *, is_track: bool) -> str:
    """Write one event in the shape that Segment's destinations receive, without spaces.

    A template takes a tenth of the time of an encoder, and nothing in it needs escaping.
    """
    audience, user = fact.audience, fact.user
    value = "true" if fact.is_member else "false"
    if fact.kind is Kind.UNDETERMINED:
        value = UNDETERMINED[serial % len(UNDETERMINED)]
    who = "null" if fact.kind is Kind.NO_ID else f'"{fact.user_id}"'
    kind = "computed_trait" if fact.kind is Kind.FOREIGN else "audience"
    stamp, received = _stamp(fact.at), _stamp(fact.at + 400 + serial % 1_700)
    mixed = serial * MIX & MASK
    first, last = FIRST_NAMES[user % 10], LAST_NAMES[user % 8]
    if is_track:
        event = "Audience Entered" if fact.is_member else "Audience Exited"
        head = f'"type":"track","event":"{event}"'
        body = f'"properties":{{"audience_key":"{audience.key}","{audience.key}":{value}}}'
    else:
        head = '"type":"identify"'
        body = (
            f'"traits":{{"{audience.key}":{value},"email":"{last.lower()}.{user}@example.com",'
            f'"first_name":"{first}","last_name":"{last}","plan":"{PLANS[user % 4]}",'
            f'"email_opt_in":{"false" if user % 3 else "true"},'
            f'"lifetime_value":{user * 37 % 9_973}}}'
        )
    return (
        f'{{{head},"userId":{who},"anonymousId":null,"messageId":"personas_2fyFNSKX4Mj{mixed:016X}",'
        f'"timestamp":"{stamp}Z","originalTimestamp":"{stamp}179717Z","receivedAt":"{received}Z",'
        f'"sentAt":null,"context":{{"personas":{{"computation_class":"{kind}",'
        f'"computation_id":"{audience.computation_id}","computation_key":"{audience.key}",'
        f'"namespace":"{scenario.space_id}","space_id":"{scenario.space_id}"}}}},{body},'
        '"integrations":{"All":false,"Amplitude Cohorts":true,"Warehouses":{"all":false}}}'
    )
