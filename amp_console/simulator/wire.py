"""The JSON of Amplitude's cohort API, both ways, and its error envelope."""

from typing import TypeVar

import msgspec

from amp_console.simulator.calls import Refused, Reply

S = TypeVar("S", bound=msgspec.Struct)


class Upload(msgspec.Struct, frozen=True):
    """The body of an upload: a new static cohort, or new members for an existing one."""

    name: str
    app_id: int
    id_type: str
    ids: list[str]
    owner: str
    published: bool = True
    skip_save: bool = False
    skip_invalid_ids: bool = True
    existing_cohort_id: str | None = None


class MembershipEntry(msgspec.Struct, frozen=True):
    """One list of ids to add or to remove."""

    ids: list[str]
    id_type: str
    operation: str


class Membership(msgspec.Struct, frozen=True):
    """The body of a membership call."""

    cohort_id: str
    memberships: list[MembershipEntry]
    skip_invalid_ids: bool = True


class MembershipResult(msgspec.Struct, frozen=True):
    """The result of one entry: the ids that are unknown."""

    skipped_ids: list[str | int]
    id_type: str
    operation: str


class MembershipAnswer(msgspec.Struct, frozen=True):
    """A membership call that was carried out."""

    cohort_id: str
    memberships_result: list[MembershipResult]


class ListedCohort(msgspec.Struct, frozen=True, rename="camel"):
    """A cohort as the list shows it. Times are seconds since 1970."""

    app_id: int
    id: str
    name: str
    owners: tuple[str, ...]
    published: bool
    size: int | None
    created_at: int
    last_mod: int
    last_computed: int | None
    finished: bool
    type: str = "manual_upload"
    description: str = ""
    definition: dict[str, str] = {}
    viewers: tuple[str, ...] = ()
    archived: bool = False
    hidden: bool = False


class ListAnswer(msgspec.Struct, frozen=True):
    """All discoverable cohorts."""

    cohorts: list[ListedCohort]


class UploadMetadata(msgspec.Struct, frozen=True):
    """How much of an upload was understood. `totals` counts the ids sent."""

    matched: int
    totals: int
    invalid_ids_sample: list[str]


class UploadAnswer(
    msgspec.Struct, frozen=True, rename={"cohort_id": "cohortId", "by_id": "cohortsById"}
):
    """An upload that was carried out, or only validated (then without a cohort)."""

    cohort_id: str | None
    metadata: UploadMetadata
    by_id: dict[str, ListedCohort]


class InvalidSample(msgspec.Struct, frozen=True):
    """Metadata of a refused upload."""

    invalid_ids_sample: list[str]


class RefusedEntries(msgspec.Struct, frozen=True):
    """Metadata of a refused membership call."""

    memberships_result: list[MembershipResult]


class RestDownload(msgspec.Struct, frozen=True):
    """The month's quota of downloads. `resets_at` is ISO 8601."""

    limit: int
    usage: int
    resets_at: str


class Usage(msgspec.Struct, frozen=True):
    """The answer of the usage call."""

    rest_download: RestDownload


class SearchMatch(msgspec.Struct, frozen=True):
    """One user that a search found; the Amplitude ID is a number here."""

    user_id: str | None
    amplitude_id: int


class SearchAnswer(msgspec.Struct, frozen=True):
    """The answer of a user search."""

    matches: list[SearchMatch]
    type: str


class JobAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A download that was just started, or its status."""

    request_id: str
    cohort_id: str
    async_status: str = ""


class _Details(msgspec.Struct, frozen=True):
    details: str


class _Error(msgspec.Struct, frozen=True, omit_defaults=True):
    http_code: int
    type: str
    message: str = ""
    metadata: msgspec.Struct | None = None


class _Envelope(msgspec.Struct, frozen=True):
    error: _Error


def decode(body: bytes, shape: type[S]) -> S:
    """Read a request's body. Raises Refused with 400 if it does not have this shape."""
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.DecodeError as error:
        raise Refused(400, f"The request could not be read: {error}") from None


def encode(
    answer: msgspec.Struct,
    *,
    status: int = 200,
    cohort_id: str | None = None,
    applied: bool = False,
) -> Reply:
    """Build a reply from an answer."""
    return Reply(msgspec.json.encode(answer), status, cohort_id=cohort_id, applied=applied)


def refusal(refused: Refused) -> Reply:
    """Build the reply of a refused call; the text of a 403 is in the metadata."""
    if refused.status == 403:
        error = _Error(403, "unspecified", metadata=_Details(refused.text))
    else:
        error = _Error(refused.status, "invalid_request", refused.text, refused.metadata)
    return encode(_Envelope(error), status=refused.status)
