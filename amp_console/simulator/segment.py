"""A simulated Segment beside the simulated Amplitude: one space, with both of its APIs.

Its answers follow Segment's Go SDK (Public API) and Segment's page on the Profile API. Segment
knows people only by their user IDs in lower case.
"""

import base64
import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from amp_console.values import Secret

TOKEN = Secret("simulated-segment-token")
PROFILES_TOKEN = Secret("simulated-profiles-token")
SPACE_ID = "spa_o1E"  # the space in the README's event
_JSON = "application/json"


class Size(msgspec.Struct, frozen=True):
    """The size of an audience, in a unit."""

    count: float
    type: str = "USERS"


class Definition(msgspec.Struct, frozen=True):
    """The query of an audience."""

    query: str


class ListedAudience(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """An audience as the Public API lists it; `size` may be missing."""

    id: str
    key: str
    name: str
    enabled: bool = True
    status: str | None = "Live"
    size: Size | msgspec.UnsetType = msgspec.UNSET
    definition: Definition | None = None
    audience_type: str = "USERS"


class Metadata(msgspec.Struct, frozen=True):
    """The kind of a destination."""

    slug: str = "actions-amplitude-cohorts"
    name: str = "Amplitude Cohorts"


class ListedDestination(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A destination as the Public API lists it for an audience."""

    id: str = "6500a1"
    name: str | None = None
    enabled: bool = True
    metadata: Metadata | None = Metadata()


SAMPLES = (
    ListedAudience(
        id="aud_2fy", key="high_value_shoppers", name="High value shoppers", size=Size(1)
    ),
    ListedAudience(id="aud_3kq", key="recently_lapsed", name="Recently lapsed", size=Size(310)),
)
"""Audiences to experiment with; the first is the one in the README's event."""


class Canned(NamedTuple):
    """An answer that replaces the right one."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


class SegmentSpace:
    """A space with its audiences and profiles; both may be changed while it is served.

    `find_audiences` returns the audiences: `audiences`, unless it is replaced. `destinations` are
    those of each audience by its ID, and how many more its token can't see. `profiles` holds each
    person's audience traits by user ID in lower case; `find_profile` looks one up there, unless it
    is replaced. `instead` are answers to give first; `requests` are the targets of all requests.
    """

    def __init__(self, space_id: str = SPACE_ID, *, page: int = 200) -> None:
        self.id = space_id
        self.audiences: list[ListedAudience] = []
        self.find_audiences: Callable[[], Sequence[ListedAudience]] = lambda: self.audiences
        self.destinations: dict[str, list[ListedDestination]] = {}
        self.hidden_destinations = 0
        self.profiles: dict[str, dict[str, bool]] = {}
        self.find_profile: Callable[[str], Mapping[str, bool] | None] = self.profiles.get
        self.instead: list[Canned] = []
        self.requests: list[str] = []
        self.page = page

    async def list_audiences(self, request: Request) -> Response:
        """Answer with one page of the audiences."""
        if early := self._early(request, f"Bearer {TOKEN.reveal()}", _public_error):
            return early
        if request.path_params["space_id"] != self.id:
            return _public_error(404, "The space was not found.")
        return self._page(request, "audiences", self.find_audiences())

    async def list_destinations(self, request: Request) -> Response:
        """Answer with one page of the destinations of an audience."""
        if early := self._early(request, f"Bearer {TOKEN.reveal()}", _public_error):
            return early
        if "v1alpha" not in request.headers.get("accept", ""):
            return _public_error(404, "The path was not found.")
        found = self.destinations.get(request.path_params["audience_id"], [])
        return self._page(request, "connections", found, self.hidden_destinations)

    def _page(
        self, request: Request, name: str, entries: Sequence[msgspec.Struct], hidden: int = 0
    ) -> Response:
        start = int(request.query_params.get("pagination[cursor]", "0"))
        count = min(self.page, int(request.query_params.get("pagination[count]", "200")))
        end, total = start + count, len(entries) + hidden
        pagination: dict[str, object] = {"current": str(start), "totalEntries": total}
        if end < len(entries):
            pagination["next"] = str(end)
        page = {name: entries[start:end], "pagination": pagination}
        return Response(msgspec.json.encode({"data": page}), media_type=_JSON)

    async def show_traits(self, request: Request) -> Response:
        """Answer with one page of a profile's audience traits."""
        clear = f"{PROFILES_TOKEN.reveal()}:".encode()
        proof = f"Basic {base64.b64encode(clear).decode()}"
        if early := self._early(request, proof, _profile_error):
            return early
        if request.path_params["space_id"] != self.id:
            return _profile_error(404, "The space was not found.")
        kind, _, user_id = request.path_params["external_id"].partition(":")
        traits = self.find_profile(user_id) if kind == "user_id" else None
        if traits is None:
            return _profile_error(404, "Profile was not found.")
        names = sorted(traits)
        start = int(request.query_params.get("next", "0"))
        end = start + min(self.page, int(request.query_params.get("limit", "10")))
        found = {name: traits[name] for name in names[start:end]}
        cursor = {"has_more": end < len(names), "next": str(end) if end < len(names) else ""}
        return Response(msgspec.json.encode({"traits": found, "cursor": cursor}), media_type=_JSON)

    def _early(
        self, request: Request, proof: str, error: Callable[[int, str], Response]
    ) -> Response | None:
        self.requests.append(str(request.url).removeprefix(str(request.base_url)))
        if self.instead:
            canned = self.instead.pop(0)
            return Response(
                canned.body, canned.status, headers=dict(canned.headers), media_type=_JSON
            )
        if not hmac.compare_digest(request.headers.get("authorization", ""), proof):
            return error(401, "The token is not valid.")
        return None

    def routes(self) -> list[Route]:
        """Build the routes."""
        profile = "/v1/spaces/{space_id}/collections/users/profiles/{external_id:path}/traits"
        return [
            Route("/spaces/{space_id}/audiences", self.list_audiences),
            Route(
                "/spaces/{space_id}/audiences/{audience_id}/destination-connections",
                self.list_destinations,
            ),
            Route(profile, self.show_traits),
        ]


def _public_error(status: int, message: str) -> Response:
    body = {"errors": [{"type": "error", "message": message, "status": str(status)}]}
    return Response(msgspec.json.encode(body), status, media_type=_JSON)


def _profile_error(status: int, message: str) -> Response:
    codes = {401: "authentication_error", 404: "not_found"}
    body = {"error": {"code": codes[status], "message": message}}
    return Response(msgspec.json.encode(body), status, media_type=_JSON)
