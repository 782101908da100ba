"""Events that are dated in the future: from when on, and the notices about them."""

from amp_console.text import local_time, plural

DAY = 24 * 3600 * 1_000_000  # microseconds; clocks and time zones that are set wrong stay within it


def latest_credible(now: int) -> int:
    """Return the time after which an event's own time can't be right, in microseconds."""
    return now + DAY


def dated_ahead(count: int, until: int | None) -> str:
    """A sentence on how many people have such an event, what that means and what helps."""
    have, them = ("has", "that person") if count == 1 else ("have", "them")
    return (
        f"{plural(count, 'person', 'people')} {have} an event dated in the future, up to "
        f"{local_time(until) or 'a time beyond any calendar'}. Until then no other event changes "
        f"{them}. Correct the sender's clock. To change {them} earlier, import an event with a "
        "later time."
    )


def future_changes_notice(count: int) -> str:
    """A sentence on such events that an import has read."""
    are, whose = ("is", "this person") if count == 1 else ("are", "these people")
    return (
        f"{plural(count, 'event')} {are} dated more than a day in the future. Until then no other "
        f"event changes {whose}: see the notice on the audience."
    )
