"""Amplitude's addresses."""

from amp_console.values import Region

_HOSTS = {
    Region.NORTH_AMERICA: "https://amplitude.com",
    Region.EUROPE: "https://analytics.eu.amplitude.com",
}


def region_url(region: Region) -> str:
    """Return the base URL of a region, from Amplitude's Behavioral Cohorts API page."""
    return _HOSTS[region]
