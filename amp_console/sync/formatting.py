"""Times and sentences that every part of `sync` and the front ends share."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from amp_console.ledger.refused_requests import RefusedRequests
from amp_console.text import local_time, plural, zone_of

if TYPE_CHECKING:
    from amp_console.ledger.since_plan import SincePlan

UNLIKELY = "a retry is unlikely to help"
"""What is said of users that Amplitude does not know, or that it refused again."""


def iso_time(microseconds: int | None) -> str | None:
    """A time in microseconds since 1970 as ISO 8601 in UTC; None for None or out of range."""
    if microseconds is None:
        return None
    try:
        time = datetime.fromtimestamp(microseconds // 1_000_000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def local_iso_time(microseconds: int) -> str | None:
    """A time in microseconds since 1970 as local ISO 8601 with its offset; None if out of range."""
    try:
        return datetime.fromtimestamp(microseconds // 1_000_000).astimezone().isoformat()
    except (OverflowError, ValueError, OSError):
        return None


def clock_time(at: int, now: int) -> str:
    """The local time of day to the second and its zone, with the date unless it is today.

    Both in microseconds since 1970.
    """
    time, today = (datetime.fromtimestamp(item // 1_000_000).astimezone() for item in (at, now))
    day = "" if time.date() == today.date() else f"{time:%Y-%m-%d} "
    return f"{day}{time:%H:%M:%S} {zone_of(time)}"


def uncertain_text(users: int, certain_at: int | str | None) -> str:
    """Say that a late effect may undo what was delivered, and when that is settled.

    `certain_at` in microseconds since 1970, or as `iso_time` writes it.
    """
    when = local_time(certain_at)
    them = "the user" if users == 1 else "them"
    return (
        f"{plural(users, 'user')} not yet certain: an earlier request without an answer may still "
        f"take effect and undo this. A run after {when}, or a live session, confirms {them} again."
    )


def with_missing_ids(users: int) -> str:
    """Count users who can't be sent, because no event has their ID of the audience's ID type."""
    return plural(users, "user with a missing ID", "users with missing IDs")


def without_name(error: Exception, name: str) -> str:
    """Return the text of an error for a line that already begins with the source's name."""
    text = str(error)
    rest = text.removeprefix(f"{name} ")
    return text if rest == text else f"It {rest}"


def refused_words(refused: Iterable[RefusedRequests]) -> str:
    """Say how many and why, "3 refused (2 wrong signature, 1 not JSON)"; "" for none."""
    counts = Counter[str]()
    for item in refused:  # a reason may come with several statuses
        counts[item.reason] += item.count
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in counts.items())
    return f"{counts.total():,} refused ({reasons})" if counts else ""


def since_plan_text(since: "SincePlan", users: int) -> str:
    """Say why a run was for more or fewer `users` than its plan; "" where it was for as many."""
    difference = abs(users - since.planned)
    if not difference:
        return ""
    more = "more" if users > since.planned else "fewer"
    arrived = f"{plural(since.changes, 'change')} arrived"
    if since.changes == difference and more == "more" and not since.elsewhere:
        arrived = "it arrived" if difference == 1 else "they arrived"
    found = [arrived] if since.changes else []
    if since.elsewhere:
        found.append(f"another run delivered {plural(since.elsewhere, 'user')}")
    why = f"{' and '.join(found)} after the plan was made"
    if since.changes > difference and not since.elsewhere:  # a change back, or of a pending user
        why += ", some of them for users who were already pending"
    if not found:
        why = "the log says what has changed since the plan was made"
    return f"{plural(difference, f'{more} change')} than planned: {why}."
