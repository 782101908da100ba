"""RFC 3339 text to microseconds since 1970 (UTC)."""

import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# Segment writes 2026-05-03T19:42:50.066Z. Its two halves repeat themselves from event to event,
# and looking both up takes half the time of parsing.
_SEGMENTS_SHAPE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:)(\d\d\.\d{3}Z)", re.ASCII)
_MOST_MINUTES = 50_000
_minutes: dict[str, int] = {}
_seconds: dict[str, int] = {}  # at most sixty thousand


def microseconds(text: object) -> int | None:
    """Return the instant that an RFC 3339 text names, None for anything else.

    Digits finer than a microsecond are cut off. A time without an offset is no instant.
    """
    try:
        return _minutes[text[:17]] + _seconds[text[17:]]  # type: ignore[index]
    except (KeyError, TypeError):
        return _parsed(text.upper()) if isinstance(text, str) else None


def _parsed(text: str) -> int | None:
    try:
        instant = (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND
    except (TypeError, ValueError):  # TypeError: it has no offset
        return None
    if halves := _SEGMENTS_SHAPE.fullmatch(text):
        minute, second = halves.groups()
        if len(_minutes) == _MOST_MINUTES:
            _minutes.clear()
        _seconds[second] = round(float(second[:-1]) * 1000) * 1000
        _minutes[minute] = instant - _seconds[second]
    return instant
