"""The user search (Amplitude's Dashboard REST API)."""

from starlette.requests import Request

from amp_console.simulator import wire
from amp_console.simulator.calls import ParsedRequest, Refused, Reply
from amp_console.simulator.project import Project

LINE = "searches"


def read_search(request: Request, body: bytes) -> ParsedRequest[str]:  # noqa: ARG001
    """Read the search text. Raises Refused with 400 if there is none."""
    text = request.query_params.get("user", "")
    if not text:
        raise Refused(400, "Missing parameter: user")
    return ParsedRequest(text, line=LINE)


def search(project: Project, order: str) -> Reply:
    """Answer with the users that match a user ID, its beginning, or an Amplitude ID."""
    project.quotas.take_search(project.behavior)
    match, users = project.world.search(order)
    found = [wire.SearchMatch(user.user_id, user.amplitude_id) for user in users]
    return wire.encode(wire.SearchAnswer(found, match.value))
