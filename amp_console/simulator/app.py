"""The application: handles each call from the request to the answer, including faults."""

import asyncio
import base64
import hmac
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from amp_console.simulator import cohorts, control, downloads, trouble, users, wire
from amp_console.simulator.calls import Call, ParsedRequest, Refused, Reply, Seen
from amp_console.simulator.faults import Body, Faults, Late, RequestFaults
from amp_console.simulator.project import Project
from amp_console.simulator.quotas import Lines
from amp_console.simulator.segment import SegmentSpace
from amp_console.values import Credentials

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[object]]
"""Waits for some seconds."""


@dataclass(frozen=True, slots=True)
class Service(Generic[T]):
    """One kind of call: its route, how it is read, and how it is carried out."""

    call: Call
    method: str
    path: str
    read: Callable[[Request, bytes], ParsedRequest[T]]
    work: Callable[[Project, T], Reply]


REQUEST = "/api/5/cohorts/request"
SERVICES: tuple[Service[Any], ...] = (
    Service(Call.LIST, "GET", "/api/3/cohorts", cohorts.read_nothing, cohorts.list_cohorts),
    Service(Call.USAGE, "GET", "/api/3/cohorts/usage", cohorts.read_nothing, cohorts.usage),
    Service(Call.UPLOAD, "POST", "/api/3/cohorts/upload", cohorts.read_upload, cohorts.upload),
    Service(
        Call.MEMBERSHIP,
        "POST",
        "/api/3/cohorts/membership",
        cohorts.read_membership,
        cohorts.change_membership,
    ),
    Service(Call.SEARCH, "GET", "/api/2/usersearch", users.read_search, users.search),
    Service(
        Call.DOWNLOAD_START,
        "GET",
        REQUEST + "/{cohort_id}",
        downloads.read_start,
        downloads.start,
    ),
    Service(
        Call.DOWNLOAD_STATUS,
        "GET",
        "/api/5/cohorts/request-status/{request_id}",
        downloads.read_status,
        downloads.status,
    ),
    Service(
        Call.DOWNLOAD_FILE,
        "GET",
        REQUEST + "/{request_id}/file",
        downloads.read_file,
        downloads.fetch_file,
    ),
    Service(
        Call.DOWNLOAD_LINK,
        "GET",
        "/_storage/{request_id}",
        downloads.read_link,
        downloads.follow_link,
    ),
)


class Dispatcher:
    """Answers every call in the same steps: read, fault, keys, slot, work, record."""

    def __init__(
        self,
        project: Project,
        faults: Faults,
        credentials: Credentials,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.project = project
        self.faults = faults
        self.requests: list[Seen] = []
        self._credentials = credentials
        self._sleep = sleep
        self._lines = Lines()

    @property
    def in_work(self) -> int:
        """How many requests are in progress."""
        return self._lines.in_work

    async def answer(self, service: Service[Any], request: Request) -> Response:
        """Answer one request."""
        parsed: ParsedRequest[Any] = ParsedRequest(None)
        found = RequestFaults()
        try:
            parsed = service.read(request, await request.body())
            found = self.faults.decide(service.call, parsed.ids)
            if service.call is not Call.DOWNLOAD_LINK:
                self._check_keys(request.headers.get("authorization", ""))
            reply = await self._serve(service, parsed, found)
        except Refused as refused:
            reply = wire.refusal(refused)
        except (ClientDisconnect, asyncio.CancelledError):
            return Response()  # never read: the client is gone, or the server stops
        self.requests.append(_seen(service.call, parsed, found, reply))
        return trouble.response(reply, found)

    async def _serve(
        self, service: Service[T], parsed: ParsedRequest[T], found: RequestFaults
    ) -> Reply:
        """Wait for a slot and for the latency, then do the work or apply the fault."""
        with self._lines.enter(parsed.line, self._limit(parsed.line)):
            if seconds := self.project.behavior.seconds_for(len(parsed.ids)) + found.delay:
                await self._sleep(seconds)
            return self._served(service, parsed, found)

    def _served(self, service: Service[T], parsed: ParsedRequest[T], found: RequestFaults) -> Reply:
        for work in self.faults.due(parsed.cohort_id):
            work()
        if isinstance(found.trouble, Late):
            self.faults.hold(found.trouble, parsed.cohort_id, partial(self._later, service, parsed))
        reply = trouble.instead(parsed, found) or service.work(self.project, parsed.order)
        return (
            trouble.reply_with(found.trouble, parsed) if isinstance(found.trouble, Body) else reply
        )

    def _later(self, service: Service[T], parsed: ParsedRequest[T]) -> None:
        """Do the work of a request that was answered earlier."""
        with suppress(Refused):  # the cohort may be gone by now
            service.work(self.project, parsed.order)

    def _limit(self, line: str) -> int:
        behavior = self.project.behavior
        if line == downloads.LINE:
            return behavior.downloads_at_once
        return behavior.searches_at_once if line == users.LINE else 1

    def _check_keys(self, header: str) -> None:
        scheme, _, coded = header.partition(" ")
        try:
            clear = base64.b64decode(coded, validate=True) if scheme.lower() == "basic" else b""
        except ValueError:
            clear = b""
        api_key, _, secret_key = clear.partition(b":")
        if not hmac.compare_digest(api_key, self._credentials.api_key.reveal().encode()):
            raise Refused(403, "Invalid API Key")
        if not hmac.compare_digest(secret_key, self._credentials.secret_key.reveal().encode()):
            raise Refused(403, "Invalid API/Secret Key combination")


def build(dispatcher: Dispatcher, segment: SegmentSpace) -> Starlette:
    """Build the application: Amplitude's calls, control calls and Segment's calls."""
    routes = [
        Route(service.path, partial(dispatcher.answer, service), methods=[service.method])
        for service in SERVICES
    ]
    return Starlette(
        routes=routes
        + control.routes(dispatcher.project.world, dispatcher.faults, dispatcher.requests)
        + segment.routes()
    )


def _seen(call: Call, parsed: ParsedRequest[Any], found: RequestFaults, reply: Reply) -> Seen:
    return Seen(
        call,
        reply.cohort_id or parsed.cohort_id,
        parsed.operation,
        len(parsed.ids),
        0 if trouble.is_silent(reply, found) else reply.status,
        reply.applied,
    )
