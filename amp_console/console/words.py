"""Numbers and times in words for the screen, as plain text without markup or control codes."""

from datetime import UTC, datetime
from pathlib import PurePath

from amp_console.console.glyphs import Glyphs
from amp_console.console.widgets.grid import Cell
from amp_console.text import blank_if_zero, zone_of

SECOND = 1_000_000  # microseconds
CLOCK_TOLERANCE = 10 * SECOND  # a time less than this in the future counts as now
MINUTE, HOUR, DAY = 60 * SECOND, 3_600 * SECOND, 86_400 * SECOND
YEAR = 365 * DAY


def byte_size(count: float) -> str:
    """Return "512 B", "1.3 MB" or "2.0 GB" for a number of bytes."""
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def number(value: int | None, glyphs: Glyphs) -> str:
    """Return "48,210", or a dash if the number is not known."""
    return glyphs.dash if value is None else f"{value:,}"


def changes(add: int, remove: int, glyphs: Glyphs) -> str:
    """Return pending changes as "+312  −40"; "" if there are none."""
    parts = blank_if_zero(add, "+"), blank_if_zero(remove, glyphs.minus)
    return "  ".join(filter(None, parts))


def ago(then: int | None, now: int, glyphs: Glyphs) -> str:
    """Return e.g. "4 min ago" for two times in microseconds since 1970.

    A time in the future gives that time, or its date. None gives a dash. So does a time in 1970 or
    before: it belongs to a member who is in no event, or comes from a clock that was never set.
    """
    if then is None or then < YEAR:
        return glyphs.dash
    passed = now - then
    if passed < -CLOCK_TOLERANCE:
        whole = at(then)
        return whole[11:] if whole[:10] == at(now)[:10] else whole[:10]
    if passed < 10 * SECOND:
        return "just now"
    for unit, size, most in (("s", SECOND, MINUTE), ("min", MINUTE, HOUR), ("h", HOUR, 2 * DAY)):
        if passed < most:
            return f"{passed // size} {unit} ago"
    return f"{passed // DAY} days ago"


def between(least: str, most: str) -> str:
    """Join two ages, the younger one first: "2 to 7 min ago", "between 40 s ago and 2 min ago"."""
    count, _, unit = least.partition(" ")
    if least == most:
        return most
    is_one_unit = unit == most.partition(" ")[2]
    return f"{count} to {most}" if is_one_unit else f"between {least} and {most}"


def aged(moment: int | None, now: int, glyphs: Glyphs, tone: str = "dim") -> Cell:
    """Return a cell that says how long ago a time was, and stays current."""
    return Cell(ago(moment, now, glyphs), tone, moment)


def day(moment: int) -> str:
    """Return the UTC date of a time in microseconds since 1970."""
    return datetime.fromtimestamp(moment / SECOND, UTC).strftime("%Y-%m-%d")


def at(moment: int | None) -> str:
    """Return the local date and time of a time in microseconds since 1970; "" for None."""
    if moment is None:
        return ""
    try:
        return datetime.fromtimestamp(moment / SECOND).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return "a time that can't be shown"


def moment(then: int, now: int) -> str:
    """Return a short time: "19:42:50", or "05-03 19:42" before today.

    In another year, return only the date: "2025-05-03".
    """
    whole, today = at(then), at(now)
    if whole[:10] == today[:10]:
        return whole[11:]
    return whole[5:16] if whole[:4] == today[:4] else whole[:10]


def zone() -> str:
    """The time zone of `at` and `clock`, as of now."""
    return zone_of(datetime.now().astimezone())


def clock(moment: int | None) -> str:
    """Return the local time of day of a time in microseconds since 1970; "" for None."""
    return at(moment)[11:] if moment is not None else ""


def lasting(seconds: float) -> str:
    """Return "0.4 s", "42 s", "3 min 5 s" or "2 h 10 min"."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def lasting_about(seconds: float) -> str:
    """Return how long something will take, as precisely as an estimate can be: "about 40 s"."""
    whole = max(1, round(seconds))
    if whole >= 60:
        return f"about {lasting(whole)}"
    return f"about {whole if whole < 20 else round(whole / 10) * 10} s"


def stopwatch(seconds: float) -> str:
    """Return "00:42" or "1:02:03", rounded as `duration` is."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute:02}:{second:02}"


def folder_of(source: str) -> str:
    """The folder of a file, or of an object in a bucket; "" if it has none."""
    if "://" in source:
        return source.rpartition("/")[0]
    folder = str(PurePath(source).parent)
    return "" if folder == "." else folder
