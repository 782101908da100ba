"""Amplitude's HTTP API, typed: its calls, its answers, its errors and the words on its wire.

The HTTP library is not imported here: `AmplitudeClient` is in `client`, the addresses in `hosts`,
and in `network` what the environment sets for connections.
"""

from amp_console.amplitude.errors import (
    AmplitudeError,
    AnswerTooLong,
    BadRequest,
    CohortGone,
    DownloadLinkExpired,
    ForeignAnswer,
    KeysReason,
    KeysRefused,
    NetworkSettingInvalid,
    NoConnection,
    RateLimited,
    ServerTrouble,
    TimedOut,
    TooLarge,
    Transient,
    Unconfirmed,
    Unreachable,
)
from amp_console.amplitude.members_file import CohortMember
from amp_console.amplitude.shapes import (
    Cohort,
    Ids,
    MembersChanged,
    Upload,
    Uploaded,
    Usage,
    UserMatch,
)

__all__ = [
    "AmplitudeError",
    "AnswerTooLong",
    "BadRequest",
    "Cohort",
    "CohortGone",
    "CohortMember",
    "DownloadLinkExpired",
    "ForeignAnswer",
    "Ids",
    "KeysReason",
    "KeysRefused",
    "MembersChanged",
    "NetworkSettingInvalid",
    "NoConnection",
    "RateLimited",
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
