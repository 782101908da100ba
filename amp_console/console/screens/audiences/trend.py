"""The members of an audience over time: now, day by day, and in the last hour."""

from textual.content import Content

from amp_console.console.badges import members_sum
from amp_console.console.context import Services
from amp_console.console.glyphs import sparkline
from amp_console.console.texts import ACCENT, GOOD, MUTED, STRONG, WARN, lines, safe_text
from amp_console.console.words import day
from amp_console.ledger.membership_changes import Movement, members_over_time
from amp_console.sync.queries.audience_detail import DAYS, AudienceTrend
from amp_console.sync.queries.status import AudienceSummary
from amp_console.text import blank_if_zero, plural

BAR = 12  # columns of a day's longest bar


def trend_rows(
    services: Services, known: AudienceSummary, trend: AudienceTrend, *, has_table: bool
) -> list[tuple[str, Content | str]]:
    """Return the facts on members over time; days are left out if the table shows them."""
    is_gone = known.audience.broken is not None
    return [
        ("members", _members(services, known, trend.days)),
        *([("", members_sum(known.count, is_gone=is_gone))] if known.count else []),
        *([] if has_table else _days(services, trend.days)),
        *_last_hour(services, trend.hour),
    ]


def trend_table(services: Services, known: AudienceSummary, days: Movement) -> Content:
    """Lay out the last days as a table: members at the end of the day, entered, and left."""
    most = max(1, *days.entered, *days.left)
    width = _width(days)
    sizes = [""] * len(days.entered)
    if known.count is not None:
        sizes = [f"{size:,}" for size in members_over_time(known.count.identified, days)]
    heading = f"{'day (UTC)':<12}{'members':>10}  {'entered':<{width + BAR + 3}}left"
    rows = [safe_text((heading, MUTED))]
    for name, size, entered, left in zip(_names(days), sizes, days.entered, days.left, strict=True):
        plus, minus = _signed(services, entered, left)
        rows.append(
            safe_text(
                (f"{name:<12}", MUTED),
                f"{size:>10}  ",
                (f"{plus:>{width}} {_bar(services, entered, most):<{BAR}}  ", GOOD),
                (f"{minus:>{width}} {_bar(services, left, most)}", WARN),
            )
        )
    return lines(*rows)


def _members(services: Services, known: AudienceSummary, days: Movement) -> Content:
    """How many members there are now, and their sparkline of the last days, as far as known.

    Members without an identifier of the audience's ID type are not counted day by day.
    """
    if known.count is None:
        return safe_text((services.glyphs.more, MUTED))
    sizes = members_over_time(known.count.identified, days)
    change = sum(days.entered) - sum(days.left)
    low = min(sizes[-1] - change, *sizes)  # with the members before the first day
    glyphs = services.glyphs
    sign = "+" if change > 0 else glyphs.minus if change < 0 else ""
    span = f"in {DAYS} days" if len(days.entered) == DAYS else f"since {day(days.since)}"
    words = f"{sign}{abs(change):,} {span}" if change else f"unchanged {span}"
    words += " (event time)"
    if known.count.unidentified:
        members = plural(known.count.unidentified, "member")
        words += f", not counting {members} with no {known.audience.id_type.label}"
    line = sparkline(glyphs, [size - low for size in sizes])
    count = f"{known.count.members:,}"
    return safe_text((count, STRONG), "  ", (line, ACCENT), (f"  {words}", MUTED))


def _days(services: Services, days: Movement) -> list[tuple[str, Content | str]]:
    """How many entered and left on each day with changes, the newest first."""
    rows = list[tuple[str, Content | str]]()
    width = _width(days)
    for at, name in reversed(list(enumerate(_names(days)))):
        entered, left = days.entered[at], days.left[at]
        if entered or left:
            plus, minus = _signed(services, entered, left)
            moved = safe_text((f"{plus:>{width}}", GOOD), "  ", (f"{minus:>{width}}", WARN))
            rows.append((f" {name}", moved))
    return rows


def _last_hour(services: Services, moves: Movement) -> list[tuple[str, Content | str]]:
    entered, left = sum(moves.entered), sum(moves.left)
    if not entered and not left:
        return [("last hour", safe_text(("no change", MUTED)))]
    plus, minus = _signed(services, entered, left)
    width = max(len(plus), len(minus))
    lines = [(plus, moves.entered, GOOD)] if entered else []
    lines += [(minus, moves.left, WARN)] if left else []
    return [
        (
            "" if at else "last hour",
            safe_text((f"{total:>{width}}  {sparkline(services.glyphs, counts)}", tone)),
        )
        for at, (total, counts, tone) in enumerate(lines)
    ]


def _names(days: Movement) -> list[str]:
    """The label of each day (UTC), the oldest first.

    Earlier days have their date: "n days ago" would contradict the elapsed time of a run.
    """
    count = len(days.entered)
    dates = [day(days.since + at * days.span) for at in range(count)]
    return [*dates[:-2], *("yesterday", "today")[-count:]]


def _signed(services: Services, entered: int, left: int) -> tuple[str, str]:
    """How many entered and left, as signed numbers; "" for none."""
    plus = blank_if_zero(entered, "+")
    return plus, blank_if_zero(left, services.glyphs.minus)


def _width(days: Movement) -> int:
    """Return the width of a day's largest number, with its sign."""
    return len(f"{max(*days.entered, *days.left):,}") + 1


def _bar(services: Services, people: int, most: int) -> str:
    """Return a bar for a number of people; `most` is the longest bar, and one person is visible."""
    return services.glyphs.spark[-2] * -(-people * BAR // most)  # rows do not touch
