"""The addresses of Segment's APIs."""

from amp_console.values import SegmentRegion

# The US address is in Segment's SDK, the European one in other code by Segment.
_PUBLIC = {
    SegmentRegion.US: "https://api.segmentapis.com",
    SegmentRegion.EU: "https://eu1.api.segmentapis.com",
}
# From Segment's page on the Profile API.
_PROFILES = {
    SegmentRegion.US: "https://profiles.segment.com",
    SegmentRegion.EU: "https://profiles.euw1.segment.com",
}


def public_url(region: SegmentRegion) -> str:
    """Return the base URL of the Public API."""
    return _PUBLIC[region]


def profiles_url(region: SegmentRegion) -> str:
    """Return the base URL of the Profile API."""
    return _PROFILES[region]
