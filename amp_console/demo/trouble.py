"""Trouble on request: faults that a presenter turns on to show how amp-console handles them."""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from amp_console.console.environment import DemoTrouble

if TYPE_CHECKING:
    from amp_console.simulator import Faults, Rule


class TroubleKind(NamedTuple):
    """A kind of trouble: name, label, and the notifications for turning it on and off."""

    name: str
    label: str
    on_text: str
    off_text: str


KINDS = (
    TroubleKind(
        "rate-limit",
        "Rate limit: most changes must wait 5 s (429)",
        "Amplitude now limits the rate. A sync waits as asked and loses no one.",
        "Amplitude accepts requests without a limit again.",
    ),
    TroubleKind(
        "down",
        "Amplitude down: 503 and broken connections",
        "Amplitude is down now. A sync retries with growing pauses. The rest stays pending.",
        "Amplitude is up again.",
    ),
    TroubleKind(
        "slow",
        "Slow: every answer takes 2 to 4 s",
        "Amplitude is slow now. A sync takes longer; nothing else waits for it.",
        "Amplitude answers as quickly as before.",
    ),
    TroubleKind(
        "keys",
        "Wrong keys: 403 on everything",
        "Amplitude refuses the keys now. A sync stops at once, and keeps every user pending.",
        "Amplitude accepts the keys again. The console notices at the next sync, or with T "
        "under Connections.",
    ),
)


class Troubles:
    """Turns kinds of trouble on and off, from any thread.

    Faults that are turned on before the simulated Amplitude exists take effect with `attach`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: Faults | None = None
        self._always: tuple[Rule, ...] = ()
        self._on: set[str] = set()

    def attach(self, faults: "Faults", always: "Sequence[Rule]" = ()) -> None:
        """Apply the faults that are on to `faults`; the rules in `always` stay in effect."""
        with self._lock:
            self._faults, self._always = faults, tuple(always)
            self._apply()

    def all(self) -> tuple[DemoTrouble, ...]:
        """The kinds of trouble, and which of them are on."""
        return tuple(DemoTrouble(kind.name, kind.label, kind.name in self._on) for kind in KINDS)

    def toggle(self, name: str) -> str:
        """Turn a kind on or off; return the notification. Raises ValueError."""
        kind = next((item for item in KINDS if item.name == name), None)
        if kind is None:
            raise ValueError(f"There is no trouble {name!r}.")
        with self._lock:
            self._on ^= {name}
            self._apply()
            return kind.on_text if name in self._on else kind.off_text

    def _apply(self) -> None:
        if self._faults is not None:
            rules = [rule for kind in KINDS if kind.name in self._on for rule in _rules(kind.name)]
            self._faults.set([*rules, *self._always])


_MOSTLY = ((1, 1), (3, None), (2, None))


def _rules(name: str) -> "list[Rule]":
    from amp_console.simulator import Answer, Call, Reset, Rule, Slow

    match name:
        case "rate-limit":
            changes = frozenset({Call.MEMBERSHIP, Call.UPLOAD})
            limited = Answer(429, retry_after="5", words="Too many requests")
            # The first request, then two of three: a sync succeeds without giving up.
            return [Rule(limited, changes, every=n, times=t) for n, t in _MOSTLY]
        case "down":
            return [Rule(Answer(503, html=True), every=2), Rule(Reset())]
        case "slow":
            return [Rule(Slow(2.0, 2.0))]
    return [Rule(Answer(403, words="Invalid API Key"))]


def occasional_faults() -> "list[Rule]":
    """Rules that cause a fault now and then."""
    from amp_console.simulator import Answer, Call, Reset, Rule

    changes = frozenset({Call.MEMBERSHIP})
    return [
        Rule(Answer(429, retry_after="2", words="Too many requests"), changes, every=5),
        Rule(Answer(502, html=True), changes, every=7),
        Rule(Reset(applied=True), changes, every=11),
    ]
