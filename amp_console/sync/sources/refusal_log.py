"""Counts what a receiver refuses, by reason, with the last one of each."""

from collections.abc import Callable, Iterable

from amp_console.ledger.refused_requests import RefusalReason, RefusedRequests
from amp_console.sync.timing import now_in_microseconds


class RefusalLog:
    """One receiver's refused requests. All methods are called in the event loop's thread."""

    def __init__(self, now: Callable[[], int] = now_in_microseconds) -> None:
        """`now` tells the time in microseconds since 1970."""
        self._now = now
        self._found: dict[tuple[RefusalReason, int], RefusedRequests] = {}

    def add(self, reason: RefusalReason, status: int, words: str) -> None:
        """One more request was refused with this HTTP status, and told this."""
        before = self._found.pop((reason, status), None)
        count = 1 + (before.count if before else 0)
        self._found[reason, status] = RefusedRequests(reason, status, count, self._now(), words)

    def snapshot(self) -> tuple[RefusedRequests, ...]:
        """What was refused so far, the most recent reason first."""
        return tuple(reversed(self._found.values()))


def refused_words(refused: Iterable[RefusedRequests]) -> str:
    """Say how many and why, "3 refused (2 wrong signature, 1 not JSON)"; "" for none."""
    found = list(refused)
    if not found:
        return ""
    reasons = ", ".join(f"{item.count:,} {item.reason}" for item in found)
    return f"{sum(item.count for item in found):,} refused ({reasons})"
