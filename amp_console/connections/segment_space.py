"""The Segment space of a connection's audiences, without its tokens."""

import re

import msgspec

from amp_console.connections.redaction import shown_url
from amp_console.values import SegmentRegion

_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")


class SegmentSpace(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A space of Segment.

    `token_item` is the keyring item with the token of the Public API, `profiles_item` the one with
    the access token of the Profile API. `base_url` replaces the addresses of both APIs.

    Raises ValueError if the ID is invalid.
    """

    id: str
    region: SegmentRegion = SegmentRegion.US
    base_url: str | None = None
    token_item: str | None = None
    profiles_item: str | None = None

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ValueError("the ID of a space may only contain letters, digits, - and _")

    @property
    def where(self) -> str:
        """Where its requests go, as it may be shown: the region, or the base URL."""
        return shown_url(self.base_url) if self.base_url else self.region.label
