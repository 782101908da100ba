"""Words and numbers for people, with nothing in them that a terminal would obey."""

import unicodedata
from datetime import UTC, datetime

_STEERING = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # control, bidirectional and other invisible characters
LONGEST = 60


def escaped(text: str) -> str:
    """Escape what is invisible or would steer the terminal, line breaks too."""
    if text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _STEERING else char
        for char in text
    )


def clean(text: str, longest: int = LONGEST) -> str:
    """Escape as `escaped` does, and cut what is too long."""
    shown = escaped(text[: longest + 1])
    return shown if len(text) <= longest else shown[: longest - 1] + "…"


def width(text: str) -> int:
    """How many columns a terminal takes for it."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def moment(microseconds: int | None) -> str | None:
    """A time of the ledger's as ISO 8601 in UTC."""
    if microseconds is None:
        return None
    try:
        time = datetime.fromtimestamp(microseconds // 1_000_000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def clock_time(at: int, now: int) -> str:
    """A time of the ledger's as time of day in UTC, with the date where it is not today's."""
    time, today = (datetime.fromtimestamp(item // 1_000_000, UTC) for item in (at, now))
    day = "" if time.date() == today.date() else f"{time:%Y-%m-%d} "
    return f"{day}{time:%H:%M} UTC"


def plural(count: int, one: str, many: str | None = None) -> str:
    """A count with its noun: "1 user", "2,000 users"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def uncertain_text(users: int, certain_at: int | str | None) -> str:
    """Say that a late effect may undo what was delivered, and when that is settled.

    `certain_at` in microseconds since 1970, or as `moment` writes it.
    """
    when = certain_at if isinstance(certain_at, str) else moment(certain_at)
    them = "the user" if users == 1 else "them"
    return (
        f"{plural(users, 'user')} not yet certain: an earlier request without an answer may still "
        f"take effect and undo this. A run after {when}, or a live session, confirms {them} again."
    )


def unnamed(error: Exception, name: str) -> str:
    """Return an error's text for a line that begins with the source's name already."""
    text = str(error)
    rest = text.removeprefix(f"{name} ")
    return text if rest == text else f"It {rest}"
