"""Changing the settings of an audience, under its lease."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import NamedTuple

import msgspec

from amp_console.connections import Connection, Limits, checked_email
from amp_console.connections.read_only import guard
from amp_console.ledger import Db, Ledger, cohorts, deliveries
from amp_console.ledger import audiences as known
from amp_console.ledger.audiences import Audience
from amp_console.ledger.event_log import LogEntry, LogKind, add_log_entry, last_changed_by
from amp_console.ledger.leases import busy_because, fenced, note_holder
from amp_console.ledger.locks import AudienceBusy, Fence
from amp_console.text import clean
from amp_console.values import IdType, now_in_microseconds

LEASE_SECONDS = 3.0  # that an audience which another process delivers is waited for
RECHECK_SECONDS = 0.05
MAX_LENGTH = 100  # characters of a setting in the log
MAX_NAME_LENGTH = 200  # of the audience's name
_TEXTS = (
    ("cohort name", "cohort_name"),
    ("cohort owner", "owner_email"),
    ("seed user", "seed_user"),
)
"""The settings that are texts, by what they are called."""


class SettingsChange(msgspec.Struct, frozen=True):
    """What to change: None keeps a setting, "" resets it to the default.

    `linked_name` is the name of the cohort `cohort_id`, if known.
    """

    id_type: IdType | None = None
    cohort_name: str | None = None
    owner_email: str | None = None
    seed_user: str | None = None
    cohort_id: str | None = None
    linked_name: str | None = None
    unlink: bool = False
    enabled: bool | None = None


class DifferingSetting(NamedTuple):
    """The current and the requested value of a setting, in words."""

    label: str
    theirs: str
    mine: str


class SettingsConflict(Exception):
    """Settings to be changed are no longer as the operator saw them; none was changed.

    `now` is the audience as it is. `by` names another operator who changed it; otherwise it is "".
    """

    def __init__(self, now: Audience, differing: tuple[DifferingSetting, ...], by: str) -> None:
        self.now = now
        self.differing = differing
        self.who = by or "Another amp-console"
        changes = "; ".join(f"{item.label} is {item.theirs} now" for item in differing)
        super().__init__(
            f"{self.who} has changed “{clean(now.name, MAX_NAME_LENGTH)}” meanwhile: {changes}. "
            "Nothing was changed. Do it again to change it anyway."
        )


def change(
    ledger: Ledger,
    connection: Connection,
    audience: Audience,
    requested: SettingsChange,
    *,
    now: Callable[[], int] = now_in_microseconds,
    sleep: Callable[[float], None] = time.sleep,
) -> Audience:
    """Change an audience's settings and return the changed audience.

    `audience` is as the operator saw it. It may block for `LEASE_SECONDS`: a live session lets go
    of an audience after each window. Raises ValueError for a setting that can't be right,
    `AudienceBusy` if another process syncs the audience for longer, `SettingsConflict` if someone
    has changed the same settings since, and `ReadOnly`.
    """
    guard(connection)
    if requested.owner_email:
        checked_email(requested.owner_email)
    for name in ("cohort_name", "cohort_id", "seed_user"):
        value = getattr(requested, name)
        if value and not value.strip():
            raise ValueError(f"The {name.replace('_', ' ')} is blank. Nothing was changed.")
    try:
        with ExitStack() as held:
            fence = _leased(held, ledger, audience.id, sleep)
            at = ledger.clock(now)()
            return ledger.writes_of(audience.id).write(
                fenced, fence, _change, audience, requested, at, connection.limits
            )
    except AudienceBusy:
        raise AudienceBusy(ledger.read(busy_because, audience.id)) from None


def _leased(
    held: ExitStack, ledger: Ledger, audience_id: int, sleep: Callable[[float], None]
) -> Fence | None:
    """Take a lease as soon as no one holds it. Raises `AudienceBusy`."""
    for _ in range(round(LEASE_SECONDS / RECHECK_SECONDS)):
        with suppress(AudienceBusy):
            return held.enter_context(ledger.lease(audience_id))
        sleep(RECHECK_SECONDS)
    return held.enter_context(ledger.lease(audience_id))


def _change(
    db: Db, seen: Audience, requested: SettingsChange, now: int, limits: Limits
) -> Audience:
    audience = known.audience(db, seen.id)
    if differing := tuple(_differing(seen, audience, requested)):
        raise SettingsConflict(audience, differing, last_changed_by(db, seen.id))
    note_holder(db, audience.id, now)
    deliveries.void_open(db, audience.id, now, limits.late_until(now))
    known.set_overrides(
        db,
        audience.id,
        cohort_name=_either(requested.cohort_name, audience.cohort_name),
        owner_email=_either(requested.owner_email, audience.owner_email),
        seed_user=_either(requested.seed_user, audience.seed_user),
        enabled=audience.enabled if requested.enabled is None else requested.enabled,
    )
    if requested.id_type is not None:
        known.set_id_type(db, audience.id, requested.id_type)
    if requested.cohort_id:
        known.link_existing(db, audience.id, requested.cohort_id, _linked_name(audience, requested))
    if requested.unlink:
        cohorts.unlink(db, audience.id)
    changed = known.audience(db, audience.id)
    _log(db, audience, changed, now)
    return changed


def _differing(
    seen: Audience, now: Audience, requested: SettingsChange
) -> Iterator[DifferingSetting]:
    """The settings to be changed that are neither as the operator saw them nor as requested."""
    for label, name in _TEXTS:
        mine = getattr(requested, name)
        theirs, before = getattr(now, name), getattr(seen, name)
        if mine is not None and theirs not in {before, mine or None}:
            yield DifferingSetting(label, _in_words(theirs), _in_words(mine))
    if requested.id_type is not None and now.id_type not in {seen.id_type, requested.id_type}:
        yield DifferingSetting("ID type", now.id_type.label, requested.id_type.label)
    if requested.cohort_id or requested.unlink:
        wanted = requested.cohort_id or None
        if now.cohort_id not in {seen.cohort_id, wanted}:
            theirs, mine = now.linked_name or now.cohort_id, requested.linked_name or wanted
            yield DifferingSetting("cohort", _cohort(theirs), _cohort(mine))


def _in_words(text: str | None) -> str:
    return clean(text, MAX_LENGTH) if text else "the default"


def _cohort(name: str | None) -> str:
    return clean(name, MAX_LENGTH) if name else "none"


def _log(db: Db, before: Audience, after: Audience, now: int) -> None:
    name = clean(after.name, MAX_NAME_LENGTH)
    if changes := "; ".join(_changes(before, after)):
        text = f"Settings of “{name}” changed: {changes}."
        add_log_entry(db, LogEntry(now, LogKind.SETTINGS, text, audience_id=after.id))
    if after.cohort_id != before.cohort_id:
        cohort = after.linked_name or after.cohort_id
        linked = f"linked to cohort {clean(cohort, MAX_LENGTH)}" if cohort else "unlinked"
        text = f"“{name}” {linked}."
        add_log_entry(db, LogEntry(now, LogKind.LINK, text, audience_id=after.id))


def _changes(before: Audience, after: Audience) -> Iterator[str]:
    """The changes in words."""
    if after.id_type is not before.id_type:
        yield f"ID type {after.id_type.label}"
    for label, name in _TEXTS:
        old, new = getattr(before, name), getattr(after, name)
        if new != old:
            yield f"{label} {clean(new, MAX_LENGTH)}" if new else f"{label} reset to the default"
    if after.enabled is not before.enabled:
        yield "enabled" if after.enabled else "disabled"


def _linked_name(audience: Audience, requested: SettingsChange) -> str | None:
    is_the_same = requested.cohort_id == audience.cohort_id
    return requested.linked_name or (audience.linked_name if is_the_same else None)


def _either(requested: str | None, before: str | None) -> str | None:
    return before if requested is None else requested or None
