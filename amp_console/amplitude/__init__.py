"""Amplitude's HTTP API, typed: its calls, its answers, its errors and the words on its wire."""

import logging

from amp_console.amplitude.client import AmplitudeClient
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
from amp_console.amplitude.hosts import checked_base_url, region_url
from amp_console.amplitude.members_file import CohortMember
from amp_console.amplitude.network import NetworkSettings
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
    "AmplitudeClient",
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
    "NetworkSettings",
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
    "checked_base_url",
    "region_url",
]

# Both log full URLs below WARNING, and a URL may hold a user ID or a signed link.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)
