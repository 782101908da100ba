"""Changing what is set for an audience, with whatever stands in the way said in words."""

from amp_console.connections.read_only import ReadOnly
from amp_console.console.background import aside
from amp_console.console.context import Services
from amp_console.ledger import LedgerError
from amp_console.ledger.audiences import Audience
from amp_console.ledger.locks import AudienceBusy
from amp_console.sync.audience_settings import SettingsChange, change
from amp_console.text import clean

BUSY_HERE = "The audience is being synced. Nothing was changed. Try again when the sync is over."


async def apply(services: Services, audience: Audience, wish: SettingsChange) -> Audience | None:
    """Change an audience's settings and return it as it is then; None where that can't be.

    Why it can't be is said. Mistakes in what was entered are the form's to tell beforehand.
    """
    session = services.session
    if session is None:
        return None
    try:
        changed = await aside(change, session.ledger, session.connection, audience, wish)
    except AudienceBusy as error:
        services.notifications.post(
            BUSY_HERE if services.jobs.holds(audience.id) else str(error), "warning"
        )
    except (LedgerError, ReadOnly, ValueError) as error:
        services.notifications.post(
            str(error), "warning" if isinstance(error, ReadOnly) else "error"
        )
    else:
        services.publish_ledger_change()
        return changed
    return None


async def switch(services: Services, audience: Audience) -> None:
    """Switch an audience on or off: syncs of all leave out those that are off."""
    changed = await apply(services, audience, SettingsChange(enabled=not audience.enabled))
    if changed is not None:
        state = "on: Sync all includes it" if changed.enabled else "off: Sync all skips it"
        services.notifications.post(f"“{clean(changed.name)}” is {state}.")


async def unlink(services: Services, audience: Audience) -> Audience | None:
    """Forget an audience's cohort; the next sync makes a new one."""
    changed = await apply(services, audience, SettingsChange(unlink=True))
    if changed is not None:
        services.notifications.post(
            f"“{clean(changed.name)}” is unlinked. The next sync makes a new cohort."
        )
    return changed
