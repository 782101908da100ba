"""Amplitude's HTTP API, typed: its calls, answers and errors, and its wire format.

This does not import the HTTP library: `AmplitudeClient` is in `client`, the addresses in `hosts`.
"""

from amp_console.amplitude.errors import (
    AmplitudeError,
    BadRequest,
    CohortGone,
    DownloadLinkExpired,
    ForeignResponse,
    KeysReason,
    KeysRefused,
    NetworkMisconfigured,
    NoConnection,
    RateLimited,
    ResponseTooLong,
    ServerTrouble,
    TimedOut,
    TooLarge,
    Transient,
    Unconfirmed,
)
from amp_console.amplitude.members_file import CohortMembers
from amp_console.amplitude.shapes import (
    Cohort,
    Ids,
    MembersChanged,
    Upload,
    Uploaded,
    Usage,
    UserMatch,
)
from amp_console.http import Unreachable

__all__ = [
    "AmplitudeError",
    "BadRequest",
    "Cohort",
    "CohortGone",
    "CohortMembers",
    "DownloadLinkExpired",
    "ForeignResponse",
    "Ids",
    "KeysReason",
    "KeysRefused",
    "MembersChanged",
    "NetworkMisconfigured",
    "NoConnection",
    "RateLimited",
    "ResponseTooLong",
    "ServerTrouble",
    "TimedOut",
    "TooLarge",
    "Transient",
    "Unconfirmed",
    "Unreachable",
    "Upload",
    "Uploaded",
    "Usage",
    "UserMatch",
]
