"""Segment's HTTP APIs, read only: the audiences of a space, and which of them one person is in.

This does not import the HTTP library: the clients are in `client`.
"""

from amp_console.segment.errors import (
    SegmentBusy,
    SegmentError,
    SegmentMisconfigured,
    SegmentTrouble,
    SegmentUnreachable,
    SpaceNotFound,
    TokenRefused,
)
from amp_console.segment.hosts import profiles_url, public_url

__all__ = [
    "SegmentBusy",
    "SegmentError",
    "SegmentMisconfigured",
    "SegmentTrouble",
    "SegmentUnreachable",
    "SpaceNotFound",
    "TokenRefused",
    "profiles_url",
    "public_url",
]
