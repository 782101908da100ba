"""The exit statuses."""

import enum


class Exit(enum.IntEnum):
    """One status per situation that a script can react to."""

    DELIVERED = 0
    PARTIAL = 1  # finished, but users are rejected or events were invalid
    MISUSE = 2  # wrong use, an unconfirmed plan, or unreadable input
    KEYS = 3  # keys refused or missing
    STOPPED = 4  # changes are still pending
    INTERRUPTED = 130  # Ctrl-C; everything is kept
