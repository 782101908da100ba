"""Options of a live session: its windows, its waits, and how often it does its housekeeping."""

import msgspec


class LiveOptions(msgspec.Struct, frozen=True):
    """Options of a live session; in seconds unless said otherwise.

    A window closes after `flush_seconds`, or `flush_changes` changes. `create` allows to create
    cohorts for audiences that have none; `remove` allows large removals. Without it, an audience
    waits with a removal that a plan would have confirmed: with any that is pending when the session
    begins or that is by the other ID type, and later with one of at least `large_removal` users.
    When the session ends, the last deliveries have `grace`, and then as long again for the request
    in flight. After `silence` without an event the operator is alerted.
    """

    flush_seconds: float = 5.0
    flush_changes: int = 20_000
    create: bool = False
    remove: bool = False
    large_removal: int = 100  # users; fewer come and go in the ordinary course of events
    grace: float = 30.0
    silence: float = 600.0
    retry_after: float = 5.0  # until an audience that could not be delivered is tried again
    retry_busy: float = 1.0  # ... where another process is delivering it: seconds, as a rule
    rate_limit_recheck: float = (
        60.0  # ... where Amplitude asked to wait: an operator may release it
    )
    most_arrivals: int = 500  # times of arrival kept per audience; more are merged
    snapshot_seconds: float = 1.0  # between two snapshots; all below count in snapshots
    counts_every: int = 10  # until the history has what was read
    catch_up_every: int = 5  # until the ledger is asked what is pending: others import, too
    backup_every: int = 3_600  # between two checks whether a backup is due
    first_backup: int = 10
    forget_every: int = 3_600  # until requests that explain no user anymore are forgotten
    keep_requests: float = 3_600.0  # seconds for which they are kept at least
