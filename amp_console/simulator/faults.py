"""Simulated faults: what goes wrong, with which calls, and how often."""

import random
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated

import msgspec

from amp_console.simulator.calls import Call


class Answer(
    msgspec.Struct, frozen=True, tag_field="kind", tag="answer", forbid_unknown_fields=True
):
    """Answer with this status instead of doing the work: 429, 500, 502 or 504.

    `retry_after` is the value of that header (seconds or a date); `html` answers with a proxy's
    page instead of Amplitude's JSON, whose message is `words`.
    """

    status: int
    retry_after: str = ""
    html: bool = False
    words: str = "Simulated trouble"


class Reset(msgspec.Struct, frozen=True, tag_field="kind", tag="reset", forbid_unknown_fields=True):
    """Reset the connection: before the work, or after it was done (`applied`)."""

    applied: bool = False


class Cut(msgspec.Struct, frozen=True, tag_field="kind", tag="cut", forbid_unknown_fields=True):
    """Do the work, then close the connection in the middle of the answer."""


class Slow(msgspec.Struct, frozen=True, tag_field="kind", tag="slow", forbid_unknown_fields=True):
    """Wait `seconds`, and up to `jitter` seconds more at random. Other faults may follow."""

    seconds: float
    jitter: float = 0.0


class Late(msgspec.Struct, frozen=True, tag_field="kind", tag="late", forbid_unknown_fields=True):
    """Answer as if nothing were done, and do the work later.

    `status` is the answer now; 0 resets the connection, None never answers. The work is done after
    `after` more requests that name the same cohort (any request, if it names none), before the next
    one is served; None waits for `Faults.release`, which also does all other held work.
    """

    status: int | None = 504
    after: int | None = None


class Body(msgspec.Struct, frozen=True, tag_field="kind", tag="body", forbid_unknown_fields=True):
    """Answer with `text`, whatever it is; `applied`: the work is done anyway.

    In the text, `$cohort_id`, `$operation` and `$ids` (a JSON array) are those of the request.
    """

    text: str
    status: int = 200
    content_type: str = "application/json"
    applied: bool = False


class RefuseIds(
    msgspec.Struct, frozen=True, tag_field="kind", tag="refuse-ids", forbid_unknown_fields=True
):
    """Answer 400 to any batch that contains one of these ids; `named`: the answer names them."""

    ids: frozenset[str]
    named: bool = False


class TooLarge(
    msgspec.Struct, frozen=True, tag_field="kind", tag="too-large", forbid_unknown_fields=True
):
    """Answer 413 to any batch of more than `above` ids."""

    above: int


Trouble = Answer | Reset | Cut | Slow | Late | Body | RefuseIds | TooLarge


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of trouble, and which requests it affects.

    Of the requests in `calls` (all, if empty) that the trouble concerns, it affects every
    `every`th; of these, a random `share`, which the seed determines; and of these, the first
    `times` (None: all).
    """

    trouble: Trouble
    calls: frozenset[Call] = frozenset()
    every: Annotated[int, msgspec.Meta(ge=1)] = 1
    share: float = 1.0
    times: int | None = None

    def concerns(self, call: Call, ids: Sequence[str]) -> bool:
        """Return whether this rule counts such a request."""
        if self.calls and call not in self.calls:
            return False
        match self.trouble:
            case RefuseIds(ids=refused):
                return not refused.isdisjoint(ids)
            case TooLarge(above=above):
                return len(ids) > above
            case _:
                return True


class RequestFaults(msgspec.Struct, frozen=True):
    """The faults of one request: a delay in seconds, then perhaps trouble."""

    delay: float = 0.0
    trouble: Answer | Reset | Cut | Late | Body | RefuseIds | TooLarge | None = None


class _Tally:
    """A rule, and how many requests it concerned and affected."""

    __slots__ = ("concerned", "met", "rule")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.concerned = 0
        self.met = 0

    def meets(self, call: Call, ids: Sequence[str], rng: random.Random) -> bool:
        rule = self.rule
        if self.met == rule.times or not rule.concerns(call, ids):
            return False
        self.concerned += 1
        if self.concerned % rule.every or (rule.share < 1 and rng.random() >= rule.share):
            return False
        self.met += 1
        return True


class _Held:
    """Work that is done later, after some more requests."""

    __slots__ = ("cohort_id", "left", "work")

    def __init__(self, cohort_id: str | None, left: int | None, work: Callable[[], object]) -> None:
        self.cohort_id = cohort_id
        self.left = left
        self.work = work

    def is_due(self, cohort_id: str | None) -> bool:
        """Count one more request, which may name a cohort; return whether the work is due."""
        if self.left is None or self.cohort_id not in {None, cohort_id}:
            return False
        self.left -= 1
        return self.left < 0


class Faults:
    """The trouble of one simulator. Rules may be set from any thread while it runs.

    Rules are tried in order, and the first that affects a request decides; `Slow` adds its delay
    and lets later rules apply. The same rules, seed and requests make the same trouble.
    """

    def __init__(self, rules: Iterable[Rule] = (), *, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._rng = random.Random(seed)
        self._tallies = [_Tally(rule) for rule in rules]
        self._held: list[_Held] = []

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules as they were set, without those used up."""
        with self._lock:
            return tuple(tally.rule for tally in self._tallies if tally.met != tally.rule.times)

    def set(self, rules: Iterable[Rule]) -> None:
        """Replace all rules."""
        tallies = [_Tally(rule) for rule in rules]
        with self._lock:
            self._tallies = tallies

    def clear(self) -> None:
        """Make no more trouble."""
        self.set(())

    def add(self, trouble: Trouble, *calls: Call, every: int = 1, share: float = 1.0) -> None:
        """Add a rule that is never used up."""
        self._append(Rule(trouble, frozenset(calls), every, share))

    def once(self, trouble: Trouble, *calls: Call, times: int = 1) -> None:
        """Make trouble for the next request of these calls, or the next `times` of them."""
        self._append(Rule(trouble, frozenset(calls), times=times))

    def decide(self, call: Call, ids: Sequence[str]) -> RequestFaults:
        """Decide the faults of a request, and count it."""
        delay = 0.0
        with self._lock:
            for tally in self._tallies:
                if not tally.meets(call, ids, self._rng):
                    continue
                trouble = tally.rule.trouble
                if not isinstance(trouble, Slow):
                    return RequestFaults(delay, trouble)
                delay += trouble.seconds + trouble.jitter * self._rng.random()
        return RequestFaults(delay)

    def hold(self, late: Late, cohort_id: str | None, work: Callable[[], object]) -> None:
        """Hold the work of a request until it takes effect."""
        with self._lock:
            self._held.append(_Held(cohort_id, late.after, work))

    @property
    def held(self) -> int:
        """How many requests have not taken effect yet."""
        with self._lock:
            return len(self._held)

    def due(self, cohort_id: str | None) -> list[Callable[[], object]]:
        """Return the work that takes effect before a request that names a cohort, or None."""
        with self._lock:
            due = [item for item in self._held if item.is_due(cohort_id)]
            self._held = [item for item in self._held if item not in due]
        return [item.work for item in due]

    def release(self) -> int:
        """Do all held work in order; return the number of requests."""
        with self._lock:
            held, self._held = self._held, []
        for item in held:
            item.work()
        return len(held)

    def _append(self, rule: Rule) -> None:
        with self._lock:
            self._tallies.append(_Tally(rule))
