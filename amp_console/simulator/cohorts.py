"""Cohorts: listing and creating them, and changing their members.

Amplitude describes these calls on its Behavioral Cohorts API page.
"""

from starlette.requests import Request

from amp_console.simulator import wire
from amp_console.simulator.calls import ParsedRequest, Refused, Reply
from amp_console.simulator.people import Resolved
from amp_console.simulator.project import Project
from amp_console.simulator.world import Cohort
from amp_console.values import IdType, Operation

UPLOAD_ID_TYPES = {"BY_USER_ID": IdType.USER_ID, "BY_AMP_ID": IdType.AMPLITUDE_ID}
MEMBERSHIP_ID_TYPES = {"BY_NAME": IdType.USER_ID, "BY_ID": IdType.AMPLITUDE_ID}
OPERATIONS = {"ADD": Operation.ADD, "REMOVE": Operation.REMOVE}


def read_nothing(request: Request, body: bytes) -> ParsedRequest[None]:  # noqa: ARG001
    """Read a call without parameters."""
    return ParsedRequest(None)


def list_cohorts(project: Project, order: None) -> Reply:  # noqa: ARG001
    """Answer with all published cohorts."""
    shown = [_listed(project, c) for c in project.world.cohorts() if c.published]
    return wire.encode(wire.ListAnswer(shown))


def usage(project: Project, order: None) -> Reply:  # noqa: ARG001
    """Answer with how much of the month's quota of downloads is used."""
    limit, quotas = project.behavior.downloads_per_month, project.quotas
    return wire.encode(wire.Usage(wire.RestDownload(limit, quotas.downloads, quotas.resets_at)))


def read_upload(request: Request, body: bytes) -> ParsedRequest[wire.Upload]:  # noqa: ARG001
    """Read an upload; one that replaces a cohort holds that cohort."""
    order = wire.decode(body, wire.Upload)
    old = order.existing_cohort_id
    return ParsedRequest(order, cohort_id=old, ids=order.ids, line=f"cohort {old}" if old else "")


def upload(project: Project, order: wire.Upload) -> Reply:
    """Create a cohort, or replace an existing one's members. Everything is checked first."""
    _check_upload(project, order)
    resolved = project.world.resolve(order.ids, _upload_id_type(project, order.id_type))
    sample = resolved.skipped[: project.behavior.invalid_sample]
    found_none = not resolved.found and project.behavior.refuses_all_invalid
    if found_none or (resolved.skipped and not order.skip_invalid_ids):
        raise Refused(400, "Some ids are invalid", wire.InvalidSample(sample))
    metadata = wire.UploadMetadata(len(order.ids) - len(resolved.skipped), len(order.ids), sample)
    if order.skip_save:
        return wire.encode(wire.UploadAnswer(None, metadata, {}))
    cohort = _save(project, order, resolved.found)
    answer = wire.UploadAnswer(cohort.id, metadata, {cohort.id: _listed(project, cohort)})
    return wire.encode(answer, cohort_id=cohort.id, applied=True)


def read_membership(request: Request, body: bytes) -> ParsedRequest[wire.Membership]:  # noqa: ARG001
    """Read a membership call; it holds its cohort."""
    order = wire.decode(body, wire.Membership)
    operations = {entry.operation for entry in order.memberships}
    return ParsedRequest(
        order,
        cohort_id=order.cohort_id,
        operation=OPERATIONS.get(operations.pop()) if len(operations) == 1 else None,
        ids=[text for entry in order.memberships for text in entry.ids],
        line=f"cohort {order.cohort_id}",
    )


def change_membership(project: Project, order: wire.Membership) -> Reply:
    """Add or remove the known users; return the others. Everything is checked first."""
    cohort = project.cohort(order.cohort_id)
    _check_count(project, sum(len(entry.ids) for entry in order.memberships))
    plan = [(entry, _operation(entry), _resolve(project, entry)) for entry in order.memberships]
    results = [_result(project, entry, resolved.skipped) for entry, _, resolved in plan]
    if not order.skip_invalid_ids and any(resolved.skipped for _, _, resolved in plan):
        raise Refused(400, "Some ids are invalid", wire.RefusedEntries(results))
    for _, operation, resolved in plan:
        project.world.change(cohort.id, operation, resolved.found)
    return wire.encode(wire.MembershipAnswer(cohort.id, results), applied=True)


def _listed(project: Project, cohort: Cohort) -> wire.ListedCohort:
    computed = project.behavior.computes_sizes
    return wire.ListedCohort(
        app_id=cohort.app_id,
        id=cohort.id,
        name=cohort.name,
        owners=cohort.owners,
        type=cohort.type,
        published=cohort.published,
        size=project.world.size(cohort.id) if computed else None,
        created_at=cohort.created_at,
        last_mod=cohort.last_mod,
        last_computed=cohort.last_mod if computed else None,
        finished=computed,
    )


def _check_upload(project: Project, order: wire.Upload) -> None:
    if order.app_id != project.world.app_id:
        raise Refused(project.behavior.wrong_app_id_status, f"Invalid app_id {order.app_id}")
    if not order.name:
        raise Refused(400, "name must not be empty")
    if not project.world.accepts_owner(order.owner):
        raise Refused(400, f"Owner {order.owner} is not in the organization")
    if not order.ids:
        raise Refused(400, "ids must not be empty")
    _check_count(project, len(order.ids))


def _check_count(project: Project, count: int) -> None:
    if count > project.behavior.max_ids:
        raise Refused(400, f"Too many ids: {count} of {project.behavior.max_ids}")


def _upload_id_type(project: Project, name: str) -> IdType:
    id_type = UPLOAD_ID_TYPES.get(name)
    barred = id_type is IdType.AMPLITUDE_ID and not project.behavior.uploads_by_amplitude_id
    if id_type is None or barred:
        raise Refused(400, f"Invalid id_type {name}")
    return id_type


def _save(project: Project, order: wire.Upload, members: set[int]) -> Cohort:
    if order.existing_cohort_id:
        return project.world.replace(project.cohort(order.existing_cohort_id).id, members)
    return project.world.create_cohort(order.name, order.owner, members, published=order.published)


def _operation(entry: wire.MembershipEntry) -> Operation:
    if (operation := OPERATIONS.get(entry.operation)) is None:
        raise Refused(400, f"Invalid operation {entry.operation}")
    return operation


def _resolve(project: Project, entry: wire.MembershipEntry) -> Resolved:
    id_type = MEMBERSHIP_ID_TYPES.get(entry.id_type)
    if entry.id_type == "BY_AMP_ID" and project.behavior.accepts_by_amp_id:
        id_type = IdType.AMPLITUDE_ID
    if id_type is None:
        raise Refused(400, f"Invalid id_type {entry.id_type}")
    return project.world.resolve(entry.ids, id_type)


def _result(
    project: Project, entry: wire.MembershipEntry, skipped: list[str]
) -> wire.MembershipResult:
    shown: list[str | int] = list(skipped)
    if project.behavior.numeric_skipped_ids:
        shown = [int(text) if text.isascii() and text.isdecimal() else text for text in skipped]
    return wire.MembershipResult(shown, entry.id_type, entry.operation)
