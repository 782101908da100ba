"""Changing an audience's settings: what was entered, the change, and why it is refused."""

from typing import NamedTuple

from textual.content import Content

from amp_console.connections import checked_email
from amp_console.connections.read_only import ReadOnly
from amp_console.console.background import in_thread
from amp_console.console.context import Services
from amp_console.console.dialogs.base import Confirm, typeable
from amp_console.console.texts import MUTED, WARN, facts, safe_text
from amp_console.ledger import LedgerError
from amp_console.ledger.audiences import Audience, Link
from amp_console.ledger.counts import OtherIdType, headcount
from amp_console.ledger.locks import AudienceBusy
from amp_console.sync.audience_settings import SettingsChange, SettingsConflict, change
from amp_console.text import clean, plural, trimmed
from amp_console.values import IdType

OTHERS_STAY = "Users in the cohort that amp-console did not add stay in it."
LABELS = 14  # columns for the names of settings
BUSY_HERE = (
    "The audience is being synced. Nothing was changed. Try again when the sync has finished."
)


async def apply(
    services: Services, audience: Audience, requested: SettingsChange
) -> Audience | None:
    """Change an audience's settings; return the changed audience, or None if it can't be changed.

    `audience` is as the operator saw it. If someone else has changed it since, the operator is
    asked first, so call this in a worker. A notification says why it can't be changed. The form
    checks what was entered beforehand.
    """
    session = services.session
    if session is None:
        return None
    try:
        changed = await in_thread(change, session.ledger, session.connection, audience, requested)
    except SettingsConflict as conflict:
        if await services.ask(conflict_question(conflict)):
            return await apply(services, conflict.now, requested)
    except AudienceBusy as error:
        services.notifications.post(
            BUSY_HERE if services.jobs.holds(audience.id) else str(error), "warning"
        )
    except (LedgerError, ReadOnly, ValueError) as error:
        services.notifications.post(
            str(error), "warning" if isinstance(error, ReadOnly) else "error"
        )
    else:
        if services.jobs.live is not None:
            services.jobs.live.recheck(audience.id)
        services.publish_ledger_change()
        return changed
    return None


def conflict_question(conflict: SettingsConflict) -> Confirm:
    """Ask whether to replace someone else's settings with what the operator entered."""
    name = clean(conflict.now.name, 40)
    rows = [
        (item.label, safe_text(item.theirs, ("  yours: ", MUTED), item.mine))
        for item in conflict.differing
    ]
    return Confirm(
        f"Replace the settings of “{name}”?",
        [f"{conflict.who} has changed them in the meantime:", "", facts(rows, LABELS)],
        yes="Save yours",
        is_danger=True,
    )


async def switch(services: Services, audience: Audience) -> None:
    """Enable or disable an audience: Sync all skips disabled ones."""
    changed = await apply(services, audience, SettingsChange(enabled=not audience.enabled))
    if changed is not None:
        services.notifications.withdraw(_switched(changed.name, is_enabled=not changed.enabled))
        text = _switched(changed.name, is_enabled=changed.enabled)
        services.notifications.post(text, is_kept=False)


def _switched(name: str, *, is_enabled: bool) -> str:
    """Describe an audience after it was enabled or disabled."""
    text = "enabled: Sync all and live sessions include it."
    if not is_enabled:
        text = (
            "disabled: Sync all skips it and live sessions send nothing for it; its changes "
            "stay pending. To enable it again, press t on its row."
        )
    return f"“{clean(name)}” is {text}"


async def _unlink(services: Services, audience: Audience) -> Audience | None:
    """Unlink an audience's cohort; the next sync creates a new one."""
    changed = await apply(services, audience, SettingsChange(unlink=True))
    if changed is not None:
        services.notifications.post(
            f"“{clean(changed.name)}” is unlinked. The next sync creates a new cohort: s under "
            "Audiences shows its plan.",
            is_kept=False,
        )
    return changed


MAX_LENGTH = 200  # characters of a cohort's name
ONLY_BLANKS = "This contains only spaces. Leave it empty for the default."
NO_PATH = (
    "No path to the Amplitude ID is set for this connection, so no event has one. Set it under "
    "Field mapping (press m under Audiences), and import the events again."
)


class EnteredSettings(NamedTuple):
    """The fields of the form; "" means the default."""

    id_type: IdType
    cohort_name: str
    owner_email: str
    seed_user: str
    enabled: bool


def mistakes(entered: EnteredSettings) -> dict[str, str]:
    """What is wrong, keyed by field."""
    found: dict[str, str] = {}
    texts = {
        "cohort-name": entered.cohort_name,
        "owner": entered.owner_email,
        "seed": entered.seed_user,
    }
    for field, text in texts.items():
        if text and not trimmed(text):
            found[field] = ONLY_BLANKS
        elif not trimmed(text).isprintable():
            found[field] = "It contains a character that can't be shown."
        elif len(text) > MAX_LENGTH:
            found[field] = f"It has {len(text)} characters; at most {MAX_LENGTH} are allowed."
    if "owner" not in found and entered.owner_email:
        try:
            checked_email(entered.owner_email)
        except ValueError as error:
            found["owner"] = str(error)
    return found


def change_asked(entered: EnteredSettings, known: Audience) -> SettingsChange | None:
    """The change from the current settings to what was entered; None if they are the same."""

    def either(text: str, before: str | None) -> str | None:
        new = trimmed(text)
        return None if new == (before or "") else new

    change = SettingsChange(
        id_type=None if entered.id_type is known.id_type else entered.id_type,
        cohort_name=either(entered.cohort_name, known.cohort_name),
        owner_email=either(entered.owner_email, known.owner_email),
        seed_user=either(entered.seed_user, known.seed_user),
        enabled=None if entered.enabled is known.enabled else entered.enabled,
    )
    return None if change == SettingsChange() else change


def moves(known: Audience, other: OtherIdType) -> str:
    """Say who leaves and who enters the cohort after an audience's ID type is switched."""
    old, new = known.id_type.label, known.id_type.other.label
    if not other.leave:
        return f"The next sync adds {plural(other.enter, 'member')} by {new}."
    removed = f"all {other.leave:,} members" if other.leave > 1 else "the one member"
    return (
        f"This replaces the cohort's members: the next sync removes {removed} delivered by {old} "
        f"and adds {other.enter:,} by {new}."
    )


def consequences(known: Audience, other: OtherIdType, *, has_path: bool) -> list[str]:
    """Say how switching the ID type of a synced audience affects the people in its cohort."""
    new = known.id_type.other.label
    said = [moves(known, other)]
    if other.unknown:
        people = plural(other.unknown, "person", "people")
        said += [f"{people} without {new} are left out, and listed under Errors."]
    if other.leave and known.link is Link.EXISTING:
        said.append(OTHERS_STAY)
    if known.id_type.other is IdType.AMPLITUDE_ID and not has_path:
        said += ["", NO_PATH]
    return [*said, "", "Nothing is sent until the next sync. You can switch back until then."]


async def ask_and_unlink(services: Services, known: Audience) -> bool:
    """Ask, and unlink; return True if that was done. Call this in a worker.

    If the link works, the operator has to type the cohort's name.
    """
    assert services.session is not None
    name = clean(known.linked_name or known.cohort_id or "")
    count = await services.session.read(headcount, known, services.clock.now)
    left = count.in_cohort + count.pending
    there = "The cohort stays in Amplitude with its members, and amp-console no longer changes it."
    warning: list[str | Content] = ["", safe_text(("Amplitude's API can't delete cohorts.", WARN))]
    if known.broken:
        there, warning = "Amplitude no longer has this cohort, so nothing changes there.", []
    who = f"{plural(left, 'user')}, who {'is' if left == 1 else 'are'} pending until then"
    question = Confirm(
        f"Unlink “{name}”?",
        [
            f"{there} Nothing is sent now. The next sync creates a new cohort and adds {who}.",
            *warning,
        ],
        yes="Unlink",
        typed=None if known.broken else typeable(name, "unlink"),
    )
    if not await services.ask(question):
        return False
    return await _unlink(services, known) is not None
