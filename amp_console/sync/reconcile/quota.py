"""The monthly quota of downloads: how much is used before another one is spent."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from amp_console.amplitude import Transient
from amp_console.ledger import Ledger
from amp_console.ledger.downloads import starts_since

if TYPE_CHECKING:
    from amp_console.amplitude.client import AmplitudeClient

MONTHLY = 500  # Growth and Enterprise plans (Amplitude's Behavioral Cohorts API page)


class Quota(msgspec.Struct, frozen=True):
    """How many downloads are `used` of `limit`, until `resets_at` (ISO 8601).

    `is_own_count`: Amplitude did not answer, so only this connection's downloads count.
    """

    used: int
    limit: int
    resets_at: str | None
    is_own_count: bool = False

    @property
    def left(self) -> int:
        """How many downloads are left."""
        return max(0, self.limit - self.used)

    def __str__(self) -> str:
        own = " by this connection" if self.is_own_count else ""
        resets = reset_day(self.resets_at)
        return f"{self.used:,} of {self.limit:,} downloads used{own}" + (
            f"; the count resets on {resets}" if resets else ""
        )


def reset_day(resets_at: str | None) -> str:
    """The day the quota resets ("1 Dec"), or "" if unknown."""
    try:
        day = datetime.fromisoformat(resets_at or "")
    except ValueError:
        return ""
    return f"{day.day} {day:%b}"


async def ask_quota(client: "AmplitudeClient", ledger: Ledger, now: int) -> Quota:
    """Ask Amplitude, or count our own downloads if it does not answer.

    `now` in microseconds since 1970. Raises `AmplitudeError`s that waiting does not fix.
    """
    try:
        usage = await client.usage()
    except Transient:
        usage = None
    if usage is not None:
        return Quota(usage.used, usage.limit, usage.resets_at)
    return await own_quota(ledger, now)


async def own_quota(ledger: Ledger, now: int) -> Quota:
    """Count the downloads of this connection in the ledger."""
    day = datetime.fromtimestamp(now // 1_000_000, UTC)
    begin = day.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    end = begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)
    used = await ledger.aread(starts_since, int(begin.timestamp()) * 1_000_000)
    return Quota(len(used), MONTHLY, f"{end:%Y-%m-%dT%H:%M:%SZ}", is_own_count=True)
