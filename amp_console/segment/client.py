"""Clients for the parts of Segment's Public API and Profile API that amp-console reads."""

from typing import Self
from urllib.parse import quote

from amp_console.http.auth import SecretAuth
from amp_console.segment import reading
from amp_console.segment.calls import CallOptions, SegmentCalls
from amp_console.segment.errors import SpaceNotFound
from amp_console.values import Secret, SegmentAudience, SegmentDestination

PAGE = 200  # the most that either API returns at once
_MEDIA_TYPE = "application/vnd.segment.{}+json"


class PublicClient:
    """Reads the audiences of a workspace; an async context manager.

    Every call raises `SegmentError`; so does entering if no call can succeed.
    """

    def __init__(self, base_url: str, token: Secret, options: CallOptions) -> None:
        self._calls = SegmentCalls(
            base_url,
            SecretAuth(token),
            options,
            media_type=_MEDIA_TYPE.format("v1"),
        )

    async def __aenter__(self) -> Self:
        await self._calls.open()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._calls.close()

    async def audiences(self, space_id: str) -> tuple[SegmentAudience, ...]:
        """Return all audiences of a space. Each page counts towards 60 requests a minute."""
        path = f"/spaces/{quote(space_id, safe='')}/audiences"
        params = {"pagination[count]": str(PAGE)}
        found: dict[str, SegmentAudience] = {}
        async for page in self._calls.pages(path, params, "pagination[cursor]", reading.page):
            found |= {audience.id: audience for audience in page.audiences}
        return tuple(found.values())

    async def destinations(
        self, space_id: str, audience_id: str
    ) -> tuple[SegmentDestination, ...] | None:
        """Return the destinations in Amplitude that Segment sends an audience to.

        None if the token can't see all of them. Each page counts towards 50 requests a minute.
        Segment calls this part of its API an alpha version.
        """
        space, audience = quote(space_id, safe=""), quote(audience_id, safe="")
        path = f"/spaces/{space}/audiences/{audience}/destination-connections"
        found: list[SegmentDestination] = []
        listed, total, alpha = 0, 0, _MEDIA_TYPE.format("v1alpha")
        params = {"pagination[count]": str(PAGE)}
        pages = self._calls.pages(path, params, "pagination[cursor]", reading.connections, alpha)
        async for page in pages:
            found += page.destinations
            listed, total = listed + page.listed, max(total, page.total)
        return tuple(found) if listed >= total else None


class ProfilesClient:
    """Reads profiles of one space; an async context manager. Raises as `PublicClient` does."""

    def __init__(self, base_url: str, space_id: str, token: Secret, options: CallOptions) -> None:
        self._calls = SegmentCalls(
            base_url, SecretAuth(token, Secret("")), options, media_type="application/json"
        )
        self._path = f"/v1/spaces/{quote(space_id, safe='')}/collections/users/profiles"

    async def __aenter__(self) -> Self:
        await self._calls.open()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._calls.close()

    async def audiences_of(self, user_id: str) -> dict[str, bool] | None:
        """Return whether a person is in each audience that the profile names, by audience key.

        None means that Segment has no profile for this user ID. If an audience is not named, the
        person was never in it. Segment finds user IDs in lower case only.
        """
        # Encoded in full: Segment answers some unencoded characters with status 500.
        path = f"{self._path}/user_id:{quote(user_id.lower(), safe='')}/traits"
        params = {"class": "audience", "limit": str(PAGE)}
        found: dict[str, bool] = {}
        try:
            async for page in self._calls.pages(path, params, "next", reading.traits):
                found |= page.members
        except SpaceNotFound as error:
            if "profile" in error.message.casefold():
                return None
            raise
        return found
