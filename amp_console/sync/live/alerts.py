"""What an operator is alerted to in a live session: once when it begins, once when it is over."""

import msgspec

from amp_console.sync.live.options import LiveOptions
from amp_console.sync.live.progress import LiveSnapshot, pending_by_audience
from amp_console.text import clean, first_sentence, named

MAX_NAMED = 5  # audiences in one alert
MAX_LENGTH = 300  # characters of each


class AlertLimits(msgspec.Struct, frozen=True):
    """Limits on seconds of lag, seconds without an event, and the share of errors among events.

    The share counts invalid events and rejected users since the last check, which takes at least
    `least` events.
    """

    lag: float = 60.0
    silence: float = 600.0
    error_share: float = 0.05
    least: int = 100


def limits_for(options: LiveOptions) -> AlertLimits:
    """The limits of a session: an open window does not count as lag."""
    return AlertLimits(lag=AlertLimits().lag + options.flush_seconds, silence=options.silence)


class Alert(msgspec.Struct, frozen=True):
    """A message for the operator; `is_over`: it is good news."""

    text: str
    is_over: bool = False


class Alerts:
    """Turns snapshots, in their order, into alerts."""

    def __init__(self, limits: AlertLimits | None = None) -> None:
        self._limits = limits or AlertLimits()
        self._active: set[str] = set()
        self._read, self._read_at = 0, 0.0
        self._troubles: set[str] = set()
        self._waits: set[tuple[int, str]] = set()  # audiences, and what for
        self._before = (0, 0)  # events, and errors, at the last check of the share

    def observe(self, now: LiveSnapshot) -> list[Alert]:
        """Return the alerts of a snapshot."""
        limits = self._limits
        found = self._change(
            "lag",
            now.lag > limits.lag,
            _late(now),
            "The cohorts have caught up.",
        )
        found += self._waiting(now)
        found += self._change(
            "backup",
            now.backup_trouble is not None,
            now.backup_trouble or "",
            "The ledger is backed up again.",
        )
        return found + self._silence(now) + self._errors(now) + self._sources(now)

    def _waiting(self, now: LiveSnapshot) -> list[Alert]:
        """Alert once to each audience that waits for a decision of the operator."""
        waiting = {item.audience_id: item for item in now.audiences if item.needs_operator}
        new = [item for id_, item in waiting.items() if (id_, item.waits_for) not in self._waits]
        is_over = bool(self._waits) and not waiting
        self._waits = {(id_, item.waits_for) for id_, item in waiting.items()}
        if is_over:
            return [Alert("No audience is waiting for you now.", is_over=True)]
        if not new:
            return []
        who = named(pending_by_audience(new), MAX_NAMED, MAX_LENGTH)
        return [Alert(f"Waiting for you: {who}. These changes stay pending.")]

    def _sources(self, now: LiveSnapshot) -> list[Alert]:
        """Alert once to each trouble of a source, and once when no source has any left."""
        troubles = {f"{source.name}: {source.trouble}" for source in now.sources if source.trouble}
        new = sorted(troubles - self._troubles)
        is_over = bool(self._troubles) and not troubles
        self._troubles = troubles if not troubles else self._troubles | troubles
        over = [Alert("All sources work again.", is_over=True)] if is_over else []
        return [Alert(trouble) for trouble in new] + over

    def _silence(self, now: LiveSnapshot) -> list[Alert]:
        if now.tally.read != self._read:
            self._read, self._read_at = now.tally.read, now.elapsed
        silent = now.elapsed - self._read_at
        return self._change(
            "silence",
            silent > self._limits.silence,
            f"No events for {silent / 60:.0f} minutes. Check whether the source still works.",
            "Events are arriving again.",
        )

    def _errors(self, now: LiveSnapshot) -> list[Alert]:
        events = now.tally.read
        errors = now.tally.invalid + now.counts.rejected
        more = events - self._before[0]
        if more < self._limits.least:
            return []
        share = (errors - self._before[1]) / more
        self._before = events, errors
        return self._change(
            "errors",
            share > self._limits.error_share,
            f"{share:.0%} of the last {more:,} events were invalid, or their users rejected. See "
            "the errors for who and why.",
            "The share of invalid events and rejected users is low again.",
        )

    def _change(self, name: str, is_so: bool, begins: str, ends: str) -> list[Alert]:
        if is_so == (name in self._active):
            return []
        if is_so:
            self._active.add(name)
            return [Alert(begins)]
        self._active.discard(name)
        return [Alert(ends, is_over=True)]


def _late(now: LiveSnapshot) -> str:
    """A sentence on the oldest change that could be delivered, and on what delays it."""
    late = [item for item in now.audiences if not item.waits]
    if not late:
        return ""
    oldest = max(late, key=lambda item: item.lag)
    why = first_sentence(oldest.state) or "Amplitude is slow or can't be reached"
    return (
        f"The oldest change of “{clean(oldest.name)}” has been pending for {oldest.lag:.0f} s: "
        f"{clean(why, 200)}. It is kept and will be delivered."
    )
