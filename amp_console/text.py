"""Text that people type or read, with nothing in it that a terminal would obey."""

import math
import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime

# Pasting brings blanks along, and invisible marks: zero-width spaces and joiners, text
# direction, the byte-order mark.
_INVISIBLE = r"[\s\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]+"
_ENDS = re.compile(rf"\A{_INVISIBLE}|{_INVISIBLE}\Z")
_STEERING = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # control, bidirectional and other invisible characters
MAX_LENGTH = 60
_SECONDS = {"s": 1, "m": 60, "h": 3_600}
_DAY = 86_400  # seconds
MAX_ZONE_LENGTH = 5  # letters of an abbreviation; Windows has long names instead


def escaped(text: str) -> str:
    """Escape what is invisible or would steer the terminal, line breaks too."""
    if text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _STEERING else char
        for char in text
    )


def clean(text: str, max_length: int = MAX_LENGTH) -> str:
    """Escape as `escaped` does, and cut what is too long."""
    shown = escaped(text[: max_length + 1])
    return shown if len(text) <= max_length else shown[: max_length - 1] + "…"


def width(text: str) -> int:
    """How many columns a terminal takes for it."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def plural(count: int, one: str, many: str | None = None) -> str:
    """A count with its noun: "1 user", "2,000 users"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def blank_if_zero(count: int | None, sign: str = "") -> str:
    """A count, or "" for zero: "312", "+312" or ""."""
    return f"{sign}{count:,}" if count else ""


def mebibytes(size: int) -> str:
    """A size in bytes for people: "1.3 MiB"."""
    return f"{size / 1_048_576:,.1f} MiB"


def listed(parts: Sequence[str], conjunction: str = "and") -> str:
    """Parts of a sentence as it lists them: "a, b and c"."""
    *first, last = parts
    return f"{', '.join(first)} {conjunction} {last}" if first else last


def named(names: Sequence[str], most: int, max_length: int = MAX_LENGTH) -> str:
    """The first of several names, each cut like `clean`, and how many others: "a, b and 3 more"."""
    shown = ", ".join(clean(name, max_length) for name in names[:most])
    more = len(names) - most
    return f"{shown} and {more:,} more" if more > 0 else shown


def duration(seconds: float | None) -> str:
    """How long to wait, in the largest fitting unit; "a moment" where it is not known."""
    if seconds is None:
        return "a moment"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:,.0f} hours"


def parsed_duration(text: str) -> float:
    """Read a time such as 90, 90s, 15m or 2h, in seconds. Raises ValueError."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _SECONDS else (text, "s")
    try:
        seconds = float(number) * _SECONDS[unit]
    except ValueError:
        seconds = math.nan
    if not 1 <= seconds <= _DAY:
        raise ValueError(f"{text!r} is not a time from 1s to 24h, such as 90s or 15m.")
    return seconds


def spelled_duration(seconds: float) -> str:
    """Spell a time as `parsed_duration` reads it, in the largest unit without a rest: "90s"."""
    unit = next(unit for unit in "hms" if unit == "s" or seconds % _SECONDS[unit] == 0)
    return f"{seconds / _SECONDS[unit]:g}{unit}"


def part_of(count: int, whole: int, one: str) -> str:
    """How many of a whole: "12 of 40 members", "all 40 members"."""
    if count < whole:
        return f"{count:,} of {plural(whole, one)}"
    return f"the only {one}" if count == 1 else f"all {plural(count, one)}"


def capitalized(text: str) -> str:
    """A text with a capital first; the rest stays as it is, as names and marks in it need."""
    return f"{text[:1].upper()}{text[1:]}"


def first_sentence(text: str) -> str:
    """The first sentence of a text, without its full stop."""
    return text.partition(". ")[0].rstrip(".")


def trimmed(text: str) -> str:
    """Return the text without blanks and invisible marks at its ends."""
    return _ENDS.sub("", text)


def local_time(at: int | str | None) -> str:
    """A time for people, local and with its zone: "2026-05-03 21:42:51 CEST".

    `at` in microseconds since 1970, or as ISO 8601 with an offset; "" for None or out of range.
    """
    try:
        if isinstance(at, str):
            time = datetime.fromisoformat(at).astimezone()
        elif at is not None:
            time = datetime.fromtimestamp(at // 1_000_000).astimezone()
        else:
            return ""
    except (OverflowError, ValueError, OSError):
        return ""
    return f"{time:%Y-%m-%d %H:%M:%S} {zone_of(time)}"


def readable_time(at: int) -> str:
    """A time as `local_time` gives it, or words where the time can't be true."""
    return local_time(at) or "an unreadable time"


def zone_of(time: datetime) -> str:
    """The abbreviation of a local time's zone, or its offset where the system has only a name."""
    name = time.tzname() or ""
    return name if name and len(name) <= MAX_ZONE_LENGTH else f"{time:%z}"
