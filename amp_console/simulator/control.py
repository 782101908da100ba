"""Faults and inspection for a simulator that runs in another process.

    curl http://127.0.0.1:8765/_simulator/state
    curl http://127.0.0.1:8765/_simulator/faults -d '[
      {"trouble": {"kind": "answer", "status": 429, "retry_after": "2"}, "every": 3},
      {"trouble": {"kind": "reset", "applied": true}, "calls": ["upload"], "times": 1}]'

A POST replaces all rules (`[]` ends all trouble). The kinds, with their parameters: `answer`
(status, retry_after, html, words), `reset` (applied), `cut`, `slow` (seconds, jitter), `late`
(status, after), `body` (text, status, content_type, applied), `refuse-ids` (ids, named),
`too-large` (above). A rule may have `calls` (see `Call`), `every`, `share` and `times`. A POST to
/_simulator/release lets `late` requests take effect. There are no keys: the simulator listens on
loopback only.
"""

from collections.abc import Sized
from http import HTTPStatus

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from amp_console.simulator.faults import Faults, Rule
from amp_console.simulator.world import World


class CohortState(msgspec.Struct, frozen=True):
    """A cohort and its size."""

    id: str
    name: str
    members: int


class State(msgspec.Struct, frozen=True):
    """The contents of a simulator, and how many requests it served; `rules` are those left."""

    cohorts: list[CohortState]
    requests: int
    rules: tuple[Rule, ...]


def routes(world: World, faults: Faults, requests: Sized) -> list[Route]:
    """Build the control calls."""

    async def show(request: Request) -> Response:  # noqa: ARG001
        cohorts = [CohortState(c.id, c.name, world.size(c.id)) for c in world.cohorts()]
        state = State(cohorts, len(requests), faults.rules)
        return Response(msgspec.json.encode(state) + b"\n", media_type="application/json")

    async def make_trouble(request: Request) -> Response:
        try:
            faults.set(msgspec.json.decode(await request.body(), type=list[Rule]))
        except msgspec.DecodeError as error:
            text = (
                f"The rules can't be read: {error}. The old ones stay in effect. Correct them and "
                "send them again.\n"
            )
            return Response(text, HTTPStatus.BAD_REQUEST, media_type="text/plain")
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def release(request: Request) -> Response:  # noqa: ARG001
        return Response(f"{faults.release()}\n", media_type="text/plain")

    return [
        Route("/_simulator/state", show),
        Route("/_simulator/release", release, methods=["POST"]),
        Route("/_simulator/faults", make_trouble, methods=["POST"]),
    ]
