"""Asking Segment about a connection's space; its answer is kept in the ledger with its time."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from amp_console.connections import KeysError, SegmentSpace
from amp_console.ledger import Ledger
from amp_console.ledger.audiences import all_audiences
from amp_console.ledger.rate_limits import DAY, MINUTE
from amp_console.ledger.segment_audiences import (
    SpaceReading,
    keep_audiences,
    keep_trouble,
    space_reading,
)
from amp_console.segment import (
    SegmentBusy,
    SegmentError,
    SegmentMisconfigured,
    profiles_url,
    public_url,
)
from amp_console.sync.connection_options import edited_base_url
from amp_console.sync.formatting import clock_time
from amp_console.sync.queries.segment import find_in_space
from amp_console.values import (
    Secret,
    SegmentAudience,
    SegmentDestination,
    now_in_microseconds,
)

if TYPE_CHECKING:
    from amp_console.segment.client import ProfilesClient, PublicClient

MAX_ASKED = 40  # audiences whose destinations are asked for: fewer than Segment allows in a minute

OnWait = Callable[[float], None]
FindToken = Callable[[], Awaitable[Secret | None]]
"""Finds the token of the Public API, None if there is none. Raises `KeysError`."""
NOT_STORED = (
    "No token of Segment's Public API is stored. Enter one with `amp-console segment connect`."
)


def public_client(
    space: SegmentSpace, token: Secret, on_wait: OnWait = lambda _: None
) -> "PublicClient":
    """Return a client of the Public API; `on_wait` is called with the seconds of each wait.

    Raises `SettingsError`.
    """
    # Not at the top: whatever reads the ledger alone needs no HTTP library.
    from amp_console.segment.calls import CallOptions  # noqa: PLC0415
    from amp_console.segment.client import PublicClient  # noqa: PLC0415

    url = space_base_url(space) or public_url(space.region)
    return PublicClient(url, token, CallOptions(on_wait=on_wait))


def profiles_client(
    space: SegmentSpace, token: Secret, on_wait: OnWait = lambda _: None
) -> "ProfilesClient":
    """Return a client of the Profile API, as `public_client` does."""
    from amp_console.segment.calls import CallOptions  # noqa: PLC0415
    from amp_console.segment.client import ProfilesClient  # noqa: PLC0415

    url = space_base_url(space) or profiles_url(space.region)
    return ProfilesClient(url, space.id, token, CallOptions(on_wait=on_wait))


def space_base_url(space: SegmentSpace) -> str | None:
    """Return the address that replaces those of both APIs, if any. Raises `SettingsError`."""
    return space.base_url and edited_base_url(space.base_url, f"the Segment space {space.id}")


async def ask_space(
    ledger: Ledger,
    space: SegmentSpace,
    find_token: FindToken,
    on_wait: OnWait = lambda _: None,
    now: Callable[[], int] = now_in_microseconds,
) -> SpaceReading:
    """Ask Segment for the audiences of a space, as `read_space` does, once its token is found.

    If there is no token, the reading contains the reason. Raises as `read_space` does.
    """
    now = ledger.clock(now)
    try:
        token = await find_token()
        trouble = NOT_STORED
    except KeysError as error:
        token, trouble = None, str(error)
    if token is None:
        await ledger.awrite(keep_trouble, space.id, trouble, now())
        return await ledger.aread(space_reading, space.id)
    # In a thread: the first client imports the HTTP library.
    client = await asyncio.to_thread(public_client, space, token, on_wait)
    return await read_space(ledger, client, space.id, now)


async def read_space(
    ledger: Ledger,
    client: "PublicClient",
    space_id: str,
    now: Callable[[], int] = now_in_microseconds,
) -> SpaceReading:
    """Read the audiences of a space into the ledger, and return what is known afterwards.

    If Segment does not return them, the reading contains the reason and the earlier audiences. As
    long as Segment wants no requests, it is not asked. Raises `LedgerError`, and
    `SegmentMisconfigured` for a setting of this process, whose reason is kept, too.
    """
    now = ledger.clock(now)
    before, at = await ledger.aread(space_reading, space_id), now()
    was_set_back = (before.tried_at or 0) > at + MINUTE  # the clock
    wait_until = None if was_set_back else before.wait_until
    if wait_until is not None and at < wait_until <= at + DAY:
        trouble = (
            f"Segment asked for no more requests until {clock_time(wait_until, at)}. Try "
            "again after that."
        )
        return msgspec.structs.replace(before, trouble=trouble, tried_at=at)
    try:
        async with client:
            found = await client.audiences(space_id)
            found = await _with_destinations(ledger, client, space_id, found)
    except SegmentError as error:
        await ledger.awrite(keep_trouble, space_id, str(error), now(), _wait_until(error, now()))
        if isinstance(error, SegmentMisconfigured):
            raise
    else:
        await ledger.awrite(keep_audiences, space_id, found, now())
    return await ledger.aread(space_reading, space_id)


async def _with_destinations(
    ledger: Ledger, client: "PublicClient", space_id: str, audiences: tuple[SegmentAudience, ...]
) -> tuple[SegmentAudience, ...]:
    """Add the destinations to which Segment itself sends the ledger's audiences, if known.

    After the first question that Segment does not answer, no more are asked: the rest are unknown.
    """
    reading = SpaceReading(space_id, audiences, read_at=0)
    mine = find_in_space(reading, await ledger.aread(all_audiences)).values()
    known: dict[str, tuple[SegmentDestination, ...] | None] = {}
    with suppress(SegmentError):
        for listed in [*mine][:MAX_ASKED]:
            known[listed.id] = await client.destinations(space_id, listed.id)
    return tuple(listed._replace(destinations=known.get(listed.id)) for listed in audiences)


def _wait_until(error: SegmentError, now: int) -> int | None:
    if not isinstance(error, SegmentBusy) or error.retry_after is None:
        return None
    return now + round(error.retry_after * 1_000_000)
