"""The bodies of Amplitude's requests and their keywords; see its Behavioral Cohorts API page."""

import msgspec

from amp_console.amplitude.shapes import Ids, Upload
from amp_console.values import IdType, Operation

# The two calls use different names. Segment's own code has BY_AMP_ID in both; Amplitude's page has
# BY_ID here, and this follows the page.
_MEMBERSHIP_WORDS = {IdType.USER_ID: "BY_NAME", IdType.AMPLITUDE_ID: "BY_ID"}
_UPLOAD_WORDS = {IdType.USER_ID: "BY_USER_ID", IdType.AMPLITUDE_ID: "BY_AMP_ID"}
OPERATION_WORDS = {Operation.ADD: "ADD", Operation.REMOVE: "REMOVE"}

MEMBERSHIP_ID_TYPES = {
    id_type: {_MEMBERSHIP_WORDS[id_type], _UPLOAD_WORDS[id_type]} for id_type in IdType
}
"""The names that a result of a change of members may use for each ID type."""


class _Entry(msgspec.Struct):
    ids: Ids
    id_type: str
    operation: str


class _Membership(msgspec.Struct):
    cohort_id: str
    memberships: tuple[_Entry]
    skip_invalid_ids: bool = True


class _Upload(msgspec.Struct):
    name: str
    app_id: int
    id_type: str
    ids: Ids
    owner: str
    published: bool
    existing_cohort_id: str | msgspec.UnsetType
    skip_invalid_ids: bool = True


def membership_body(cohort_id: str, id_type: IdType, operation: Operation, ids: Ids) -> bytes:
    """Return the body of a change of members, with one entry.

    Amplitude answers 429 to adding and removing at once, so a request has one operation.
    """
    entry = _Entry(_listed(ids), _MEMBERSHIP_WORDS[id_type], OPERATION_WORDS[operation])
    return msgspec.json.encode(_Membership(cohort_id, (entry,)))


def upload_body(upload: Upload) -> bytes:
    """Return the body of an upload."""
    body = _Upload(
        name=upload.name,
        app_id=upload.app_id,
        id_type=_UPLOAD_WORDS[upload.id_type],
        ids=_listed(upload.ids),
        owner=upload.owner,
        published=upload.published,
        existing_cohort_id=upload.existing_cohort_id or msgspec.UNSET,
    )
    return msgspec.json.encode(body)


def _listed(ids: Ids) -> Ids:
    return ids if isinstance(ids, msgspec.Raw) else list(ids)
