"""RFC 3339 text to microseconds since 1970 (UTC)."""

import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# Segment writes 2026-05-03T19:42:50.066Z. Its minutes repeat themselves from event to event, and
# looking its three pieces up takes a third of the time of parsing them.
_SEGMENTS_SHAPE = re.compile(r"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):\d\d:\d\d\.\d{3}Z", re.ASCII)
_MAX_MINUTES = 50_000
_minutes: dict[str, int] = {}
_seconds = {f"{second:02}.": second * 1_000_000 for second in range(60)}
_milliseconds = {f"{item:03}Z": item * 1000 for item in range(1000)}


def microseconds(text: object) -> int | None:
    """Return the instant that an RFC 3339 text names, None for anything else.

    Digits finer than a microsecond are cut off. A time without an offset is no instant.
    """
    try:
        return _minutes[text[:17]] + _seconds[text[17:20]] + _milliseconds[text[20:]]  # type: ignore[index]
    except (KeyError, TypeError):
        return _parsed(text.upper()) if isinstance(text, str) else None


def read_download_time(text: str, now: datetime) -> datetime:
    """Read when a download was made: ISO 8601, in local time where it has no offset.

    `now` is an aware time: a download of the future would outweigh every event until then. Raises
    ValueError with a sentence for the operator.
    """
    try:
        moment = datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{text!r} is not a time. Write it like 2026-05-03T19:42:50Z.") from None
    if moment > now:
        raise ValueError(
            f"{text!r} is in the future: {moment.isoformat()}. Nothing was read. "
            "Give the time when the CSV was downloaded."
        )
    return moment


def _parsed(text: str) -> int | None:
    try:
        instant = (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND
    except (TypeError, ValueError):  # TypeError: it has no offset
        return None
    if _SEGMENTS_SHAPE.fullmatch(text):
        if len(_minutes) == _MAX_MINUTES:
            _minutes.clear()
        _minutes[text[:17]] = instant - instant % 60_000_000
    return instant
