"""Downloading a cohort's members in three steps, and the storage of large files."""

import gzip
import hashlib
import hmac
from collections.abc import Iterable
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request

from amp_console.simulator import wire
from amp_console.simulator.calls import ParsedRequest, Refused, Reply
from amp_console.simulator.project import Job, Project

LINE = "downloads"
SIGNING_KEY = b"simulated-signing-key"
FILE_HEADERS = (("Content-Type", "text/csv"), ("Content-Encoding", "gzip"))


class FileOrder(msgspec.Struct, frozen=True):
    """Which file is requested, and where links must point."""

    request_id: str
    origin: str


class LinkOrder(msgspec.Struct, frozen=True):
    """A link as it was followed; `authorized`: the request had an Authorization header."""

    request_id: str
    expires: str
    signature: str
    authorized: bool


def read_start(request: Request, body: bytes) -> ParsedRequest[str]:  # noqa: ARG001
    """Read which cohort is requested."""
    cohort_id = request.path_params["cohort_id"]
    return ParsedRequest(cohort_id, cohort_id=cohort_id, line=LINE)


def start(project: Project, order: str) -> Reply:
    """Start a download, which counts towards the month's quota."""
    cohort = project.cohort(order)
    last_minute = project.world.clock() - 60
    under_way = sum(
        job.started > last_minute and not project.is_ready(job) for job in project.jobs.values()
    )
    if under_way >= project.behavior.jobs_at_once:
        raise Refused(429, "Exceeded concurrent limit of cohort downloads")
    project.quotas.take_download(project.behavior)
    job = project.open_job(cohort.id)
    answer = wire.JobAnswer(job.request_id, cohort.id)
    return wire.encode(answer, status=202, applied=True)


def read_status(request: Request, body: bytes) -> ParsedRequest[str]:  # noqa: ARG001
    """Read which download is requested."""
    return ParsedRequest(request.path_params["request_id"], line=LINE)


def status(project: Project, order: str) -> Reply:
    """Answer 202 while a download is under way, and 200 when it is ready."""
    job = _job(project, order)
    ready = project.is_ready(job)
    job.polls += 1
    words = "JOB COMPLETED" if ready else "JOB INPROGRESS"
    answer = wire.JobAnswer(job.request_id, job.cohort_id, words)
    return wire.encode(answer, status=200 if ready else 202, cohort_id=job.cohort_id)


def read_file(request: Request, body: bytes) -> ParsedRequest[FileOrder]:  # noqa: ARG001
    """Read which file is requested.

    Links use this machine's other name: for a client, that is another origin, like Amazon's.
    """
    other_name = "localhost" if request.url.hostname != "localhost" else "127.0.0.1"
    origin = f"http://{other_name}:{request.url.port}"
    return ParsedRequest(FileOrder(request.path_params["request_id"], origin), line=LINE)


def fetch_file(project: Project, order: FileOrder) -> Reply:
    """Answer with a small file at once, or with a new link to a large one."""
    job = _job(project, order.request_id)
    if not project.is_ready(job):
        raise Refused(400, "The request is still in progress")
    if project.world.clock() - job.started > project.behavior.file_seconds:
        raise Refused(404, "The file is not kept anymore")
    if len(job.rows) <= project.behavior.redirect_above:
        return _file(project, job)
    expires = repr(project.world.clock() + project.behavior.link_seconds)
    query = urlencode({"X-Amz-Date": expires, "X-Amz-Signature": _sign(job, expires)})
    location = f"{order.origin}/_storage/{job.request_id}?{query}"
    return Reply(b"", 302, (("Location", location),), job.cohort_id)


def read_link(request: Request, body: bytes) -> ParsedRequest[LinkOrder]:  # noqa: ARG001
    """Read a link that was followed."""
    query = request.query_params
    order = LinkOrder(
        request.path_params["request_id"],
        query.get("X-Amz-Date", ""),
        query.get("X-Amz-Signature", ""),
        "authorization" in request.headers,
    )
    return ParsedRequest(order)


def follow_link(project: Project, order: LinkOrder) -> Reply:
    """Answer with the file, as Amazon S3 does: in time, and without other authorization."""
    if order.authorized:
        return _storage_error(400, "InvalidArgument", "Only one auth mechanism allowed")
    job = project.jobs.get(order.request_id)
    signed = job is not None and hmac.compare_digest(_sign(job, order.expires), order.signature)
    if job is None or not signed:
        return _storage_error(403, "SignatureDoesNotMatch", "The signature does not match")
    if project.world.clock() > float(order.expires):
        return _storage_error(403, "AccessDenied", "Request has expired")
    return _file(project, job)


def to_csv(rows: Iterable[tuple[int, str]], *, tabbed: bool) -> str:
    """Write the file: every cell quoted, and if `tabbed`, with a tab inside the quotes."""
    tab = "\t" if tabbed else ""
    lines = [f'"{tab}amplitude_id","{tab}user_id"\n']
    for amplitude_id, user_id in rows:
        cell = user_id.replace('"', '""')
        lines.append(f'"{tab}{amplitude_id}","{tab}{cell}"\n')
    return "".join(lines)


def _job(project: Project, request_id: str) -> Job:
    if (job := project.jobs.get(request_id)) is None:
        raise Refused(404, f"Request {request_id} not found")
    return job


def _file(project: Project, job: Job) -> Reply:
    text = to_csv(job.rows, tabbed=project.behavior.tabbed_cells)
    packed = gzip.compress(text.encode(), compresslevel=1, mtime=0)
    return Reply(packed, headers=FILE_HEADERS, cohort_id=job.cohort_id)


def _sign(job: Job, expires: str) -> str:
    text = f"{job.request_id} {expires}".encode()
    return hmac.new(SIGNING_KEY, text, hashlib.sha256).hexdigest()


def _storage_error(status: int, code: str, text: str) -> Reply:
    page = f"<Error><Code>{code}</Code><Message>{text}</Message></Error>"
    return Reply(page.encode(), status, (("Content-Type", "application/xml"),))
