"""A Segment space in detail, with the audiences that the ledger has never seen."""

from collections.abc import Sequence

from textual.content import Content

from amp_console.console.context import Services
from amp_console.console.screens.sources.rows import age_and_time
from amp_console.console.texts import MUTED, STRONG, facts, safe_text
from amp_console.sync.queries.segment import size_words
from amp_console.sync.sources.known import KnownSource
from amp_console.text import plural
from amp_console.values import SegmentAudience

MAX_SHOWN = 100  # audiences that only Segment knows
MAX_NAME = 40  # characters of a name or a key
WAYS = (
    ("by query", "Press n, and give the query its key."),
    ("by bucket", "Press i, and name the bucket that Segment archives into."),
    ("by file", "Press i, and choose its events or its CSV download."),
)
"""How to add an audience that only Segment knows to the ledger."""
IN_A_SHELL = "To disconnect the space, in a shell: amp-console segment disconnect"
NOT_EDITED = "To connect another space, in a shell: amp-console segment connect --space ID"
ASKING = "amp-console is asking Segment. Wait for its answer."
NO_TEST = "Press u to ask Segment: that tests the token, too."


def space_reason(services: Services, action: str) -> str | None:
    """Why an action can't be done with a space; None if it can."""
    reasons = {"test": NO_TEST, "remove": IN_A_SHELL, "edit": NOT_EDITED}
    if action == "refresh" and services.segment.is_asking:
        return ASKING
    return reasons.get(action)


def space_facts(
    services: Services, source: KnownSource, missing: int
) -> list[tuple[str, Content | str]]:
    """When Segment was last asked, what it lists, the space, and where the token is."""
    space = services.segment.space
    if source.read_at is None:
        last = safe_text(("never", MUTED))
        listed = safe_text(("unknown", MUTED))
    else:
        last = safe_text(*age_and_time(services, source.read_at))
        listed = safe_text(
            plural(source.read, "audience"), (f", {missing:,} of them not in the ledger", MUTED)
        )
    rows: list[tuple[str, Content | str]] = [("last read", last), ("lists", listed)]
    if space is not None:
        rows.append(("where", safe_text(space.where)))
        rows.append(("token", services.segment.token_note))
    return rows


def missing_lines(
    services: Services, missing: Sequence[SegmentAudience], width: int, room: int
) -> list[Content]:
    """The audiences that only Segment knows, and how to add one."""
    if not missing:
        return []
    dot = services.glyphs.separator
    rows = [safe_text(("In Segment, not in the ledger:", STRONG))]
    for item in missing[:MAX_SHOWN]:
        status = item.status or "unknown status"
        rows.append(
            safe_text(
                f"  {item.name}",
                (dot, MUTED),
                item.key,
                (f"{dot}{status}{dot}{size_words(item.size, item.unit)}", MUTED),
                max_length=MAX_NAME,
            )
        )
    if len(missing) > MAX_SHOWN:
        rows.append(safe_text((f"  and {len(missing) - MAX_SHOWN:,} more", MUTED)))
    return [safe_text(""), *rows, safe_text("To add one:"), facts(WAYS, width, room)]
