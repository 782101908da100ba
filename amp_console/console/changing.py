"""Changing what is set for an audience, with whatever stands in the way said in words."""

from typing import TYPE_CHECKING

from amp_console.connections import SettingsReadOnly
from amp_console.console.background import aside
from amp_console.ledger import LedgerError
from amp_console.ledger.audiences import Audience
from amp_console.ledger.locks import AudienceBusy
from amp_console.sync.audience_settings import SettingsChange, change
from amp_console.sync.read_only import ReadOnly, refusal
from amp_console.text import clean

if TYPE_CHECKING:
    from amp_console.console.app import ConsoleApp

BUSY_HERE = "The audience is being synced. Nothing was changed. Try again when the sync is over."


async def apply(app: "ConsoleApp", audience: Audience, wish: SettingsChange) -> Audience | None:
    """Change an audience's settings and return it as it is then; None where that can't be.

    Why it can't be is said. Mistakes in what was entered are the form's to tell beforehand.
    """
    session = app.session
    if session is None:
        return None
    try:
        changed = await aside(change, session.ledger, session.connection, audience, wish)
    except AudienceBusy as error:
        app.say(BUSY_HERE if _syncs(app, audience) else str(error), "warning")
    except (LedgerError, ReadOnly, ValueError) as error:
        app.say(str(error), "warning" if isinstance(error, ReadOnly) else "error")
    else:
        app.tell()
        return changed
    return None


def _syncs(app: "ConsoleApp", audience: Audience) -> bool:
    """Whether it is this very console that holds the audience."""
    work, other = app.sync, app.reconciling
    if other is not None and other.is_at(audience.id):
        return True
    return (
        work is not None
        and not work.is_over
        and any(item.audience_id == audience.id for item in work.plan.audiences)
    )


async def switch(app: "ConsoleApp", audience: Audience) -> None:
    """Switch an audience on or off: syncs of all leave out those that are off."""
    changed = await apply(app, audience, SettingsChange(enabled=not audience.enabled))
    if changed is not None:
        state = "on: syncs of all include it" if changed.enabled else "off: syncs of all skip it"
        app.say(f"“{clean(changed.name)}” is {state}.")


async def unlink(app: "ConsoleApp", audience: Audience) -> Audience | None:
    """Forget an audience's cohort; the next sync makes a new one."""
    changed = await apply(app, audience, SettingsChange(unlink=True))
    if changed is not None:
        app.say(f"“{clean(changed.name)}” is unlinked. The next sync makes a new cohort.")
    return changed


def reason_not_to_change(app: "ConsoleApp") -> str | None:
    """Say why nothing can be set for audiences now; None where it can."""
    session = app.session
    if session is None:
        return app.no_session_reason
    if session.connection.read_only:
        return refusal(session.connection)
    return None


def reason_not_to_save(app: "ConsoleApp") -> str | None:
    """Say why connections and keys can't be changed in this process; None where they can."""
    return str(SettingsReadOnly()) if app.premises.read_only else None
