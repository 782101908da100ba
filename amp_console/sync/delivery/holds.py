"""Waiting as long as Amplitude asks, across runs: what a 429 with Retry-After asks for."""

from typing import NamedTuple

from amp_console.amplitude import RateLimited, Transient
from amp_console.ledger.holds import DAY
from amp_console.sync.words import clock_time


class AskedToWait(NamedTuple):
    """Amplitude asked for no more requests before `until`, in microseconds since 1970.

    `is_cut`: it asked for longer than a day, which is the longest that is waited.
    """

    until: int
    is_cut: bool
    is_about_cohort: bool


def asked_to_wait(error: Transient, now: int) -> AskedToWait | None:
    """Return what an error asks for, None where it names no time."""
    if not isinstance(error, RateLimited) or error.retry_after is None:
        return None
    wait = min(error.retry_after * 1_000_000, float(DAY))
    is_cut = error.retry_after * 1_000_000 > DAY
    return AskedToWait(now + int(wait), is_cut, error.is_about_cohort)


def held_note(until: int, now: int, *, is_cut: bool = False) -> str:
    """Say until when nothing is sent for an audience, and what becomes of its users."""
    longer = " It asked for longer, but no wait is longer than a day." if is_cut else ""
    return (
        f"Amplitude asked to wait until {clock_time(until, now)}.{longer} "
        "Nothing is sent until then; pending users stay pending."
    )
